"""The payment provider's side: its webhook, and the buttons of MockPay's page."""

from typing import Annotated, Final

import orjson
from litestar import post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler, HTTPScope, Receive

from tigerfans.catalog import CURRENCY
from tigerfans.errors import InvalidRequestError, UnknownOrderError
from tigerfans.http.raw import json_route
from tigerfans.http.reading import BodyReader, body_in_time, header
from tigerfans.payments.base import WEBHOOK_BYTES_MAX, EventType
from tigerfans.payments.mockpay import MockPay, Payment
from tigerfans.shop import Shop

# What a button of MockPay's page sends, and where the buyer goes from there.
_BUTTONS: Final = {
    "succeeded": (EventType.SUCCEEDED, "/demo/success?order_id={order_id}"),
    "failed": (EventType.FAILED, "/demo/checkout?status=failed&order_id={order_id}"),
    "canceled": (EventType.CANCELED, "/demo/checkout?status=canceled&order_id={order_id}"),
}


def payment_routes(shop: Shop, mockpay: MockPay) -> list[ControllerRouterHandler]:
    signature_header = shop.provider.signature_header.encode()
    bodies = BodyReader(WEBHOOK_BYTES_MAX)

    async def webhook(scope: HTTPScope, receive: Receive) -> bytes:
        body = await bodies.read(scope, receive)
        event = shop.provider.read_webhook(body, header(scope, signature_header))
        settled = await shop.settle(event)
        answer = {"ok": True, "order_status": settled.order_status}
        return orjson.dumps(answer | {"idempotent": True} if settled.is_replay else answer)

    @post(
        "/mockpay/{psid:str}/emit",
        status_code=303,
        request_max_body_size=WEBHOOK_BYTES_MAX,
        middleware=[body_in_time],
    )
    async def emit(
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
        payment = Payment(
            session_id=psid,
            order_id=session.order_id.hex_digits,
            amount=session.amount_cents,
            currency=CURRENCY,
            cls=session.cls,
            customer_email=session.email,
        )
        await mockpay.emit(payment, event_type)
        return Redirect(target.format(order_id=payment.order_id), status_code=303)

    return [json_route("POST", "/payments/webhook", webhook), emit]
