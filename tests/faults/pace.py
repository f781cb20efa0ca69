"""Keeps the buyers and the faults of a run in step, however slow the machine is.

Each fault has its share of the buyers: the next one strikes when the shares of those before have
come, and a buyer comes when the faults before its share have struck. One of the two may always go
on. Nobody waits here for an answer of the shop.
"""

import asyncio
import math


class Pace:
    """Of so many buyers and so many faults, of which there may be none."""

    def __init__(self, buyers: int, faults: int) -> None:
        self._share = buyers / faults if faults else math.inf
        self._came = 0
        self._struck = 0
        self._changed = asyncio.Condition()

    async def buyer(self) -> None:
        """Waits until the next buyer may come, who has come then."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._came < (self._struck + 1) * self._share)
            self._came += 1
            self._changed.notify_all()

    async def fault(self) -> None:
        """Waits until the next fault may strike."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._came >= self._struck * self._share)

    async def struck(self) -> None:
        async with self._changed:
            self._struck += 1
            self._changed.notify_all()
