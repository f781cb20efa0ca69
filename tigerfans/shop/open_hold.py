"""A hold that its buyer may still pay: to go on with it, or to give it back.

Giving back is settled as if the provider had told that the buyer canceled. The void has the id of
a release, so it happens once however often it is asked for, and the ledger decides between it and a
payment that arrives at the same moment. Where that came first, the order is paid and stays so;
where it comes second, it sells late, or a refund is due.
"""

from datetime import datetime

import msgspec

from tigerfans.booking.ids import OrderId
from tigerfans.booking.moments import moment_at
from tigerfans.payments.base import EventType, PaymentEvent
from tigerfans.shop.backends import Backends
from tigerfans.shop.lookup import session_of_order
from tigerfans.shop.order_state import unpaid_order
from tigerfans.shop.payment import settle
from tigerfans.stores.orders import Order, OrderStatus
from tigerfans.telemetry.counters import timed


class OpenHold(msgspec.Struct, frozen=True):
    """An order that can be paid at `redirect_url` for as long as its ticket is held."""

    order: Order
    redirect_url: str
    expires_at: datetime


async def find_open_hold(backends: Backends, order_id: OrderId) -> OpenHold | None:
    """The open hold of an order; None where there is none, or none any more."""
    if await timed(backends.counters.order, backends.orders.find(order_id)):
        return None
    session = await session_of_order(backends, order_id)
    if session is None:
        return None
    order = unpaid_order(session, backends.catalog.currency)
    if order.status is not OrderStatus.PENDING:
        return None
    return OpenHold(
        order,
        backends.provider.page_url(order_id.hex_digits),
        moment_at(session.expires_ms * 1_000),
    )


async def release(backends: Backends, order_id: OrderId) -> str | None:
    """Voids a hold that its buyer does not want to pay; the order's status then, None where it is
    unknown.

    Told again it changes nothing. Raises a `LedgerError` or `UnavailableError`: then it may be
    asked for again.
    """
    session = await session_of_order(backends, order_id)
    if session is None:
        return None
    canceled = PaymentEvent(
        type=EventType.CANCELED,
        payment_session_id=session.psid,
        order_id=order_id.hex_digits,
        amount=session.amount_cents,
        currency=backends.catalog.currency,
        cls=session.cls,
    )
    settled = await settle(backends, canceled)
    # Whoever gave a ticket back looks for another one at once.
    backends.stock.forget()
    return settled.order_status
