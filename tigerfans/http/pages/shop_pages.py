"""The pages a buyer sees: landing, checkout, and the order with its ticket.

Each handler asks the shop and renders one template. The pages keep themselves up to date
through the JSON API, but none needs a script to sell a ticket: the checkout is a plain form, and
the order's page comes from the server in whatever state the order is. What this browser has on hold
already it knows by cookies (`held_cookies`); the checkout offers to go on with it, or to give it
back.

What the pages need of the shop is `PageShop`; errors read here as they do in the JSON API.
"""

import asyncio
import math
import re
import secrets
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any, Final, Literal, NamedTuple, Protocol, TypeVar

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.enums import RequestEncodingType
from litestar.params import FromQuery, QueryParameter, SkipValidation
from litestar.response import Redirect

from tigerfans.booking.email_typos import TABLES as EMAIL_TYPOS
from tigerfans.booking.email_typos import likely_meant
from tigerfans.booking.ids import OrderId
from tigerfans.booking.inventory import WHATEVER_THE_HOUR, Inventory
from tigerfans.errors import UnknownOrderError
from tigerfans.http.client_address import ClientAddresses
from tigerfans.http.held_cookies import PATH, HeldCookies
from tigerfans.http.pages.rendering import (
    LISTED,
    PAGE_HEADERS,
    Renderer,
    wants_page,
)
from tigerfans.http.problems import Problem, explain
from tigerfans.http.reading import body_in_time
from tigerfans.offer.catalog import Catalog, ClassCode, TicketClass
from tigerfans.offer.money import money
from tigerfans.offer.windows import SaleState
from tigerfans.shop.open_hold import OpenHold
from tigerfans.stores.orders import Order, OrderStatus

Value = TypeVar("Value")

FORM_SIZE_BYTES_MAX: Final = 16 * 1024
# Of a form's own Idempotency-Key: however often the form is sent, it holds one ticket.
FORM_KEY_BYTES: Final = 16
# Without a script the page of an order that may change loads itself again: soon while its payment
# is awaited, seldom where it ended unpaid.
AWAITED_REFRESH_SECONDS: Final = 3
REFRESH_SECONDS: Final = 15
# While a sale has not begun, a page without a script loads itself again as often as that.
COUNTDOWN_REFRESH_SECONDS: Final = 60
# Which words a class deserves: the state of its stock or of its sale, and two more that only pages
# know.
StockWords = Literal[
    "on_sale", "going_fast", "on_hold", "sold_out", "closed", "not_yet", "ended", "unknown"
]
_BEST_FIRST: Final[tuple[StockWords, ...]] = (
    "on_sale",
    "unknown",
    "on_hold",
    "not_yet",
    "closed",
    "ended",
    "sold_out",
)
# Of which no ticket can be chosen.
CLOSED: Final = ("sold_out", "closed", "not_yet", "ended")

# Of which the money may be on its way: it takes days, and a hold lasts for minutes.
MAY_BE_UNDER_WAY: Final = (OrderStatus.PENDING, OrderStatus.EXPIRED, OrderStatus.CANCELED)

_QTY: Final = re.compile(r"[0-9]{1,4}")


class Checkout(Protocol):
    """A hold that was placed; `redirect_url` is where the buyer pays."""

    @property
    def order_id(self) -> str: ...

    @property
    def redirect_url(self) -> str: ...


class PageShop(Protocol):
    """What the pages ask of the shop. Any call may raise what `http.problems.explain` knows."""

    @property
    def catalog(self) -> Catalog: ...

    @property
    def hold_seconds(self) -> int: ...

    @property
    def tickets_per_order(self) -> int:
        """How many tickets an order may have."""

    async def inventory(self) -> Mapping[ClassCode, Inventory]:
        """The stock of each ticket class."""

    async def goodies(self) -> Inventory:
        """The stock of goodies."""

    async def checkout(
        self, cls: str, email: str, idempotency_key: str | None, *, qty: int, client: str | None
    ) -> Checkout:
        """Places a hold of `qty` tickets on the account of the `client`; raises where there is none
        to be had.
        """

    async def order(self, order_id: OrderId) -> Order | None:
        """The order in its state of now, from its hold on; None where it is unknown."""

    async def open_hold(self, order_id: OrderId) -> OpenHold | None:
        """The hold of an order that can be paid; None where there is none, or none any more."""

    async def payment_is_under_way(self, order_id: OrderId) -> bool:
        """Whether the buyer of an unpaid order has agreed to a payment whose money takes days."""

    async def release(self, order_id: OrderId) -> str | None:
        """Voids the hold of an order, unless it is paid; the order's status then."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A ticket class and its stock, which is None while the shop cannot tell.

    `now` is in seconds since the epoch.
    """

    ticket_class: TicketClass
    stock: Inventory | None
    now: float = field(default_factory=time.time)

    @property
    def state(self) -> StockWords:
        if self.overall != "on_sale" or self.stock is None:
            return self.overall
        return "going_fast" if self.stock.is_going_fast else "on_sale"

    @property
    def overall(self) -> StockWords:
        """Its state as one of all classes."""
        if self.stock is None and self.sale is SaleState.OPEN:
            return "unknown"
        stock = None if self.stock is None else self.stock.state
        if stock and (self.sale is SaleState.OPEN or stock in WHATEVER_THE_HOUR):
            return stock.value
        return "not_yet" if self.sale is SaleState.NOT_YET else "ended"

    @property
    def sale(self) -> SaleState:
        return self.ticket_class.sale_state(self.now)

    @property
    def opens_in_seconds(self) -> int:
        """How long it is until it is on sale; 0 where it is, or was."""
        if self.sale is not SaleState.NOT_YET:
            return 0
        return math.ceil(self.ticket_class.opens - self.now)


