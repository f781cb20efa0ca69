"""Ends a process that finds itself on another ledger than its shop's.

Workers and clerks outlive the sequencer, and one that comes back may have lost its ledger, or been
given another shop's. So whenever the connection is new, the process looks again whose ledger it is;
its requests wait until then, those that are sent again as well (`SequencerClient.admit`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tigerfans.errors import UnavailableError
from tigerfans.ipc.client import SequencerClient
from tigerfans.ledger.base import LedgerError, Submit

PAUSE_SECONDS: Final = 0.1

Check = Callable[[Submit], Awaitable[None]]


async def stay_on_own_ledger(client: SequencerClient, check: Check) -> None:
    """Runs `check` on each new connection, again while a store does not answer, and then lets
    requests through.

    Raises what else it raises, `SettingsError` where the ledger is not the shop's own; by then the
    client is closed, and nothing that waited was sent.
    """
    try:
        while True:
            await client.new_connection()
            while (  # noqa: ASYNC110 - a store sets no event of ours
                client.connected and not await _is_admitted(client, check)
            ):
                await asyncio.sleep(PAUSE_SECONDS)
    except Exception:
        await client.close()
        raise


async def _is_admitted(client: SequencerClient, check: Check) -> bool:
    try:
        await client.admit(check)
    except (LedgerError, UnavailableError):
        return False
    return True
