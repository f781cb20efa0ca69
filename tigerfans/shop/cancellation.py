"""The show is canceled: nothing is sold any more, and all money goes back.

That it is canceled is a row; everything else follows from it, in rounds that anybody may repeat.
Each closes what is on sale and asks for the refunds of what was paid, also of what is paid later.
The refunds themselves are done like all others (`refund_rounds`), but for those of orders that
could not be fulfilled, which were due before.
"""

import asyncio
from contextlib import suppress
from typing import Final

from tigerfans.booking.ids import OrderId
from tigerfans.errors import (
    InvalidRequestError,
    ProviderError,
    StockMovedError,
    StockRefusedError,
)
from tigerfans.shop.backends import Backends
from tigerfans.shop.refund import refund
from tigerfans.shop.stock_changes import close_sale
from tigerfans.stores.show_cancellation import Cancellation
from tigerfans.stores.token_bucket import Tokens

PAUSE_SECONDS: Final = 1.0
ASKED_AT_ONCE_MAX: Final = 500
# Of those that could not be fulfilled, in a round; what a provider refuses is tried again later.
UNFULFILLED_AT_ONCE_MAX: Final = 20
UNFULFILLED_MAX: Final = 1_000
TRY_AGAIN_SECONDS: Final = 60.0


async def cancel(backends: Backends, show_name: str, by: str) -> Cancellation:
    """Cancels the show, for good; raises `InvalidRequestError` unless its name was typed."""
    name = backends.catalog.offer.show.name
    if show_name.strip() != name:
        raise InvalidRequestError(f"To cancel the show, please type its name: {name}")
    return await backends.cancellation.cancel(by)


class CancellationRounds:
    """What follows from a canceled show, a round at a time; nothing while it is not canceled."""

    def __init__(self, backends: Backends, tokens: Tokens) -> None:
        self._backends = backends
        self._tokens = tokens
        # Until then, an order that the provider refused is not tried again.
        self._pauses: dict[OrderId, float] = {}

    async def do(self) -> bool:
        """Whether there is more than it did."""
        backends = self._backends
        cancellation = await backends.cancellation.find()
        if cancellation is None:
            return False
        await close_all(backends, cancellation.canceled_by)
        unasked = await backends.cancellation.unasked(ASKED_AT_ONCE_MAX)
        if unasked:
            order_ids = [place.order_id for place in unasked]
            await backends.ticket_refunds.ask_for_all(order_ids, cancellation.canceled_by)
            await backends.cancellation.asked(unasked[-1])
        are_more = await self._refund_unfulfilled(cancellation.canceled_by)
        return are_more or len(unasked) == ASKED_AT_ONCE_MAX

    async def _refund_unfulfilled(self, by: str) -> bool:
        now = asyncio.get_running_loop().time()
        self._pauses = {order: until for order, until in self._pauses.items() if until > now}
        due, _ = await self._backends.orders.refunds_due(UNFULFILLED_MAX)
        order_ids = [order.id for order in due if order.id not in self._pauses]
        asked = order_ids[:UNFULFILLED_AT_ONCE_MAX]
        await asyncio.gather(*(self._refund_one(order_id, by) for order_id in asked))
        return len(order_ids) > len(asked)

    async def _refund_one(self, order_id: OrderId, by: str) -> None:
        await asyncio.sleep((await self._tokens.take()).wait_seconds)
        try:
            await refund(self._backends, order_id, None, by)
        except ProviderError:
            now = asyncio.get_running_loop().time()
            self._pauses[order_id] = now + TRY_AGAIN_SECONDS


async def close_all(backends: Backends, by: str) -> None:
    """Closes every class that is on sale."""
    stock = await backends.read_stock()
    for ticket_class, there_is in zip(backends.catalog.classes, stock, strict=False):
        if not there_is.is_closed:
            # Whoever changed the stock at this very moment: the next round looks again.
            with suppress(StockMovedError, StockRefusedError):
                await close_sale(backends, ticket_class.code, by)
