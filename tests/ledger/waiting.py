"""Waiting for what comes by itself: a server that is back, a hold that expires."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.harness.patience import patience
from tigerfans.ledger.base import Ledger, LedgerUnavailableError
from tigerfans.ledger.wire import Operation

PAUSE_SECONDS = 0.02


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Returns once the condition holds."""
    async with patience():
        while not await condition():  # noqa: ASYNC110, nobody tells us
            await asyncio.sleep(PAUSE_SECONDS)


async def submit_once_available(ledger: Ledger, operation: Operation, records: bytes) -> bytes:
    """The reply of the first submission that is not refused because the ledger is away."""
    async with patience():
        while True:
            try:
                return await ledger.submit(operation, records)
            except LedgerUnavailableError:
                await asyncio.sleep(PAUSE_SECONDS)
