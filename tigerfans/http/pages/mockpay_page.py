"""MockPay's own side: the page a buyer pays at, and its buttons.

A real provider has both on a site of its own; with another one than MockPay these routes are not
there. What they ask of the shop is `PaymentShop`.
"""

import time
from typing import Annotated, Final, Protocol

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.handlers import HTTPRouteHandler
from litestar.params import Body, FromPath
from litestar.response import Redirect

from tigerfans.booking.ids import OrderId
from tigerfans.errors import InvalidRequestError, UnknownOrderError
from tigerfans.http.pages.rendering import Renderer
from tigerfans.http.reading import BODY_BYTES_MAX, body_in_time
from tigerfans.offer.catalog import Catalog
from tigerfans.payments.base import EventType
from tigerfans.payments.mockpay import MockPay
from tigerfans.shop.paying import payment_of_session
from tigerfans.stores.orders import Order, OrderStatus
from tigerfans.stores.sessions import Session

# What a button sends, and where the buyer goes from there.
_BUTTONS: Final = {
    "succeeded": (EventType.SUCCEEDED, "/demo/success?order_id={order_id}"),
    "failed": (EventType.FAILED, "/demo/checkout?status=failed&order_id={order_id}"),
    "canceled": (EventType.CANCELED, "/demo/checkout?status=canceled&order_id={order_id}"),
}
# A payment has buttons for as long as nothing is decided, also after its hold.
_PAYABLE: Final = (OrderStatus.PENDING, OrderStatus.EXPIRED)
_FINISHED: Final = tuple(status for status in OrderStatus if status not in _PAYABLE)


class PaymentShop(Protocol):
    @property
    def catalog(self) -> Catalog: ...

    @property
    def hold_seconds(self) -> int: ...

    async def payment_session(self, psid: str) -> Session | None:
        """The session; None where the id is unknown, however malformed."""

    async def order(self, order_id: OrderId) -> Order | None:
        """The order in its state of now, from its hold on; None where it is unknown."""


def mockpay_page(shop: PaymentShop, renderer: Renderer) -> HTTPRouteHandler:
    @get("/mockpay/{psid:str}", include_in_schema=False)
    async def page(psid: FromPath[str]) -> Response[str]:
        session = await shop.payment_session(psid)
        order = await shop.order(session.order_id) if session else None
        if session is None or order is None:
            raise UnknownOrderError("We know of no such payment.")
        return renderer.page(
            "mockpay.html",
            session=session,
            order=order,
            payable=_PAYABLE,
            finished=_FINISHED,
            class_name=shop.catalog.class_name(session.cls),
            tickets_name=shop.catalog.tickets_name(session.cls, session.qty),
            hold_seconds=shop.hold_seconds,
            remaining_seconds=max(0, session.expires_ms // 1000 - int(time.time())),
        )

    return page


def mockpay_buttons(shop: PaymentShop, mockpay: MockPay) -> HTTPRouteHandler:
    @post(
        "/mockpay/{psid:str}/emit",
        status_code=303,
        request_max_body_size=BODY_BYTES_MAX,
        middleware=[body_in_time],
        tags=["payments"],
    )
    async def press_button(
        psid: FromPath[str],
        data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)],
    ) -> Redirect:
        """Sends the webhook that a button stands for, then the buyer back to the shop."""
        button = _BUTTONS.get(data.get("t", ""))
        if button is None:
            raise InvalidRequestError("t must be succeeded, failed or canceled.")
        session = await shop.payment_session(psid)
        if session is None:
            raise UnknownOrderError
        event_type, target = button
        payment = payment_of_session(session, shop.catalog)
        await mockpay.emit(payment, event_type)
        return Redirect(target.format(order_id=payment.order_id), status_code=303)

    return press_button
