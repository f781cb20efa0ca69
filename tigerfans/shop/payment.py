"""A payment, step by step: the ledger sells or releases, PostgreSQL stores that, then it is told.

Redis is read as a shortcut, and a payment never waits to write there; where Redis fails, the
ledger's hold and the signed event say the same.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec
import orjson

from tigerfans.booking.email_address import read_email
from tigerfans.booking.ids import OrderId
from tigerfans.booking.moments import moment_at
from tigerfans.booking.outcomes import (
    ReleaseOutcome,
    SaleOutcome,
    are_goodies_gone,
    decode_late_sale,
    decode_release,
    decode_sale,
    decode_sale_alone,
)
from tigerfans.booking.tickets import ticket_codes
from tigerfans.errors import InvalidEmailError, InvalidRequestError
from tigerfans.ledger.wire import Operation
from tigerfans.payments.base import EventType, Headers, PaymentEvent, UnreadableWebhookError
from tigerfans.payments.unmatched import Misfit
from tigerfans.shop.answers import order_answer
from tigerfans.shop.backends import Backends
from tigerfans.shop.lookup import find_entry, session_behind
from tigerfans.shop.misfits import keep_body, keep_event, misfit
from tigerfans.shop.order_state import order_of
from tigerfans.stores.orders import Order, OrderStatus
from tigerfans.stores.sessions import Session

# What is answered where an order's status would be, once money that fits no order is recorded.
UNMATCHED: Final = "UNMATCHED"


class HoldMismatchError(InvalidRequestError):
    """What was held is of another class than the order's."""


class Settlement(msgspec.Struct, frozen=True):
    """What became of an order by a payment event, and whether it was so before.

    The status is `UNMATCHED` for a payment that fits no order and is recorded as such, and None
    for an event that fits none and moves no money, or is about something else.
    """

    order_status: str | None
    is_replay: bool


async def hear(backends: Backends, headers: Headers, body: bytes) -> Settlement:
    """Does what a webhook asks for; returns only when all of it is durable.

    Raises `InvalidWebhookError` where it is not the provider's. One that is genuine and about a
    payment is always recorded, whatever it says; otherwise raises as `settle`.
    """
    try:
        event = backends.provider.read_webhook(headers, body)
    except UnreadableWebhookError:
        return Settlement(UNMATCHED, is_replay=not await keep_body(backends, body))
    if event is None:
        return Settlement(None, is_replay=False)
    return await settle(backends, event)


async def settle(backends: Backends, event: PaymentEvent) -> Settlement:
    """Does what a payment event asks for; returns only when all of it is durable.

    Raises a `LedgerError` or `UnavailableError`: then the event is to be sent again.
    """
    order_id = OrderId.parse(event.order_id)
    entry = session = session_id = None
    if order_id is not None:
        session_id = backends.provider.session_id(event.order_id)
        # A sale whose event names no email waits for Redis, which has it: the provider tells it
        # again, and an order without an email would stay so.
        is_needed = event.type is EventType.SUCCEEDED and not event.customer_email
        entry = await find_entry(backends, order_id, is_needed=is_needed)
        session = await session_behind(backends, order_id, entry)
    reason = misfit(event, session_id, session, backends.catalog.currency)
    if session is None or reason is not None:
        return await _keep(backends, event, reason or Misfit.UNKNOWN_ORDER)
    if entry and entry.paid_answer:
        if event.reference and _is_another(event, await backends.orders.find(session.order_id)):
            return await _keep(backends, event, Misfit.SESSION)
        return Settlement(orjson.loads(entry.paid_answer)["status"], is_replay=True)
    packed = entry.packed_session if entry else b""
    if not session.email:
        session, packed = msgspec.structs.replace(session, email=_email_told(event)), b""
    try:
        if event.type is EventType.SUCCEEDED:
            order = await sell(backends, session, event.reference)
        else:
            order = await _release(backends, session, event.type)
    except HoldMismatchError:
        return await _keep(backends, event, Misfit.HOLD)
    recorded = await backends.record(order)
    if _is_another(event, recorded.order):
        return await _keep(backends, event, Misfit.SESSION)
    answer = order_answer(recorded.order) if recorded.order.is_charged else b""
    backends.sessions.finish(session, answer, packed)
    return Settlement(recorded.order.status, is_replay=not recorded.is_new)


