"""Stock as rows: one of PostgreSQL for each ticket, and whoever comes takes some that are free.

    SELECT id FROM tickets WHERE cls = $2 AND order_id IS NULL LIMIT n FOR UPDATE SKIP LOCKED

Nobody waits for a row that somebody else is about to take, so commits are grouped. It pays for that
by a row written for each ticket, and by stepping over those that others have locked. Where the last
tickets are locked by checkouts that end in nothing, somebody is told too early that none is left.
"""

from typing import Any, Final

from fastapi import FastAPI

from bench.peers.contract import PRICES, factory
from bench.peers.postgresql import COLUMNS, PostgresOrders

EXPIRED_AT_ONCE_MAX: Final = 1_000


class TicketRows(PostgresOrders):
    HOLD = f"""
        WITH known AS (
            SELECT {COLUMNS} FROM orders WHERE id = $1
        ), free AS MATERIALIZED (
            SELECT id FROM tickets
            WHERE cls = $2 AND order_id IS NULL AND NOT EXISTS (SELECT FROM known)
            ORDER BY id LIMIT $3::int FOR UPDATE SKIP LOCKED
        ), taken AS (
            UPDATE tickets SET order_id = $1
            WHERE id = ANY (ARRAY (SELECT id FROM free)) AND (SELECT count(*) FROM free) = $3::int
            RETURNING id
        ), placed AS (
            INSERT INTO orders (id, status, cls, qty, email, amount, expires_at, ticket_ids)
            SELECT $1, 'PENDING', $2, $3::int, $4, $5, now() + make_interval(secs => $6),
                array_agg(id)
            FROM taken HAVING count(*) > 0
            RETURNING {COLUMNS}
        )
        SELECT * FROM known UNION ALL SELECT * FROM placed
    """  # noqa: S608 - its parts are ours
    RELEASE = """
        WITH ended AS (
            UPDATE orders SET status = $2 WHERE id = $1 AND status = 'PENDING' RETURNING ticket_ids
        ), back AS (
            UPDATE tickets SET order_id = NULL FROM ended WHERE tickets.id = ANY (ended.ticket_ids)
        )
        SELECT count(*) FROM ended
    """
    EXPIRE = f"""
        WITH due AS (
            SELECT id FROM orders WHERE status = 'PENDING' AND expires_at < now()
            ORDER BY expires_at LIMIT {EXPIRED_AT_ONCE_MAX} FOR UPDATE SKIP LOCKED
        ), ended AS (
            UPDATE orders SET status = 'EXPIRED' FROM due WHERE orders.id = due.id
            RETURNING ticket_ids
        ), given AS (
            SELECT unnest(ticket_ids) AS id FROM ended
        )
        UPDATE tickets SET order_id = NULL FROM given WHERE tickets.id = given.id
    """  # noqa: S608
    TAKE = """
        WITH wanted AS MATERIALIZED (
            SELECT cls, qty FROM orders WHERE id = $1
        ), free AS MATERIALIZED (
            SELECT id FROM tickets
            WHERE cls = (SELECT cls FROM wanted) AND order_id IS NULL
            ORDER BY id LIMIT (SELECT qty FROM wanted) FOR UPDATE SKIP LOCKED
        ), taken AS (
            UPDATE tickets SET order_id = $1
            WHERE id = ANY (ARRAY (SELECT id FROM free))
                AND (SELECT count(*) FROM free) = (SELECT qty FROM wanted)
            RETURNING id
        )
        SELECT array_agg(id) FROM taken
    """
    STOCK = """
        SELECT cls, (
            SELECT count(*)::int FROM tickets
            WHERE tickets.cls = classes.cls AND order_id IS NULL
        ), (
            SELECT coalesce(sum(qty), 0)::int FROM orders
            WHERE status = 'PENDING' AND orders.cls = classes.cls
        ) FROM (VALUES ('A'), ('B')) AS classes (cls)
    """

    async def make(self, connection: Any) -> None:
        if await connection.fetchval("SELECT to_regclass('tickets') IS NOT NULL"):
            return
        await connection.execute("""
            CREATE TABLE tickets (
                id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                cls text NOT NULL,
                order_id uuid
            )
        """)
        for cls in PRICES:
            await connection.execute(
                "INSERT INTO tickets (cls) SELECT $1 FROM generate_series(1, $2::int)",
                cls,
                self.settings.tickets,
            )
        await connection.execute(
            "CREATE INDEX tickets_free ON tickets (cls, id) WHERE order_id IS NULL; ANALYZE tickets"
        )


def create() -> FastAPI:
    return factory(TicketRows)
