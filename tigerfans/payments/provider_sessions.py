"""The sessions that a provider has of its own, each with the order that it is for.

One is stored before its buyer is sent there. So nobody pays at a session of which the shop knows
nothing, and an order has one, whoever opened it.

In a rush as many are stored and looked for as there are buyers: both travel by the auto-batcher.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from tigerfans.batching import BatchedCalls
from tigerfans.stores.database import Database

BATCH_MAX: Final = 500
QUEUE_MAX: Final = 2_048

_FIND: Final = """
    SELECT order_id, session_id, url, expires_at, ended_at, submitted_at
    FROM provider_sessions WHERE order_id = ANY($1::uuid[])
"""
_ADD: Final = """
    INSERT INTO provider_sessions (order_id, session_id, url, expires_at)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[])
    ON CONFLICT (order_id) DO NOTHING
"""
_SUBMIT: Final = """
    UPDATE provider_sessions SET submitted_at = now() WHERE order_id = $1 AND submitted_at IS NULL
"""
_END: Final = """
    UPDATE provider_sessions SET ended_at = now() WHERE order_id = $1 AND ended_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class ProviderSession:
    """The provider's id of it, and where the buyer pays; `ended_at` where nobody paid, and nobody
    can any more; `submitted_at` where its buyer has agreed to a payment whose money takes days.
    """

    session_id: str
    url: str
    expires_at: datetime
    ended_at: datetime | None = None
    submitted_at: datetime | None = None


class ProviderSessions:
    """Orders are hex digits here. Every method raises `UnavailableError` without PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reads = BatchedCalls[str, ProviderSession | None](
            "provider session reads", self._find_many, batch_max=BATCH_MAX, queue_max=QUEUE_MAX
        )
        self._writes = BatchedCalls[tuple[str, ProviderSession], ProviderSession](
            "provider session writes", self._add_many, batch_max=BATCH_MAX, queue_max=QUEUE_MAX
        )

    async def close(self) -> None:
        await self._reads.close()
        await self._writes.close()

    async def find(self, order_id: str) -> ProviderSession | None:
        return await self._reads.call(order_id)

    async def add(self, order_id: str, session: ProviderSession) -> ProviderSession:
        """Stores the session of an order, unless it has one: that one, then."""
        return await self._writes.call((order_id, session))

    async def submit(self, order_id: str) -> None:
        """Its buyer has agreed to a payment, and the money is on its way."""
        async with self._database.connection(writes=True) as connection:
            await connection.execute(_SUBMIT, order_id)

    async def end(self, order_id: str) -> None:
        """Nobody paid there, and nobody can any more."""
        async with self._database.connection(writes=True) as connection:
            await connection.execute(_END, order_id)

    async def _find_many(self, order_ids: list[str]) -> Sequence[ProviderSession | None]:
        async with self._database.connection() as connection:
            found = await _found(connection, order_ids)
        return [found.get(order_id) for order_id in order_ids]

    async def _add_many(
        self, added: list[tuple[str, ProviderSession]]
    ) -> Sequence[ProviderSession]:
        order_ids = [order_id for order_id, _ in added]
        async with self._database.connection(writes=True) as connection:
            await connection.execute(
                _ADD,
                order_ids,
                [session.session_id for _, session in added],
                [session.url for _, session in added],
                [session.expires_at for _, session in added],
            )
            found = await _found(connection, order_ids)
        return [found.get(order_id, session) for order_id, session in added]


async def _found(
    connection: asyncpg.Connection, order_ids: list[str]
) -> dict[str, ProviderSession]:
    rows = await connection.fetch(_FIND, order_ids)
    return {order_id.hex: ProviderSession(*session) for order_id, *session in rows}
