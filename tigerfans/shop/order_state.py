"""An order as its payment session shows it, in each state it can come to."""

import time
from collections.abc import Sequence
from datetime import datetime

from tigerfans.booking.moments import moment_at
from tigerfans.stores.orders import Order, OrderStatus
from tigerfans.stores.sessions import Session


def order_of(
    session: Session,
    currency: str,
    status: OrderStatus,
    *,
    paid_at: datetime | None = None,
    ticket_codes: Sequence[str] = (),
    got_goodie: bool = False,
    payment_reference: str | None = None,
) -> Order:
    """The order of a session that has come to `status`; `currency` is the shop's."""
    return Order(
        id=session.order_id,
        status=status,
        cls=session.cls,
        amount_cents=session.amount_cents,
        currency=currency,
        qty=session.qty,
        more_ticket_codes=tuple(ticket_codes[1:]),
        email=session.email,
        created_at=moment_at(session.created_ms * 1_000),
        paid_at=paid_at,
        ticket_code=ticket_codes[0] if ticket_codes else None,
        got_goodie=got_goodie,
        payment_reference=payment_reference,
    )


def unpaid_order(session: Session, currency: str) -> Order:
    """An order nobody has paid yet, whose hold may have run out."""
    is_expired = session.expires_ms <= time.time_ns() // 1_000_000
    status = OrderStatus.EXPIRED if is_expired else OrderStatus.PENDING
    return order_of(session, currency, status)
