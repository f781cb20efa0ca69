"""MockPay: a payment provider to demonstrate and test with.

It behaves like a real one where it matters: the buyer is redirected to its page, and the outcome
comes as an HTTP request of its own, signed with HMAC-SHA256 over the body.
"""

import hmac
import logging
import time
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

import httpx
import msgspec
import orjson

from tigerfans.payments.base import EventType, InvalidWebhookError, PaymentEvent

SIGNATURE_HEADER: Final = "x-mockpay-signature"
SESSION_PREFIX: Final = "mock_"
DELIVERY_SECONDS_MAX: Final = 10.0

logger = logging.getLogger(__name__)

_decoder = msgspec.json.Decoder(PaymentEvent)


@dataclass(frozen=True, slots=True)
class Payment:
    """What a buyer is asked to pay for; the amount in cents."""

    session_id: str
    order_id: str
    amount: int
    currency: str
    cls: str
    customer_email: str


class MockPay:
    """Implements `PaymentProvider`, and sends the webhooks of the buttons on its page."""

    def __init__(self, secret: str, webhook_url: str, client: httpx.AsyncClient) -> None:
        self._secret = secret.encode()
        self._webhook_url = webhook_url
        self._client = client

    def session_id(self, order_id: str) -> str:
        return SESSION_PREFIX + order_id

    def order_id(self, session_id: str) -> str | None:
        order_id = session_id.removeprefix(SESSION_PREFIX)
        return None if order_id == session_id else order_id

    def redirect_url(self, session_id: str) -> str:
        return f"/mockpay/{session_id}"

    def sign(self, body: bytes) -> str:
        return b64encode(hmac.digest(self._secret, body, "sha256")).decode()

    def read_webhook(self, body: bytes, signature: str | None) -> PaymentEvent:
        expected = self.sign(body).encode()
        if signature is None or not hmac.compare_digest(expected, signature.encode()):
            raise InvalidWebhookError
        try:
            return _decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InvalidWebhookError(f"The webhook's body is not valid: {error}.") from None

    async def emit(self, payment: Payment, event_type: EventType) -> bool:
        """Sends one event as a webhook; whether it was confirmed with a 2xx."""
        body = orjson.dumps(
            {
                "type": event_type,
                "payment_session_id": payment.session_id,
                "order_id": payment.order_id,
                "amount": payment.amount,
                "currency": payment.currency,
                "created_at": int(time.time()),
                "idempotency_key": f"{payment.session_id}:{event_type}",
                "cls": payment.cls,
                "customer_email": payment.customer_email,
            }
        )
        headers = {"content-type": "application/json", SIGNATURE_HEADER: self.sign(body)}
        try:
            response = await self._client.post(
                self._webhook_url, content=body, headers=headers, timeout=DELIVERY_SECONDS_MAX
            )
        except httpx.HTTPError as error:
            logger.warning("webhook for order %s not delivered: %s", payment.order_id, error)
            return False
        if not response.is_success:
            logger.warning(
                "webhook for order %s answered with %s", payment.order_id, response.status_code
            )
        return response.is_success
