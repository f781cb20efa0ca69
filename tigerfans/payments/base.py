"""What a payment provider is to the shop.

The provider is asked where the buyer pays, and tells the outcome by a signed webhook, at least
once, in any order, hours late if need be. What it never tells it is asked for. `MockPay` is the one
that ships with nothing to install, `stripe_checkout` the one that takes real money.
"""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from tigerfans.errors import InvalidRequestError
from tigerfans.stores.waiting_line import Place

# More than the events that are read have, for a provider sends others to the same address.
WEBHOOK_BYTES_MAX: Final = 256 * 1024
# What a page is called that opens the payment of an order, and where its buyer comes back to.
PAY_PAGE: Final = "/pay/{order_id}"


class EventType(StrEnum):
    SUCCEEDED = "payment.succeeded"
    FAILED = "payment.failed"
    CANCELED = "payment.canceled"


class Payment(msgspec.Struct, frozen=True):
    """What a buyer is asked to pay for: `qty` tickets of one class.

    `price` is that of one ticket and `amount` that of all, in the smallest unit of `currency`;
    `order_id` is hex digits. The hold began at `held_at` and ends at `expires_at`. The buyer comes
    back to `success_url`, or to `cancel_url` without having paid.
    """

    order_id: str
    cls: str
    name: str
    qty: int
    price: int
    amount: int
    currency: str
    email: str
    held_at: datetime
    expires_at: datetime
    success_url: str
    cancel_url: str


class PaymentEvent(msgspec.Struct, frozen=True):
    """A provider's verified word on one payment; `amount` in the smallest unit of
    `currency`, `order_id` as hex digits.

    `cls` and `customer_email` come back as the shop gave them to the provider. They let a sale be
    completed when the payment session is lost, and are None from providers that carry neither.
    `reference` is what the provider itself calls the payment: refunds and its support go by it.
    """

    type: EventType
    payment_session_id: str
    order_id: str
    amount: int
    currency: str
    cls: str | None = None
    customer_email: str | None = None
    reference: str | None = None


class ProviderPayment(msgspec.Struct, frozen=True):
    """A payment as the provider has it in its books; amounts in the smallest unit of its currency.

    `event` is what it tells of the payment, with what was charged. Of that, `refunded` went back,
    or is on its way; `refund_failed` was to go back, and the provider has it again. Whether the
    buyer's bank asks for it is another matter: then it `is_disputed`.
    """

    event: PaymentEvent
    refunded: int = 0
    refund_failed: int = 0
    is_disputed: bool = False


class InvalidWebhookError(InvalidRequestError):
    """The webhook is not signed by the payment provider."""


class UnreadableWebhookError(InvalidRequestError):
    """The webhook is signed by the payment provider, and the shop cannot read it."""


class Headers(Protocol):
    """The headers of a request."""

    def get(self, name: str, /) -> str | None:
        """The value of the first header of that name in small letters."""


class PaymentLine(Protocol):
    """Buyers who wait for their session, where a provider gives so many a second; by the hex digits
    of their orders. Raises `UnavailableError` without the store that it is kept in.
    """

    async def join(self, name: str, wait_seconds_max: float, /) -> Place:
        """The place of an order, which stays the same; taken unless it would wait longer."""

    async def seconds(self) -> float:
        """How long whoever joins now will wait."""


class Books(Protocol):
    """What a provider has charged for this shop; every method raises `ProviderError` where it does
    not say.
    """

    def payments(
        self, since: datetime, until: datetime
    ) -> AsyncGenerator[Sequence[ProviderPayment], None]:
        """In pages, each payment once that was begun between these moments, and is charged."""

    async def find(self, order_id: str, reference: str | None) -> ProviderPayment | None:
        """The payment that is called so; without a `reference`, the one of the order's session.
        None where there is none, or nothing was charged.
        """


class PaymentProvider(Protocol):
    @property
    def name(self) -> str:
        """What the pages call it."""

    @property
    def signature_header(self) -> str:
        """The header of a webhook that says who sent it, in lower case."""

    @property
    def hold_seconds_min(self) -> int:
        """How long a ticket has to be held for somebody to be able to pay for it there."""

    @property
    def line(self) -> PaymentLine | None:
        """Where buyers wait for `open`; None where nobody has to."""

    @property
    def books(self) -> Books | None:
        """What it has charged, to be compared with the orders; None where it moves no money."""

    def session_id(self, order_id: str) -> str:
        """The id of the payment session that belongs to an order, always the same one."""

    def order_id(self, session_id: str) -> str | None:
        """The order a session id belongs to; None where it is not one of this provider's."""

    def page_url(self, order_id: str) -> str:
        """Where a checkout sends its buyer: a page of the shop, for it is known without asking.

        `PAY_PAGE` is that of a provider which has to be asked: it calls `open`.
        """

    async def open(self, payment: Payment) -> str:
        """Where the buyer pays; the same order always has the same session.

        Raises `ProviderError` where the provider gives no session, and may be asked again.
        """

    def read_webhook(self, headers: Headers, body: bytes) -> PaymentEvent | None:
        """The event in a webhook's body; None where it has nothing to tell this shop.

        Raises `InvalidWebhookError` unless it is genuine. Where it is, and cannot be read, it may
        be about money all the same: `UnreadableWebhookError`.
        """

    async def look_up(self, order_id: str) -> PaymentEvent | None:
        """Asks what became of a payment: the event as a webhook tells it, or None where nothing
        is decided.

        Asked when the buyer comes back, and once the hold has ended unpaid. Where it raises, it is
        asked again later.
        """

    async def is_under_way(self, order_id: str) -> bool:
        """Whether the buyer has agreed to a payment whose money takes days: a debit, say.

        Asked for the page of an order that is not paid, of what is known by then; the provider is
        not asked for it.
        """

    async def expire(self, order_id: str) -> None:
        """The hold has ended: the session shall not be paid any more. What cannot be helped, for it
        was paid meanwhile, is told by `look_up`.
        """

    async def refund(self, order_id: str, reference: str | None, amount: int, key: str) -> None:
        """Gives back money of a payment; asking again with the same `key` gives back no more.

        `reference` is that of its event, None where there was none. One payment may be due several
        refunds, each with a key of its own: more was paid for it than its order costs, say, and
        then the order cannot be fulfilled. Where it raises, or does not answer in time, it is asked
        again when the operator presses again.
        """
