"""What a payment provider is to the shop.

The provider is redirected to with a payment session, and tells the outcome by a signed webhook,
at least once, in any order, hours late if need be. What it never tells it is asked for. `MockPay`
is the one that ships.
"""

from enum import StrEnum
from typing import Final, Protocol

import msgspec

from tigerfans.errors import InvalidRequestError

WEBHOOK_BYTES_MAX: Final = 16 * 1024


class EventType(StrEnum):
    SUCCEEDED = "payment.succeeded"
    FAILED = "payment.failed"
    CANCELED = "payment.canceled"


class PaymentEvent(msgspec.Struct, frozen=True):
    """A provider's verified word on one payment; `amount` in the smallest unit of
    `currency`, `order_id` as hex digits.

    `cls` and `customer_email` come back as the shop gave them to the provider. They let a sale be
    completed when the payment session is lost, and are None from providers that carry neither.
    """

    type: EventType
    payment_session_id: str
    order_id: str
    amount: int
    currency: str
    cls: str | None = None
    customer_email: str | None = None


class InvalidWebhookError(InvalidRequestError):
    """The webhook is not signed by the payment provider."""


class UnreadableWebhookError(InvalidRequestError):
    """The webhook is signed by the payment provider, and the shop cannot read it."""


class PaymentProvider(Protocol):
    @property
    def name(self) -> str:
        """What the pages call it."""

    @property
    def signature_header(self) -> str:
        """The header of a webhook that says who sent it, in lower case."""

    def session_id(self, order_id: str) -> str:
        """The id of the payment session that belongs to an order, always the same one."""

    def order_id(self, session_id: str) -> str | None:
        """The order a session id belongs to; None where it is not one of this provider's."""

    def redirect_url(self, session_id: str) -> str:
        """Where the buyer pays."""

    def read_webhook(self, body: bytes, signature: str | None) -> PaymentEvent:
        """The event in a webhook's body.

        Raises `InvalidWebhookError` unless it is genuine. Where it is, and cannot be read, it may
        be about money all the same: `UnreadableWebhookError`.
        """

    async def look_up(self, session_id: str) -> PaymentEvent | None:
        """Asks what became of a payment: the event as a webhook tells it, or None where nothing
        is decided.

        Asked once the hold has ended unpaid, by one worker. Where it raises, it is asked again
        later.
        """

    async def refund(self, session_id: str, amount_cents: int, key: str) -> None:
        """Gives back money of a payment session; asking again with the same `key` gives back no
        more.

        One session may be due several refunds, each with a key of its own: more was paid for it
        than its order costs, say, and then the order cannot be fulfilled. Where it raises, or does
        not answer in time, it is asked again when the operator presses again.
        """
