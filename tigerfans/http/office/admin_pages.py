"""The operator's pages, behind the login: the box office, and one order's story.

The box office fills itself through the JSON API. A story is made on the server and needs no
script, for what it tells is over; its one action is a plain form.
"""

from collections.abc import Collection
from typing import Any, Final, Protocol

from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import Guard

from tigerfans.booking.ids import OrderId
from tigerfans.http.door.door_page import PATH as DOOR_PATH
from tigerfans.http.office.admin_orders import ITEMS_MAX, parse_order_id
from tigerfans.http.office.auth import Asked, same_origin_guard
from tigerfans.http.office.navigation import office_page
from tigerfans.http.pages.rendering import Renderer
from tigerfans.offer.catalog import Catalog
from tigerfans.office.order_search import TEXT_CHARACTERS_MAX, Kind
from tigerfans.office.permissions import Permission
from tigerfans.office.story import Story
from tigerfans.stores.orders import Order

SESSIONS_MAX: Final = 50


class AdminShop(Protocol):
    """What these pages ask of the shop."""

    @property
    def catalog(self) -> Catalog: ...

    async def refund(
        self, order_id: OrderId, by: str, tickets: Collection[int] | None = None
    ) -> Order:
        """Gives the money of an order back, or of some of its tickets."""


class StoryTeller(Protocol):
    async def of(self, order_id: OrderId) -> Story:
        """One order's story; raises `UnknownOrderError`."""


def admin_pages_router(
    *, shop: AdminShop, stories: StoryTeller, renderer: Renderer, guard: Guard
) -> Router:
    """The pages; `guard` lets in who may see them."""

    @get("/admin", permission=Permission.ENTER)
    async def box_office(request: Asked) -> Response[Any]:
        if Permission.SEE not in request.user.may:
            # Who may do nothing else has come to scan.
            return Redirect(DOOR_PATH, status_code=303)
        return office_page(
            renderer,
            request,
            "admin.html",
            classes=shop.catalog.classes,
            kinds=list(Kind),
            orders_max=ITEMS_MAX,
            sessions_max=SESSIONS_MAX,
            text_max=TEXT_CHARACTERS_MAX,
        )

    @get("/admin/orders/{order_id:str}", permission=Permission.SEE)
    async def order_page(request: Asked, order_id: FromPath[str]) -> Response[str]:
        parsed = parse_order_id(order_id)
        story = await stories.of(parsed)
        return office_page(
            renderer,
            request,
            "admin_order.html",
            story=story,
            order_id=parsed.hex_digits,
            class_name=shop.catalog.class_name(story.order.cls) if story.order else "",
        )

    @post(
        "/admin/orders/{order_id:str}/refund",
        permission=Permission.REFUND,
        guards=[same_origin_guard],
    )
    async def refund(request: Asked, order_id: FromPath[str]) -> Response[Any]:
        """What the story's button for the whole order does."""
        parsed = parse_order_id(order_id)
        await shop.refund(parsed, request.user.name)
        return Redirect(f"/admin/orders/{parsed.hex_digits}", status_code=303)

    @post(
        "/admin/orders/{order_id:str}/tickets/{number:int}/refund",
        permission=Permission.REFUND,
        guards=[same_origin_guard],
    )
    async def refund_ticket(
        request: Asked, order_id: FromPath[str], number: FromPath[int]
    ) -> Response[Any]:
        """What the button of one ticket does."""
        parsed = parse_order_id(order_id)
        await shop.refund(parsed, request.user.name, [number])
        return Redirect(f"/admin/orders/{parsed.hex_digits}", status_code=303)

    return Router(
        "/",
        route_handlers=[box_office, order_page, refund, refund_ticket],
        guards=[guard],
        include_in_schema=False,
    )
