"""Refunds of tickets in PostgreSQL: that one is asked for, how far it is, and that it is done.

A ticket has one row, for ever, so it is refunded once. Tickets that are asked for together are one
**group**, known by its `first` ticket: the provider is asked once for all of it, under a key that
names the order and that ticket. The row is there before the ledger is asked, and stays unfinished
until the provider has confirmed; so whoever asked may die anywhere, and another goes on.

Until `next_attempt_at` what is open of an order is one process's; who asks, or leases, moves that
into the future.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from tigerfans.booking.ends import Ticket
from tigerfans.booking.ids import ORDER_ID_HEX_DIGITS, OrderId
from tigerfans.stores.audit import note
from tigerfans.stores.database import Database
from tigerfans.stores.mails import MailKind, queueing
from tigerfans.stores.orders import Order

# More than the ledger and the provider may take together (`shop.refund.REFUND_SECONDS_MAX`).
LEASE_SECONDS: Final = 30
# The pause before the next attempt doubles up to the longest; money that is due is never given up.
PAUSE_SECONDS_MIN: Final = 2
PAUSE_SECONDS_MAX: Final = 300
# What is stored of an error.
ERROR_CHARACTERS_MAX: Final = 200
# For the reconciliation, which may have to pass over many.
PAGE_SECONDS_MAX: Final = 30.0
# Who asks for what the ledger alone knows of.
RESTORED_BY: Final = "reconcile"
# A webhook that was told again just before may have left the order as it was in Redis.
FORGET_AFTER_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class TicketRefund:
    """A ticket, by its number in the order, whose money is asked back; in cents.

    `taken_back_at` is when it came back into the stock, by the ledger's time, and `given_back_at`
    when the provider had confirmed that it gave the money back.
    """

    order_id: OrderId
    ticket: int
    first: int
    amount_cents: int
    asked_at: datetime
    asked_by: str
    taken_back_at: datetime | None
    given_back_at: datetime | None
    attempts: int
    last_error: str


_COLUMNS: Final = """
    order_id, ticket, first, amount_cents, asked_at, asked_by, taken_back_at, given_back_at,
    attempts, last_error
"""
_IS_OPEN: Final = "given_back_at IS NULL"

# Where a ticket is asked for already it stays whose it is: in a group of its own the others are.
_ASK: Final = """
    INSERT INTO ticket_refunds (order_id, ticket, first, amount_cents, asked_by, next_attempt_at)
    SELECT id, ticket, ticket, amount_cents / qty, $3, now() + make_interval(secs => $4)
    FROM orders, generate_series(0, qty - 1) AS ticket
    WHERE id = ANY($1::uuid[]) AND status = 'PAID' AND ($2::int[] IS NULL OR ticket = ANY($2))
    ORDER BY id, ticket
    ON CONFLICT DO NOTHING
    RETURNING order_id, ticket
"""
# Of those that are new, so that no two groups of an order have the same.
_GROUP: Final = """
    WITH asked AS (SELECT * FROM unnest($1::uuid[], $2::int[]) AS each (order_id, ticket)),
         firsts AS (SELECT order_id, min(ticket) AS first FROM asked GROUP BY order_id)
    UPDATE ticket_refunds AS refund SET first = firsts.first
    FROM asked JOIN firsts USING (order_id)
    WHERE refund.order_id = asked.order_id AND refund.ticket = asked.ticket
"""
# An order is leased, and waits, by its first open ticket: by one row, so that no two who do so can
# wait for each other. It is looked up for each order that is taken: compared with all that are
# open, and sorted by more than the index is, half a million would be read for these few.
_LEASE: Final = f"""
    UPDATE ticket_refunds SET next_attempt_at = now() + make_interval(secs => $1)
    WHERE (order_id, ticket) IN (
        SELECT order_id, ticket FROM ticket_refunds AS refund
        WHERE {_IS_OPEN} AND next_attempt_at <= now() AND ticket = (
            SELECT min(ticket) FROM ticket_refunds AS open
            WHERE open.order_id = refund.order_id AND open.{_IS_OPEN}
        )
        ORDER BY next_attempt_at LIMIT $2
        FOR UPDATE SKIP LOCKED
    )
    RETURNING order_id
