"""A refund, step by step: the provider gives the money back, then PostgreSQL knows of it."""

import asyncio
import logging
from typing import Final

from tigerfans.booking.ids import OrderId
from tigerfans.errors import InvalidRequestError, ProviderError, UnknownOrderError
from tigerfans.shop.backends import Backends
from tigerfans.stores.orders import Order, OrderStatus
from tigerfans.telemetry.steps import Step

# Less than the claim on an unmatched payment, so that nobody else asks meanwhile.
REFUND_SECONDS_MAX: Final = 10.0

logger = logging.getLogger(__name__)


async def refund(backends: Backends, order_id: OrderId) -> Order:
    """Gives back the money of an order that was paid and cannot be fulfilled.

    Raises `UnknownOrderError`, `InvalidRequestError` where no refund is due, `ProviderError`, or
    `UnavailableError`. The provider comes first: a crash after it leaves the refund due, and
    asking it again is harmless.
    """
    order = await backends.orders.find(order_id)
    if order is None:
        raise UnknownOrderError
    if order.status is not OrderStatus.PAID_UNFULFILLED:
        raise InvalidRequestError("No refund is due for this order.")
    if order.refunded_at is None:
        psid = backends.provider.session_id(order_id.hex_digits)
        # An order's own refund, whatever else is given back of its session.
        await give_back(backends, psid, order.amount_cents, order_id.hex_digits)
        if await backends.orders.mark_refunded(order_id):
            backends.took(Step.REFUNDED, order_id, order.cls)
    return await backends.orders.find(order_id) or order


async def give_back(backends: Backends, session_id: str, amount_cents: int, key: str) -> None:
    """Has the provider give money back, once for a `key`.

    Raises `ProviderError`, whatever went wrong there: the money may be on its way all the same.
    """
    try:
        async with asyncio.timeout(REFUND_SECONDS_MAX):
            await backends.provider.refund(session_id, amount_cents, key)
    # A provider may raise whatever its client does.
    except Exception as error:
        logger.warning("the provider did not confirm the refund %s: %r", key, error)
        raise ProviderError from error
