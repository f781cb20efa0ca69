"""The embedded ledger's file: one SQLite database, held by one process, used from one thread.

Accounts and transfers are kept as the records of the wire. Transfers are keyed by their id with
the most significant byte first: ids begin with a time, so what is sold together lies together. A
transfer that failed for good has an empty record. `due` is when a pending transfer expires; it is
emptied once the transfer is posted, voided or expired, so its index holds only what is open.

A batch is one transaction. The write-ahead log is synced at every commit (`synchronous=FULL`),
because what was acknowledged has to survive a power failure and not only a killed process. One
table of whole records was as fast as an append-only log with an index of ids beside it, and as a
log with the state of holds in a table of its own, so it is the simplest one.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from struct import Struct
from typing import Any, Final, TypeVar

from tigerfans.ledger.base import LedgerOpenError
from tigerfans.ledger.entries import Account, Movement, StoredTransfer

Item = TypeVar("Item")

FILE_NAME: Final = "ledger.sqlite"

# "tfan": tells our files from any other program's SQLite database.
APPLICATION_ID: Final = 0x7466616E
SCHEMA_VERSION: Final = 1

# What SQLite may keep in memory. The hot end of the transfers is far smaller than this.
CACHE_KIB: Final = 64 * 1024

# How many rows one statement reads or writes. Many at once cost half of what they cost one by
# one, and far less where other threads are busy: SQLite gives the interpreter away at each step.
# A few sizes only, so that their statements stay compiled.
_ROWS: Final = (512, 64, 8, 1)

# The credit account and the timestamp of a transfer's record.
_CREDIT: Final = Struct("<32x16s72xQ")

_SCHEMA: Final = (
    "CREATE TABLE clock (timestamp INTEGER NOT NULL)",
    "INSERT INTO clock VALUES (0)",
    "CREATE TABLE accounts (id BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE transfers (id BLOB PRIMARY KEY, record BLOB NOT NULL, state INTEGER NOT NULL,"
    " due INTEGER) WITHOUT ROWID",
    "CREATE INDEX transfers_due ON transfers (due) WHERE due IS NOT NULL",
    # What went to an account, in order of time: the way through all sales of a class.
    "CREATE TABLE credits (account BLOB, timestamp INTEGER, transfer BLOB NOT NULL,"
    " PRIMARY KEY (account, timestamp)) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


class Store:
    """Reads and writes the ledger's file. What SQLite cannot do raises `sqlite3.Error`."""

    def __init__(self, path: Path | None) -> None:
        """Opens or creates the file; None keeps everything in memory and nothing for good.

        Raises `LedgerOpenError` where the file is another program's or of another version.
        """
        # No waiting for a lock: whoever holds the file keeps it for as long as it runs.
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=0)
        try:
            self._open(path)
        except BaseException:
            self._db.close()
            raise

    def _open(self, path: Path | None) -> None:
        # One process at a time: SQLite keeps the first lock it takes until it is closed.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        version = self._version(path)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        if version is None:
            self._db.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
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
        if version != SCHEMA_VERSION:
            raise LedgerOpenError(
                f"{path} is a ledger of version {version},"
                f" this TigerFans reads version {SCHEMA_VERSION}."
            )
        return version

    def close(self) -> None:
        self._db.close()

    def accounts(self) -> dict[bytes, Account]:
        rows = self._db.execute("SELECT record FROM accounts")
        accounts = (Account.unpack(record) for (record,) in rows)
        return {account.id: account for account in accounts}

    def timestamp(self) -> int:
        """The last timestamp the ledger has used, in nanoseconds."""
        return self._scalar("SELECT timestamp FROM clock") or 0

    def next_due(self) -> int | None:
        """When the next pending transfer expires."""
        return self._scalar("SELECT min(due) FROM transfers WHERE due IS NOT NULL")

    def transfers(self, ids: Iterable[bytes]) -> dict[bytes, StoredTransfer]:
        """Those of the ids that are taken."""
        found: dict[bytes, StoredTransfer] = {}
        for keys in _chunks([id_[::-1] for id_ in ids]):
            for transfer in map(_stored, self._db.execute(_select(len(keys)), keys)):
                found[transfer.id] = transfer
        return found

    def due(self, timestamp: int, limit: int) -> list[StoredTransfer]:
        """Up to `limit` of the pending transfers that expire at `timestamp` or before."""
        rows = self._db.execute(
            "SELECT id, record, state, due FROM transfers WHERE due <= ? LIMIT ?",
            (timestamp, limit),
        )
        return list(map(_stored, rows))

    def credits(
        self, account_id: bytes, timestamp_min: int, timestamp_max: int, limit: int
    ) -> list[bytes]:
        """Records of the transfers that credit an account, the oldest first."""
        rows = self._db.execute(
            "SELECT record FROM credits JOIN transfers ON transfers.id = transfer"
            " WHERE account = ? AND timestamp BETWEEN ? AND ? ORDER BY timestamp LIMIT ?",
            (account_id, timestamp_min, timestamp_max, limit),
        )
        return [record for (record,) in rows]

    @contextmanager
    def transaction(self, timestamp: int) -> Iterator[None]:
        """Makes all that is written inside it durable, and `timestamp` used; or none of it."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("UPDATE clock SET timestamp = ?", (timestamp,))
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
        settled: defaultdict[int, list[bytes]] = defaultdict(list)
        for transfer, debit, credit, _, _, hold in journal:
            moved.add(debit)
            moved.add(credit)
            if transfer is not None:
                created.append(transfer)
            if hold is not None:
                settled[hold.state].append(hold.id[::-1])
        rows = [(t.id[::-1], t.record, t.state, t.due) for t in created]
        # In the order of the tree, so that neighbours find their page at hand.
        rows.sort()
        self._insert("transfers", rows)
        self._insert("credits", [_credit(key, record) for key, record, _, _ in rows if record])
        for state, ids in settled.items():
            for keys in _chunks(ids):
                self._db.execute(_settle(len(keys)), [state, *keys])
        self.write_accounts(moved)

    def _insert(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        for chunk in _chunks(rows):
            statement = _insert(table, columns=len(chunk[0]), rows=len(chunk))
            self._db.execute(statement, list(chain.from_iterable(chunk)))

    def _scalar(self, sql: str) -> int | None:
        value: int | None = self._db.execute(sql).fetchone()[0]
        return value


def _stored(row: tuple[bytes, bytes, int, int | None]) -> StoredTransfer:
    key, record, state, due = row
    return StoredTransfer(key[::-1], record, state, due)


def _credit(key: bytes, record: bytes) -> tuple[bytes, int, bytes]:
    """The row of `credits` for a transfer."""
    account, timestamp = _CREDIT.unpack(record)
    return account, timestamp, key


def _chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    start = 0
    for size in _ROWS:
        while len(items) - start >= size:
            yield items[start : start + size]
            start += size


@cache
def _select(ids: int) -> str:
    return f"SELECT id, record, state, due FROM transfers WHERE id IN ({_places(ids)})"  # noqa: S608


@cache
def _insert(table: str, columns: int, rows: int) -> str:
    row = f"({_places(columns)})"
    return f"INSERT INTO {table} VALUES {', '.join([row] * rows)}"  # noqa: S608


@cache
def _settle(ids: int) -> str:
    return f"UPDATE transfers SET state = ?, due = NULL WHERE id IN ({_places(ids)})"  # noqa: S608


def _places(count: int) -> str:
    return ", ".join(["?"] * count)
