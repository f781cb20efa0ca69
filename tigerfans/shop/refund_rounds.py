"""Refunds that nobody presses a button for: what is asked for and not done, a round at a time.

Whoever asked may have died, the provider may have been away, or there are thousands to give back
since the show is canceled. Each order is leased, so several clerks share them, and the provider is
asked at a bounded rate by all of them together.
"""

import asyncio
from typing import Final

from tigerfans.booking.ids import OrderId
from tigerfans.errors import ProviderError
from tigerfans.shop.backends import Backends
from tigerfans.shop.refund import finish
from tigerfans.stores.token_bucket import Rate, Tokens

# Leased in a round, and under way at the same time: what `REFUND_RATE` lets begin within a second,
# with as many that wait for a slow provider. All of it takes less than a lease.
ORDERS_AT_ONCE_MAX: Final = 40
PAUSE_SECONDS: Final = 1.0
# Less than what a provider takes of one shop: Stripe 25 a second of a kind, by default.
REFUND_RATE: Final = Rate(per_second=20, burst=20)
TOKENS_KEY: Final = "refunds"

FORGET_PAUSE_SECONDS: Final = 10.0
FORGOTTEN_AT_ONCE_MAX: Final = 500


async def refund_due(backends: Backends, tokens: Tokens) -> bool:
    """Goes on with refunds that are due; whether there are more than it took.

    Raises, once all others are done, where a store is away: its lease runs out.
    """
    order_ids = await backends.ticket_refunds.lease(ORDERS_AT_ONCE_MAX)
    ended = await asyncio.gather(
        *(_go_on(backends, order_id, tokens) for order_id in order_ids), return_exceptions=True
    )
    for error in ended:
        if isinstance(error, BaseException):
            raise error
    return len(order_ids) == ORDERS_AT_ONCE_MAX


async def forget_refunded(backends: Backends) -> bool:
    """Has Redis forget what it said of orders before their refund; whether there are more.

    Once more, some time after the refund: a webhook that was told again at that very moment may
    have left the order as it was.
    """
    order_ids = await backends.ticket_refunds.forgettable(FORGOTTEN_AT_ONCE_MAX)
    if order_ids:
        await backends.sessions.forget(order_ids)
        await backends.ticket_refunds.forgotten(order_ids)
    return len(order_ids) == FORGOTTEN_AT_ONCE_MAX


async def _go_on(backends: Backends, order_id: OrderId, tokens: Tokens) -> None:
    order = await backends.orders.find(order_id)
    if order is None:
        # A database that was restored may be without it, and get it back from the ledger.
        await backends.ticket_refunds.failed(order_id, "There is no such order: reconcile.")
        return
    await asyncio.sleep((await tokens.take()).wait_seconds)
    try:
        await finish(backends, order)
    except ProviderError:
        # It is stored with the refund, and tried again after a growing pause.
        return
