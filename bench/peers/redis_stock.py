"""Stock and holds in Redis, moved by Lua; orders in PostgreSQL once something has become of them.

A checkout is one script and touches no disk of PostgreSQL's; a payment is a script and then one
INSERT. A script decides and remembers what it has decided under the order's id, so a webhook that
is sent again after a crash between the two does the second half.

The ticket is sold in Redis before PostgreSQL has the order, so the stock is as durable as Redis'
append-only file: with `appendfsync everysec` a machine that loses power may come back with up to a
second of taken tickets on sale again. `always` loses none, and waits for the disk each time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from fastapi import FastAPI
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from bench.peers.contract import (
    GOODIES,
    PRICES,
    AwayError,
    ContractError,
    Event,
    NoneLeftError,
    Order,
    Settings,
    Stock,
    factory,
)
from bench.peers.postgresql import FIND, ORDERS, SCHEMA_LOCK, away, keep_session

# How long what was decided about an order is remembered, for who sends something again.
REMEMBER_SECONDS: Final = 24 * 3600
EXPIRED_AT_ONCE_MAX: Final = 100
# Of each worker; who finds none free waits for one.
REDIS_CONNECTIONS_MAX: Final = 16
REDIS_SECONDS_MAX: Final = 5

# holds: due times by order; order:ID: what was decided; stock:CLASS: what is available;
# held:CLASS: what is on hold.
_EXPIRE: Final = f"""
    local time = redis.call('TIME')
    local now = time[1] + time[2] / 1e6
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'holds', '-inf', now,
                                   'LIMIT', 0, {EXPIRED_AT_ONCE_MAX})) do
        local cls, qty = unpack(redis.call('HMGET', 'order:' .. id, 'cls', 'qty'))
        redis.call('INCRBY', 'stock:' .. cls, qty)
        redis.call('DECRBY', 'held:' .. cls, qty)
        redis.call('HSET', 'order:' .. id, 'status', 'EXPIRED')
        redis.call('EXPIRE', 'order:' .. id, {REMEMBER_SECONDS})
        redis.call('ZREM', 'holds', id)
    end
"""
_FIELDS: Final = "'status', 'cls', 'qty', 'email', 'amount', 'goodie'"
_HOLD: Final = f"""
    {_EXPIRE}
    local id, cls, qty, email, amount, seconds = unpack(ARGV)
    local known = redis.call('HMGET', 'order:' .. id, {_FIELDS})
    if known[1] then
        return known
    end
    if tonumber(redis.call('GET', 'stock:' .. cls)) < tonumber(qty) then
        return redis.call('GET', 'held:' .. cls)
    end
    redis.call('DECRBY', 'stock:' .. cls, qty)
    redis.call('INCRBY', 'held:' .. cls, qty)
    redis.call('ZADD', 'holds', now + seconds, id)
    redis.call('HSET', 'order:' .. id, 'status', 'PENDING', 'cls', cls, 'qty', qty,
               'email', email, 'amount', amount, 'goodie', 0)
    return {{'PENDING', cls, qty, email, amount, 0}}
"""
# With a class it sells what Redis has forgotten, as the event tells it. Another amount is refused.
_PAY: Final = f"""
    local id, amount, cls, qty, email = unpack(ARGV)
    local key = 'order:' .. id
    local known = redis.call('HMGET', key, {_FIELDS})
    if known[1] and known[5] ~= amount then
        return 'another amount'
    end
    if known[1] == 'PAID' or known[1] == 'PAID_UNFULFILLED' then
        return known
    end
    if not known[1] then
        if not cls then
            return false
        end
        known = {{'', cls, qty, email, amount, 0}}
        redis.call('HSET', key, 'cls', cls, 'qty', qty, 'email', email, 'amount', amount)
    end
    known[6] = 0
    local stock, wanted = 'stock:' .. known[2], tonumber(known[3])
    if known[1] == 'PENDING' then
        redis.call('ZREM', 'holds', id)
        redis.call('DECRBY', 'held:' .. known[2], wanted)
        known[1] = 'PAID'
    elseif tonumber(redis.call('GET', stock)) >= wanted then
        redis.call('DECRBY', stock, wanted)
        known[1] = 'PAID'
    else
        known[1] = 'PAID_UNFULFILLED'
    end
    if known[1] == 'PAID' and tonumber(redis.call('GET', 'goodies')) > 0 then
        redis.call('DECR', 'goodies')
        known[6] = 1
    end
    redis.call('HSET', key, 'status', known[1], 'goodie', known[6])
    redis.call('EXPIRE', key, {REMEMBER_SECONDS})
    return known
"""
_RELEASE: Final = f"""
    local id, status = unpack(ARGV)
    local key = 'order:' .. id
    local known = redis.call('HMGET', key, {_FIELDS})
    if known[1] == 'PENDING' then
        redis.call('ZREM', 'holds', id)
        redis.call('DECRBY', 'held:' .. known[2], known[3])
        redis.call('INCRBY', 'stock:' .. known[2], known[3])
        redis.call('HSET', key, 'status', status)
        redis.call('EXPIRE', key, {REMEMBER_SECONDS})
        known[1] = status
    end
    return known[1] and known
