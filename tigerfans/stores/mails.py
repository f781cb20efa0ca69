"""The outbox of mails to buyers: queued with what they tell of, sent once, for a day, by the clerk.

A mail is a row, written by the very statement that stores what it tells of (`queueing`), so that
neither is ever there without the other. Its key is order, kind and number: at most one mail of each
there is, however often an outcome is told. Whoever sends one takes a lease on it first, by moving
its next attempt into the future; so several clerks share the outbox, and one that dies only delays
what it had.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

import asyncpg

from tigerfans.booking.ids import OrderId
from tigerfans.stores.audit import note
from tigerfans.stores.database import Database
from tigerfans.stores.postgresql_primary import Primary

# More than it takes to send what is leased at a time: `mail.sending` sees to that.
LEASE_SECONDS: Final = 90
# The pause before the next attempt doubles from the first to the second.
PAUSE_SECONDS_MIN: Final = 30
PAUSE_SECONDS_MAX: Final = 3_600
# From its first failure on; a mail that only waits for its turn is given up by nobody.
GIVE_UP_AFTER: Final = timedelta(hours=24)
ERROR_CHARACTERS_MAX: Final = 500
# Further than this nobody counts what waits.
COUNT_MAX: Final = 100_000


class MailKind(StrEnum):
    """What a mail tells of. Its number is 0; of those that are asked for it is which one, and of a
    refund the first of the tickets that were given back with it.
    """

    TICKETS = "tickets"
    REFUND_DUE = "refund_due"
    REFUNDED = "refunded"
    AGAIN = "again"


def queueing(rows: str, kind: str, number: str = "0") -> str:
    """SQL that queues a mail for each of the `rows`, what may stand behind FROM, with an `id`.

    It is for the WITH of the statement that stores what the mail tells of. `kind` and `number` are
    SQL, too, of a row.
    """
    return f"""
        INSERT INTO mails (order_id, kind, number) SELECT id, {kind}, {number} FROM {rows}
        ON CONFLICT DO NOTHING
    """  # noqa: S608


class MailKey(NamedTuple):
    order_id: OrderId
    kind: MailKind
    number: int = 0


@dataclass(frozen=True, slots=True)
class DueMail:
    """A mail that is to be sent; it was queued at `created_at`."""

    key: MailKey
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredMail:
    """A mail and what became of it: it was sent, given up, or is to be tried again."""

    key: MailKey
    created_at: datetime
    next_attempt_at: datetime
    attempts: int
    last_error: str
    sent_at: datetime | None
    sent_to: str
    gave_up_at: datetime | None


class MailCounts(NamedTuple):
    """How many mails wait to be sent, those that failed before included; how many of them failed,
    and how many were given up. None of them is counted further than `COUNT_MAX`.
    """

    waiting: int
    failing: int
    given_up: int


class OutboxLook(NamedTuple):
    """What waits, and how long the oldest of it has been due."""

    counts: MailCounts
    oldest_waits: timedelta


_IS_WAITING: Final = "sent_at IS NULL AND gave_up_at IS NULL"
_IS_KEY: Final = "order_id = $1 AND kind = $2 AND number = $3"
_LEASE: Final = f"""
    WITH due AS MATERIALIZED (
        SELECT order_id, kind, number FROM mails
        WHERE {_IS_WAITING} AND next_attempt_at <= now()
        ORDER BY next_attempt_at
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    )
    UPDATE mails SET next_attempt_at = now() + make_interval(secs => $1) FROM due
    WHERE (mails.order_id, mails.kind, mails.number) = (due.order_id, due.kind, due.number)
    RETURNING mails.order_id, mails.kind, mails.number, mails.created_at
"""  # noqa: S608
_SENT: Final = f"""
    UPDATE mails SET sent_at = now(), sent_to = $4, attempts = attempts + 1, last_error = ''
    WHERE {_IS_KEY}
"""  # noqa: S608
_FAILED: Final = f"""
    UPDATE mails
    SET attempts = attempts + 1, last_error = $4, failing_since = coalesce(failing_since, now()),
        gave_up_at = CASE WHEN $5 OR failing_since < now() - $8::interval THEN now() END,
        next_attempt_at = now() + make_interval(
            secs => least($6 * power(2, least(attempts, 30)), $7) * (0.75 + random() / 2))
    WHERE {_IS_KEY}
"""  # noqa: S608
_PUT_BACK: Final = """
    UPDATE mails SET next_attempt_at = now()
    FROM unnest($1::uuid[], $2::text[], $3::int2[]) AS kept (order_id, kind, number)
    WHERE (mails.order_id, mails.kind, mails.number) = (kept.order_id, kept.kind, kept.number)
        AND sent_at IS NULL
"""
# As if it had never been tried; what was sent stays so.
TRY_AGAIN: Final = """
    UPDATE mails
    SET next_attempt_at = now(), failing_since = NULL, gave_up_at = NULL, attempts = 0
    WHERE sent_at IS NULL AND attempts > 0
"""
# A mail that waits already is as good as another one.
_ASK_AGAIN: Final = f"""
    INSERT INTO mails (order_id, kind, number)
    SELECT id, 'again', (
        SELECT count(*) FROM mails WHERE order_id = orders.id AND kind = 'again'
    ) FROM orders
    WHERE id = $1 AND status = 'PAID' AND NOT EXISTS (
        SELECT FROM mails
        WHERE order_id = orders.id AND kind IN ('tickets', 'again') AND {_IS_WAITING}
    )
    ON CONFLICT DO NOTHING
"""  # noqa: S608
_HAS_WAITING: Final = f"SELECT EXISTS (SELECT FROM mails WHERE order_id = $1 AND {_IS_WAITING})"  # noqa: S608
_COLUMNS: Final = """
    order_id, kind, number, created_at, next_attempt_at, attempts, last_error, sent_at, sent_to,
    gave_up_at
