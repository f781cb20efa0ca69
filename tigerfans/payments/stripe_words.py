"""What Stripe says, read: webhooks that are signed, and Checkout Sessions.

From Stripe's documentation (webhooks, fulfilment of Checkout) and its library:

- A signature is `t=…,v1=…`, with a `v1` for each secret while one is rolled; what is signed is the
  timestamp, a point and the raw body. Older than 300 s it is a replay.
- Events come more than once and in any order. `checkout.session.completed` says by
  `payment_status` whether the money is there: `unpaid` is a debit, of which
  `async_payment_succeeded` or `async_payment_failed` tells days later.
"""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import stripe

from tigerfans.payments.base import (
    EventType,
    InvalidWebhookError,
    PaymentEvent,
    ProviderPayment,
)
from tigerfans.payments.stripe_amounts import from_minor_units
from tigerfans.payments.webhooks import read_json

SESSION_PREFIX: Final = "stripe_"
SIGNATURE_SECONDS_MAX: Final = 300
# What a refund is called of which no money went back, or came back.
NO_REFUND: Final = frozenset(("failed", "canceled"))

# What is told of a session: by which event, and what that is to the shop. Of `completed` and
# `expired` it depends on the session.
_SUCCEEDED: Final = frozenset(
    ("checkout.session.completed", "checkout.session.async_payment_succeeded")
)
_FAILED: Final = "checkout.session.async_payment_failed"
_EXPIRED: Final = "checkout.session.expired"
_TOLD: Final = _SUCCEEDED | {_FAILED, _EXPIRED}


class Metadata(msgspec.Struct, frozen=True):
    """What the shop gave along with a session. `hold_ends` is in seconds since the epoch."""

    shop: str = ""
    order_id: str = ""
    cls: str = ""
    hold_ends: str = "0"


class _Customer(msgspec.Struct, frozen=True):
    email: str | None = None


class CheckoutSession(msgspec.Struct, frozen=True):
    """A Checkout Session, as far as the shop reads it."""

    id: str
    status: str | None
    payment_status: str
    amount_total: int | None
    currency: str | None
    metadata: Metadata | None = None
    payment_intent: str | None = None
    customer_email: str | None = None
    customer_details: _Customer | None = None


class Refund(msgspec.Struct, frozen=True):
    """Money that goes back. It is on its way while `pending`, and may come back as `failed`."""

    amount: int
    status: str | None
    payment_intent: str | None = None


class Refunds(msgspec.Struct, frozen=True):
    """Those of a charge, the newest ones, and whether there are more."""

    data: tuple[Refund, ...]
    has_more: bool = False


class _BillingDetails(msgspec.Struct, frozen=True):
    email: str | None = None


class _Charge(msgspec.Struct, frozen=True):
    disputed: bool
    refunds: Refunds
    billing_details: _BillingDetails = _BillingDetails()


class PaymentIntent(msgspec.Struct, frozen=True):
    """A payment intent, as far as the shop reads it, its last charge with its refunds in it.

    Of several charges only the last one can have brought money: the ones before were declined.
    """

    id: str
    status: str
    amount_received: int
    currency: str
    metadata: Metadata
    latest_charge: _Charge | None = None


class _Whose(msgspec.Struct, frozen=True):
    """Of a session, as much as says whose it is."""

    metadata: Metadata | None = None


class _Data(msgspec.Struct, frozen=True):
    object: msgspec.Raw


class _Event(msgspec.Struct, frozen=True):
    type: str
    livemode: bool
    created: int
    data: _Data


_events: Final = msgspec.json.Decoder(_Event)
_owners: Final = msgspec.json.Decoder(_Whose)
_sessions: Final = msgspec.json.Decoder(CheckoutSession)


class Account(NamedTuple):
    """Whose words are read: of this shop, in the mode of its key, by these secrets."""

    shop: str
    is_live: bool
    secrets: tuple[str, ...]


