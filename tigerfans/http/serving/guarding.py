"""Ends a worker that finds itself on another ledger than its shop's.

A worker outlives the sequencer, and one that comes back may have lost its ledger, or been given
another shop's. So whenever the connection is new, the worker looks again whose ledger it is.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tigerfans.errors import UnavailableError
from tigerfans.ledger.base import LedgerError

PAUSE_SECONDS: Final = 0.5


async def stay_on_own_ledger(
    new_connection: Callable[[], Awaitable[None]], check: Callable[[], Awaitable[None]]
) -> None:
    """Runs `check` after each new connection, again while a store does not answer.

    Raises what else it raises: `SettingsError` where the ledger is not the shop's own.
    """
    while True:
        await new_connection()
        while not await _is_answered(check):  # noqa: ASYNC110 - a store sets no event of ours
            await asyncio.sleep(PAUSE_SECONDS)


async def _is_answered(check: Callable[[], Awaitable[None]]) -> bool:
    try:
        await check()
    except (LedgerError, UnavailableError):
        return False
    return True
