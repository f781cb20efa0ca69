"""MockPay: a payment provider to demonstrate and test with.

It behaves like a real one where it matters: the buyer is redirected to its page, and the outcome
comes as an HTTP request of its own, signed with HMAC-SHA256 over the body, at least once: an event
without a 2xx stays in the outbox and is sent again. What was decided at its page it remembers, and
tells who asks.
"""

import asyncio
import hmac
import logging
import time
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from uuid import uuid4

import httpx
import msgspec
import orjson

from tigerfans.errors import UnavailableError
from tigerfans.payments.base import EventType, Headers, Payment, PaymentEvent
from tigerfans.payments.outbox import Outbox, Webhook
from tigerfans.payments.webhooks import check_signature, read_json

SIGNATURE_HEADER: Final = "x-mockpay-signature"
SESSION_PREFIX: Final = "mock_"
# Less than the outbox's lease, so that a slow delivery is not sent twice at a time.
DELIVERY_SECONDS_MAX: Final = 10.0
# Of a process that stops.
LAST_DELIVERY_SECONDS_MAX: Final = 0.5
DELIVERIES_AT_ONCE_MAX: Final = 20
# Between two rounds of a clerk.
DELIVERY_PAUSE_SECONDS: Final = 0.5
FORGET_PAUSE_SECONDS: Final = 60.0

logger = logging.getLogger(__name__)

_decoder = msgspec.json.Decoder(PaymentEvent)


class MockPay:
    """Implements `PaymentProvider`, and sends the webhooks of the buttons on its page.

    `secrets` are all accepted, so that they can be rotated; the first one signs.
    """

    name: Final = "MockPay"
    signature_header: Final = SIGNATURE_HEADER
    # Its page is this shop's own.
    hold_seconds_min: Final = 1
    line: Final = None
    books: Final = None

    def __init__(
        self, secrets: Sequence[str], webhook_url: str, client: httpx.AsyncClient, outbox: Outbox
    ) -> None:
        self._keys = tuple(_key(secret) for secret in secrets)
        self._webhook_url = webhook_url
        self._client = client
        self.outbox = outbox
        # Of what is on its way.
        self._deadlines: set[asyncio.Timeout] = set()
        # What was confirmed and is being taken out of the outbox.
        self._marking: set[asyncio.Task[None]] = set()
        self._seconds_max = DELIVERY_SECONDS_MAX

    def session_id(self, order_id: str) -> str:
        return SESSION_PREFIX + order_id

    def order_id(self, session_id: str) -> str | None:
        order_id = session_id.removeprefix(SESSION_PREFIX)
        return None if order_id == session_id else order_id

    def page_url(self, order_id: str) -> str:
        return f"/mockpay/{SESSION_PREFIX}{order_id}"

    async def open(self, payment: Payment) -> str:
        """Its page needs no session but the shop's."""
        return self.page_url(payment.order_id)

    def sign(self, body: bytes) -> str:
        return _signature(self._keys[0], body)

    def read_webhook(self, headers: Headers, body: bytes) -> PaymentEvent:
        signature = headers.get(SIGNATURE_HEADER)
        check_signature([_signature(key, body) for key in self._keys], signature)
        return read_json(_decoder, body)

    async def emit(self, payment: Payment, event_type: EventType) -> None:
        """Stores the event's webhook durably, and tries to deliver it at once.

        Raises `UnavailableError` where it cannot be stored: then nothing was charged.
        """
        session_id = self.session_id(payment.order_id)
        body = orjson.dumps(
            {
                "type": event_type,
                "payment_session_id": session_id,
                "order_id": payment.order_id,
                "amount": payment.amount,
                "currency": payment.currency,
                "created_at": int(time.time()),
                "idempotency_key": f"{session_id}:{event_type}",
                "cls": payment.cls,
                "customer_email": payment.email,
            }
        )
        webhook = Webhook(uuid4(), body)
        await self.outbox.add(webhook, payment.order_id, event_type)
        error = await self._send(webhook.body)
        if error is not None:
            await self._mark(webhook, error)
            return
        # The buyer goes on meanwhile. Where this process dies first, it is sent once more.
        marking = asyncio.create_task(self._mark(webhook, None), name="mark of a webhook")
        self._marking.add(marking)
        marking.add_done_callback(self._marking.discard)

    async def close(self) -> None:
        """Waits for what was confirmed to be taken out of the outbox."""
        await asyncio.gather(*self._marking)

    async def look_up(self, order_id: str) -> PaymentEvent | None:
        """What the buyer decided at the page, as its webhook told it; see `PaymentProvider`."""
        body = await self.outbox.remembered(order_id)
        return None if body is None else read_json(_decoder, body)

    async def is_under_way(self, order_id: str) -> bool:
        """What is decided at its page is decided at once."""
        return False

    async def expire(self, order_id: str) -> None:
        """Its page says that the hold has ended, and lets its buyer pay late all the same."""

    async def refund(self, order_id: str, reference: str | None, amount: int, key: str) -> None:
        """Nothing was really paid, so there is nothing to give back; a replay is harmless."""
        logger.info("refunded %d units of order %s (%s)", amount, order_id, key)

    async def deliver_due(self) -> bool:
        """Sends again what is due; whether more may be. Raises `UnavailableError`."""
        due = await self.outbox.lease(DELIVERIES_AT_ONCE_MAX)
        await asyncio.gather(*map(self._deliver, due))
        return len(due) == DELIVERIES_AT_ONCE_MAX

    def stop_waiting(self) -> None:
        """This process is to stop, and leaves to others what is not delivered soon.

        It may be waiting for itself: a webhook that goes to this shop may have come to the socket
        from which this very process takes nothing more, and whose next owner starts when it ends.
        """
        self._seconds_max = LAST_DELIVERY_SECONDS_MAX
        ends_at = asyncio.get_running_loop().time() + LAST_DELIVERY_SECONDS_MAX
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(ends_at)

    async def _deliver(self, webhook: Webhook) -> None:
        await self._mark(webhook, await self._send(webhook.body))

    async def _mark(self, webhook: Webhook, error: str | None) -> None:
        # Where the outcome cannot be stored, the lease runs out and the webhook is sent again.
        with suppress(UnavailableError):
            if error is None:
                await self.outbox.delivered(webhook)
            else:
                await self.outbox.failed(webhook, error)

    async def _send(self, body: bytes) -> str | None:
        """Sends one webhook; why it was not confirmed, or None where it was."""
        headers = {"content-type": "application/json", SIGNATURE_HEADER: self.sign(body)}
        try:
            async with asyncio.timeout(self._seconds_max) as deadline:
                self._deadlines.add(deadline)
                response = await self._client.post(
                    self._webhook_url, content=body, headers=headers, timeout=None
                )
        except (httpx.HTTPError, TimeoutError) as error:
            return repr(error)
        finally:
            self._deadlines.discard(deadline)
        return None if response.is_success else f"status {response.status_code}"


def sign(secret: str, body: bytes) -> str:
    """The signature of a webhook: base64 of the HMAC-SHA256 over its body."""
    return _signature(_key(secret), body)


def _key(secret: str) -> hmac.HMAC:
    return hmac.new(secret.encode(), digestmod="sha256")


def _signature(key: hmac.HMAC, body: bytes) -> str:
    # A copy of a key that is set up already: to set it up again took longer than to sign.
    signed = key.copy()
    signed.update(body)
    return b64encode(signed.digest()).decode()
