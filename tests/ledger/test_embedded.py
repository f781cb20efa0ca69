"""The embedded ledger as the sequencer sees it: its thread, its queue, opening and closing."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.patience import patience
from tests.ledger.by_hand import (
    BUDGET,
    SECOND,
    SOLD,
    BooksByHand,
    Clock,
    account,
    hold,
    transfer,
)
from tigerfans.ledger import books as books_module
from tigerfans.ledger import embedded, open_ledger
from tigerfans.ledger.base import (
    RECORDS_MAX,
    InvalidRecordsError,
    LedgerBusyError,
    LedgerOpenError,
    LedgerTimeoutError,
    LedgerUnavailableError,
    TooManyRecordsError,
)
from tigerfans.ledger.books import Books
from tigerfans.ledger.embedded import EmbeddedLedger, open_embedded, open_in_memory
from tigerfans.ledger.store import FILE_NAME
from tigerfans.ledger.wire import Account, Operation, Result, TransferStatus, u128

ACCOUNTS = account(BUDGET).pack() + account(SOLD).pack()


@pytest.fixture
async def ledger() -> AsyncIterator[EmbeddedLedger]:
    ledger = await open_in_memory()
    await ledger.submit(Operation.CREATE_ACCOUNTS, ACCOUNTS)
    yield ledger
    await ledger.close()


class Gate:
    """Holds the ledger's thread where it is about to execute, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()
        execute = Books.execute

        def gated(books: Books, operation: Operation, records: bytes) -> bytes:
            self.reached.set()
            self._open.wait()
            return execute(books, operation, records)

        monkeypatch.setattr(Books, "execute", gated)

    def open(self) -> None:
        self._open.set()


async def create(ledger: EmbeddedLedger, *ids: int) -> list[TransferStatus]:
    records = b"".join(transfer(id_).pack() for id_ in ids)
    results = await ledger.submit(Operation.CREATE_TRANSFERS, records)
    return [TransferStatus(result.status) for result in Result.unpack_all(results)]


async def held(ledger: EmbeddedLedger) -> int:
    [budget] = Account.unpack_all(await ledger.submit(Operation.LOOKUP_ACCOUNTS, u128(BUDGET)))
    return budget.debits_pending


