"""That the show is canceled, in PostgreSQL: one row, for good, and how far its refunds are asked
for.

What is paid is asked for in the order in which it was recorded, so that a sale which comes when all
others are done is found behind them, by the index that lists orders.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import asyncpg

from tigerfans.booking.ids import OrderId
from tigerfans.stores.audit import note
from tigerfans.stores.database import Database
from tigerfans.stores.orders import IS_CHARGED

# An order has the time of its transaction's begin, so one may still come with a time that is gone
# by. None takes as long (`stores.database.DEADLINE_SECONDS`).
STILL_COMING_SECONDS: Final = 5
# Of a million orders, and asked for once in a while.
PROGRESS_SECONDS_MAX: Final = 10.0

_CANCEL: Final = """
    INSERT INTO show_cancellation (canceled_by) VALUES ($1) ON CONFLICT DO NOTHING
    RETURNING canceled_by
"""
_FIND: Final = "SELECT canceled_at, canceled_by FROM show_cancellation"
_PAGE: Final = """
    SELECT id, recorded_at FROM orders
    WHERE (recorded_at, id) > (SELECT asked_until, asked_id FROM show_cancellation)
        AND recorded_at < now() - make_interval(secs => $1) AND status = 'PAID'
    ORDER BY recorded_at, id LIMIT $2
"""
_ASKED: Final = """
    UPDATE show_cancellation SET asked_until = $1, asked_id = $2
    WHERE (asked_until, asked_id) < ($1, $2::uuid)
"""
_PROGRESS: Final = f"""
    SELECT
        count(*) AS orders,
        count(*) FILTER (WHERE refunded_at IS NOT NULL) AS refunded,
        (SELECT count(DISTINCT order_id) FROM ticket_refunds
         WHERE given_back_at IS NULL AND attempts > 0) AS failing,
        (SELECT count(DISTINCT order_id) FROM door_scans
         WHERE attempt IS NOT NULL AND undone_at IS NULL) AS used
    FROM orders WHERE {IS_CHARGED}
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Cancellation:
    """When the show was canceled, and by whom."""

    canceled_at: datetime
    canceled_by: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Of so many orders that were paid, so many have all of their money back; of so many others the
    provider did not confirm it yet. Of those `used`, a ticket is inside, whose money stays.
    """

    orders: int
    refunded: int
    failing: int
    used: int = 0

    @property
    def is_under_way(self) -> bool:
        return self.refunded + self.used < self.orders


class Place(NamedTuple):
    """The place of an order among all of them, as they were recorded."""

    recorded_at: datetime
    order_id: OrderId


class ShowCancellation:
    """The stored one; every method raises `UnavailableError` without PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def cancel(self, by: str) -> Cancellation:
        """Cancels the show, once; told again, it says who did."""
        async with (
            self._database.connection(writes=True) as connection,
            connection.transaction(),
        ):
            if await connection.fetchval(_CANCEL, by) is not None:
                await note(connection, by, "Show canceled")
            return _read(await connection.fetchrow(_FIND))

    async def unasked(self, limit: int) -> list[Place]:
        """Up to `limit` paid orders whose refunds nobody has asked for since it is canceled."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_PAGE, STILL_COMING_SECONDS, limit)
        return [Place(row["recorded_at"], OrderId.of_uuid(row["id"])) for row in rows]

    async def asked(self, last: Place) -> None:
        """It is asked for up to this one."""
        async with self._database.connection(writes=True) as connection:
            await connection.execute(_ASKED, last.recorded_at, last.order_id.hex_digits)

    async def progress(self) -> Progress:
        async with self._database.connection(PROGRESS_SECONDS_MAX) as connection:
            return Progress(**await connection.fetchrow(_PROGRESS))

    async def find(self) -> Cancellation | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_FIND)
        return row and _read(row)


def _read(row: asyncpg.Record) -> Cancellation:
    return Cancellation(**row)
