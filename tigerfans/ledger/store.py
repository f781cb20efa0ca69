"""The embedded ledger's file: one SQLite database, held by one process, used from one thread.

Whoever has it open is the only one who may: nothing in this process but SQLite ever opens the file
(`lock` says why), and the lock on its folder keeps other processes away.

Accounts and transfers are kept as the records of the wire. Transfers are keyed by their id with
the most significant byte first, so those of one order lie together, and where ids begin with a time
what is sold together does. A transfer that failed for good has an empty record. Pending ones are in
a table of their own, `open`, with when they expire, in steady time (`clock`); once one is posted,
voided or expired it goes to the others.

Ids that derive from keys come in random order, so an order touches a page anywhere in the tree of
all transfers, and to write such a page costs more than all that is done in it. As a hold joins them
together with its sale, an order touches that page once and not twice.

A batch is one transaction. The write-ahead log is synced at every commit (`synchronous=FULL`),
because what was acknowledged has to survive a power failure and not only a killed process.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from itertools import chain, dropwhile, islice, takewhile
from operator import itemgetter
from pathlib import Path
from struct import Struct
from typing import Final, TypeVar

from tigerfans.ledger.base import LedgerOpenError
from tigerfans.ledger.clock import Moment
from tigerfans.ledger.entries import Account, Movement, State, StoredTransfer
from tigerfans.ledger.lock import FolderLock

Item = TypeVar("Item")

FILE_NAME: Final = "ledger.sqlite"

# "tfan": tells our files from any other program's SQLite database.
APPLICATION_ID: Final = 0x7466616E
SCHEMA_VERSION: Final = 3

# What SQLite may keep in memory: all but the leaves of a tree of some million transfers. A leaf is
# seldom wanted again, and the system keeps it as well: with eight times as much an order cost a
# quarter more.
CACHE_KIB: Final = 8 * 1024

# How long the write-ahead log gets before it is put into the main file: SQLite's own default.
CHECKPOINT_PAGES: Final = 1000

# How many rows one statement reads or writes. Many at once cost half of what they cost one by
# one, and far less where other threads are busy: SQLite gives the interpreter away at each step.
# A few sizes only, so that their statements stay compiled.
_ROWS: Final = (512, 64, 8, 1)

# A transfer in `credits`: its timestamp, which is the end of its record, and its id.
_CREDIT: Final = Struct("<Q16s")
_TIMESTAMP_SIZE: Final = 8

_PENDING: Final = int(State.PENDING)

_OPEN: Final = (
    "CREATE TABLE open (id BLOB PRIMARY KEY, record BLOB NOT NULL, due INTEGER) WITHOUT ROWID",
    "CREATE INDEX open_due ON open (due) WHERE due IS NOT NULL",
)
_SCHEMA: Final = (
    # The last moment that was used.
    "CREATE TABLE clock (timestamp INTEGER NOT NULL, steady INTEGER NOT NULL)",
    "INSERT INTO clock VALUES (0, 0)",
    "CREATE TABLE accounts (id BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE transfers (id BLOB PRIMARY KEY, record BLOB NOT NULL, state INTEGER NOT NULL)"
    " WITHOUT ROWID",
    *_OPEN,
    # What went to an account, in order of time: the way through all sales of a class. One row
    # for all that a batch credits an account with, by the last one's timestamp, because a row for
    # each transfer takes a fifth of the time of creating it.
    "CREATE TABLE credits (account BLOB, last INTEGER, transfers BLOB NOT NULL,"
    " PRIMARY KEY (account, last)) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
# What makes a file of each earlier version one of the next.
_UPGRADES: Final = {
    # Holds were due by the timestamps, so steady time begins as the same.
    1: (
        "ALTER TABLE clock ADD COLUMN steady INTEGER NOT NULL DEFAULT 0",
        "UPDATE clock SET steady = timestamp",
        "PRAGMA user_version = 2",
    ),
    # A column is left that nobody reads, and pending transfers that never expire stay where they
    # are until they are posted or voided: no other could be found without reading all there are.
    2: (
        *_OPEN,
        "INSERT INTO open SELECT id, record, due FROM transfers WHERE due IS NOT NULL",
        "DELETE FROM transfers WHERE due IS NOT NULL",
        "DROP INDEX transfers_due",
        "PRAGMA user_version = 3",
    ),
}


class Store:
    """Reads and writes the ledger's file. What SQLite cannot do raises `sqlite3.Error`."""

    def __init__(self, path: Path | None) -> None:
        """Opens or creates the file; None keeps everything in memory and nothing for good.

        Raises `LedgerOpenError` where another process has the folder, or where the file is another
        program's or of another version.
        """
        with ExitStack() as opened:
            if path is not None:
                opened.callback(FolderLock(path).release)
            # No waiting for a lock: whoever holds the file keeps it for as long as it runs.
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=0)
            opened.callback(self._db.close)
            self._prepare(path)
            self._opened = opened.pop_all()

    def _prepare(self, path: Path | None) -> None:
        # One process at a time: SQLite keeps the first lock it takes until it is closed.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        version = self._version(path)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        if version is None:
            self._execute_all(_SCHEMA)
        else:
            for earlier in range(version, SCHEMA_VERSION):
                self._execute_all(_UPGRADES[earlier])

    def _execute_all(self, statements: Iterable[str]) -> None:
        """All of them, or none; who opened the file closes it where that fails."""
        self._db.execute("BEGIN IMMEDIATE")
        for statement in statements:
            self._db.execute(statement)
        self._db.execute("COMMIT")

    def _version(self, path: Path | None) -> int | None:
        """The file's schema version, None for a new file; raises where it is not ours."""
        application_id = self._scalar("PRAGMA application_id")
        version = self._scalar("PRAGMA user_version")
        if not (application_id or version or self._scalar("SELECT count(*) FROM sqlite_schema")):
            return None
        if application_id != APPLICATION_ID:
            raise LedgerOpenError(f"{path} belongs to another program, it is no ledger.")
        if version not in (*_UPGRADES, SCHEMA_VERSION):
            raise LedgerOpenError(
                f"{path} is a ledger of version {version},"
                f" this TigerFans reads version {SCHEMA_VERSION}."
            )
        return version

    def close(self) -> None:
        self._opened.close()

    def freeze(self) -> None:
        """Puts all there is into the main file and leaves that alone, until `thaw`.

        Batches go on into the write-ahead log, which grows meanwhile.
        """
        busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("the write-ahead log cannot be emptied")
        self._db.execute("PRAGMA wal_autocheckpoint = 0")

    def thaw(self) -> None:
        """Lets the log be put into the main file again."""
        self._db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")

    def accounts(self) -> dict[bytes, Account]:
        rows = self._db.execute("SELECT record FROM accounts")
        accounts = (Account.unpack(record) for (record,) in rows)
        return {account.id: account for account in accounts}

    def last_moment(self) -> Moment:
        """The last moment the ledger has used."""
        return Moment(*self._db.execute("SELECT timestamp, steady FROM clock").fetchone())

    def next_due(self) -> int | None:
        """When the next pending transfer expires, in steady time."""
        return self._scalar("SELECT min(due) FROM open WHERE due IS NOT NULL")

    def transfers(self, ids: Iterable[bytes]) -> dict[bytes, StoredTransfer]:
        """Those of the ids that are taken."""
        found: dict[bytes, StoredTransfer] = {}
        for keys in _chunks([id_[::-1] for id_ in ids]):
            for transfer in map(_stored, self._db.execute(_select(len(keys)), keys)):
                found[transfer.id] = transfer
        return found

    def due(self, steady: int, limit: int) -> list[StoredTransfer]:
        """Up to `limit` of the pending transfers that expire at `steady` or before."""
        rows = self._db.execute(
            f"SELECT id, record, {_PENDING}, due FROM open WHERE due <= ? ORDER BY due LIMIT ?",  # noqa: S608
            (steady, limit),
        )
        return list(map(_stored, rows))

    def credits(
        self, account_id: bytes, timestamp_min: int, timestamp_max: int, limit: int
    ) -> list[bytes]:
        """Records of the transfers that credit an account, the oldest first."""
        query = "SELECT transfers FROM credits WHERE account = ? AND last >= ? ORDER BY last"
        with closing(self._db.execute(query, (account_id, timestamp_min))) as rows:
            credits_ = chain.from_iterable(_CREDIT.iter_unpack(batch) for (batch,) in rows)
            since = dropwhile(lambda credit: credit[0] < timestamp_min, credits_)
            until = takewhile(lambda credit: credit[0] <= timestamp_max, since)
            ids = [id_ for _, id_ in islice(until, limit)]
        found = self.transfers(ids)
        return [found[id_].record for id_ in ids]

    @contextmanager
    def transaction(self, moment: Moment) -> Iterator[None]:
        """Makes all that is written inside it durable, and `moment` used; or none of it."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("UPDATE clock SET timestamp = ?, steady = ?", moment)
            self._db.execute("COMMIT")
        except BaseException:
            # Some errors have made SQLite roll back by itself.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def write_accounts(self, accounts: Iterable[Account]) -> None:
        self._db.executemany(
            "INSERT INTO accounts VALUES (?, ?)"
            " ON CONFLICT (id) DO UPDATE SET record = excluded.record",
            [(account.id[::-1], account.pack()) for account in accounts],
        )

    def write_transfers(self, journal: Iterable[Movement], burnt: Iterable[StoredTransfer]) -> None:
        """Writes what a batch did: its journal, and the ids that failed for good."""
        moved: set[Account] = set()
        created = list(burnt)
        credited: defaultdict[bytes, list[StoredTransfer]] = defaultdict(list)
        settled: list[StoredTransfer] = []
        for transfer, debit, credit, _, _, hold in journal:
            moved.add(debit)
            moved.add(credit)
            if transfer is not None:
                created.append(transfer)
                credited[credit.id].append(transfer)
            if hold is not None:
                settled.append(hold)
        # What was settled by the same batch was never open.
        self._write(_insert_open, [(t.id[::-1], t.record, t.due) for t in created if _is_open(t)])
        self._write(_insert, [(t.id[::-1], t.record, t.state) for t in created if not _is_open(t)])
        self._write(_delete_open, [(t.id[::-1],) for t in settled])
        self._write(_settle, [(t.id[::-1], t.record, t.state) for t in settled])
        self._db.executemany("INSERT INTO credits VALUES (?, ?, ?)", _credits(credited))
        self.write_accounts(moved)

    def _write(self, statement: Callable[[int], str], rows: list[tuple[object, ...]]) -> None:
        """Runs a statement over rows that begin with their key."""
        # In the order of the tree, so that neighbours find their page at hand.
        rows.sort(key=itemgetter(0))
        for chunk in _chunks(rows):
            self._db.execute(statement(len(chunk)), list(chain.from_iterable(chunk)))

    def _scalar(self, sql: str) -> int | None:
        value: int | None = self._db.execute(sql).fetchone()[0]
        return value


def _stored(row: tuple[bytes, bytes, int, int | None]) -> StoredTransfer:
    key, record, state, due = row
    return StoredTransfer(key[::-1], record, state, due)


def _credits(
    credited: Mapping[bytes, list[StoredTransfer]],
) -> Iterator[tuple[bytes, int, bytes]]:
    """The rows of `credits` for what a batch created, by credit account."""
    for account_id, transfers in credited.items():
        packed = b"".join([t.record[-_TIMESTAMP_SIZE:] + t.id for t in transfers])
        last, _ = _CREDIT.unpack(packed[-_CREDIT.size :])
        yield account_id, last, packed


def _chunks(items: list[Item]) -> Iterator[list[Item]]:
    start = 0
    for size in _ROWS:
        while len(items) - start >= size:
            yield items[start : start + size]
            start += size


def _is_open(transfer: StoredTransfer) -> bool:
    return transfer.state == _PENDING


@cache
def _select(ids: int) -> str:
    # By their numbers, for each is there twice.
    asked = ", ".join(f"?{number}" for number in range(1, ids + 1))
    return f"""
        SELECT id, record, {_PENDING}, due FROM open WHERE id IN ({asked})
        UNION ALL
        SELECT id, record, state, NULL FROM transfers WHERE id IN ({asked})
    """  # noqa: S608


@cache
def _insert_open(rows: int) -> str:
    return f"INSERT INTO open VALUES {_rows(rows, 3)}"  # noqa: S608


@cache
def _delete_open(ids: int) -> str:
    return f"DELETE FROM open WHERE id IN ({_places(ids)})"  # noqa: S608


@cache
def _insert(rows: int) -> str:
    return f"INSERT INTO transfers (id, record, state) VALUES {_rows(rows, 3)}"  # noqa: S608


@cache
def _settle(rows: int) -> str:
    return f"{_insert(rows)} ON CONFLICT (id) DO UPDATE SET state = excluded.state"


def _rows(count: int, columns: int) -> str:
    return ", ".join([f"({_places(columns)})"] * count)


def _places(count: int) -> str:
    return ", ".join(["?"] * count)
