"""Stock as a number: one row of PostgreSQL for each class.

    UPDATE stock SET available = available - n WHERE cls = $2 AND available >= n

The simplest shop that never oversells. Every checkout of a class locks the same row until its
commit is on disk, so a class holds as many tickets a second as the disk does commits, one after the
other: what PostgreSQL else commits in groups cannot be grouped. A row that is written so often
keeps room beside it on its page (`fillfactor`), so that no index is touched.
"""

from typing import Any, Final

from fastapi import FastAPI

from bench.peers.contract import PRICES, factory
from bench.peers.postgresql import COLUMNS, PostgresOrders

EXPIRED_AT_ONCE_MAX: Final = 1_000


class HotRow(PostgresOrders):
    # Orders are read again by who sends a key again: in one statement with the rest.
    HOLD = f"""
        WITH known AS (
            SELECT {COLUMNS} FROM orders WHERE id = $1
        ), taken AS (
            UPDATE stock SET available = available - $3::int
            WHERE cls = $2 AND available >= $3::int AND NOT EXISTS (SELECT FROM known)
            RETURNING cls
        ), placed AS (
            INSERT INTO orders (id, status, cls, qty, email, amount, expires_at)
            SELECT $1, 'PENDING', cls, $3::int, $4, $5, now() + make_interval(secs => $6)
            FROM taken
            RETURNING {COLUMNS}
        )
        SELECT * FROM known UNION ALL SELECT * FROM placed
    """  # noqa: S608 - its parts are ours
    RELEASE = """
        WITH ended AS (
            UPDATE orders SET status = $2 WHERE id = $1 AND status = 'PENDING' RETURNING cls, qty
        ), back AS (
            UPDATE stock SET available = available + ended.qty FROM ended
            WHERE stock.cls = ended.cls
        )
        SELECT count(*) FROM ended
    """
    EXPIRE = f"""
        WITH due AS (
            SELECT id FROM orders WHERE status = 'PENDING' AND expires_at < now()
            ORDER BY expires_at LIMIT {EXPIRED_AT_ONCE_MAX} FOR UPDATE SKIP LOCKED
        ), ended AS (
            UPDATE orders SET status = 'EXPIRED' FROM due WHERE orders.id = due.id
            RETURNING cls, qty
        ), sums AS (
            SELECT cls, sum(qty)::int AS qty FROM ended GROUP BY cls
        )
        UPDATE stock SET available = available + sums.qty FROM sums WHERE stock.cls = sums.cls
    """  # noqa: S608
    TAKE = """
        UPDATE stock SET available = available - orders.qty FROM orders
        WHERE orders.id = $1 AND stock.cls = orders.cls AND available >= orders.qty
        RETURNING '{}'::bigint[]
    """
    STOCK = """
        SELECT cls, available, (
            SELECT coalesce(sum(qty), 0)::int FROM orders
            WHERE status = 'PENDING' AND orders.cls = stock.cls
        ) FROM stock
    """

    async def make(self, connection: Any) -> None:
        await connection.execute("""
            CREATE TABLE IF NOT EXISTS stock (
                cls text PRIMARY KEY,
                available int NOT NULL CHECK (available >= 0)
            ) WITH (fillfactor = 10)
        """)
        rows = [(cls, self.settings.tickets) for cls in PRICES]
        await connection.executemany(
            "INSERT INTO stock VALUES ($1, $2) ON CONFLICT DO NOTHING", rows
        )


def create() -> FastAPI:
    return factory(HotRow)