"""
# In words of the partial index `mails_undelivered`.
_IS_UNDELIVERED: Final = "sent_at IS NULL AND attempts > 0"


def _capped(condition: str) -> str:
    inside = f"SELECT FROM mails WHERE {condition} LIMIT {COUNT_MAX}"
    return f"(SELECT count(*) FROM ({inside}) AS capped)"  # noqa: S608


_COUNTS: Final = f"""
    SELECT {_capped(_IS_WAITING)}, {_capped(f"{_IS_UNDELIVERED} AND gave_up_at IS NULL")},
        {_capped(f"{_IS_UNDELIVERED} AND gave_up_at IS NOT NULL")}
"""
_OLDEST_WAITS: Final = f"""
    SELECT coalesce(now() - min(next_attempt_at), interval '0') FROM mails WHERE {_IS_WAITING}
"""  # noqa: S608


class Mails:
    """The stored mails; every method raises `UnavailableError` without PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lease(self, limit: int) -> list[DueMail]:
        """Up to `limit` mails that are due; nobody else gets them for `LEASE_SECONDS`."""
        async with self._database.connection(writes=True) as connection:
            rows = await connection.fetch(_LEASE, LEASE_SECONDS, limit)
        return [DueMail(_key(row), row["created_at"]) for row in rows]

    async def sent(self, key: MailKey, address: str) -> None:
        async with self._database.connection(writes=True) as connection:
            await connection.execute(_SENT, *_values(key), address)

    async def failed(self, key: MailKey, error: str, *, is_final: bool = False) -> None:
        """Not sent. The next attempt comes after a growing pause, unless the failure is final or
        the mail has failed for a day: then it is given up.
        """
        async with self._database.connection(writes=True) as connection:
            await connection.execute(
                _FAILED,
                *_values(key),
                error[:ERROR_CHARACTERS_MAX],
                is_final,
                PAUSE_SECONDS_MIN,
                PAUSE_SECONDS_MAX,
                GIVE_UP_AFTER,
            )

    async def drop(self, key: MailKey) -> None:
        """There is nothing to say any more."""
        async with self._database.connection(writes=True) as connection:
            await connection.execute(f"DELETE FROM mails WHERE {_IS_KEY}", *_values(key))  # noqa: S608

    async def put_back(self, keys: Sequence[MailKey]) -> None:
        """These were leased and not tried; whoever comes next may have them."""
        columns = zip(*map(_values, keys), strict=True)
        async with self._database.connection(writes=True) as connection:
            await connection.execute(_PUT_BACK, *map(list, columns))

    async def try_again(self, by: str) -> int:
        """Tries at once all that has failed and that was given up; how many those are."""
        async with (
            self._database.connection(writes=True) as connection,
            connection.transaction(),
        ):
            tried = _count(await connection.execute(TRY_AGAIN))
            if tried:
                await note(connection, by, "Mails tried again", None, f"{tried} in all")
        return tried

    async def send_again(self, order_id: OrderId, by: str) -> bool:
        """Sends the mails of an order that did not arrive, or else another one with its tickets;
        whether there is any to be sent. Who wanted it is written down.
        """
        id_ = order_id.hex_digits
        async with (
            self._database.connection(writes=True) as connection,
            connection.transaction(),
        ):
            await connection.execute(f"{TRY_AGAIN} AND order_id = $1", id_)
            await connection.execute(_ASK_AGAIN, id_)
            is_sent = bool(await connection.fetchval(_HAS_WAITING, id_))
            if is_sent:
                await note(connection, by, "Mail sent again", order_id)
        return is_sent

    async def of(self, order_id: OrderId) -> list[StoredMail]:
        """The mails of one order, the oldest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM mails WHERE order_id = $1"  # noqa: S608
                " ORDER BY created_at, kind, number",
                order_id.hex_digits,
            )
        return [_read(row) for row in rows]

    async def undelivered(self, limit: int) -> list[StoredMail]:
        """Those that failed last, given up or not, the newest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM mails WHERE {_IS_UNDELIVERED}"  # noqa: S608
                " ORDER BY created_at DESC, order_id, kind, number LIMIT $1",
                limit,
            )
        return [_read(row) for row in rows]

    async def counts(self) -> MailCounts:
        async with self._database.connection() as connection:
            return MailCounts(*await connection.fetchrow(_COUNTS))


async def look_at_outbox(database_url: str, seconds_max: float) -> OutboxLook | None:
    """The mails of a database that was perhaps never migrated; for a look, as `read_identity`."""
    async with asyncio.timeout(seconds_max):
        connection = await Primary(database_url).connect()
        try:
            if not await connection.fetchval("SELECT to_regclass('mails')"):
                return None
            counts = MailCounts(*await connection.fetchrow(_COUNTS))
            return OutboxLook(counts, await connection.fetchval(_OLDEST_WAITS))
        finally:
            await connection.close(timeout=seconds_max)


def _key(row: asyncpg.Record) -> MailKey:
    return MailKey(OrderId.of_uuid(row["order_id"]), MailKind(row["kind"]), row["number"])


def _values(key: MailKey) -> Sequence[Any]:
    return key.order_id.hex_digits, key.kind, key.number


def _read(row: asyncpg.Record) -> StoredMail:
    columns = {name: row[name] for name in set(row.keys()) - set(MailKey._fields)}
    return StoredMail(_key(row), **columns)


def _count(command_tag: str) -> int:
    """How many rows a command changed, which PostgreSQL says at the end of its tag."""
    return int(command_tag.rpartition(" ")[2])