"""
# An order that failed may be paid after all; one that is paid stays so.
_RECORD: Final = """
    INSERT INTO orders (id, status, cls, qty, email, amount, paid_at, got_goodie)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (id) DO UPDATE SET
        status = excluded.status, paid_at = excluded.paid_at, got_goodie = excluded.got_goodie
    WHERE orders.status NOT IN ('PAID', 'PAID_UNFULFILLED')
        AND orders.status <> excluded.status
    RETURNING status
"""


class RedisStock:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        pool = BlockingConnectionPool.from_url(
            settings.redis_url,
            max_connections=REDIS_CONNECTIONS_MAX,
            timeout=REDIS_SECONDS_MAX,
            decode_responses=True,
        )
        self._redis = Redis.from_pool(pool)
        register = self._redis.register_script
        self._hold, self._pay, self._release = map(register, (_HOLD, _PAY, _RELEASE))
        self._expire = register(_EXPIRE)
        self._pool: Any = None

    async def open(self) -> None:
        """What is sold already is PostgreSQL's to say, where Redis has nothing."""
        settings = self.settings
        with away(), redis_away():
            self._pool = await asyncpg.create_pool(
                settings.database_url,
                min_size=settings.connections,
                max_size=settings.connections,
                reset=keep_session,
            )
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", SCHEMA_LOCK)
                await connection.execute(ORDERS)
                sold = dict(
                    await connection.fetch(
                        "SELECT cls, sum(qty)::int FROM orders WHERE status = 'PAID' GROUP BY cls"
                    )
                )
                given = await connection.fetchval("SELECT count(*) FROM orders WHERE got_goodie")
                for cls in PRICES:
                    available = settings.tickets - sold.get(cls, 0)
                    await self._redis.set(f"stock:{cls}", available, nx=True)
                    await self._redis.set(f"held:{cls}", 0, nx=True)
                await self._redis.set("goodies", GOODIES - given, nx=True)

    async def close(self) -> None:
        await self._pool.close()
        await self._redis.aclose()

    async def hold(self, order: Order) -> Order:
        seconds = self.settings.hold_seconds
        wanted = (order.cls, order.qty, order.email, order.amount, seconds)
        with redis_away():
            known = await self._hold(args=[order.id.hex, *wanted])
        if not isinstance(known, list):
            raise NoneLeftError(is_on_hold=int(known) > 0)
        return _order(order.id, known)

    async def settle(self, event: Event) -> tuple[str, bool]:
        order_id = event.order_id
        is_paid = event.status == "PAID"
        script, told = (self._pay, event.amount) if is_paid else (self._release, event.status)
        with redis_away():
            known = await script(args=[order_id.hex, told])
        if not known:
            # Of long ago, or lost by Redis; then the event itself says what was paid.
            order = await self._recorded(order_id)
            if order is not None:
                return order.status, True
            if not is_paid:
                return event.status, True
            qty = event.amount // PRICES[event.cls]
            named = (event.cls, qty, event.customer_email)
            with redis_away():
                known = await self._pay(args=[order_id.hex, event.amount, *named])
        if not isinstance(known, list):
            raise ContractError("The amount is not that of the order.")
        order = _order(order_id, known)
        paid_at = datetime.now(UTC) if is_paid else None
        row = (*order[:6], paid_at, order.got_goodie)
        with away():
            is_new = await self._pool.fetchval(_RECORD, *row) is not None
        return order.status, not is_new

    async def order(self, order_id: UUID) -> Order | None:
        """PostgreSQL's word, and Redis' about what it does not have yet."""
        order = await self._recorded(order_id)
        if order is not None:
            return order
        with redis_away():
            known = await self._redis.hmget(f"order:{order_id.hex}", _NAMES)
        order = _order(order_id, known) if known[0] else None
        if order is None or order.status in ("PENDING", "EXPIRED"):
            return order
        # Decided, and not durable yet.
        return order._replace(status="PENDING")

    async def stock(self) -> dict[str, Stock]:
        with redis_away():
            keys = [f"{what}:{cls}" for cls in PRICES for what in ("stock", "held")]
            values = [int(value or 0) for value in await self._redis.mget(keys)]
        pairs = zip(values[::2], values[1::2], strict=True)
        return {
            cls: Stock(self.settings.tickets, *pair)
            for cls, pair in zip(PRICES, pairs, strict=True)
        }

    async def expire(self) -> None:
        with redis_away():
            await self._expire()

    async def _recorded(self, order_id: UUID) -> Order | None:
        with away():
            row = await self._pool.fetchrow(FIND, order_id)
        return None if row is None else Order(*row)


_NAMES: Final = ("status", "cls", "qty", "email", "amount", "goodie")


def _order(order_id: UUID, known: Sequence[Any]) -> Order:
    status, cls, qty, email, amount, goodie = known
    return Order(order_id, status, cls, int(qty), email, int(amount), None, int(goodie or 0) > 0)


@contextmanager
def redis_away() -> Iterator[None]:
    """Turns what Redis' absence looks like into `AwayError`."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise AwayError(f"Redis does not answer: {type(error).__name__}.") from error


def create() -> FastAPI:
    return factory(RedisStock)