async def test_the_event_loop_goes_on_while_a_batch_is_applied(
    ledger: EmbeddedLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    batch = asyncio.create_task(create(ledger, 100))
    # Only a loop that runs can see the thread stand at the gate and open it.
    await asyncio.to_thread(gate.reached.wait)
    assert not batch.done()
    gate.open()
    assert await batch == [TransferStatus.CREATED]


async def test_a_cancelled_waiter_does_not_cancel_the_batch_in_flight(
    ledger: EmbeddedLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    waiter = asyncio.create_task(create(ledger, 100))
    await asyncio.to_thread(gate.reached.wait)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    gate.open()
    assert await create(ledger, 100) == [TransferStatus.EXISTS]


async def test_submissions_are_applied_in_the_order_they_came(ledger: EmbeddedLedger) -> None:
    answers = await asyncio.gather(*(create(ledger, 100) for _ in range(5)))
    assert answers == [[TransferStatus.CREATED]] + [[TransferStatus.EXISTS]] * 4


async def test_more_submissions_than_the_bound_are_told_busy_at_once(
    ledger: EmbeddedLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "SUBMISSIONS_MAX", 2)
    gate = Gate(monkeypatch)
    waiting = [asyncio.create_task(create(ledger, id_)) for id_ in (100, 101)]
    await asyncio.to_thread(gate.reached.wait)
    assert "2 submissions" in repr(ledger)
    with pytest.raises(LedgerBusyError):
        await create(ledger, 102)
    gate.open()
    await asyncio.gather(*waiting)
    assert await create(ledger, 102) == [TransferStatus.CREATED]


async def test_closing_lets_the_waiting_finish_and_refuses_the_rest(
    ledger: EmbeddedLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    waiting = asyncio.create_task(create(ledger, 100))
    await asyncio.to_thread(gate.reached.wait)
    closing = asyncio.create_task(ledger.close())
    gate.open()
    await closing
    assert await waiting == [TransferStatus.CREATED]
    with pytest.raises(LedgerUnavailableError):
        await create(ledger, 101)
    await ledger.close()


@pytest.fixture
async def overdue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a ledger that has twenty overdue holds, given back two in a step."""
    monkeypatch.setattr(books_module, "EXPIRE_MAX", 2)
    books = BooksByHand(tmp_path, Clock(time.time_ns() - 3600 * SECOND))
    books.open_shop(tickets=100)
    books.create(*(hold(100 + n, timeout=1) for n in range(20)))
    books.close()
    return tmp_path


async def test_what_is_overdue_at_the_start_is_given_back_while_nobody_asks(
    overdue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = asyncio.Event()
    loop = asyncio.get_running_loop()
    expire = Books.expire

    def expire_and_tell(books: Books) -> None:
        expire(books)
        if not books.is_behind:
            loop.call_soon_threadsafe(idle.set)

    monkeypatch.setattr(Books, "expire", expire_and_tell)
    ledger = await open_embedded(overdue)
    await idle.wait()
    assert await held(ledger) == 0
    await ledger.close()


async def test_a_submission_waits_for_one_step_of_the_expiry_besides_its_own(
    overdue: Path,
) -> None:
    ledger = await open_embedded(overdue)
    assert await held(ledger) >= 16
    await ledger.close()


async def test_an_expiry_that_fails_is_tried_again_with_the_next_submission(
    overdue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(books: Books) -> None:
        error = sqlite3.OperationalError("the disk failed")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Books, "expire", fail)
        ledger = await open_embedded(overdue)
        with pytest.raises(LedgerUnavailableError, match="the disk failed"):
            await create(ledger, 500)
    async with patience():
        while await held(ledger):
            pass
    await ledger.close()


async def test_what_is_not_whole_records_is_refused(ledger: EmbeddedLedger) -> None:
    for records in (b"", bytes(127), bytes(129)):
        with pytest.raises(InvalidRecordsError):
            await ledger.submit(Operation.CREATE_TRANSFERS, records)
    with pytest.raises(TooManyRecordsError):
        await ledger.submit(Operation.LOOKUP_ACCOUNTS, bytes(16) * (RECORDS_MAX + 1))


async def test_the_largest_batch_fits(ledger: EmbeddedLedger) -> None:
    assert ledger.records_max == RECORDS_MAX
    statuses = await create(ledger, *range(1000, 1000 + RECORDS_MAX))
    assert set(statuses) == {TransferStatus.CREATED}


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        (sqlite3.SQLITE_FULL, LedgerUnavailableError),
        (sqlite3.SQLITE_IOERR_WRITE, LedgerUnavailableError),
        # Written but not synced: a crash may yet bring it back.
        (sqlite3.SQLITE_IOERR_FSYNC, LedgerTimeoutError),
    ],
)
async def test_a_failing_disk_is_told_as_what_it_is(
    ledger: EmbeddedLedger, monkeypatch: pytest.MonkeyPatch, code: int, raised: type[Exception]
) -> None:
    def fail(*_: object) -> bytes:
        error = sqlite3.OperationalError("the disk failed")
        error.sqlite_errorcode = code
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Books, "execute", fail)
        with pytest.raises(raised, match="the disk failed"):
            await create(ledger, 100)
    assert await create(ledger, 100) == [TransferStatus.CREATED]


async def test_a_ledger_is_made_with_its_folder_and_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    ledger = await open_embedded(folder)
    await ledger.submit(Operation.CREATE_ACCOUNTS, ACCOUNTS)
    await ledger.close()
    ledger = await open_embedded(folder)
    found = await ledger.submit(Operation.LOOKUP_ACCOUNTS, u128(SOLD) + u128(BUDGET))
    assert len(found) == 2 * 128
    await ledger.close()


async def test_a_second_opening_is_refused_in_one_sentence(tmp_path: Path) -> None:
    ledger = await open_embedded(tmp_path)
    with pytest.raises(LedgerOpenError) as refused:
        await open_embedded(tmp_path)
    assert str(refused.value) == f"{tmp_path / FILE_NAME} is in use by another process."
    await ledger.close()
    await (await open_embedded(tmp_path)).close()


_OPEN_AND_WAIT = """
import asyncio, pathlib, sys
from tigerfans.ledger.embedded import open_embedded

async def main():
    await open_embedded(pathlib.Path(sys.argv[1]))
    print("open", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


async def test_a_ledger_held_by_another_process_is_refused_until_that_is_gone(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(  # noqa: ASYNC220 - the test waits for it on purpose
        [sys.executable, "-c", _OPEN_AND_WAIT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(LedgerOpenError, match="in use by another process"):
            await open_embedded(tmp_path)
        holder.kill()
    await (await open_embedded(tmp_path)).close()


async def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1000)
    with pytest.raises(LedgerOpenError, match="is no ledger"):
        await open_embedded(tmp_path)


async def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("")
    with pytest.raises(LedgerOpenError, match="cannot hold a ledger"):
        await open_embedded(tmp_path / "ledger")


async def test_an_address_opens_the_ledger_it_names(tmp_path: Path) -> None:
    ledger = await open_ledger(f"embedded:{tmp_path}")
    assert ledger.kind == "embedded"
    await ledger.close()
    assert (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize(
    "address",
    ["", "embedded:", "embedded", "tigerbeetle:", "tigerbeetle://", "tigerbeetle://a", "x:/y"],
)
async def test_an_address_that_names_nothing_is_refused(address: str) -> None:
    with pytest.raises(LedgerOpenError, match="embedded:DIR or tigerbeetle://"):
        await open_ledger(address)
