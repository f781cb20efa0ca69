"""What an account has: JSON objects by kind and id, in memory, and in SQLite where there is a file.

All that one request changes is committed at once, so that a killed server has done it or has not.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import orjson

Thing = dict[str, Any]

_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS things (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        body BLOB NOT NULL,
        UNIQUE (kind, id)
    ) STRICT
"""
_PUT: Final = """
    INSERT INTO things (kind, id, body) VALUES (?, ?, ?)
    ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body
"""


class Store:
    """Objects keep the order in which they came."""

    def __init__(self, path: Path | None = None) -> None:
        self._things: dict[str, dict[str, Thing]] = {}
        self._changed: dict[tuple[str, str], Thing | None] = {}
        # A file is enough against a kill of the process; the disk is not waited for.
        self._file = None if path is None else sqlite3.connect(path, isolation_level=None)
        if self._file is not None:
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.execute(_SCHEMA)
            for kind, identifier, body in self._file.execute(
                "SELECT kind, id, body FROM things ORDER BY number"
            ):
                self._of(kind)[identifier] = orjson.loads(body)

    def put(self, kind: str, identifier: str, thing: Thing) -> None:
        self._of(kind)[identifier] = thing
        self._changed[kind, identifier] = thing

    def remove(self, kind: str, identifier: str) -> None:
        self._of(kind).pop(identifier, None)
        self._changed[kind, identifier] = None

    def find(self, kind: str, identifier: str) -> Thing | None:
        return self._of(kind).get(identifier)

    def get(self, kind: str, identifier: str) -> Thing:
        return self._of(kind)[identifier]

    def all(self, kind: str) -> Iterable[Thing]:
        """The oldest first."""
        return self._of(kind).values()

    def newest(self, kind: str) -> Iterable[Thing]:
        return reversed(self._of(kind).values())

    def commit(self) -> None:
        """Makes durable what was changed since the last time."""
        if self._file is not None and self._changed:
            self._file.execute("BEGIN")
            for (kind, identifier), thing in self._changed.items():
                if thing is None:
                    self._file.execute(
                        "DELETE FROM things WHERE kind = ? AND id = ?", (kind, identifier)
                    )
                else:
                    self._file.execute(_PUT, (kind, identifier, orjson.dumps(thing)))
            self._file.execute("COMMIT")
        self._changed.clear()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _of(self, kind: str) -> dict[str, Thing]:
        return self._things.setdefault(kind, {})
