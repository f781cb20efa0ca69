"""The pages a buyer sees: landing, checkout, and the order with its ticket.

Each handler asks the shop and renders one template. The pages keep themselves up to date
through the JSON API, but none needs a script to sell a ticket: the checkout is a plain form, and
the order's page comes from the server in whatever state the order is.

What the pages need of the shop is `PageShop`; errors read here as they do in the JSON API.
"""

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Protocol

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.enums import RequestEncodingType
from litestar.params import FromQuery, QueryParameter, SkipValidation
from litestar.response import Redirect

from tigerfans.booking.ids import OrderId
from tigerfans.booking.inventory import Inventory
from tigerfans.http.client_address import ClientAddresses
from tigerfans.http.pages.rendering import Renderer
from tigerfans.http.problems import explain
from tigerfans.http.reading import body_in_time
from tigerfans.offer.catalog import Catalog, ClassCode, TicketClass
from tigerfans.stores.orders import Order

FORM_SIZE_BYTES_MAX: Final = 16 * 1024
# Of a form's own Idempotency-Key: however often the form is sent, it holds one ticket.
FORM_KEY_BYTES: Final = 16
# Which words a stock deserves: its state on the ledger, and two more that only pages know.
StockWords = Literal["on_sale", "going_fast", "on_hold", "sold_out", "unknown"]
_BEST_FIRST: Final[tuple[StockWords, ...]] = ("on_sale", "unknown", "on_hold", "sold_out")


class Checkout(Protocol):
    """A hold that was placed; `redirect_url` is where the buyer pays."""

    @property
    def redirect_url(self) -> str: ...


class PageShop(Protocol):
    """What the pages ask of the shop. Any call may raise what `http.problems.explain` knows."""

    @property
    def catalog(self) -> Catalog: ...

    @property
    def hold_seconds(self) -> int: ...

    async def inventory(self) -> Mapping[ClassCode, Inventory]:
        """The stock of each ticket class."""

    async def goodies(self) -> Inventory:
        """The stock of goodies."""

    async def checkout(
        self, cls: str, email: str, idempotency_key: str | None, *, client: str | None
    ) -> Checkout:
        """Places a hold on the account of the `client`; raises where there is none to be had."""

    async def order(self, order_id: OrderId) -> Order | None:
        """The order in its state of now, from its hold on; None where it is unknown."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A ticket class and its stock, which is None while the shop cannot tell."""

    ticket_class: TicketClass
    stock: Inventory | None

    @property
    def state(self) -> StockWords:
        if self.stock is None:
            return "unknown"
        return "going_fast" if self.stock.is_going_fast else self.stock.state.value


def overall_state(offers: Iterable[Offer]) -> StockWords:
    """What can be said of all classes together: the best of what each of them is."""
    states = {offer.stock.state.value if offer.stock else "unknown" for offer in offers}
    return next(state for state in _BEST_FIRST if state in states)


# The dependencies of every handler below, named for Litestar's injection.
Shop = NamedDependency[SkipValidation[PageShop]]
Pages = NamedDependency[SkipValidation[Renderer]]
Clients = NamedDependency[SkipValidation[ClientAddresses]]


@get("/")
async def landing_page(shop: Shop, pages: Pages) -> Response[str]:
    # Both at once, so that without the ledger only one deadline passes.
    offers, goodies_are_gone = await asyncio.gather(_offers(shop), _goodies_are_gone(shop))
    return pages.page(
        "landing.html",
        offers=offers,
        overall=overall_state(offers),
        goodies=shop.catalog.goodies.capacity,
        goodies_are_gone=goodies_are_gone,
        hold_seconds=shop.hold_seconds,
    )


