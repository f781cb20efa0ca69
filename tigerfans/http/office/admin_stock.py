"""The stock of each class for the operator: as JSON, and as a page of plain forms.

Whoever changes it says the number that the next change had when they looked, which a form brings
along: so nothing is done twice, nor over what somebody else did meanwhile.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, Router, get, post
from litestar.params import Body, FromPath
from litestar.response import Redirect
from litestar.types import Guard

from tigerfans.booking.inventory import StockState
from tigerfans.booking.stock_changes import Change, Move, Wanted
from tigerfans.errors import (
    InvalidRequestError,
    ShopError,
    StockMovedError,
    StockRefusedError,
)
from tigerfans.http.office.auth import OPERATOR, Asked, same_origin_guard
from tigerfans.http.office.navigation import office_page
from tigerfans.http.office.parameters import Form, known_parameters
from tigerfans.http.pages.rendering import Renderer
from tigerfans.office.permissions import Permission
from tigerfans.shop.answers import ClassText, Count, Moment
from tigerfans.shop.shop import Shop
from tigerfans.shop.stock_changes import ClassStock, wanted_of

PATH: Final = "/admin/stock"
# Of each class, the latest.
CHANGES_SHOWN_MAX: Final = 10
# More changes than there will ever be.
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
MOVE_WORDS: Final = {
    Move.ADD: "Added",
    Move.WITHDRAW: "Withdrawn",
    Move.CLOSE: "Sale closed",
    Move.OPEN: "Sale opened",
}


class StockChangeBody(msgspec.Struct):
    """What to do to a class's stock: `+50`, `-50`, `close` or `open`.

    `number` is what the class's `number` was when whoever asks looked at its stock: the same change
    under the same number is made once, and another one under it is refused.
    """

    change: str
    number: Count


Json = Annotated[StockChangeBody, Body()]


class StockChangeItem(msgspec.Struct):
    """A change that was made: `+50`, `-50`, `close` or `open`."""

    number: Count
    change: str
    at_iso: Moment

    @classmethod
    def of(cls, change: Change) -> "StockChangeItem":
        return cls(change.number, str(change.wanted), change.at.isoformat())


class ClassStockItem(msgspec.Struct):
    """What there is of a class: `funded` less `withdrawn` are `parked` while the sale is closed,
    `held`, `sold` or `available`; `number` is that of the next change, `changes` are the latest.
    """

    cls: ClassText
    name: str
    state: StockState
    funded: Count
    withdrawn: Count
    parked: Count
    held: Count
    sold: Count
    available: int
    number: Count
    changes: Sequence[StockChangeItem]

    @classmethod
    def of(cls, seen: ClassStock) -> "ClassStockItem":
        stock = seen.stock
        return cls(
            cls=seen.ticket_class.code,
            name=seen.ticket_class.name,
            state=stock.state,
            funded=stock.funded,
            withdrawn=stock.withdrawn,
            parked=stock.parked,
            held=stock.held,
            sold=stock.sold,
            available=stock.available,
            number=seen.number,
            changes=[StockChangeItem.of(change) for change in _latest(seen)],
        )


class ClassStocksAnswer(msgspec.Struct):
    """The stock of each class."""

    items: Sequence[ClassStockItem]


def admin_stock_routes(shop: Shop, guard: Guard) -> Router:
    """The stock as JSON."""

    @get("/api/admin/stock", permission=Permission.SEE)
    async def list_stock() -> ClassStocksAnswer:
        """The stock of each class as it is on the ledger, and how it came to be."""
        return ClassStocksAnswer([ClassStockItem.of(seen) for seen in await _look(shop)])

    @post(
        "/api/admin/stock/{code:str}",
        permission=Permission.STOCK,
        status_code=200,
        guards=[same_origin_guard],
    )
    async def change_stock(request: Asked, code: FromPath[str], data: Json) -> ClassStockItem:
        """Adds to the stock of a class, withdraws from it, or closes or opens its sale, once."""
        wanted = wanted_of(data.change)
        return ClassStockItem.of(
            await shop.change_stock(code, wanted, request.user.name, data.number)
        )

    return Router(
        "/",
        route_handlers=[list_stock, change_stock],
        guards=[guard, known_parameters],
        response_headers={"cache-control": "no-store"},
        tags=[OPERATOR],
        security=[{OPERATOR: []}],
    )


def stock_page_router(*, shop: Shop, renderer: Renderer, guard: Guard) -> Router:
    """The page and its forms."""

    async def page(
        request: Asked, problem: ShopError | None = None, cls: str = ""
    ) -> Response[str]:
        classes = await _look(shop)
        return office_page(
            renderer,
            request,
            "admin_stock.html",
            status_code=problem.status if problem else 200,
            classes=classes,
            latest={seen.ticket_class.code: _latest(seen) for seen in classes},
            words=MOVE_WORDS,
            problem=str(problem) if problem else "",
            problem_of=cls,
        )

    @get(PATH, permission=Permission.SEE)
    async def stock_page(request: Asked) -> Response[str]:
        return await page(request)

    @post(
        f"{PATH}/{{code:str}}",
        permission=Permission.STOCK,
        status_code=200,
        guards=[same_origin_guard],
    )
    async def change_stock(request: Asked, code: FromPath[str], data: Form) -> Response[Any]:
        if code not in shop.classes:
            raise InvalidRequestError("There is no such class.")
        try:
            wanted, number = _read_form(data)
            await shop.change_stock(code, wanted, request.user.name, number)
        except (InvalidRequestError, StockMovedError, StockRefusedError) as problem:
            return await page(request, problem, code)
        return Redirect(f"{PATH}#{code}", status_code=303)

    return Router(
        "/",
        route_handlers=[stock_page, change_stock],
        guards=[guard],
        include_in_schema=False,
    )


def _read_form(form: dict[str, str]) -> tuple[Wanted, int]:
    number = form.get("number", "")
    if _NUMBER.fullmatch(number) is None:
        raise InvalidRequestError("Please look at the stock again, and then change it.")
    amount = form.get("amount", "").strip()
    # The amount is typed, its sign is the button's.
    return wanted_of(form.get("change", "") + amount), int(number)


async def _look(shop: Shop) -> list[ClassStock]:
    return list(await asyncio.gather(*(shop.class_stock(code) for code in shop.classes)))


def _latest(seen: ClassStock) -> list[Change]:
    return list(reversed(seen.changes[-CHANGES_SHOWN_MAX:]))
