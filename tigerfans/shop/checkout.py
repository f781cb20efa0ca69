"""A checkout, step by step: the ledger holds tickets, then Redis has the payment session.

Redis also counts the tickets that a client and an email have on hold, in the round trip that saves
the session. What is held over a limit is given back at once, but only by whoever placed it: a hold
that was placed before may have been promised to its buyer, who may be paying for it. A crash before
the hold is given back leaves it to nobody, and it expires.
"""

import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Final

import msgspec

from tigerfans.booking.email_address import read_email
from tigerfans.booking.ids import KEY_ATTEMPTS_MAX, OrderId, Purpose
from tigerfans.booking.outcomes import HoldOutcome, decode_hold, decode_release
from tigerfans.booking.transfers import fingerprint
from tigerfans.errors import (
    InvalidKeyError,
    InvalidQtyError,
    KeyConflictError,
    KeyRefusedError,
    OrderEndedError,
    ShopError,
    UnavailableError,
)
from tigerfans.ledger.base import LedgerError
from tigerfans.ledger.wire import Operation
from tigerfans.offer.catalog import TicketClass
from tigerfans.offer.tables import TICKETS_PER_ORDER_MAX
from tigerfans.shop.backends import Backends
from tigerfans.shop.hold_limits import too_many_holds
from tigerfans.shop.lookup import hold_on_ledger, session_of
from tigerfans.shop.order_state import unpaid_order
from tigerfans.shop.payment_line import join, too_long
from tigerfans.shop.selling import not_on_sale
from tigerfans.shop.stock import closed, refusal
from tigerfans.stores.orders import OrderStatus
from tigerfans.stores.sessions import Holder, NotSaved, Session
from tigerfans.telemetry.counters import timed
from tigerfans.telemetry.steps import Step

IDEMPOTENCY_KEY_CHARACTERS_MAX: Final = 255

# How an order ends unpaid. A key that leads to one places no second hold behind the buyer's back.
ENDED: Final = {
    OrderStatus.FAILED: "The payment of this order has failed. Please start a new one.",
    OrderStatus.CANCELED: "The payment of this order was canceled. Please start a new one.",
    OrderStatus.EXPIRED: "The hold of this order has expired. Please start a new one.",
}


class Checkout(msgspec.Struct, frozen=True):
    """Tickets are held for this order until `redirect_url` is paid or the hold expires.

    `amount_cents` is what all of them cost.
    """

    order_id: str
    redirect_url: str
    amount_cents: int


async def hold_tickets(
    backends: Backends,
    cls: str,
    email: str,
    idempotency_key: str | None = None,
    *,
    qty: int = 1,
    client: str | None = None,
) -> Checkout:
    """Holds tickets for a while, all of them or none; they count for the `client`'s address, if
    that is not None.

    Raises `InvalidRequestError`, `NotOnSaleError`, `SoldOutError`, `AllOnHoldError`,
    `TooFewLeftError`, a `UsedKeyError`, `TooManyHoldsError`, `LineTooLongError`, a `LedgerError`,
    or `UnavailableError`. After the last two, the same key tries the same order again.
    """
    ticket_class = backends.ticket_class(cls)
    not_offered = _not_offered(backends, ticket_class, qty)
    if ticket_class.code in backends.closed:
        # What comes back to it is nobody's, in the moment until it is kept back.
        not_offered = not_offered or await closed(backends, ticket_class.code)
    if backends.line_wait is not None:
        not_offered = not_offered or await too_long(backends)
    typed, email = email, read_email(email)
    order_ids = _order_ids(backends, idempotency_key)
    gone = backends.gone
    if (
        gone.refuses(ticket_class.tickets.ledger, qty)
        and not not_offered
        and not await _may_be_promised(backends, idempotency_key)
    ):
        raise await refusal(backends, ticket_class.code, qty)
    body = fingerprint(ticket_class.code, email, qty)
    for attempt, order_id in enumerate(order_ids):
        # What was held in time stays so, for whoever has not heard of it yet.
        if not_offered and (
            idempotency_key is None or await hold_on_ledger(backends, order_id) is None
        ):
            raise not_offered
        hold = backends.booking.hold(order_id, ticket_class.code, body, qty)
        asked_at = gone.clock()
        outcome, held_ns = decode_hold(await backends.submit(Operation.CREATE_TRANSFERS, hold))
        if outcome is HoldOutcome.REFUSED_BEFORE:
            continue
        if outcome is HoldOutcome.NONE_LEFT:
            gone.remember(ticket_class.tickets.ledger, qty, asked_at)
            raise await refusal(backends, ticket_class.code, qty)
        if outcome is HoldOutcome.CONFLICT:
            # Before there was one form to keep an email in, a hold had it as it was typed.
            bodies = {body, fingerprint(ticket_class.code, typed, qty)}
            session = await _session_before(backends, order_id, bodies, email)
        else:
            held_ms = held_ns // 1_000_000
            session = backends.session(
                order_id,
                ticket_class.code,
                email,
                qty=qty,
                price_cents=ticket_class.price_cents,
                created_ms=held_ms,
                expires_ms=held_ms + backends.booking.hold_seconds * 1_000,
            )
        # Without a key nobody has heard of the order yet: its hold was only told to the ledger
        # twice.
        is_new = outcome is HoldOutcome.HELD or idempotency_key is None
        standing = Standing.OPEN if is_new else await _standing(backends, session)
        if standing is Standing.GIVEN_BACK:
            continue
        # A replay is saved without counting, for it may have got its 200 before Redis forgot it.
        # So is one whose first attempt died before it was saved: it was on hold all along.
        holders = backends.limits.holders(client, email) if is_new else ()
        if attempt and idempotency_key is not None and standing is Standing.OPEN:
            await _leave_trace(backends, idempotency_key, session)
        if standing is Standing.OPEN and not await _save(backends, session, holders):
            continue
        if backends.line_wait is not None and standing is Standing.OPEN:
            await _take_place(backends, session)
        return Checkout(
            order_id.hex_digits,
            backends.provider.page_url(order_id.hex_digits),
            session.amount_cents,
        )
    if idempotency_key is None:
        raise await refusal(backends, ticket_class.code, qty)
    raise KeyRefusedError


