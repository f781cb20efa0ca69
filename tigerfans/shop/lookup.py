"""What is known of an order: to Redis as a shortcut, to PostgreSQL, and to the ledger's hold."""

from tigerfans.booking.ids import OrderId
from tigerfans.booking.transfers import Hold
from tigerfans.errors import UnavailableError
from tigerfans.ledger.wire import Operation
from tigerfans.shop.answers import TICKETS, order_answer
from tigerfans.shop.backends import Backends
from tigerfans.shop.order_state import unpaid_order
from tigerfans.stores.orders import Order
from tigerfans.stores.sessions import Entry, Session
from tigerfans.telemetry.counters import timed


async def find_answer(backends: Backends, order_id: OrderId) -> bytes | None:
    """An order as public JSON; None where it is unknown."""
    entry = await find_entry(backends, order_id)
    # What a worker of 0.2.0 kept, for a day, says nothing of the tickets: PostgreSQL does.
    if entry and TICKETS in entry.paid_answer:
        return entry.paid_answer
    order = await _find_order(backends, order_id, entry)
    return None if order is None else order_answer(order)


async def find_order(backends: Backends, order_id: OrderId) -> Order | None:
    """An order in its state of now, from its hold on; None where it is unknown."""
    return await _find_order(backends, order_id, await find_entry(backends, order_id))


async def find_session(backends: Backends, psid: str) -> Session | None:
    """The session a buyer pays for at the provider's page; None where it is unknown.

    Raises `UnavailableError` where Redis does not answer: a payment that was started without
    the email it is for would leave an order without one.
    """
    order_id = OrderId.read(backends.provider.order_id(psid) or "")
    if order_id is None:
        return None
    entry = await backends.sessions.find(order_id)
    if entry or _may_exist(backends, order_id):
        return await session_behind(backends, order_id, entry)
    return None


async def find_entry(
    backends: Backends, order_id: OrderId, *, is_needed: bool = False
) -> Entry | None:
    """The order's entry in Redis; None where there is none.

    Where Redis does not answer, None as well, or `UnavailableError` if it `is_needed`.
    """
    try:
        return await timed(backends.counters.session, backends.sessions.find(order_id))
    except UnavailableError:
        if is_needed:
            raise
        return None


async def session_of_order(
    backends: Backends, order_id: OrderId, *, is_needed: bool = False
) -> Session | None:
    """The order's session, as Redis or else the ledger has it; raises as `find_entry`."""
    entry = await find_entry(backends, order_id, is_needed=is_needed)
    return await session_behind(backends, order_id, entry)


async def session_behind(
    backends: Backends, order_id: OrderId, entry: Entry | None
) -> Session | None:
    """An entry's session; the ledger has it where there is no entry, or none that can be read."""
    session = entry.session if entry else None
    return session or await session_on_ledger(backends, order_id)


async def hold_on_ledger(backends: Backends, order_id: OrderId) -> Hold | None:
    """The hold of an order; None where the ledger has none."""
    record = await backends.submit(Operation.LOOKUP_TRANSFERS, bytes(order_id))
    return backends.booking.hold_of(record) if record else None


async def session_on_ledger(backends: Backends, order_id: OrderId) -> Session | None:
    """The session as the ledger's hold remembers it: without the email."""
    hold = await hold_on_ledger(backends, order_id)
    return None if hold is None else session_of(backends, order_id, hold)


def session_of(backends: Backends, order_id: OrderId, hold: Hold, email: str = "") -> Session:
    """The session of a hold."""
    return backends.session(
        order_id,
        hold.cls,
        email,
        qty=hold.qty,
        price_cents=hold.price_cents,
        created_ms=hold.created_ns // 1_000_000,
        expires_ms=hold.expires_ns // 1_000_000,
    )


def _may_exist(backends: Backends, order_id: OrderId) -> bool:
    """Whether it is worth asking for an order of which Redis knows nothing.

    Only then, for that is rare: of an order that somebody waits for it knows.
    """
    return backends.ids.may_have_made(order_id)


async def _find_order(backends: Backends, order_id: OrderId, entry: Entry | None) -> Order | None:
    if entry is None and not _may_exist(backends, order_id):
        return None
    order = await timed(backends.counters.order, backends.orders.find(order_id))
    if order is not None:
        return order
    session = await session_behind(backends, order_id, entry)
    return None if session is None else unpaid_order(session, backends.catalog.currency)