@dataclass(frozen=True, slots=True)
class Filled:
    """What a checkout's form says, or is to say when it is shown."""

    cls: str = ""
    email: str = ""
    key: str = ""
    qty: int = 1

    @classmethod
    def of(cls, form: Mapping[str, object]) -> "Filled":
        email, meant = text_of(form.get("customer_email")), text_of(form.get("meant_email"))
        # Where the buyer was asked which address was meant, and typed no third one since.
        if meant and email == text_of(form.get("asked_email")):
            email = meant
        qty = text_of(form.get("qty", "1"))
        return cls(
            text_of(form.get("cls")),
            email,
            text_of(form.get("idempotency_key")),
            # What is no number is none that can be had.
            int(qty) if _QTY.fullmatch(qty) else 0,
        )


class HeldTicket(msgspec.Struct, frozen=True):
    """A ticket on hold, or `qty` of them, as the browser that placed the hold hears of it.

    `class_name` has their number, where it is not one.
    """

    order_id: str
    qty: int
    class_name: str
    amount: str
    email: str
    redirect_url: str
    expires_at: datetime

    @classmethod
    def of(cls, hold: OpenHold, catalog: Catalog) -> "HeldTicket":
        order = hold.order
        return cls(
            order.id.hex_digits,
            order.qty,
            catalog.tickets_name(order.cls, order.qty),
            money(order.amount_cents, order.currency),
            order.email,
            hold.redirect_url,
            hold.expires_at,
        )


def overall_state(offers: Iterable[Offer]) -> StockWords:
    """What can be said of all classes together: the best of what each of them is."""
    states = {offer.overall for offer in offers}
    return next(state for state in _BEST_FIRST if state in states)


def next_to_open(offers: Iterable[Offer]) -> Offer | None:
    """The offer that is on sale next; None where none has to be waited for."""
    waiting = [offer for offer in offers if offer.opens_in_seconds]
    return min(waiting, key=lambda offer: offer.ticket_class.opens, default=None)


# The dependencies of every handler below, named for Litestar's injection.
Shop = NamedDependency[SkipValidation[PageShop]]
Pages = NamedDependency[SkipValidation[Renderer]]
Clients = NamedDependency[SkipValidation[ClientAddresses]]
Cookies = NamedDependency[SkipValidation[HeldCookies]]


@get("/")
async def landing_page(shop: Shop, pages: Pages) -> Response[str]:
    # Both at once, so that without the ledger only one deadline passes.
    offers, goodies = await asyncio.gather(_offers(shop), _or_none(shop.goodies()))
    return pages.page(
        "landing.html",
        headers=LISTED,
        offers=offers,
        overall=overall_state(offers),
        # Where the ledger is away, nobody knows of what it was funded with, nor what is left.
        goodies=shop.catalog.goodies.capacity if goodies is None else goodies.total,
        goodies_are_gone=goodies is not None and goodies.available <= 0,
        tickets_per_order=shop.tickets_per_order,
        **_countdown(offers),
        hold_seconds=shop.hold_seconds,
    )


