"""Orders for the operator, as JSON and as a file: found, told one by one, and given money back."""

from typing import Annotated, Final
from urllib.parse import parse_qsl

from litestar import Router, asgi, get, post
from litestar.params import FromPath, Parameter, QueryParameter
from litestar.types import Guard, Receive, Scope, Send

from tigerfans.booking.ids import OrderId
from tigerfans.errors import InvalidRequestError, UnknownOrderError
from tigerfans.http.api.raw import respond_head
from tigerfans.http.office.answers import FoundOrderItem, OrderItem, OrdersAnswer, StoryAnswer
from tigerfans.http.office.auth import OPERATOR, Asked, same_origin_guard
from tigerfans.http.office.order_export import HEADERS, OrderExports
from tigerfans.http.office.parameters import known_parameters
from tigerfans.http.reading import is_head
from tigerfans.office.door_log import DoorLog
from tigerfans.office.order_search import (
    COUNT_MAX,
    TEXT_CHARACTERS_MAX,
    Cursor,
    Kind,
    OrderSearch,
    Search,
)
from tigerfans.office.permissions import Permission
from tigerfans.office.story import Stories
from tigerfans.shop.shop import Shop

ITEMS_MAX: Final = 200

Limit = Annotated[int, Parameter(ge=1, le=ITEMS_MAX, description="How many items at most.")]
Text = Annotated[
    str,
    QueryParameter(
        name="q",
        max_length=TEXT_CHARACTERS_MAX,
        description="An order's id or ticket code, or the beginning of one, whatever stands around"
        " it; or any part of an email address.",
    ),
]
Status = Annotated[Kind | None, QueryParameter(description="What became of the orders.")]
After = Annotated[str, QueryParameter(description="`next` of the page before.")]


def admin_order_routes(
    shop: Shop, search: OrderSearch, stories: Stories, log: DoorLog, guard: Guard
) -> Router:
    exports = OrderExports(search)

    @get(
        "/api/admin/orders",
        permission=Permission.SEE,
        parameters=("q", "status", "after", "limit"),
    )
    async def find_orders(
        limit: Limit = ITEMS_MAX, text: Text = "", status: Status = None, after: After = ""
    ) -> OrdersAnswer:
        """The stored orders that are looked for, those recorded last first.

        An order that nobody has paid yet is not stored; its whole id finds it all the same.
        """
        wanted = Search(text, status)
        page = await search.page(wanted, Cursor.parse(after) if after else None, limit)
        found = [stored.order for stored in page.orders]
        if not found and wanted.order_id and status is None and not after:
            unpaid = await shop.order(wanted.order_id)
            found = [unpaid] if unpaid else []
        inside = await log.inside([order.id for order in found if order.is_sold])
        # What fits on one page is counted.
        total = len(found) if page.next is None and not after else await search.count(wanted)
        return OrdersAnswer(
            items=[FoundOrderItem.found(order, inside.get(order.id, 0)) for order in found],
            limit=limit,
            next=str(page.next) if page.next else None,
            total=min(total, COUNT_MAX),
            total_is_more=total > COUNT_MAX,
        )

    @asgi(
        "/api/admin/orders.csv",
        copy_scope=False,
        permission=Permission.EXPORT,
        parameters=("q", "status"),
    )
    async def export(scope: Scope, receive: Receive, send: Send) -> None:
        wanted = _wanted(scope["query_string"])
        if is_head(scope):
            await respond_head(send, HEADERS)
        else:
            await exports.send(wanted, receive, send)

    @get("/api/admin/orders/{order_id:str}", permission=Permission.SEE)
    async def tell_story(order_id: FromPath[str]) -> StoryAnswer:
        """All that happened to one order, and where it is recorded."""
        return StoryAnswer.of(await stories.of(parse_order_id(order_id)))

    @post(
        "/api/admin/orders/{order_id:str}/refund",
        permission=Permission.REFUND,
        status_code=200,
        guards=[same_origin_guard],
    )
    async def refund_order(request: Asked, order_id: FromPath[str]) -> OrderItem:
        """Gives the money of an order back, and all of its tickets into the stock.

        A ticket that was used is not refunded: then it is a 409 that names it, and the others are.
        """
        by = request.user.name
        return OrderItem.of(await shop.refund(parse_order_id(order_id), by))

    @post(
        "/api/admin/orders/{order_id:str}/tickets/{number:int}/refund",
        permission=Permission.REFUND,
        status_code=200,
        guards=[same_origin_guard],
    )
    async def refund_ticket(
        request: Asked, order_id: FromPath[str], number: FromPath[int]
    ) -> OrderItem:
        """Gives the money of one ticket of an order back; the first one's number is 0."""
        by = request.user.name
        return OrderItem.of(await shop.refund(parse_order_id(order_id), by, [number]))

    return Router(
        "/",
        route_handlers=[find_orders, export, tell_story, refund_order, refund_ticket],
        guards=[guard, known_parameters],
        response_headers={"cache-control": "no-store"},
        tags=[OPERATOR],
        security=[{OPERATOR: []}],
    )


def parse_order_id(text: str) -> OrderId:
    """Raises `UnknownOrderError` for what is no order's id."""
    order_id = OrderId.read(text)
    if order_id is None:
        raise UnknownOrderError
    return order_id


def _wanted(query: bytes) -> Search:
    values = dict(parse_qsl(query.decode("latin-1")))
    kind = values.get("status")
    try:
        return Search(values.get("q", ""), Kind(kind) if kind else None)
    except ValueError:
        raise InvalidRequestError(f"status must be one of {', '.join(Kind)}.") from None