@get("/demo/checkout")
async def checkout_page(
    shop: Shop,
    pages: Pages,
    # Litestar never fills a parameter that is itself called `cls`.
    chosen: Annotated[str, QueryParameter(name="cls")] = "",
    status: FromQuery[str] = "",
    order_id: FromQuery[str] = "",
) -> Response[str]:
    """The form; `status` and `order_id` say which payment the buyer comes back from."""
    offers = await _offers(shop)
    return pages.page(
        "checkout.html",
        offers=offers,
        overall=overall_state(offers),
        hold_seconds=shop.hold_seconds,
        idempotency_key=_new_key(),
        chosen=chosen,
        email="",
        problem=None,
        returned=status if status in ("failed", "canceled") else None,
        returned_order_id=order_id,
    )


@post("/demo/checkout", request_max_body_size=FORM_SIZE_BYTES_MAX, middleware=[body_in_time])
async def checkout_submit(
    request: Request[Any, Any, Any], shop: Shop, pages: Pages, clients: Clients
) -> Response[Any]:
    """The checkout without a script: to the payment, or back to the form with a sentence.

    The form keeps its key while that may still lead to a ticket, so that a press whose answer got
    lost is found again by the next.
    """
    # Nothing else is read: in a multipart form, each part may be in an encoding that there is not.
    is_form = request.content_type[0] == RequestEncodingType.URL_ENCODED
    form: Mapping[str, object] = await request.form() if is_form else {}
    cls, email = _text(form.get("cls")), _text(form.get("customer_email"))
    key = _text(form.get("idempotency_key"))
    try:
        placed = await shop.checkout(cls, email, key or None, client=clients.of(request.scope))
    except Exception as error:
        problem = explain(error)
        if problem is None:
            raise
    else:
        return Redirect(placed.redirect_url, status_code=303)
    needs_new_key = not key or problem.fields.get("new_key_needed")
    offers = await _offers(shop)
    return pages.page(
        "checkout.html",
        status_code=problem.status_code,
        headers=problem.headers,
        offers=offers,
        overall=overall_state(offers),
        hold_seconds=shop.hold_seconds,
        idempotency_key=_new_key() if needs_new_key else key,
        chosen=cls,
        email=email,
        problem=problem,
        returned=None,
        returned_order_id="",
    )


@get("/demo/success")
async def order_page(shop: Shop, pages: Pages, order_id: FromQuery[str] = "") -> Response[str]:
    order = await _order(shop, order_id)
    return pages.page(
        "order.html",
        status_code=200 if order else 404,
        order=order,
        order_id=order_id,
        status=order.status if order else "UNKNOWN",
        class_name=class_name(shop.catalog, order.cls) if order else "",
    )


def pages_router(*, shop: PageShop, renderer: Renderer, clients: ClientAddresses) -> Router:
    """All pages for buyers."""
    return Router(
        "/",
        route_handlers=[
            landing_page,
            checkout_page,
            checkout_submit,
            order_page,
        ],
        dependencies={
            "shop": Provide(lambda: shop, sync_to_thread=False),
            "pages": Provide(lambda: renderer, sync_to_thread=False),
            "clients": Provide(lambda: clients, sync_to_thread=False),
        },
        include_in_schema=False,
    )


async def _offers(shop: PageShop) -> list[Offer]:
    """Every class with its stock; without it where the ledger is away, for the page still helps."""
    try:
        stocks = await shop.inventory()
    except Exception as error:
        if explain(error) is None:
            raise
        stocks = {}
    return [Offer(c, stocks.get(c.code)) for c in shop.catalog.classes]


async def _goodies_are_gone(shop: PageShop) -> bool:
    """Whether all are granted; not where the ledger is away, for nobody knows then."""
    try:
        return (await shop.goodies()).available <= 0
    except Exception as error:
        if explain(error) is None:
            raise
        return False


async def _order(shop: PageShop, order_id: str) -> Order | None:
    parsed = OrderId.parse(order_id)
    return None if parsed is None else await shop.order(parsed)


def class_name(catalog: Catalog, code: ClassCode) -> str:
    """Such as `Premium`."""
    return next(c.name for c in catalog.classes if c.code == code)


def _new_key() -> str:
    return secrets.token_hex(FORM_KEY_BYTES)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
