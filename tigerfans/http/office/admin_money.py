"""Money for the operator: what came in and went back, what is due, the books as a file, and the
cancellation of the show. The page is made on the server and needs no script.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from litestar import Response, Router, asgi, get, post
from litestar.params import JSONBody
from litestar.response import Redirect
from litestar.types import Guard, Receive, Scope, Send

from tigerfans.caching import Cached
from tigerfans.errors import InvalidRequestError
from tigerfans.http.api.raw import respond_head
from tigerfans.http.office.auth import OPERATOR, Asked, same_origin_guard
from tigerfans.http.office.csv_files import CsvFiles, headers_of
from tigerfans.http.office.navigation import office_page
from tigerfans.http.office.parameters import Form, known_parameters
from tigerfans.http.pages.rendering import Renderer
from tigerfans.http.reading import is_head
from tigerfans.office.accounts import COLUMNS, Accounts, Days
from tigerfans.office.permissions import Permission
from tigerfans.office.revenue import Figures, Revenues, Row, Sum
from tigerfans.shop.answers import Cents, Count, Currency, Moment
from tigerfans.shop.shop import Shop
from tigerfans.stores.show_cancellation import Cancellation, Progress

PATH: Final = "/admin/money"
FILE_NAME: Final = "tigerfans-payments.csv"
HEADERS: Final = headers_of(FILE_NAME)
# Named on the page; there may be more.
DUE_SHOWN_MAX: Final = 100
# Counting is one pass over all orders.
PROGRESS_SECONDS: Final = 2.0


class SumItem(msgspec.Struct):
    """So many tickets, and what they cost."""

    tickets: Count
    amount: Cents

    @classmethod
    def of(cls, summed: Sum) -> "SumItem":
        return cls(summed.tickets, summed.amount_cents)


class FiguresItem(msgspec.Struct):
    """What was paid, what went back, and what is left of it, which may be below 0 for one day."""

    paid: SumItem
    refunded: SumItem
    left: int

    @classmethod
    def of(cls, figures: Figures) -> "FiguresItem":
        paid, refunded = SumItem.of(figures.paid), SumItem.of(figures.refunded)
        return cls(paid, refunded, figures.left_cents)


class RevenueItem(msgspec.Struct):
    """The revenue of a class, or of all of them: then `cls` is null. `due` is to go back still."""

    cls: str | None
    currency: Currency
    today: FiguresItem
    total: FiguresItem
    due: SumItem

    @classmethod
    def of(cls, row: Row) -> "RevenueItem":
        return cls(
            row.cls,
            row.currency,
            FiguresItem.of(row.today),
            FiguresItem.of(row.total),
            SumItem.of(row.due),
        )


class RevenueAnswer(msgspec.Struct):
    """The revenue of each class, and of all by currency; `day` is the venue's, which is today."""

    day: str
    items: Sequence[RevenueItem]
    totals: Sequence[RevenueItem]


class CancellationAnswer(msgspec.Struct):
    """Whether the show is canceled, and of how many paid orders the money is back; of those `used`,
    a ticket was used at the door, whose money stays.
    """

    canceled_at_iso: Moment | None
    canceled_by: str | None
    orders: Count
    refunded: Count
    failing: Count
    used: Count

    @classmethod
    def of(cls, cancellation: Cancellation | None, progress: Progress) -> "CancellationAnswer":
        return cls(
            canceled_at_iso=None if cancellation is None else cancellation.canceled_at.isoformat(),
            canceled_by=None if cancellation is None else cancellation.canceled_by,
            orders=progress.orders,
            refunded=progress.refunded,
            failing=progress.failing,
            used=progress.used,
        )


class CancelBody(msgspec.Struct):
    """The name of the show, as it is typed by whoever cancels it."""

    show: str


def admin_money_routes(
    shop: Shop, revenues: Revenues, accounts: Accounts, progress: Cached[Progress], guard: Guard
) -> Router:
    files = CsvFiles(HEADERS, COLUMNS)

    @get("/api/admin/revenue", permission=Permission.SEE)
    async def get_revenue() -> RevenueAnswer:
        """What came in and went back, by class, today and since the beginning."""
        revenue = await revenues.get()
        return RevenueAnswer(
            day=revenue.day.isoformat(),
            items=[RevenueItem.of(row) for row in revenue.classes],
            totals=[RevenueItem.of(row) for row in revenue.totals],
        )

    @asgi(
        "/api/admin/payments.csv",
        copy_scope=False,
        permission=Permission.EXPORT,
        parameters=("first", "last"),
    )
    async def export(scope: Scope, receive: Receive, send: Send) -> None:
        days = _days(scope["query_string"])
        if is_head(scope):
            await respond_head(send, HEADERS)
        else:
            await files.send(accounts.export(days), receive, send)

    @get("/api/admin/cancellation", permission=Permission.SEE)
    async def get_cancellation() -> CancellationAnswer:
        """Whether the show is canceled, and how far its refunds are."""
        return CancellationAnswer.of(await shop.cancellation.find(), await progress.get())

    @post(
        "/api/admin/cancellation",
        permission=Permission.REFUND,
        status_code=200,
        guards=[same_origin_guard],
    )
    async def cancel_show(request: Asked, data: JSONBody[CancelBody]) -> CancellationAnswer:
        """Cancels the show, for good: nothing is sold any more, and all money goes back."""
        canceled = await shop.cancel(data.show, request.user.name)
        return CancellationAnswer.of(canceled, await progress.get())

    return Router(
        "/",
        route_handlers=[get_revenue, export, get_cancellation, cancel_show],
        guards=[guard, known_parameters],
        response_headers={"cache-control": "no-store"},
        tags=[OPERATOR],
        security=[{OPERATOR: []}],
    )


def money_router(
    *,
    shop: Shop,
    revenues: Revenues,
    progress: Cached[Progress],
    renderer: Renderer,
    guard: Guard,
) -> Router:
    """The page and its form."""
    offer = shop.catalog.offer

    async def page(
        request: Asked, status_code: int = 200, problem: str | None = None
    ) -> Response[str]:
        due, due_total = await shop.ticket_refunds.due(DUE_SHOWN_MAX)
        canceled = await shop.cancellation.find()
        return office_page(
            renderer,
            request,
            "admin_money.html",
            status_code=status_code,
            revenue=await revenues.get(),
            class_name=shop.catalog.class_name,
            due=due,
            due_total=due_total,
            canceled=canceled,
            progress=await progress.get() if canceled else None,
            vat_percent=offer.vat_percent,
            problem=problem,
        )

    @get(PATH, permission=Permission.SEE)
    async def money_page(request: Asked) -> Response[str]:
        return await page(request)

    @post(f"{PATH}/cancel", permission=Permission.REFUND, guards=[same_origin_guard])
    async def cancel(request: Asked, data: Form) -> Response[Any]:
        try:
            await shop.cancel(data.get("show", ""), request.user.name)
        except InvalidRequestError as error:
            return await page(request, error.status, str(error))
        return Redirect(f"{PATH}#cancel", status_code=303)

    return Router(
        "/",
        route_handlers=[money_page, cancel],
        guards=[guard],
        include_in_schema=False,
    )


def _days(query: bytes) -> Days:
    values = dict(parse_qsl(query.decode("latin-1")))
    days = Days(_day(values, "first"), _day(values, "last"))
    if days.first and days.last and days.last < days.first:
        raise InvalidRequestError("The last day is before the first one.")
    return days


def _day(values: dict[str, str], name: str) -> date | None:
    text = values.get(name)
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequestError(f"{name} has to be a day, such as 2027-06-18.") from None