@get(PATH)
async def checkout_page(
    request: Request[Any, Any, Any],
    shop: Shop,
    pages: Pages,
    held: Cookies,
    # Litestar never fills a parameter that is itself called `cls`.
    chosen: Annotated[str, QueryParameter(name="cls")] = "",
    order_id: FromQuery[str] = "",
) -> Response[str]:
    """The form; `order_id` says which payment the buyer comes back from.

    What became of that payment is the order's to say. A provider's own word for it, such as
    `status`, may stand in the address and is not read.
    """
    own = held.orders(request.cookies)
    shelf, order = await asyncio.gather(_shelf(shop, own), _or_none(_order(shop, order_id)))
    # What the buyer comes back from, or else what was held last.
    before = order or (shelf.holds[-1].order if shelf.holds else None)
    is_own = before is not None and before.id in own
    filled = Filled(
        cls=chosen or (before.cls if before else ""),
        email=before.email if before and is_own else "",
        qty=before.qty if before else 1,
    )
    return _checkout_form(shop, pages, shelf, filled, returned=order)


@post(PATH, request_max_body_size=FORM_SIZE_BYTES_MAX, middleware=[body_in_time])
async def checkout_submit(
    request: Request[Any, Any, Any], shop: Shop, pages: Pages, clients: Clients, held: Cookies
) -> Response[Any]:
    """The checkout without a script: to the payment, or back to the form with a sentence.

    The form keeps its key while that may still lead to a ticket, so that a press whose answer got
    lost is found again by the next.
    """
    form = await read_form(request)
    filled = Filled.of(form)
    # Who goes on with an address after being asked has meant it.
    meant = None if filled.email == text_of(form.get("asked_email")) else likely_meant(filled.email)
    if meant is not None:
        shelf = await _shelf(shop, held.orders(request.cookies))
        return _checkout_form(shop, pages, shelf, filled, email_meant=meant)
    try:
        placed = await shop.checkout(
            filled.cls,
            filled.email,
            filled.key or None,
            qty=filled.qty,
            client=clients.of(request.scope),
        )
    except Exception as error:
        problem = explain(error)
        if problem is None:
            raise
    else:
        cookie = {"Set-Cookie": held.set_cookie(placed.order_id)}
        return Redirect(placed.redirect_url, status_code=303, headers=cookie)
    if problem.fields.get("new_key_needed"):
        filled = replace(filled, key="")
    shelf = await _shelf(shop, held.orders(request.cookies))
    return _checkout_form(shop, pages, shelf, filled, problem=problem)


@post(f"{PATH}/give-back", request_max_body_size=FORM_SIZE_BYTES_MAX, middleware=[body_in_time])
async def give_back(
    request: Request[Any, Any, Any], shop: Shop, pages: Pages, held: Cookies
) -> Response[Any]:
    """Gives back a ticket that this browser has on hold; leads to the form for another one.

    A script hears what the order is now.
    """
    order_id = OrderId.parse(text_of((await read_form(request)).get("order_id")))
    own = held.orders(request.cookies)
    try:
        if order_id is None or order_id not in own:
            raise UnknownOrderError("This browser has no such ticket on hold.")
        status = await shop.release(order_id)
    except Exception as error:
        problem = explain(error)
        if problem is None or not wants_page(request):
            raise
        return _checkout_form(shop, pages, await _shelf(shop, own), Filled(), problem=problem)
    if not wants_page(request):
        return Response({"status": status}, status_code=200, headers=PAGE_HEADERS)
    # By another address, so that who comes back to it by the browser's button sends no form again.
    is_paid = status in (OrderStatus.PAID, OrderStatus.PAID_UNFULFILLED)
    page = "/demo/success" if is_paid else PATH
    return Redirect(f"{page}?order_id={order_id.hex_digits}", status_code=303)


@get(f"{PATH}/held")
async def held_tickets(
    request: Request[Any, Any, Any], shop: Shop, held: Cookies
) -> Response[list[HeldTicket]]:
    """What this browser has on hold, for a page that was made before it was."""
    holds = await _open_holds(shop, held.orders(request.cookies))
    return Response([HeldTicket.of(hold, shop.catalog) for hold in holds], headers=PAGE_HEADERS)


@get("/demo/success")
async def order_page(shop: Shop, pages: Pages, order_id: FromQuery[str] = "") -> Response[str]:
    order = await _order(shop, order_id)
    is_under_way = await _is_under_way(shop, order)
    return pages.page(
        "order.html",
        status_code=200 if order else 404,
        order=order,
        order_id=order.id.hex_digits if order else "",
        status=_shown_status(order) if order else "UNKNOWN",
        is_under_way=is_under_way,
        refresh_seconds=REFRESH_SECONDS if is_under_way else refresh_seconds(order),
        class_name=shop.catalog.class_name(order.cls) if order else "",
        qty=order.qty if order else 1,
    )


