"""Orders in PostgreSQL: what the two peers share that keep all of their stock there.

A step is one statement, and so one transaction and one round trip; only a payment that comes too
late takes more. Statements are prepared and planned once for each connection: for one of these
PostgreSQL plans as long as it works. It confirms a commit once it is on disk (`synchronous_commit`
is on).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

import asyncpg

from bench.peers.contract import (
    GOODIES,
    PAID,
    AwayError,
    ContractError,
    Event,
    NoneLeftError,
    Order,
    Settings,
    Stock,
    UnknownOrderError,
)

STATEMENT_SECONDS_MAX: Final = 10.0
# Locks of PostgreSQL by which one worker at a time makes the tables, or gives back.
SCHEMA_LOCK, EXPIRY_LOCK = 1, 2

# What its absence looks like; any other error of it is a bug.
AWAY: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)

COLUMNS: Final = "id, status, cls, qty, email, amount, paid_at, got_goodie"
ORDERS: Final = """
    CREATE TABLE IF NOT EXISTS orders (
        id uuid PRIMARY KEY,
        status text NOT NULL,
        cls text NOT NULL,
        qty int NOT NULL,
        email text NOT NULL,
        amount int NOT NULL,
        expires_at timestamptz,
        paid_at timestamptz,
        got_goodie boolean NOT NULL DEFAULT false,
        ticket_ids bigint[]
    );
"""
PENDING: Final = """
    CREATE INDEX IF NOT EXISTS orders_pending ON orders (expires_at) WHERE status = 'PENDING';
    CREATE TABLE IF NOT EXISTS goodies (is_only boolean PRIMARY KEY, available int NOT NULL);
"""
# Where none is left, nobody waits for the row.
PAY: Final = """
    WITH pending AS MATERIALIZED (
        SELECT id FROM orders WHERE id = $1 AND status = 'PENDING' AND amount = $2 FOR UPDATE
    ), goodie AS (
        UPDATE goodies SET available = available - 1
        WHERE available > 0 AND EXISTS (SELECT FROM pending) RETURNING 1
    )
    UPDATE orders SET status = 'PAID', paid_at = now(), got_goodie = EXISTS (SELECT FROM goodie)
    FROM pending WHERE orders.id = pending.id
    RETURNING orders.status
"""
FIND: Final = f"SELECT {COLUMNS} FROM orders WHERE id = $1"  # noqa: S608 - its parts are ours
ANY_PENDING: Final = "SELECT EXISTS (SELECT FROM orders WHERE status = 'PENDING' AND cls = $1)"
PAID_LATE: Final = """
    UPDATE orders SET status = $2, paid_at = now(), ticket_ids = $3 WHERE id = $1
"""


class PostgresOrders:
    """A pool, and reading and paying orders; a peer says by what statements stock is taken.

    HOLD ($1 id, $2 class, $3 tickets, $4 email, $5 amount, $6 seconds) gives the order, also one
    that there was before, or nothing where too few are left. RELEASE ($1 id, $2 status) ends a
    pending one. EXPIRE gives back what was held for too long. TAKE ($1 id) takes an order's tickets
    for a late payment, and gives their ids where there are enough. STOCK is a row (class,
    available, held) for each class.
    """

    HOLD: str
    RELEASE: str
    EXPIRE: str
    TAKE: str
    STOCK: str

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._pool: Any = None

    async def open(self) -> None:
        settings = self.settings
        with away():
            self._pool = await asyncpg.create_pool(
                settings.database_url,
                min_size=settings.connections,
                max_size=settings.connections,
                command_timeout=STATEMENT_SECONDS_MAX,
                server_settings={"plan_cache_mode": "force_generic_plan"},
                reset=keep_session,
            )
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", SCHEMA_LOCK)
                await connection.execute(ORDERS + PENDING)
                goodies = "INSERT INTO goodies VALUES (true, $1) ON CONFLICT DO NOTHING"
                await connection.execute(goodies, GOODIES)
                await self.make(connection)

    async def make(self, connection: Any) -> None:
        """Makes the stock, once."""
        raise NotImplementedError

    async def close(self) -> None:
        await self._pool.close()

    async def hold(self, order: Order) -> Order:
        seconds = self.settings.hold_seconds
        arguments = (order.id, order.cls, order.qty, order.email, order.amount, seconds)
        with away():
            try:
                row = await self._pool.fetchrow(self.HOLD, *arguments)
            except asyncpg.UniqueViolationError:
                # The same key at the same time: that one has placed it, and we have taken nothing.
                row = await self._pool.fetchrow(FIND, order.id)
            if row is None:
                is_on_hold = await self._pool.fetchval(ANY_PENDING, order.cls)
                raise NoneLeftError(is_on_hold=is_on_hold)
        return Order(*row)

    async def settle(self, event: Event) -> tuple[str, bool]:
        order_id = event.order_id
        with away():
            if event.status == "PAID":
                status = await self._pool.fetchval(PAY, order_id, event.amount)
                return (status, False) if status else await self._pay_late(event)
            if await self._pool.fetchval(self.RELEASE, order_id, event.status):
                return event.status, False
            order = await self.order(order_id)
        if order is None:
            raise UnknownOrderError
        return order.status, True

    async def _pay_late(self, event: Event) -> tuple[str, bool]:
        """A payment of an order that is not pending any more."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(f"{FIND} FOR UPDATE", event.order_id)
            if row is None:
                raise UnknownOrderError
            order = Order(*row)
            if order.amount != event.amount:
                raise ContractError("The amount is not that of the order.")
            if order.status in PAID:
                return order.status, True
            ticket_ids = await connection.fetchval(self.TAKE, order.id)
            status = "PAID_UNFULFILLED" if ticket_ids is None else "PAID"
            await connection.execute(PAID_LATE, order.id, status, ticket_ids)
            return status, False

    async def order(self, order_id: UUID) -> Order | None:
        with away():
            row = await self._pool.fetchrow(FIND, order_id)
        return None if row is None else Order(*row)

    async def stock(self) -> dict[str, Stock]:
        with away():
            rows = await self._pool.fetch(self.STOCK)
        capacity = self.settings.tickets
        return {cls: Stock(capacity, available, held) for cls, available, held in rows}

    async def expire(self) -> None:
        with away():
            async with self._pool.acquire() as connection, connection.transaction():
                # Two at once would wait for each other's rows.
                asked = "SELECT pg_try_advisory_xact_lock($1)"
                if await connection.fetchval(asked, EXPIRY_LOCK):
                    await connection.execute(self.EXPIRE)


async def keep_session(_: Any) -> None:
    """Spares the query by which asyncpg's pool resets a connection at each release."""


@contextmanager
def away() -> Iterator[None]:
    """Turns what PostgreSQL's absence looks like into `AwayError`."""
    try:
        yield
    except AWAY as error:
        raise AwayError(f"PostgreSQL does not answer: {type(error).__name__}.") from error
