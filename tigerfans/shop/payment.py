"""A payment, step by step: the ledger sells or releases, PostgreSQL stores that, then it is told.

Redis is read as a shortcut, and a payment never waits to write there; where Redis fails, the
ledger's hold and the signed event say the same.
"""

from datetime import UTC, datetime

import msgspec
import orjson

from tigerfans.booking.ids import OrderId
from tigerfans.booking.moments import moment_at
from tigerfans.booking.outcomes import (
    ReleaseOutcome,
    SaleOutcome,
    decode_late_sale,
    decode_release,
    decode_sale,
)
from tigerfans.booking.tickets import ticket_code
from tigerfans.errors import InvalidRequestError, UnknownOrderError
from tigerfans.ledger.wire import Operation
from tigerfans.offer.catalog import CURRENCY
from tigerfans.payments.base import EventType, PaymentEvent
from tigerfans.shop.answers import order_answer
from tigerfans.shop.backends import Backends
from tigerfans.shop.lookup import find_entry, session_on_ledger
from tigerfans.shop.order_state import order_of
from tigerfans.stores.orders import Order, OrderStatus
from tigerfans.stores.sessions import Session


class Settlement(msgspec.Struct, frozen=True):
    """What became of an order by a payment event, and whether it was so before."""

    order_status: str
    is_replay: bool


async def settle(backends: Backends, event: PaymentEvent) -> Settlement:
    """Does what a payment event asks for; returns only when all of it is durable.

    Raises `InvalidRequestError` where the event does not fit its order, `UnknownOrderError`,
    a `LedgerError` or `UnavailableError`; after the last two the event is to be sent again.
    """
    order_id = OrderId.parse(event.order_id)
    if order_id is None or event.payment_session_id != backends.provider.session_id(event.order_id):
        raise InvalidRequestError("The payment session does not belong to the order.")
    # A sale whose event names no email waits for Redis, which has it: the provider tells it
    # again, and an order without an email would stay so.
    is_needed = event.type is EventType.SUCCEEDED and not event.customer_email
    entry = await find_entry(backends, order_id, is_needed=is_needed)
    session = (
        entry.session
        if entry
        else await session_on_ledger(backends, order_id, event.customer_email or "")
    )
    if session is None:
        raise UnknownOrderError
    _check_event(event, session)
    if entry and entry.paid_answer:
        return Settlement(orjson.loads(entry.paid_answer)["status"], is_replay=True)
    if event.type is EventType.SUCCEEDED:
        order = await sell(backends, session)
    else:
        order = await _release(backends, session, event.type)
    recorded = await backends.record(order)
    answer = order_answer(recorded.order) if recorded.order.is_charged else b""
    backends.sessions.finish(session, answer)
    return Settlement(recorded.order.status, is_replay=not recorded.is_new)


async def sell(backends: Backends, session: Session) -> Order:
    """Sells what a session holds; told again, it tells how that went and changes nothing."""
    sale = backends.booking.sale(session.order_id, session.cls)
    outcome, sold_ns = decode_sale(await backends.submit(Operation.CREATE_TRANSFERS, sale))
    if outcome is SaleOutcome.HOLD_GONE:
        late = backends.booking.late_sale(session.order_id, session.cls, session.amount_cents)
        results = await backends.submit(Operation.CREATE_TRANSFERS, late)
        outcome, sold_ns = decode_late_sale(results)
    if outcome is SaleOutcome.MISMATCH:
        raise InvalidRequestError("The payment does not match its order.")
    if outcome is SaleOutcome.UNFULFILLED:
        return order_of(session, OrderStatus.PAID_UNFULFILLED, paid_at=datetime.now(UTC))
    return order_of(
        session,
        OrderStatus.PAID,
        paid_at=moment_at(sold_ns // 1_000),
        ticket_code=ticket_code(session.order_id, backends.secret),
        got_goodie=outcome is SaleOutcome.SOLD_WITH_GOODIE,
    )


async def _release(backends: Backends, session: Session, event_type: EventType) -> Order:
    release = backends.booking.release(session.order_id, session.cls)
    outcome = decode_release(await backends.submit(Operation.CREATE_TRANSFERS, release))
    if outcome is ReleaseOutcome.MISMATCH:
        raise InvalidRequestError("The payment does not match its order.")
    if outcome is ReleaseOutcome.SOLD:
        # It was paid before. Replaying the sale tells how, and changes nothing.
        return await sell(backends, session)
    failed = event_type is EventType.FAILED
    return order_of(session, OrderStatus.FAILED if failed else OrderStatus.CANCELED)


def _check_event(event: PaymentEvent, session: Session) -> None:
    if (
        event.amount != session.amount_cents
        or event.currency != CURRENCY
        or event.cls not in (None, session.cls)
        or (event.customer_email and session.email and event.customer_email != session.email)
    ):
        raise InvalidRequestError("The payment does not match its order.")