def pages_router(
    *, shop: PageShop, renderer: Renderer, clients: ClientAddresses, cookies: HeldCookies
) -> Router:
    """All pages for buyers."""
    return Router(
        "/",
        route_handlers=[
            landing_page,
            checkout_page,
            checkout_submit,
            give_back,
            held_tickets,
            order_page,
        ],
        dependencies={
            "shop": Provide(lambda: shop, sync_to_thread=False),
            "pages": Provide(lambda: renderer, sync_to_thread=False),
            "clients": Provide(lambda: clients, sync_to_thread=False),
            "held": Provide(lambda: cookies, sync_to_thread=False),
        },
        include_in_schema=False,
    )


class Shelf(NamedTuple):
    """What is on offer, and what of it this browser has on hold."""

    offers: Sequence[Offer]
    holds: Sequence[OpenHold]


async def _shelf(shop: PageShop, own: Sequence[OrderId]) -> Shelf:
    # Both at once, so that without the ledger only one deadline passes.
    return Shelf(*await asyncio.gather(_offers(shop), _open_holds(shop, own)))


def _checkout_form(
    shop: PageShop,
    pages: Renderer,
    shelf: Shelf,
    filled: Filled,
    *,
    problem: Problem | None = None,
    email_meant: str | None = None,
    returned: Order | None = None,
) -> Response[str]:
    """The checkout's page, filled in as far as it was; with a new key where it has none."""
    return pages.page(
        "checkout.html",
        status_code=problem.status_code if problem else 200,
        headers=problem.headers if problem else None,
        offers=shelf.offers,
        overall=overall_state(shelf.offers),
        closed=CLOSED,
        **_countdown(shelf.offers),
        hold_seconds=shop.hold_seconds,
        idempotency_key=filled.key or secrets.token_hex(FORM_KEY_BYTES),
        chosen=filled.cls,
        qty=filled.qty,
        tickets_per_order=shop.tickets_per_order,
        email=filled.email,
        email_meant=email_meant,
        email_typos=EMAIL_TYPOS,
        problem=problem,
        held=[HeldTicket.of(hold, shop.catalog) for hold in shelf.holds],
        returned=returned,
    )


def _countdown(offers: Sequence[Offer]) -> dict[str, Any]:
    """What a page counts down to, and when it looks again without a script."""
    upcoming = next_to_open(offers)
    wait = upcoming.opens_in_seconds if upcoming else 0
    return {
        "upcoming": upcoming,
        "refresh_seconds": min(max(wait, 1), COUNTDOWN_REFRESH_SECONDS),
    }


async def _open_holds(shop: PageShop, order_ids: Sequence[OrderId]) -> list[OpenHold]:
    """What of these can still be paid, in the order in which it was held."""
    asked = [_or_none(shop.open_hold(order_id)) for order_id in order_ids]
    holds = [hold for hold in await asyncio.gather(*asked) if hold]
    return sorted(holds, key=lambda hold: hold.expires_at)


async def _offers(shop: PageShop) -> list[Offer]:
    """Every class with its stock; without it where the ledger is away."""
    stocks = await _or_none(shop.inventory()) or {}
    return [Offer(c, stocks.get(c.code)) for c in shop.catalog.classes]


async def _or_none(asked: Awaitable[Value | None]) -> Value | None:
    """What was asked for, or None where a store is away: the page still helps."""
    try:
        return await asked
    except Exception as error:
        if explain(error) is None:
            raise
        return None


async def read_form(request: Request[Any, Any, Any]) -> Mapping[str, object]:
    # Nothing else is read: in a multipart form, each part may be in an encoding that there is not.
    is_form = request.content_type[0] == RequestEncodingType.URL_ENCODED
    return await request.form() if is_form else {}


def refresh_seconds(order: Order | None) -> int:
    """After how long the page of an order loads itself again, where it may change."""
    is_awaited = order is not None and order.status is OrderStatus.PENDING
    return AWAITED_REFRESH_SECONDS if is_awaited else REFRESH_SECONDS


def _shown_status(order: Order) -> OrderStatus:
    """What its page shows: of a paid order without a ticket that is valid, that it is refunded."""
    is_taken_back = order.status is OrderStatus.PAID and order.ticket_codes
    if is_taken_back and not order.tickets_valid:
        return OrderStatus.REFUNDED
    return order.status


async def _order(shop: PageShop, order_id: str) -> Order | None:
    parsed = OrderId.read(order_id)
    return None if parsed is None else await shop.order(parsed)


async def _is_under_way(shop: PageShop, order: Order | None) -> bool:
    if order is None or order.status not in MAY_BE_UNDER_WAY:
        return False
    return bool(await _or_none(shop.payment_is_under_way(order.id)))


def text_of(value: object) -> str:
    return value if isinstance(value, str) else ""