"""  # noqa: S608
_FAILED: Final = f"""
    UPDATE ticket_refunds
    SET attempts = attempts + 1, last_error = $2, next_attempt_at = now() + make_interval(
        secs => least($3 * power(2, least(attempts, 30)), $4) * (0.75 + random() / 2))
    WHERE order_id = $1 AND ticket = (
        SELECT min(ticket) FROM ticket_refunds WHERE order_id = $1 AND {_IS_OPEN}
    )
"""  # noqa: S608

# Whoever changes what an order says of its tickets, waits here for whoever does so now.
_LOCK: Final = "SELECT FROM orders WHERE id = $1 FOR UPDATE"
_REFUSED: Final = """
    DELETE FROM ticket_refunds
    WHERE order_id = $1 AND ticket = ANY($2::int[]) AND taken_back_at IS NULL
    RETURNING ticket, asked_by
"""
# One that was refused is deleted, maybe by whoever was refused before an admission was undone, and
# hears of it late: what the ledger has taken back since is asked for all the same.
_KEEP: Final = """
    INSERT INTO ticket_refunds (order_id, ticket, first, amount_cents, asked_by, next_attempt_at)
    SELECT $1, each.ticket, each.first, each.amount_cents, each.asked_by, now()
    FROM unnest($2::int[], $3::int[], $4::int[], $5::text[])
        AS each (ticket, first, amount_cents, asked_by)
    ON CONFLICT DO NOTHING
"""
# The key that the provider is asked under has to be of a ticket that is in the group for good.
_TAKEN_BACK: Final = """
    UPDATE ticket_refunds AS refund SET taken_back_at = took.taken_back_at, first = took.first
    FROM (
        SELECT ticket, each.taken_back_at, min(ticket) OVER (PARTITION BY asked.first) AS first
        FROM unnest($2::int[], $3::timestamptz[]) AS each (ticket, taken_back_at)
        JOIN ticket_refunds AS asked USING (ticket)
        WHERE asked.order_id = $1 AND asked.taken_back_at IS NULL
    ) AS took
    WHERE refund.order_id = $1 AND refund.ticket = took.ticket
"""
_TELL_ORDER: Final = """
    UPDATE orders SET tickets_refunded_at = (
        SELECT array_agg(refund.taken_back_at ORDER BY number)
        FROM generate_series(0, qty - 1) AS number
        LEFT JOIN ticket_refunds AS refund ON refund.order_id = $1 AND refund.ticket = number
    ) WHERE id = $1
"""
_TAKEN_BACK_PAGE: Final = f"""
    SELECT {_COLUMNS} FROM ticket_refunds
    WHERE (order_id, ticket) > ($1::uuid, $2) AND taken_back_at <= $3
    ORDER BY order_id, ticket LIMIT $4
"""  # noqa: S608
_RESTORE: Final = """
    INSERT INTO ticket_refunds (order_id, ticket, first, amount_cents, asked_by, taken_back_at,
                                next_attempt_at)
    SELECT $1, each.ticket, (SELECT min(ticket) FROM unnest($4::int[]) AS ticket), $2, $3,
           each.taken_back_at, now()
    FROM unnest($4::int[], $5::timestamptz[]) AS each (ticket, taken_back_at)
    ON CONFLICT (order_id, ticket) DO UPDATE SET taken_back_at = EXCLUDED.taken_back_at
    WHERE ticket_refunds.taken_back_at IS NULL
"""
# With the mail that tells the buyer of it, one for the group.
_GIVEN_BACK: Final = f"""
    WITH given AS (
        UPDATE ticket_refunds SET given_back_at = now()
        WHERE order_id = $1 AND first = $2 AND taken_back_at IS NOT NULL AND {_IS_OPEN}
        RETURNING order_id AS id, first
    ), queued AS (
        {queueing("(SELECT DISTINCT * FROM given) AS told", f"'{MailKind.REFUNDED}'", "first")}
    )
    SELECT id FROM given
"""  # noqa: S608
_REFUNDED: Final = """
    UPDATE orders SET status = 'REFUNDED', refunded_at = now()
    WHERE id = $1 AND status = 'PAID' AND qty <= (
        SELECT count(*) FROM ticket_refunds WHERE order_id = $1 AND given_back_at IS NOT NULL
    )
