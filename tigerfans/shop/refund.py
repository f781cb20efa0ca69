"""A refund, step by step: the provider gives the money back, then PostgreSQL knows of it."""

from tigerfans.booking.ids import OrderId
from tigerfans.errors import InvalidRequestError, UnknownOrderError
from tigerfans.shop.backends import Backends
from tigerfans.stores.orders import Order, OrderStatus
from tigerfans.telemetry.steps import Step


async def refund(backends: Backends, order_id: OrderId) -> Order:
    """Gives back the money of an order that was paid and cannot be fulfilled.

    Raises `UnknownOrderError`, or `InvalidRequestError` where no refund is due. The provider
    comes first: a crash after it leaves the refund due, and asking it again is harmless.
    """
    order = await backends.orders.find(order_id)
    if order is None:
        raise UnknownOrderError
    if order.status is not OrderStatus.PAID_UNFULFILLED:
        raise InvalidRequestError("No refund is due for this order.")
    if order.refunded_at is None:
        psid = backends.provider.session_id(order_id.hex_digits)
        # An order's own refund, whatever else is given back of its session.
        await backends.provider.refund(psid, order.amount_cents, order_id.hex_digits)
        if await backends.orders.mark_refunded(order_id):
            backends.took(Step.REFUNDED, order_id, order.cls)
    return await backends.orders.find(order_id) or order
