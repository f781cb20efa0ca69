"""A checkout, step by step: the ledger holds a ticket, then Redis has the payment session."""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from tigerfans.booking.ids import KEY_ATTEMPTS_MAX, OrderId
from tigerfans.booking.outcomes import HoldOutcome, decode_hold
from tigerfans.booking.transfers import fingerprint
from tigerfans.errors import (
    InvalidKeyError,
    InvalidRequestError,
    KeyConflictError,
    KeyRefusedError,
    OrderEndedError,
)
from tigerfans.ledger.wire import Operation
from tigerfans.offer.catalog import TicketClass
from tigerfans.shop.backends import Backends
from tigerfans.shop.lookup import session_on_ledger
from tigerfans.shop.order_state import unpaid_order
from tigerfans.shop.stock import refusal
from tigerfans.stores.orders import OrderStatus
from tigerfans.stores.sessions import Session
from tigerfans.telemetry.counters import timed
from tigerfans.telemetry.steps import Step

EMAIL_CHARACTERS_MAX: Final = 254
IDEMPOTENCY_KEY_CHARACTERS_MAX: Final = 255

# Only the shape; the proof of an address is that the ticket arrives. A quoted local part may hold
# nearly anything, which is valid and must be harmless on every page.
_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"
# What a name of a host may hold. Beyond ASCII it is everything but signs, spaces, and what is not
# seen: which of those are letters depends on the version of Python.
_NO_LETTERS: Final = r"\x00-\x2f:-@\[-`{-\xa9\s\u2000-\u206f\ufeff\ud800-\udfff"
_LETTER: Final = f"[^{_NO_LETTERS}]"
_LABEL: Final = f"{_LETTER}(?:(?:{_LETTER}|[_-])*{_LETTER})?"
_EMAIL: Final = re.compile(
    rf'(?:"[^"\\{_CONTROLS}]+"|[^\s"<>()\[\]:;,\\@{_CONTROLS}]+)@(?:{_LABEL}\.)+{_LABEL}'
)


# How an order ends unpaid. A key that leads to one places no second hold behind the buyer's back.
ENDED: Final = {
    OrderStatus.FAILED: "The payment of this order has failed. Please start a new one.",
    OrderStatus.CANCELED: "The payment of this order was canceled. Please start a new one.",
    OrderStatus.EXPIRED: "The hold of this order has expired. Please start a new one.",
}


class Checkout(msgspec.Struct, frozen=True):
    """A ticket is held for this order until `redirect_url` is paid or the hold expires."""

    order_id: str
    redirect_url: str
    amount_cents: int


async def hold_ticket(
    backends: Backends, cls: str, email: str, idempotency_key: str | None = None
) -> Checkout:
    """Holds one ticket for a while.

    Raises `InvalidRequestError`, `SoldOutError`, `AllOnHoldError`, a `UsedKeyError`, a
    `LedgerError`, or `UnavailableError`. After the last two, the same key tries the same order
    again.
    """
    ticket_class = backends.ticket_class(cls)
    check_email(email)
    body = fingerprint(ticket_class.code, email)
    for order_id in _order_ids(backends, idempotency_key):
        hold = backends.booking.hold(order_id, ticket_class.code, body)
        outcome, held_ns = decode_hold(await backends.submit(Operation.CREATE_TRANSFERS, hold))
        if outcome is not HoldOutcome.REFUSED_BEFORE:
            break
    if outcome is HoldOutcome.REFUSED_BEFORE and idempotency_key is not None:
        raise KeyRefusedError
    if outcome in (HoldOutcome.NONE_LEFT, HoldOutcome.REFUSED_BEFORE):
        raise await refusal(backends, ticket_class.code)
    if outcome is HoldOutcome.CONFLICT:
        session = await _session_before(backends, order_id, ticket_class, email)
    else:
        held_ms = held_ns // 1_000_000
        session = backends.session(
            order_id,
            ticket_class.code,
            email,
            price_cents=ticket_class.price_cents,
            created_ms=held_ms,
            expires_ms=held_ms + backends.booking.hold_seconds * 1_000,
        )
    # Without a key nobody has heard of the order yet: its hold was only told to the ledger twice.
    if outcome is HoldOutcome.HELD or idempotency_key is None or await _is_open(backends, session):
        backends.took(Step.HELD, order_id, ticket_class.code)
        await timed(backends.counters.session, backends.sessions.save(session))
    return Checkout(
        order_id.hex_digits,
        backends.provider.redirect_url(session.psid),
        session.amount_cents,
    )


def check_email(email: str) -> None:
    """Raises `InvalidRequestError` unless `email` has the shape of an address."""
    if not email:
        raise InvalidRequestError("Please give an email address for the ticket.")
    if len(email) > EMAIL_CHARACTERS_MAX:
        raise InvalidRequestError(
            f"An email address has at most {EMAIL_CHARACTERS_MAX} characters."
        )
    if not _EMAIL.fullmatch(email):
        raise InvalidRequestError("This does not look like an email address.")


async def _session_before(
    backends: Backends, order_id: OrderId, ticket_class: TicketClass, email: str
) -> Session:
    """The session of a hold with the same body, placed at another price or for another time.

    Raises `KeyConflictError` where it is the body that differs.
    """
    try:
        session = await session_on_ledger(backends, order_id, email)
    except InvalidRequestError:
        session = None
    if session is None or session.cls != ticket_class.code:
        raise KeyConflictError
    return session


async def _is_open(backends: Backends, session: Session) -> bool:
    """Whether an order that was begun before still waits for its payment; False where it is paid.

    Raises `OrderEndedError` where it has ended otherwise.
    """
    order = await timed(backends.counters.order, backends.orders.find(session.order_id))
    status = (order or unpaid_order(session)).status
    if status in ENDED:
        raise OrderEndedError(ENDED[status], status)
    return order is None


def _order_ids(backends: Backends, idempotency_key: str | None) -> Iterable[OrderId]:
    """The ids to try, one after the other, while the ledger says it has refused them before."""
    if idempotency_key is None:
        return (OrderId.new(),)
    if not 0 < len(idempotency_key) <= IDEMPOTENCY_KEY_CHARACTERS_MAX:
        raise InvalidKeyError(
            f"Idempotency-Key takes 1 to {IDEMPOTENCY_KEY_CHARACTERS_MAX} characters."
        )
    return (
        OrderId.from_key(idempotency_key, backends.secret, attempt)
        for attempt in range(KEY_ATTEMPTS_MAX)
    )
