"""The embedded ledger's clock, its expiry, its file, and what a failing disk leaves behind."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.ledger.by_hand import (
    BUDGET,
    SECOND,
    SOLD,
    BooksByHand,
    Clock,
    account,
    hold,
    post,
    transfer,
    void,
)
from tigerfans.ledger import books as books_module
from tigerfans.ledger.base import LedgerOpenError
from tigerfans.ledger.store import FILE_NAME, SCHEMA_VERSION, Store
from tigerfans.ledger.wire import TransferStatus as Status

# While the clock stands still, each event happens a nanosecond after the one before.
MOMENT = 1000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def books(tmp_path: Path, clock: Clock) -> Iterator[BooksByHand]:
    books = BooksByHand(tmp_path, clock)
    books.open_shop(tickets=10)
    yield books
    books.close()


def test_a_hold_can_be_posted_until_the_nanosecond_it_is_due(
    books: BooksByHand, clock: Clock
) -> None:
    held, other = books.submit(hold(100), hold(101))
    clock.now = held.timestamp + 300 * SECOND - 1
    assert books.create(post(102, hold_id=100)) == [Status.CREATED]
    clock.now = other.timestamp + 300 * SECOND
    assert books.create(post(103, hold_id=101)) == [Status.PENDING_TRANSFER_EXPIRED]
    assert books.create(void(104, hold_id=101)) == [Status.PENDING_TRANSFER_EXPIRED]


def test_a_hold_that_comes_due_inside_a_batch_expires_for_the_records_after_it(
    books: BooksByHand, clock: Clock
) -> None:
    (held,) = books.submit(hold(100))
    clock.now = held.timestamp + 300 * SECOND - 1
    assert books.create(transfer(102), post(103, hold_id=100)) == [
        Status.CREATED,
        Status.PENDING_TRANSFER_EXPIRED,
    ]
    assert books.account(BUDGET).debits_pending == 0


def test_what_is_due_is_free_for_the_next_batch(books: BooksByHand, clock: Clock) -> None:
    books.create(*(hold(100 + n) for n in range(10)))
    assert books.create(hold(200)) == [Status.EXCEEDS_CREDITS]
    clock.now += 301 * SECOND
    assert books.create(*(hold(300 + n) for n in range(10))) == [Status.CREATED] * 10


def test_what_is_due_is_free_for_the_next_lookup(books: BooksByHand, clock: Clock) -> None:
    books.create(hold(100, amount=4), hold(101, timeout=0), hold(102, timeout=900))
    clock.now += 301 * SECOND
    assert books.account(BUDGET).debits_pending == 2
    assert books.account(SOLD).credits_pending == 2


def test_many_holds_that_are_due_are_given_back_step_by_step_and_the_oldest_first(
    books: BooksByHand, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books_module, "EXPIRE_MAX", 3)
    books.create(*(hold(100 + n, timeout=300 - n) for n in range(8)))
    clock.now += 301 * SECOND
    assert [books.account(BUDGET).debits_pending for _ in range(4)] == [5, 2, 0, 0]
    clock.step(-3600)
    assert books.account(BUDGET).debits_pending == 0


def test_a_hold_that_waits_to_be_given_back_has_expired_and_holds_its_stock_until_then(
    books: BooksByHand, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books_module, "EXPIRE_MAX", 3)
    books.create(*(hold(100 + n) for n in range(10)))
    clock.now += 301 * SECOND
    assert books.create(post(200, hold_id=109), void(201, hold_id=108), hold(202, amount=4)) == [
        Status.PENDING_TRANSFER_EXPIRED,
        Status.PENDING_TRANSFER_EXPIRED,
        Status.EXCEEDS_CREDITS,
    ]
    assert books.books.is_behind
    while books.books.is_behind:
        books.books.expire()
    assert books.create(hold(203, amount=10)) == [Status.CREATED]


def test_a_settled_hold_does_not_expire(books: BooksByHand, clock: Clock) -> None:
    books.create(hold(100), hold(101), post(102, hold_id=100), void(103, hold_id=101))
    clock.now += 301 * SECOND
    budget = books.account(BUDGET)
    assert (budget.debits_pending, budget.debits_posted) == (0, 1)
    assert books.create(post(104, hold_id=100)) == [Status.PENDING_TRANSFER_ALREADY_POSTED]
    assert books.create(post(105, hold_id=101)) == [Status.PENDING_TRANSFER_ALREADY_VOIDED]


def test_a_hold_lasts_as_long_as_it_is_held_however_the_clock_is_set(
    books: BooksByHand, clock: Clock
) -> None:
    books.create(hold(100))
    clock.now += 100 * SECOND
    clock.step(3600)
    books.create(hold(101))
    assert books.account(BUDGET).debits_pending == 2
    clock.now += 100 * SECOND
    clock.step(-3600)
    books.create(hold(102))
    for pending in (2, 1, 0):
        clock.now += 99 * SECOND
        assert books.account(BUDGET).debits_pending == pending + 1
        clock.now += 1 * SECOND + MOMENT
        assert books.account(BUDGET).debits_pending == pending


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_hold_can_be_posted_until_the_nanosecond_it_is_due_after_the_clock_was_set(
    books: BooksByHand, clock: Clock, seconds: int
) -> None:
    clock.now += 1 * SECOND
    books.create(hold(100))
    clock.step(seconds)
    clock.now += 300 * SECOND - 2
    assert books.create(post(101, hold_id=100)) == [Status.CREATED]
    clock.now += 1 * SECOND
    books.create(hold(200))
    clock.step(seconds)
    clock.now += 300 * SECOND - 1
    assert books.create(transfer(202), post(203, hold_id=200)) == [
        Status.CREATED,
        Status.PENDING_TRANSFER_EXPIRED,
    ]


def test_an_expired_hold_stays_expired_when_the_clock_is_set_back(
    books: BooksByHand, clock: Clock
) -> None:
    books.create(hold(100))
    clock.now += 301 * SECOND
    assert books.account(BUDGET).debits_pending == 0
    clock.step(-3600)
    assert books.create(post(101, hold_id=100)) == [Status.PENDING_TRANSFER_EXPIRED]
    books.reopen()
    assert books.create(post(102, hold_id=100)) == [Status.PENDING_TRANSFER_EXPIRED]
    assert books.account(BUDGET).debits_pending == 0
    books.close()


def test_over_a_restart_a_hold_lasts_as_long_as_the_clock_says(
    books: BooksByHand, clock: Clock, tmp_path: Path
) -> None:
    books.create(hold(100))
    clock.now += 299 * SECOND
    books.reopen()
    assert books.account(BUDGET).debits_pending == 1
    clock.now += 1 * SECOND + MOMENT
    books.reopen()
    assert books.account(BUDGET).debits_pending == 0
    books.close()


def test_over_a_restart_with_the_clock_set_back_no_time_passes_and_then_it_goes_on(
    books: BooksByHand, clock: Clock, tmp_path: Path
) -> None:
    books.create(hold(100))
    clock.now += 100 * SECOND
    books.create(transfer(101))
    books.close()
    clock.step(-3600)
    clock.now += 100 * SECOND
    books = BooksByHand(tmp_path, clock)
    clock.now += 199 * SECOND
    assert books.account(BUDGET).debits_pending == 1
    clock.now += 1 * SECOND + MOMENT
    assert books.account(BUDGET).debits_pending == 0
    books.close()


def test_a_clock_that_was_set_before_a_restart_takes_no_time_from_a_hold(
    books: BooksByHand, clock: Clock, tmp_path: Path
) -> None:
    clock.step(3600)
    books.create(hold(100))
    clock.step(-3600)
    books.create(hold(101))
    books.reopen()
    clock.now += 299 * SECOND
    assert books.account(BUDGET).debits_pending == 2
    clock.now += 1 * SECOND + MOMENT
    assert books.account(BUDGET).debits_pending == 0
    books.close()


def test_timestamps_rise_when_the_clock_is_set_back(books: BooksByHand, clock: Clock) -> None:
    clock.step(3600)
    (before,) = books.submit(transfer(100))
    clock.step(-3600)
    (after,) = books.submit(transfer(101))
    assert after.timestamp == before.timestamp + 1
    clock.now += 3601 * SECOND
    (caught_up,) = books.submit(transfer(102))
    assert caught_up.timestamp == clock.wall()


def test_timestamps_rise_across_a_restart_with_the_clock_set_back(
    books: BooksByHand, clock: Clock
) -> None:
    *_, before = books.submit(transfer(100), transfer(101, code=0))
    clock.step(-3600)
    books.reopen()
    (after,) = books.submit(transfer(102))
    assert after.timestamp == before.timestamp + 1


def as_before(path: Path, version: int) -> None:
    """Gives a file of now the layout of an earlier version."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("""
            ALTER TABLE transfers ADD COLUMN due INTEGER;
            INSERT INTO transfers SELECT id, record, 1, due FROM open;
            CREATE INDEX transfers_due ON transfers (due) WHERE due IS NOT NULL;
            DROP TABLE open;
        """)
        if version == 1:
            db.execute("ALTER TABLE clock DROP COLUMN steady")
        db.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize("version", [1, 2])
def test_a_ledger_of_before_is_carried_over_with_its_holds(
    books: BooksByHand, clock: Clock, tmp_path: Path, version: int
) -> None:
    books.create(hold(100), hold(101), hold(102, timeout=0), hold(103, timeout=0))
    books.create(post(110, hold_id=101), transfer(111, amount=99))
    records = books.transfers(100, 101, 102, 103, 110)
    books.close()
    as_before(tmp_path / FILE_NAME, version)
    clock.now += 299 * SECOND
    books = BooksByHand(tmp_path, clock)
    assert books.transfers(100, 101, 102, 103, 110) == records
    assert books.account(BUDGET).debits_pending == 3
    assert books.create(
        post(112, hold_id=101), transfer(111), void(113, hold_id=102), hold(104), hold(100)
    ) == [
        Status.PENDING_TRANSFER_ALREADY_POSTED,
        Status.ID_ALREADY_FAILED,
        Status.CREATED,
        Status.CREATED,
        Status.EXISTS,
    ]
    clock.now += 1 * SECOND + MOMENT
    assert books.account(BUDGET).debits_pending == 2
    books.reopen()
    assert books.create(post(105, hold_id=100), post(106, hold_id=102), post(107, hold_id=103)) == [
        Status.PENDING_TRANSFER_EXPIRED,
        Status.PENDING_TRANSFER_ALREADY_VOIDED,
        Status.CREATED,
    ]
    books.close()


def test_everything_is_there_after_a_restart(books: BooksByHand) -> None:
    books.create(hold(100), hold(101), post(102, hold_id=100), transfer(103, amount=99))
    budget, records = books.account(BUDGET), books.transfers(100, 101, 102)
    books.reopen()
    assert books.account(BUDGET) == budget
    assert books.transfers(100, 101, 102, 103) == records
    assert books.create(transfer(103)) == [Status.ID_ALREADY_FAILED]
    assert books.create(post(104, hold_id=100)) == [Status.PENDING_TRANSFER_ALREADY_POSTED]
    books.clock.now += 301 * SECOND
    assert books.account(BUDGET).debits_pending == 0


def test_a_batch_of_any_size_is_stored_whole(books: BooksByHand) -> None:
    books.create(transfer(2, debit_account_id=11, credit_account_id=BUDGET, amount=10**6))
    # Just below and above each number of rows that one statement takes.
    next_id = 10_000
    for size in (1, 2, 7, 8, 9, 63, 65, 511, 513, 1199):
        ids = range(next_id, next_id + size)
        next_id += size
        assert set(books.create(*map(hold, ids))) == {Status.CREATED}
        assert [t.id for t in books.transfers(*ids)] == list(ids)
        settle = [post(id_ + 100_000, hold_id=id_) for id_ in ids]
        assert set(books.create(*settle)) == {Status.CREATED}
    assert books.account(BUDGET).debits_pending == 0


@contextmanager
def no_file_grows_beyond(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_batch_that_cannot_be_written_changes_nothing_and_the_next_one_works(
    books: BooksByHand, tmp_path: Path
) -> None:
    books.create(hold(100))
    budget = books.account(BUDGET)
    log = tmp_path / f"{FILE_NAME}-wal"
    with no_file_grows_beyond(log.stat().st_size):
        with pytest.raises(sqlite3.OperationalError):
            books.create(hold(101), post(102, hold_id=100))
        with pytest.raises(sqlite3.OperationalError):
            books.create_accounts(account(50))
        assert books.account(BUDGET) == budget
        assert [t.id for t in books.transfers(100, 101, 102)] == [100]
    assert books.create(hold(101), post(102, hold_id=100)) == [Status.CREATED] * 2
    assert books.create(transfer(103, credit_account_id=50)) == [Status.CREDIT_ACCOUNT_NOT_FOUND]
    budget = books.account(BUDGET)
    books.reopen()
    assert books.account(BUDGET) == budget


def test_an_expiry_that_cannot_be_written_is_made_up_for(
    books: BooksByHand, clock: Clock, tmp_path: Path
) -> None:
    books.create(hold(100))
    clock.now += 301 * SECOND
    log = tmp_path / f"{FILE_NAME}-wal"
    with no_file_grows_beyond(log.stat().st_size), pytest.raises(sqlite3.OperationalError):
        books.account(BUDGET)
    assert books.account(BUDGET).debits_pending == 0


def test_a_ledger_of_another_version_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    Store(path).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(LedgerOpenError) as refused:
        Store(path)
    assert str(refused.value) == (
        f"{path} is a ledger of version {SCHEMA_VERSION + 1},"
        f" this TigerFans reads version {SCHEMA_VERSION}."
    )


def test_another_programs_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE cats (name TEXT)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(LedgerOpenError, match="belongs to another program"):
        Store(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]
