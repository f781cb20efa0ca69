"""A copy of the embedded ledger that is made while it works."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tigerfans.booking.ids import OrderId
from tigerfans.booking.inventory import Inventory
from tigerfans.booking.transfers import Booking
from tigerfans.ledger import copying
from tigerfans.ledger.base import LedgerBusyError, LedgerUnavailableError
from tigerfans.ledger.copying import CopyStoppedError, copy_file
from tigerfans.ledger.embedded import EmbeddedLedger, open_embedded, open_in_memory
from tigerfans.ledger.store import CHECKPOINT_PAGES, FILE_NAME
from tigerfans.ledger.wire import Operation
from tigerfans.offer.catalog import Catalog

BOOKING = Booking(Catalog.build({"A": 1_000_000}, 10), 300)
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
    budgets = await ledger.submit(Operation.LOOKUP_ACCOUNTS, BOOKING.budgets())
    return Inventory.unpack_all(budgets)[0].held


def placed(copy: Path, folder: Path) -> Path:
    """A copy where a ledger is expected; gives the folder."""
    folder.mkdir()
    copy.rename(folder / FILE_NAME)
    return folder


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
    ledger: EmbeddedLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More goes into the log meanwhile than SQLite keeps there by itself."""
    monkeypatch.setattr(copying, "CHUNK_BYTES", 4096)
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


async def test_one_copy_at_a_time(ledger: EmbeddedLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = threading.Event()
    monkeypatch.setattr("tigerfans.ledger.embedded.copy_file", lambda *_: copied.wait(10))
    first = asyncio.create_task(ledger.backup())
    await asyncio.sleep(0)
    with pytest.raises(LedgerBusyError):
        await ledger.backup()
    copied.set()
    await first
    await ledger.backup()


async def test_a_ledger_that_is_closed_meanwhile_leaves_no_half_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = threading.Event()

    def copy_slowly(source: Path, destination: Path, stopped: threading.Event) -> None:
        reading.set()
        assert stopped.wait(10)
        copy_file(source, destination, stopped)

    monkeypatch.setattr("tigerfans.ledger.embedded.copy_file", copy_slowly)
    ledger = await open_embedded(tmp_path)
    backup = asyncio.create_task(ledger.backup())
    await asyncio.to_thread(reading.wait, 10)
    await ledger.close()
    with pytest.raises(LedgerUnavailableError):
        await backup
    assert names(tmp_path) == {FILE_NAME}
    with pytest.raises(LedgerUnavailableError):
        await ledger.backup()


async def test_a_disk_that_is_full_fails_the_copy_and_not_the_ledger(
    ledger: EmbeddedLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
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


def test_a_copy_that_is_stopped_leaves_the_one_before(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(b"new")
    destination.write_bytes(b"old")
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(CopyStoppedError):
        copy_file(source, destination, stopped)
    assert destination.read_bytes() == b"old"
    copy_file(source, destination, threading.Event())
    assert destination.read_bytes() == b"new"
    assert names(tmp_path) == {"source", "copy"}
