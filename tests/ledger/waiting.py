"""Waiting for a ledger's server that comes back."""

import asyncio

from tests.harness.patience import PAUSE_SECONDS, patience
from tigerfans.ledger.base import Ledger, LedgerUnavailableError
from tigerfans.ledger.wire import Operation


async def submit_once_available(ledger: Ledger, operation: Operation, records: bytes) -> bytes:
    """The reply of the first submission that is not refused because the ledger is away."""
    async with patience():
        while True:
            try:
                return await ledger.submit(operation, records)
            except LedgerUnavailableError:
                await asyncio.sleep(PAUSE_SECONDS)