def read_event(account: Account, signature: str | None, body: bytes) -> PaymentEvent | None:
    """What a webhook tells this shop; None where that is nothing. Raises as
    `PaymentProvider.read_webhook`.
    """
    _check_signature(account.secrets, signature, body)
    event = read_json(_events, body)
    if event.livemode != account.is_live:
        mode = "live" if event.livemode else "test"
        raise InvalidWebhookError(f"The webhook is of Stripe's {mode} mode, and the key is not.")
    if event.type not in _TOLD:
        return None
    whose = read_json(_owners, bytes(event.data.object)).metadata
    # Others may sell by the same account, another shop of this kind too.
    if whose is None or whose.shop != account.shop:
        return None
    session = read_json(_sessions, bytes(event.data.object))
    if event.type in _SUCCEEDED:
        return event_of(session, EventType.SUCCEEDED) if is_paid(session) else None
    if event.type == _FAILED:
        return event_of(session, EventType.FAILED)
    return _expired(session, event.created)


def read_session(session: stripe.checkout.Session) -> CheckoutSession:
    """A session that the library has."""
    return msgspec.convert(session.to_dict(), CheckoutSession)


def decided(session: CheckoutSession) -> PaymentEvent | None:
    """What became of a session that was asked about; None where that is not decided."""
    if is_paid(session):
        return event_of(session, EventType.SUCCEEDED)
    return _expired(session, time.time()) if session.status == "expired" else None


def is_paid(session: CheckoutSession) -> bool:
    return session.status == "complete" and session.payment_status == "paid"


def event_of(session: CheckoutSession, event_type: EventType) -> PaymentEvent:
    """What the shop hears of a session."""
    metadata = session.metadata or Metadata()
    customer = session.customer_details or _Customer()
    currency = session.currency or ""
    return PaymentEvent(
        type=event_type,
        payment_session_id=SESSION_PREFIX + metadata.order_id,
        order_id=metadata.order_id,
        amount=from_minor_units(session.amount_total or 0, currency),
        currency=currency,
        cls=metadata.cls or None,
        customer_email=session.customer_email or customer.email,
        reference=session.payment_intent,
    )


def payment_of(intent: PaymentIntent, refunds: Sequence[Refund]) -> ProviderPayment:
    """What the books have of a payment that is charged, with all of its refunds."""
    came_to_nothing = [each for each in refunds if each.status in NO_REFUND]
    currency, charge = intent.currency, intent.latest_charge

    def units(amount: int) -> int:
        return from_minor_units(amount, currency)

    failed = sum(each.amount for each in came_to_nothing)
    return ProviderPayment(
        PaymentEvent(
            type=EventType.SUCCEEDED,
            payment_session_id=SESSION_PREFIX + intent.metadata.order_id,
            order_id=intent.metadata.order_id,
            amount=units(intent.amount_received),
            currency=currency,
            cls=intent.metadata.cls or None,
            customer_email=charge.billing_details.email if charge else None,
            reference=intent.id,
        ),
        refunded=units(sum(each.amount for each in refunds) - failed),
        refund_failed=units(failed),
        is_disputed=charge is not None and charge.disputed,
    )


def _expired(session: CheckoutSession, expired_at: float) -> PaymentEvent | None:
    """Before its hold ended, a session that nobody can pay any more sets its tickets free. After
    that it is only what is known already: no payment came in time.
    """
    hold_ends = (session.metadata or Metadata()).hold_ends
    is_early = hold_ends.isdecimal() and expired_at < int(hold_ends)
    return event_of(session, EventType.CANCELED) if is_early else None


def _check_signature(secrets: tuple[str, ...], signature: str | None, body: bytes) -> None:
    """Raises `InvalidWebhookError` unless one of the secrets has signed, and not long ago."""
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(body, signature, secret, SIGNATURE_SECONDS_MAX)
        # A body that is no text, or a header that is not ASCII.
        except (stripe.SignatureVerificationError, ValueError, TypeError):
            continue
        return
    raise InvalidWebhookError
