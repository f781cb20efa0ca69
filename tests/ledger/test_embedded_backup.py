"""A copy of the embedded ledger that is made while it works."""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.offers import catalog_with
from tigerfans.booking.ids import OrderId
from tigerfans.booking.inventory import Inventory
from tigerfans.booking.transfers import Booking
from tigerfans.ledger.base import LedgerBusyError, LedgerUnavailableError
from tigerfans.ledger.copying import copy_file
from tigerfans.ledger.embedded import (
    BACKUP_NAME,
    EmbeddedLedger,
    open_embedded,
    open_in_memory,
)
from tigerfans.ledger.store import CHECKPOINT_PAGES, FILE_NAME
from tigerfans.ledger.wire import Operation
from tigerfans.stack.process_table import is_running, start_time

BOOKING = Booking(catalog_with({"A": 1_000_000}, 10), 300)
CREATE = Operation.CREATE_TRANSFERS


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[EmbeddedLedger]:
    ledger = await open_embedded(tmp_path / "ledger")
    await ledger.submit(Operation.CREATE_ACCOUNTS, BOOKING.accounts())
    await ledger.submit(CREATE, BOOKING.funding())
    yield ledger
    await ledger.close()


async def hold_some(ledger: EmbeddedLedger, count: int = 50) -> None:
    holds = b"".join(BOOKING.hold(OrderId.new(), "A", bytes(16)) for _ in range(count))
    await ledger.submit(CREATE, holds)


async def held(ledger: EmbeddedLedger) -> int:
    accounts = await ledger.submit(Operation.LOOKUP_ACCOUNTS, BOOKING.stock_accounts())
    return next(iter(Inventory.by_ledger(accounts).values())).held


def placed(copy: Path, folder: Path) -> Path:
    """A copy where a ledger is expected; gives the folder."""
    folder.mkdir()
    copy.rename(folder / FILE_NAME)
    return folder


@contextmanager
def copier(folder: Path) -> Iterator[Callable[[], Awaitable[int]]]:
    """Children that copy nothing and do not end; gives a wait for one, and its process id."""
    told = folder / "copier"
    os.mkfifo(told)
    script = folder / "copier.sh"
    script.write_text(f"#!/bin/sh\necho $$ > {told}\nexec sleep 600\n")
    script.chmod(0o700)

    async def started() -> int:
        return int(await asyncio.to_thread(told.read_text))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(script))
        yield started
    told.unlink()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_copy_holds_all_that_was_done_before_it_and_opens_as_a_ledger(
    ledger: EmbeddedLedger, tmp_path: Path
) -> None:
    await hold_some(ledger)
    copy = await ledger.backup()
    await hold_some(ledger)
    assert copy.stat().st_mode & 0o777 == 0o600
    restored = await open_embedded(placed(copy, tmp_path / "restored"))
    assert (await held(restored), await held(ledger)) == (50, 100)
    await hold_some(restored)
    await restored.close()


async def test_the_ledger_goes_on_while_it_is_copied_and_the_copy_is_of_one_moment(
    ledger: EmbeddedLedger, tmp_path: Path
) -> None:
    for _ in range(20):
        await hold_some(ledger, 500)
    backup = asyncio.create_task(ledger.backup())
    await asyncio.sleep(0)
    after = 0
    while not backup.done():
        await hold_some(ledger, 500)
        after += 500
    copy = await backup
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    restored = await open_embedded(placed(copy, tmp_path / "restored"))
    found = await held(restored)
    assert 10_000 <= found <= 10_000 + after
    assert found % 500 == 0
    await restored.close()


async def test_afterwards_the_log_is_put_into_the_file_again(
    ledger: EmbeddedLedger, tmp_path: Path
) -> None:
    await ledger.backup()
    for _ in range(60):
        await hold_some(ledger, 500)
    log = tmp_path / "ledger" / f"{FILE_NAME}-wal"
    assert log.stat().st_size < 1.5 * CHECKPOINT_PAGES * 4096


async def test_one_copy_at_a_time(ledger: EmbeddedLedger, tmp_path: Path) -> None:
    with copier(tmp_path) as started:
        first = asyncio.create_task(ledger.backup())
        await started()
        with pytest.raises(LedgerBusyError):
            await ledger.backup()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    await ledger.backup()


async def test_a_ledger_that_is_closed_meanwhile_leaves_no_half_copy_and_no_child(
    ledger: EmbeddedLedger, tmp_path: Path
) -> None:
    with copier(tmp_path) as started:
        backup = asyncio.create_task(ledger.backup())
        child = await started()
        start = start_time(child)
        await ledger.close()
        with pytest.raises(LedgerUnavailableError, match="closed before it was copied"):
            await backup
    assert not is_running(child, start)
    assert names(tmp_path / "ledger") == {FILE_NAME}
    with pytest.raises(LedgerUnavailableError):
        await ledger.backup()


async def test_a_copier_that_dies_fails_the_copy_and_not_the_ledger(
    ledger: EmbeddedLedger, tmp_path: Path
) -> None:
    with copier(tmp_path) as started:
        backup = asyncio.create_task(ledger.backup())
        os.kill(await started(), signal.SIGKILL)
        with pytest.raises(LedgerUnavailableError, match="its copier ended with -9"):
            await backup
    await hold_some(ledger)
    assert await held(ledger) == 50


async def test_what_an_earlier_copy_left_behind_is_in_nobodys_way(
    ledger: EmbeddedLedger, tmp_path: Path
) -> None:
    left = tmp_path / "ledger" / f"{BACKUP_NAME}.new"
    left.write_bytes(b"half")
    copy = await ledger.backup()
    assert copy.stat().st_size > len(b"half")
    left.write_bytes(b"half")
    await ledger.close()
    await (await open_embedded(tmp_path / "ledger")).close()
    assert names(tmp_path / "ledger") == {FILE_NAME, BACKUP_NAME}


async def test_a_disk_that_is_full_fails_the_copy_and_not_the_ledger(
    ledger: EmbeddedLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("tigerfans.ledger.embedded.copy_file", full)
    with pytest.raises(LedgerUnavailableError, match="No space left"):
        await ledger.backup()
    await hold_some(ledger)
    assert await held(ledger) == 50


async def test_a_ledger_in_memory_has_nothing_to_copy() -> None:
    ledger = await open_in_memory()
    with pytest.raises(LedgerUnavailableError):
        await ledger.backup()
    await ledger.close()


async def test_a_copy_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "copy"
    destination.write_bytes(b"old")
    with pytest.raises(OSError, match="No such file or directory"):
        await copy_file(source, destination)
    assert destination.read_bytes() == b"old"
    source.write_bytes(b"new")
    await copy_file(source, destination)
    assert destination.read_bytes() == b"new"
    assert names(tmp_path) == {"source", "copy"}