"""
# In the order of its index, which is all but empty: by their ids, all refunds there ever were would
# be passed over.
_FORGETTABLE: Final = """
    SELECT order_id FROM ticket_refunds
    WHERE given_back_at < now() - make_interval(secs => $1) AND forgotten_at IS NULL
    GROUP BY order_id ORDER BY min(given_back_at) LIMIT $2
"""
_FORGOTTEN: Final = """
    UPDATE ticket_refunds SET forgotten_at = now()
    WHERE order_id = ANY($1::uuid[]) AND given_back_at IS NOT NULL AND forgotten_at IS NULL
"""


def ticket_words(numbers: Sequence[int]) -> str:
    """Such as `tickets 1 and 3`, for people, who count from 1."""
    *before, last = (str(number + 1) for number in numbers)
    return f"tickets {', '.join(before)} and {last}" if before else f"ticket {last}"


class TicketRefunds:
    """The stored ones; every method raises `UnavailableError` without PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, order_id: OrderId, tickets: Collection[int] | None, by: str) -> list[int]:
        """Asks for tickets of a paid order, all of them where `tickets` is None, and takes a lease;
        those that nobody has asked for before. Who asked is written down.
        """
        async with (
            self._database.connection(writes=True) as connection,
            connection.transaction(),
        ):
            asked = await _ask(connection, [order_id], tickets, by, LEASE_SECONDS)
            numbers = [ticket for _, ticket in asked]
            if numbers:
                await note(connection, by, "Refund asked for", order_id, ticket_words(numbers))
        return numbers

    async def ask_for_all(self, order_ids: Sequence[OrderId], by: str) -> int:
        """Asks for all tickets of many orders, for whoever leases them; how many that nobody has
        asked for before.
        """
        async with (
            self._database.connection(writes=True) as connection,
            connection.transaction(),
        ):
            return len(await _ask(connection, order_ids, None, by, lease_seconds=0))

    async def of(self, order_id: OrderId) -> list[TicketRefund]:
        """Those of one order, by their tickets."""
        async with self._database.connection() as connection:
            return await _of(connection, order_id)

    async def of_many(self, order_ids: Sequence[OrderId]) -> list[TicketRefund]:
        """Those of many orders."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM ticket_refunds WHERE order_id = ANY($1::uuid[])",  # noqa: S608
                [order_id.hex_digits for order_id in order_ids],
            )
        return [_read(row) for row in rows]

    async def taken_back_page(
        self, after: Ticket | None, until: datetime, limit: int
    ) -> list[TicketRefund]:
        """Up to `limit` of those that were back in the stock by then, ordered by order and ticket,
        from the one behind `after` on.
        """
        order_id = after.order_id.hex_digits if after else "0" * ORDER_ID_HEX_DIGITS
        async with self._database.connection(PAGE_SECONDS_MAX) as connection:
            rows = await connection.fetch(
                _TAKEN_BACK_PAGE, order_id, after.number if after else -1, until, limit
            )
        return [_read(row) for row in rows]

    async def restore(self, order: Order, groups: Sequence[Mapping[int, datetime]]) -> None:
        """Stores what the ledger alone knows: which tickets of an order came back together, and
        when. Their money is due, unless the provider says that it was given back.
        """
        id_, price_cents = order.id.hex_digits, order.price_cents
        async with (
            self._database.connection(writes=True) as connection,
            connection.transaction(),
        ):
            await connection.execute(_LOCK, id_)
            for group in groups:
                numbers, times = list(group), list(group.values())
                await connection.execute(_RESTORE, id_, price_cents, RESTORED_BY, numbers, times)
            await connection.execute(_TELL_ORDER, id_)

    async def lease(self, limit: int) -> list[OrderId]:
        """Up to `limit` orders with tickets that are due; nobody else gets them for a while."""
        async with self._database.connection(writes=True) as connection:
            rows = await connection.fetch(_LEASE, LEASE_SECONDS, limit)
        return [OrderId.of_uuid(row["order_id"]) for row in rows]

    async def failed(self, order_id: OrderId, error: str) -> None:
        """What is open of an order is due again after a growing pause."""
        async with self._database.connection(writes=True) as connection:
            await connection.execute(
                _FAILED,
                order_id.hex_digits,
                error[:ERROR_CHARACTERS_MAX],
                PAUSE_SECONDS_MIN,
                PAUSE_SECONDS_MAX,
            )

    async def taken_back(
        self,
        order_id: OrderId,
        taken: Mapping[int, datetime],
        refused: Mapping[int, str],
        asked: Sequence[TicketRefund] = (),
    ) -> list[TicketRefund]:
        """What the ledger said of an order's tickets that are `asked` for: when they came back into
        stock. The rows of those that it refused go, and it is written down why. All that are left
        of the order.
        """
        kept = [row for row in asked if row.ticket in taken]
        id_ = order_id.hex_digits
        async with (
            self._database.connection(writes=True) as connection,
            connection.transaction(),
        ):
            await connection.execute(_LOCK, id_)
            for row in await connection.fetch(_REFUSED, id_, list(refused)):
                ticket = row["ticket"]
                detail = f"{ticket_words([ticket])} {refused[ticket]}"
                await note(connection, row["asked_by"], "Not refunded", order_id, detail)
            await connection.execute(
                _KEEP,
                id_,
                [row.ticket for row in kept],
                [row.first for row in kept],
                [row.amount_cents for row in kept],
                [row.asked_by for row in kept],
            )
            await connection.execute(_TAKEN_BACK, id_, list(taken), list(taken.values()))
            await connection.execute(_TELL_ORDER, id_)
            return await _of(connection, order_id)

    async def given_back(self, order_id: OrderId, first: int) -> int:
        """The provider gave the money of a group back; of how many tickets, if that is news.

        Once it has for each ticket of an order, the order is REFUNDED.
        """
        id_ = order_id.hex_digits
        async with (
            self._database.connection(writes=True) as connection,
            connection.transaction(),
        ):
            await connection.execute(_LOCK, id_)
            rows = await connection.fetch(_GIVEN_BACK, id_, first)
            if rows:
                await connection.execute(_REFUNDED, id_)
        return len(rows)

    async def due(self, limit: int) -> tuple[list[TicketRefund], int]:
        """Those that were asked for first of those that are not done, and how many there are."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM ticket_refunds WHERE {_IS_OPEN}"  # noqa: S608
                " ORDER BY asked_at, order_id, ticket LIMIT $1",
                limit,
            )
            total = await connection.fetchval(
                f"SELECT count(*) FROM ticket_refunds WHERE {_IS_OPEN}"  # noqa: S608
            )
        return [_read(row) for row in rows], total

    async def forgettable(self, limit: int) -> list[OrderId]:
        """Orders of which Redis may still say what they were before their refund."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_FORGETTABLE, FORGET_AFTER_SECONDS, limit)
        return [OrderId.of_uuid(row["order_id"]) for row in rows]

    async def forgotten(self, order_ids: Sequence[OrderId]) -> None:
        """Redis says nothing of these orders any more."""
        ids = [order_id.hex_digits for order_id in order_ids]
        async with self._database.connection(writes=True) as connection:
            await connection.execute(_FORGOTTEN, ids)


async def _ask(
    connection: asyncpg.Connection,
    order_ids: Sequence[OrderId],
    tickets: Collection[int] | None,
    by: str,
    lease_seconds: float,
) -> list[tuple[OrderId, int]]:
    ids = [order_id.hex_digits for order_id in order_ids]
    numbers = None if tickets is None else list(tickets)
    rows = await connection.fetch(_ASK, ids, numbers, by, lease_seconds)
    if rows:
        await connection.execute(
            _GROUP, [row["order_id"] for row in rows], [row["ticket"] for row in rows]
        )
    return [(OrderId.of_uuid(row["order_id"]), row["ticket"]) for row in rows]


async def _of(connection: asyncpg.Connection, order_id: OrderId) -> list[TicketRefund]:
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM ticket_refunds WHERE order_id = $1 ORDER BY ticket",  # noqa: S608
        order_id.hex_digits,
    )
    return [_read(row) for row in rows]


def _read(row: asyncpg.Record) -> TicketRefund:
    return TicketRefund(**{**row, "order_id": OrderId.of_uuid(row["order_id"])})
