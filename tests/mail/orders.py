"""Orders to write mails about, without a shop that sells them."""

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from tigerfans.booking.door_codes import DoorKeys
from tigerfans.booking.ids import OrderId
from tigerfans.booking.tickets import ticket_codes
from tigerfans.stores.orders import Order, OrderStatus

SECRET = "ticket secret"
KEYS = DoorKeys(SECRET, "0badcafe")
PAID_AT = datetime(2026, 11, 22, 12, 1, 0, 654321, UTC)


def door_code(order: Order, ticket: int) -> str:
    return KEYS.sign(order.id, ticket, 1)


def paid_order(qty: int = 1, **changes: Any) -> Order:
    order_id = OrderId.new()
    first, *others = ticket_codes(order_id, SECRET, qty)
    order = Order(
        id=order_id,
        status=OrderStatus.PAID,
        cls="A",
        amount_cents=6500 * qty,
        email="fan@example.org",
        created_at=datetime(2026, 11, 22, 12, 0, 0, 0, UTC),
        paid_at=PAID_AT,
        ticket_code=first,
        currency="eur",
        qty=qty,
        more_ticket_codes=tuple(others),
    )
    return replace(order, **changes)


def unfulfilled_order(qty: int = 1, **changes: Any) -> Order:
    nothing = {"paid_at": None, "ticket_code": None, "more_ticket_codes": ()}
    status = OrderStatus.PAID_UNFULFILLED
    return replace(paid_order(qty), status=status, **nothing | changes)
