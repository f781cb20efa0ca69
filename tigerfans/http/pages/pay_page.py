"""The page between a checkout and its provider: it waits its turn, and opens the payment.

A browser gets a page that leads on, and not a redirect: the checkout's form leads here, and the
pages' policy sends forms nowhere but to the shop, redirects included. While it waits, the page
comes back by itself, with and without scripts. What these pages ask of the shop is `PayShop`.
"""

from collections.abc import Sequence
from math import ceil
from typing import Any, Final, Protocol

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from tigerfans.booking.ids import OrderId
from tigerfans.errors import NotYourTurnError, ProviderError, UnknownOrderError
from tigerfans.http.pages.rendering import Renderer, wants_page
from tigerfans.offer.catalog import Catalog
from tigerfans.payments.base import PAY_PAGE
from tigerfans.shop.paying import SUCCESS_PAGE
from tigerfans.stores.orders import Order

# A browser that waits says how much is left as often as that. More often would be more than a shop
# can answer beside the rush itself, with thousands in the line.
LOOK_SECONDS_MAX: Final = 30
# The page's script takes up to so much longer or less, as `retry.js` does everywhere; who has a
# place shall not come back after it for that.
RETRY_SPREAD: Final = 1.2
# Where the provider was asked and gave no session, after its own pauses.
SLOW_PROVIDER_SECONDS: Final = 5
ORDER_PAGE: Final = "/demo/success?order_id={order_id}"


class PayShop(Protocol):
    @property
    def catalog(self) -> Catalog: ...

    async def order(self, order_id: OrderId) -> Order | None:
        """The order in its state of now, from its hold on; None where it is unknown."""

    async def open_payment(self, order_id: OrderId, shop_url: str) -> str | None:
        """Where the buyer pays; None where there is nothing to pay any more."""

    async def come_back(self, order_id: OrderId) -> None:
        """Asks the provider about the payment whose buyer comes back."""


def pay_pages(shop: PayShop, renderer: Renderer, shop_url: str) -> Sequence[HTTPRouteHandler]:
    """The page that opens a payment, and the one that its buyer comes back to."""

    @get(PAY_PAGE.replace("}", ":str}"), include_in_schema=False)
    async def pay_page(request: Request[Any, Any, Any], order_id: FromPath[str]) -> Response[Any]:
        parsed = _read(order_id)
        try:
            url = await shop.open_payment(parsed, shop_url)
        except (NotYourTurnError, ProviderError) as error:
            if not wants_page(request):
                raise
            return await _waiting(parsed, error)
        if url is None:
            return Redirect(ORDER_PAGE.format(order_id=parsed.hex_digits), status_code=303)
        if not wants_page(request):
            return Redirect(url, status_code=303)
        return renderer.page("pay.html", url=url, order=await _order(parsed), wait_seconds=0)

    @get(SUCCESS_PAGE.replace("}", ":str}"), include_in_schema=False)
    async def return_page(order_id: FromPath[str]) -> Redirect:
        parsed = _read(order_id)
        await shop.come_back(parsed)
        return Redirect(ORDER_PAGE.format(order_id=parsed.hex_digits), status_code=303)

    async def _waiting(order_id: OrderId, error: NotYourTurnError | ProviderError) -> Response[str]:
        wait_seconds = retry_seconds = SLOW_PROVIDER_SECONDS
        if isinstance(error, NotYourTurnError):
            wait_seconds, retry_seconds = ceil(error.wait_seconds), error.retry_after_seconds
        return renderer.page(
            "pay.html",
            url=None,
            order=await _order(order_id),
            is_away=isinstance(error, ProviderError),
            wait_seconds=max(1, wait_seconds),
            refresh_seconds=min(retry_seconds, LOOK_SECONDS_MAX),
            script_seconds=round(min(retry_seconds, LOOK_SECONDS_MAX) / RETRY_SPREAD, 1),
        )

    async def _order(order_id: OrderId) -> Order:
        order = await shop.order(order_id)
        if order is None:
            raise UnknownOrderError
        return order

    return [pay_page, return_page]


def _read(order_id: str) -> OrderId:
    parsed = OrderId.read(order_id)
    if parsed is None:
        raise UnknownOrderError
    return parsed