def _not_offered(backends: Backends, ticket_class: TicketClass, qty: int) -> ShopError | None:
    """Why so many of a class are not offered now, and may have been before; None where they are.

    Raises `InvalidQtyError` where they never were.
    """
    qty_max = backends.tickets_per_order
    if not 1 <= qty <= TICKETS_PER_ORDER_MAX:
        raise _not_so_many(qty_max)
    now = time.time()
    if not ticket_class.opens <= now < ticket_class.closes:
        return not_on_sale(ticket_class, now)
    return None if qty <= qty_max else _not_so_many(qty_max)


def _not_so_many(qty_max: int) -> InvalidQtyError:
    if qty_max == 1:
        return InvalidQtyError("Every order here is for one ticket.")
    return InvalidQtyError(f"Please choose 1 to {qty_max} tickets.")


async def _may_be_promised(backends: Backends, idempotency_key: str | None) -> bool:
    """Whether a key may have had its tickets before, as far as Redis knows."""
    if idempotency_key is None:
        return False
    first = backends.ids.of_key(idempotency_key, 0)
    try:
        return await timed(backends.counters.session, backends.sessions.has_trace(first))
    except UnavailableError:
        return True


async def _leave_trace(backends: Backends, idempotency_key: str, session: Session) -> None:
    """Of a key whose order is not its first attempt: only that one is looked for."""
    first = backends.ids.of_key(idempotency_key, 0)
    await timed(backends.counters.session, backends.sessions.leave_trace(first, session.end_ms))


async def _session_before(
    backends: Backends, order_id: OrderId, bodies: Collection[bytes], email: str
) -> Session:
    """The session of a hold with the same body, placed at another price or for another time.

    Raises `KeyConflictError` where it is the body that differs: it has the class and the number of
    tickets as well.
    """
    hold = await hold_on_ledger(backends, order_id)
    if hold is None or hold.fingerprint not in bodies:
        raise KeyConflictError
    return session_of(backends, order_id, hold, email)


class Standing(Enum):
    """Of an order that was begun before."""

    OPEN = "open"
    PAID = "paid"
    # It was over somebody's limit: nobody can pay for it, and its key tries the next order.
    GIVEN_BACK = "given back"


async def _standing(backends: Backends, session: Session) -> Standing:
    """What became of a checkout that is sent again; raises `OrderEndedError` where it has ended."""
    order = await timed(backends.counters.order, backends.orders.find(session.order_id))
    if order is None:
        give_back_id = session.order_id.transfer_id(Purpose.GIVE_BACK)
        if await backends.submit(Operation.LOOKUP_TRANSFERS, give_back_id):
            return Standing.GIVEN_BACK
    status = (order or unpaid_order(session, backends.catalog.currency)).status
    if status in ENDED:
        raise OrderEndedError(ENDED[status], status)
    return Standing.OPEN if order is None else Standing.PAID


async def _save(backends: Backends, session: Session, holders: Sequence[Holder]) -> bool:
    """Opens the session of a hold; gives that back where it is over a limit of its holders'.

    False where it was over one before.
    """
    saved = await timed(backends.counters.session, backends.sessions.save(session, holders))
    if saved is None:
        # Only now can it be paid, and only once: a replay finds its session.
        backends.took(Step.HELD, session.order_id, session.cls)
        return True
    if saved is NotSaved.SAVED_BEFORE:
        return True
    # Once more where it was over one before: whoever heard so first may have died.
    await _give_back(backends, session)
    if saved is NotSaved.GIVEN_BACK:
        return False
    raise too_many_holds(saved, time.time_ns() // 1_000_000)


async def _take_place(backends: Backends, session: Session) -> None:
    """In the line to the provider; raises `LineTooLongError` where there is no room for it, and
    gives the hold back.
    """
    line = backends.provider.line
    too_late = line and await join(backends, line, session.order_id.hex_digits)
    if too_late:
        await _give_back(backends, session)
        backends.sessions.finish(session, b"")
        raise too_late


async def _give_back(backends: Backends, session: Session) -> None:
    """Voids a hold that nobody can pay; where the ledger does not answer, it will expire."""
    void = backends.booking.give_back(session.order_id, session.cls)
    with suppress(LedgerError):
        decode_release(await backends.submit(Operation.CREATE_TRANSFERS, void))
        backends.took(Step.GIVEN_BACK, session.order_id, session.cls)


def _order_ids(backends: Backends, idempotency_key: str | None) -> Iterable[OrderId]:
    """The ids to try, one after the other, while what was held by them is nobody's any more."""
    if idempotency_key is None:
        return (backends.ids.new(),)
    if not 0 < len(idempotency_key) <= IDEMPOTENCY_KEY_CHARACTERS_MAX:
        raise InvalidKeyError(
            f"Idempotency-Key takes 1 to {IDEMPOTENCY_KEY_CHARACTERS_MAX} characters."
        )
    return (backends.ids.of_key(idempotency_key, attempt) for attempt in range(KEY_ATTEMPTS_MAX))
