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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tigerfans.ledger.base import LedgerOpenError
from tigerfans.ledger.entries import Account, Movement, StoredTransfer

FILE_NAME: Final = "ledger.sqlite"

# "tfan": tells our files from any other program's SQLite database.
APPLICATION_ID: Final = 0x7466616E
SCHEMA_VERSION: Final = 1

# What SQLite may keep in memory. The hot end of the transfers is far smaller than this.
CACHE_KIB: Final = 64 * 1024

# How many ids one query asks for: many, so that its own cost vanishes, or few, so that a lone
# request does not fill hundreds of places. Two texts only, so that both stay compiled.
_QUERY_IDS_MAX: Final = 512
_QUERY_IDS_FEW: Final = 16

_SCHEMA: Final = (
    "CREATE TABLE clock (timestamp INTEGER NOT NULL)",
    "INSERT INTO clock VALUES (0)",
    "CREATE TABLE accounts (id BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE transfers (id BLOB PRIMARY KEY, record BLOB NOT NULL, state INTEGER NOT NULL,"
    " due INTEGER) WITHOUT ROWID",
    "CREATE INDEX transfers_due ON transfers (due) WHERE due IS NOT NULL",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


class Store:
    """Reads and writes the ledger's file. Errors after opening are `sqlite3.Error`."""

    def __init__(self, path: Path | None) -> None:
        """Opens or creates the file; None keeps everything in memory and nothing durable.

        Raises `LedgerOpenError` where the file is held by another process, is of another version
        or is no ledger.
        """
        try:
            self._db = _connect(path)
        except sqlite3.Error as error:
            raise LedgerOpenError(_explain(path, error)) from error

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
        keys = [id_[::-1] for id_ in ids]
        found: dict[bytes, StoredTransfer] = {}
        while keys:
            size = _QUERY_IDS_MAX if len(keys) > _QUERY_IDS_FEW else _QUERY_IDS_FEW
            chunk, keys = keys[:size], keys[size:]
            chunk += chunk[-1:] * (size - len(chunk))
            for key, record, state, due in self._db.execute(_SELECT[size], chunk):
                id_ = key[::-1]
                found[id_] = StoredTransfer(id_, record, state, due)
        return found

    def due(self, timestamp: int, limit: int) -> list[StoredTransfer]:
        """Up to `limit` of the pending transfers that expire at `timestamp` or before."""
        rows = self._db.execute(
            "SELECT id, record, state, due FROM transfers WHERE due <= ? LIMIT ?",
            (timestamp, limit),
        )
        return [StoredTransfer(key[::-1], record, state, due) for key, record, state, due in rows]

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
        settled = []
        for transfer, debit, credit, _, _, hold in journal:
            moved.add(debit)
            moved.add(credit)
            if transfer is not None:
                created.append(transfer)
            if hold is not None:
                settled.append((hold.state, hold.id[::-1]))
        rows = [(t.id[::-1], t.record, t.state, t.due) for t in created]
        # In the order of the tree, so that neighbours find their page at hand.
        rows.sort()
        self._db.executemany("INSERT INTO transfers VALUES (?, ?, ?, ?)", rows)
        self._db.executemany("UPDATE transfers SET state = ?, due = NULL WHERE id = ?", settled)
        self.write_accounts(moved)

    def _scalar(self, sql: str) -> int | None:
        value: int | None = self._db.execute(sql).fetchone()[0]
        return value


_SELECT: Final = {
    size: "SELECT id, record, state, due FROM transfers WHERE id IN (" + "?, " * (size - 1) + "?)"
    for size in (_QUERY_IDS_FEW, _QUERY_IDS_MAX)
}


def _connect(path: Path | None) -> sqlite3.Connection:
    # No waiting for a lock: whoever holds the file keeps it for as long as it runs.
    db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=0)
    try:
        # One process at a time. SQLite keeps the lock of the first access until it is closed.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        fresh = _check_schema(db, path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        if fresh:
            db.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                db.execute(statement)
            db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


def _check_schema(db: sqlite3.Connection, path: Path | None) -> bool:
    """Whether the file is a new one; raises where it is not ours or of another version."""
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if not (tables or application_id or version):
        return True
    if application_id != APPLICATION_ID:
        raise LedgerOpenError(f"{path} is another program's database, not a ledger.")
    if version != SCHEMA_VERSION:
        raise LedgerOpenError(
            f"{path} is a ledger of version {version}, this TigerFans reads {SCHEMA_VERSION}."
        )
    return False


def _explain(path: Path | None, error: sqlite3.Error) -> str:
    match error.sqlite_errorcode:
        case sqlite3.SQLITE_BUSY:
            return f"{path} is in use by another process."
        case sqlite3.SQLITE_NOTADB:
            return f"{path} is not a ledger."
        case _:
            return f"{path} cannot be opened: {error}."
