"""MockPay's outbox: webhooks are delivered at least once, over failures and restarts, for a day.
With it goes its memory: what was decided is remembered for longer, for a shop that asks.

A webhook is stored before it is sent and deleted once it is confirmed. Whoever sends one takes a
lease on it first, by moving its next attempt into the future; so workers and clerks share the
outbox without sending the same webhook at the same time, and a sender that dies delays it only.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from tigerfans.stores.database import Database

LEASE_SECONDS: Final = 15
# The pause before the next attempt doubles from the first to the second.
PAUSE_SECONDS_MIN: Final = 1
PAUSE_SECONDS_MAX: Final = 300
GIVE_UP_AFTER: Final = timedelta(hours=24)

# How long MockPay can be asked what became of a payment.
REMEMBERED_FOR: Final = timedelta(days=7)
FORGOTTEN_AT_ONCE_MAX: Final = 10_000

# One statement, so that what is remembered and what is sent are the same. Money that was taken
# stays so, whatever is pressed afterwards.
_ADD: Final = """
    WITH remembered AS (
        INSERT INTO mockpay_payments (order_id, type, body) VALUES ($2, $3, $4)
        ON CONFLICT (order_id) DO UPDATE
        SET type = EXCLUDED.type, body = EXCLUDED.body, decided_at = now()
        WHERE mockpay_payments.type <> 'payment.succeeded'
    )
    INSERT INTO mockpay_webhooks (id, order_id, type, body, next_attempt_at)
    VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
"""
_LEASE: Final = """
    UPDATE mockpay_webhooks SET next_attempt_at = now() + make_interval(secs => $1)
    WHERE id IN (
        SELECT id FROM mockpay_webhooks
        WHERE next_attempt_at <= now() AND created_at > now() - $2::interval
        ORDER BY next_attempt_at
        LIMIT $3
        FOR UPDATE SKIP LOCKED
    )
    RETURNING id, body
"""
_FAILED: Final = """
    UPDATE mockpay_webhooks
    SET attempts = attempts + 1, last_error = $2,
        next_attempt_at = now() + make_interval(
            secs => least($3 * power(2, least(attempts, 30)), $4) * (0.75 + random() / 2))
    WHERE id = $1
"""
_FORGET: Final = """
    DELETE FROM mockpay_payments WHERE order_id IN (
        SELECT order_id FROM mockpay_payments WHERE decided_at < now() - $1::interval
        ORDER BY decided_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
"""
_UNDELIVERED: Final = "order_id, type, created_at, next_attempt_at, attempts, last_error"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook to be sent."""

    id: UUID
    body: bytes


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A webhook that was sent `attempts` times and is not confirmed."""

    order_id: str
    type: str
    created_at: datetime
    next_attempt_at: datetime
    attempts: int
    last_error: str


class Outbox:
    """The stored webhooks; every method raises `UnavailableError` without PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, webhook: Webhook, order_id: str, event_type: str) -> None:
        """Stores a webhook durably, and remembers what it says; the caller has a lease on it and
        sends it now.
        """
        async with self._database.connection(writes=True) as connection:
            await connection.execute(
                _ADD, webhook.id, order_id, event_type, webhook.body, LEASE_SECONDS
            )

    async def remembered(self, order_id: str) -> bytes | None:
        """The body of the webhook that says what became of a payment; None where nothing did."""
        async with self._database.connection() as connection:
            body: bytes | None = await connection.fetchval(
                "SELECT body FROM mockpay_payments WHERE order_id = $1", order_id
            )
        return body

    async def forget(self) -> bool:
        """Forgets what was decided longer ago than `REMEMBERED_FOR`; whether more may be left."""
        async with self._database.connection(writes=True) as connection:
            tag: str = await connection.execute(_FORGET, REMEMBERED_FOR, FORGOTTEN_AT_ONCE_MAX)
        return tag == f"DELETE {FORGOTTEN_AT_ONCE_MAX}"

    async def lease(self, limit: int) -> list[Webhook]:
        """Up to `limit` webhooks that are due; nobody else gets them for `LEASE_SECONDS`."""
        async with self._database.connection(writes=True) as connection:
            rows = await connection.fetch(_LEASE, LEASE_SECONDS, GIVE_UP_AFTER, limit)
        return [Webhook(row["id"], row["body"]) for row in rows]

    async def delivered(self, webhook: Webhook) -> None:
        async with self._database.connection(writes=True) as connection:
            await connection.execute("DELETE FROM mockpay_webhooks WHERE id = $1", webhook.id)

    async def failed(self, webhook: Webhook, error: str) -> None:
        """Not confirmed; the next attempt comes after a growing pause."""
        async with self._database.connection(writes=True) as connection:
            await connection.execute(
                _FAILED, webhook.id, error, PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX
            )

    async def of(self, order_id: str) -> list[Undelivered]:
        """The webhooks of one order that are on their way or not confirmed, the oldest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {_UNDELIVERED} FROM mockpay_webhooks"  # noqa: S608
                " WHERE order_id = $1 ORDER BY created_at",
                order_id,
            )
        return [Undelivered(**row) for row in rows]

    async def undelivered(self, limit: int) -> tuple[list[Undelivered], int]:
        """The oldest webhooks nobody confirmed, and how many there are in all."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {_UNDELIVERED} FROM mockpay_webhooks"  # noqa: S608
                " WHERE attempts > 0 ORDER BY created_at LIMIT $1",
                limit,
            )
            total = await connection.fetchval(
                "SELECT count(*) FROM mockpay_webhooks WHERE attempts > 0"
            )
        return [Undelivered(**row) for row in rows], total
