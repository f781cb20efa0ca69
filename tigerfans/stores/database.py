"""The connection to PostgreSQL, shared by everything in a worker that stores rows.

A pool of few connections, kept open, and one more for each batcher; each call under a deadline of
ours. What PostgreSQL does not answer becomes `UnavailableError`; any other error of it is a bug and
must look like one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import asyncpg

from tigerfans.errors import UnavailableError
from tigerfans.stores.schema import check_schema, migrate

DEADLINE_SECONDS: Final = 1.5
CONNECTIONS_MAX: Final = 4
# Of these, kept by the batchers of `Orders`; the others are the pool.
CONNECTIONS_HELD: Final = 2

_AWAY: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    # What asyncpg says when a connection ends between two messages of one query.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


# What is done with the first connection, before there is a database to work with.
Prepare = Callable[[asyncpg.Connection], Awaitable[None]]


@contextmanager
def _answering() -> Iterator[None]:
    """Turns "PostgreSQL gives no answer", in all its forms, into `UnavailableError`."""
    try:
        yield
    except _AWAY as error:
        raise UnavailableError("Orders are away (PostgreSQL does not answer).") from error


async def _keep_session(connection: asyncpg.Connection) -> None:
    """Spares the reset query that the pool would send at each release; we change no setting."""


class Database:
    def __init__(self, url: str, pool: asyncpg.Pool) -> None:
        self._url = url
        self._pool = pool

    @classmethod
    async def connect(cls, url: str, connections_max: int = CONNECTIONS_MAX) -> "Database":
        """Connects and brings the schema up to date."""
        return await cls._connect(url, connections_max, migrate)

    @classmethod
    async def look(cls, url: str, connections_max: int = CONNECTIONS_MAX) -> "Database":
        """Connects, and raises `SettingsError` unless the schema is up to date."""
        return await cls._connect(url, connections_max, check_schema)

    @classmethod
    async def _connect(cls, url: str, connections_max: int, prepare: Prepare) -> "Database":
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=connections_max - CONNECTIONS_HELD,
            reset=_keep_session,
            timeout=DEADLINE_SECONDS,
        )
        try:
            async with pool.acquire() as connection:
                await prepare(connection)
        except BaseException:
            pool.terminate()
            raise
        return cls(url, pool)

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def connection(
        self, deadline_seconds: float = DEADLINE_SECONDS
    ) -> AsyncIterator[asyncpg.Connection]:
        """A connection for one short piece of work; raises `UnavailableError`."""
        with _answering():
            async with (
                asyncio.timeout(deadline_seconds),
                # The pool's own timeout bounds the release of a connection that hangs.
                self._pool.acquire(timeout=DEADLINE_SECONDS) as connection,
            ):
                yield connection

    @asynccontextmanager
    async def snapshot(self, deadline_seconds: float) -> AsyncIterator[asyncpg.Connection]:
        """A connection that sees the rows of one moment, for a long read; `UnavailableError`.

        A read that is cut short ends the connection: nothing of it gets back into the pool.
        """
        async with self.connection(deadline_seconds) as connection:
            try:
                await connection.execute(
                    "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
                )
                yield connection
                await connection.execute("COMMIT")
            except BaseException:
                connection.terminate()
                raise

    def hold_connection(self) -> "HeldConnection":
        """A connection that one batcher keeps to itself."""
        return HeldConnection(self._url)

    async def ping(self) -> None:
        async with self.connection() as connection:
            await connection.fetchval("SELECT 1")


class HeldConnection:
    """A connection for one query at a time, kept while it works, and made when there is none.

    To take one from the pool and give it back for each batch cost 80 to 150 µs of CPU.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection | None = None

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """The query's rows; raises `UnavailableError`.

        A query without an answer ends the connection, so that the next one has a fresh one.
        """
        with _answering():
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    if self._connection is None or self._connection.is_closed():
                        self._connection = await asyncpg.connect(self._url)
                    rows: list[asyncpg.Record] = await self._connection.fetch(query, *arguments)
                    return rows
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Ends the connection at once."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
