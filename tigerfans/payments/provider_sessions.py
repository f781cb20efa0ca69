"""The sessions that a provider has of its own, each with the order that it is for.

One is stored before its buyer is sent there. So nobody pays at a session of which the shop knows
nothing, and an order has one, whoever opened it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from tigerfans.stores.database import Database

_COLUMNS: Final = "session_id, url, expires_at, ended_at, submitted_at"
_FIND: Final = f"SELECT {_COLUMNS} FROM provider_sessions WHERE order_id = $1"  # noqa: S608
_ADD: Final = """
    INSERT INTO provider_sessions (order_id, session_id, url, expires_at) VALUES ($1, $2, $3, $4)
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

    async def find(self, order_id: str) -> ProviderSession | None:
        async with self._database.connection() as connection:
            return await _find(connection, order_id)

    async def add(self, order_id: str, session: ProviderSession) -> ProviderSession:
        """Stores the session of an order, unless it has one: that one, then."""
        async with self._database.connection(writes=True) as connection:
            await connection.execute(
                _ADD, order_id, session.session_id, session.url, session.expires_at
            )
            return await _find(connection, order_id) or session

    async def submit(self, order_id: str) -> None:
        """Its buyer has agreed to a payment, and the money is on its way."""
        async with self._database.connection(writes=True) as connection:
            await connection.execute(_SUBMIT, order_id)

    async def end(self, order_id: str) -> None:
        """Nobody paid there, and nobody can any more."""
        async with self._database.connection(writes=True) as connection:
            await connection.execute(_END, order_id)


async def _find(connection: asyncpg.Connection, order_id: str) -> ProviderSession | None:
    row = await connection.fetchrow(_FIND, order_id)
    return None if row is None else ProviderSession(**row)