async def sell(backends: Backends, session: Session, reference: str | None = None) -> Order:
    """Sells what a session holds; told again, it tells how that went and changes nothing.
    `reference` is what the provider calls the payment.

    Raises `HoldMismatchError` where the ledger holds a ticket of another class for it.
    """
    currency = backends.catalog.currency
    outcome, sold_ns = await _sell_held(backends, session)
    if outcome is SaleOutcome.HOLD_GONE:
        late = backends.booking.late_sale(
            session.order_id, session.cls, session.price_cents, session.qty
        )
        results = await backends.submit(Operation.CREATE_TRANSFERS, late)
        outcome, sold_ns = decode_late_sale(results)
    if outcome is SaleOutcome.MISMATCH:
        raise HoldMismatchError
    if outcome is SaleOutcome.UNFULFILLED:
        return order_of(
            session,
            currency,
            OrderStatus.PAID_UNFULFILLED,
            paid_at=datetime.now(UTC),
            payment_reference=reference,
        )
    return order_of(
        session,
        currency,
        OrderStatus.PAID,
        paid_at=moment_at(sold_ns // 1_000),
        ticket_codes=ticket_codes(session.order_id, backends.secret, session.qty),
        got_goodie=outcome is SaleOutcome.SOLD_WITH_GOODIE,
        payment_reference=reference,
    )


async def _sell_held(backends: Backends, session: Session) -> tuple[SaleOutcome, int]:
    """Sells what is on hold, with a goodie while there is one: see `decode_sale`.

    After the last one is gone, the ledger would refuse two of a sale's three transfers, each time
    under new ids that it keeps. So the third goes alone, for a moment after each refusal.
    """
    gone, goodies = backends.gone, backends.catalog.goodies.ledger
    asked_at = gone.clock()
    if gone.refuses(goodies, 1):
        alone = backends.booking.sale_alone(session.order_id, session.cls)
        results = await backends.submit(Operation.CREATE_TRANSFERS, alone)
        outcome, sold_ns = decode_sale_alone(results)
        if outcome is not SaleOutcome.SOLD_WITH_GOODIE:
            return outcome, sold_ns
    sale = backends.booking.sale(session.order_id, session.cls)
    results = await backends.submit(Operation.CREATE_TRANSFERS, sale)
    if are_goodies_gone(results):
        gone.remember(goodies, 1, asked_at)
    return decode_sale(results)


async def _release(backends: Backends, session: Session, event_type: EventType) -> Order:
    release = backends.booking.release(session.order_id, session.cls)
    outcome = decode_release(await backends.submit(Operation.CREATE_TRANSFERS, release))
    if outcome is ReleaseOutcome.MISMATCH:
        raise HoldMismatchError
    if outcome is ReleaseOutcome.SOLD:
        # It was paid before. Replaying the sale tells how, and changes nothing.
        return await sell(backends, session)
    failed = event_type is EventType.FAILED
    status = OrderStatus.FAILED if failed else OrderStatus.CANCELED
    return order_of(session, backends.catalog.currency, status)


def _is_another(event: PaymentEvent, order: Order | None) -> bool:
    """Whether an event is of one more payment for an order that was paid: the provider calls it
    otherwise.
    """
    return (
        event.type is EventType.SUCCEEDED
        and order is not None
        and order.is_charged
        and None not in (event.reference, order.payment_reference)
        and event.reference != order.payment_reference
    )


async def _keep(backends: Backends, event: PaymentEvent, reason: Misfit) -> Settlement:
    """An event that does not fit: what says "paid" is stored, once."""
    is_new = await keep_event(backends, event, reason)
    return Settlement(None if is_new is None else UNMATCHED, is_replay=is_new is False)


def _email_told(event: PaymentEvent) -> str:
    """The email that an event brings along, where it is one that an order may have."""
    try:
        return read_email(event.customer_email or "")
    except InvalidEmailError:
        return ""
