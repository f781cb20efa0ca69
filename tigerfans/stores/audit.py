"""The audit: who did what to the shop, and when. A row is written and never changed.

What is written down is what was done, or what somebody set out to do, never what was refused; what
came to nothing after it was written down has a row that says so. Where the deed itself is a row of
PostgreSQL, `note` writes on its connection, in its transaction, so that there is neither without
the other.
"""

import os
import pwd
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg

from tigerfans.booking.ids import OrderId
from tigerfans.stores.database import Database

# Longer words are cut.
WORDS_CHARACTERS_MAX: Final = 500
# Linux' number of the user who logged in, or this one.
LOGGED_IN: Final = Path("/proc/self/loginuid")
NOBODY_LOGGED_IN: Final = 2**32 - 1

_COLUMNS: Final = "id, at, by, what, order_id, detail"
_NOTE: Final = "INSERT INTO audit (by, what, order_id, detail) VALUES ($1, $2, $3, $4)"
_PAGE: Final = f"""
    SELECT {_COLUMNS} FROM audit WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2
"""  # noqa: S608
_OF_ORDER: Final = f"SELECT {_COLUMNS} FROM audit WHERE order_id = $1 ORDER BY id"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that was done: `what` in a few words, such as "Mail sent again"; `number` is larger
    than that of each that was written down before.
    """

    number: int
    at: datetime
    by: str
    what: str
    order_id: OrderId | None
    detail: str


async def note(
    connection: asyncpg.Connection,
    by: str,
    what: str,
    order_id: OrderId | None = None,
    detail: str = "",
) -> None:
    """Writes a deed down, in the transaction that the connection is in."""
    of_order = None if order_id is None else order_id.hex_digits
    await connection.execute(_NOTE, _cut(by), _cut(what), of_order, _cut(detail))


class Audit:
    """The deeds that are written down; each method raises `UnavailableError` without PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(
        self, by: str, what: str, order_id: OrderId | None = None, detail: str = ""
    ) -> None:
        """Writes a deed down, durably."""
        async with self._database.connection(writes=True) as connection:
            await note(connection, by, what, order_id, detail)

    async def page(self, before: int | None, limit: int) -> list[Deed]:
        """The latest deeds, or those before the one of a number; the newest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_PAGE, before, limit)
        return [_read(row) for row in rows]

    async def of_order(self, order_id: OrderId) -> list[Deed]:
        """What was done to one order, the oldest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_OF_ORDER, order_id.hex_digits)
        return [_read(row) for row in rows]


def system_user() -> str:
    """Who acts at the command line, by the system's name, or by the number without one.

    That is who has logged in to the system, where it knows, whomever they have become since: the
    shop's commands run as the shop's own user.
    """
    user = os.geteuid()
    with suppress(OSError, ValueError):
        logged_in = int(LOGGED_IN.read_text())
        user = user if logged_in == NOBODY_LOGGED_IN else logged_in
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _cut(text: str) -> str:
    # PostgreSQL takes no such character in a text.
    text = text.replace("\0", "")
    return text if len(text) <= WORDS_CHARACTERS_MAX else text[: WORDS_CHARACTERS_MAX - 1] + "…"


def _read(row: asyncpg.Record) -> Deed:
    order_id = None if row["order_id"] is None else OrderId.of_uuid(row["order_id"])
    return Deed(row["id"], row["at"], row["by"], row["what"], order_id, row["detail"])
