import asyncio
from pathlib import Path

import pytest

from tests.harness.patience import patience
from tests.sequencer.gated_ledger import GatedLedger
from tigerfans.ipc.backup import request_backup
from tigerfans.ledger.base import (
    InvalidRecordsError,
    LedgerBusyError,
    LedgerTimeoutError,
    LedgerUnavailableError,
)
from tigerfans.sequencer.sequencer import Sequencer


class CopyableLedger(GatedLedger):
    """Says that it made a copy, once the gate is open."""

    async def backup(self) -> Path:
        await self._gate.wait()
        if self.error:
            raise self.error
        return Path("/backups/ä.sqlite")


@pytest.fixture
async def ledger() -> GatedLedger:
    return CopyableLedger()


async def test_whoever_asks_is_told_where_the_copy_is(
    sequencer: Sequencer, socket_path: Path
) -> None:
    assert await request_backup(socket_path) == Path("/backups/ä.sqlite")


@pytest.mark.parametrize(
    "error", [LedgerBusyError("Another one."), LedgerUnavailableError("Disk full.")]
)
async def test_why_there_is_no_copy_is_told(
    sequencer: Sequencer, ledger: GatedLedger, socket_path: Path, error: Exception
) -> None:
    ledger.error = error
    with pytest.raises(type(error), match=str(error)):
        await request_backup(socket_path)


async def test_a_bug_in_copying_is_told_and_ends_nothing(
    sequencer: Sequencer, ledger: GatedLedger, socket_path: Path
) -> None:
    ledger.error = ZeroDivisionError()
    with pytest.raises(LedgerUnavailableError, match="ZeroDivisionError"):
        await request_backup(socket_path)
    ledger.error = None
    assert await request_backup(socket_path)


async def test_a_ledger_that_keeps_its_own_copies_says_so(
    sequencer: Sequencer, socket_path: Path
) -> None:
    sequencer.backups._ledger = GatedLedger()
    with pytest.raises(InvalidRecordsError, match="not copied from here"):
        await request_backup(socket_path)


async def test_a_sequencer_that_stops_gives_up_its_copies(
    sequencer: Sequencer, ledger: GatedLedger, socket_path: Path
) -> None:
    ledger.hold()
    asked = asyncio.create_task(request_backup(socket_path))
    async with patience():
        while not sequencer.backups._tasks:  # noqa: ASYNC110 (it has no event)
            await asyncio.sleep(0)
    await sequencer.drain(1.0)
    await sequencer.hang_up()
    with pytest.raises(LedgerTimeoutError):
        await asked


async def test_without_a_sequencer_there_is_nobody_to_ask(socket_path: Path) -> None:
    with pytest.raises(OSError, match=r"."):
        await request_backup(socket_path)
