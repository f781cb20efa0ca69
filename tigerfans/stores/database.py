"""The connection to PostgreSQL, shared by everything in a worker that stores rows.

A pool of few connections, kept open, and one more for each batcher; each call under a deadline of
ours. Where PostgreSQL is away, an `UnavailableError` says so (`stores.away_postgresql`); any other
error of it is a bug and must look like one.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import asyncpg

from tigerfans.errors import UnavailableError
from tigerfans.presence import Presence
from tigerfans.stores.away_postgresql import POSTGRESQL_AWAY, POSTGRESQL_ENDED
from tigerfans.stores.postgresql_primary import NoPrimaryError, Primary, check_takes_writes
from tigerfans.stores.schema import check_version

DEADLINE_SECONDS: Final = 1.5
CONNECTIONS_MAX: Final = 4
# Of these, kept by the batchers of `Orders`; the others are the pool.
CONNECTIONS_HELD: Final = 2


_AWAY: Final = "Orders are away (PostgreSQL does not answer)."


@contextmanager
def _using(connection: asyncpg.Connection) -> Iterator[None]:
    """Tells a connection that ended from one that was used wrongly.

    Whatever goes wrong ends it, so that nothing of it reaches the next query: asyncpg leaves one
    that got wrong arguments in the middle of a transaction.
    """
    try:
        yield
    except BaseException as error:
        if _has_ended(connection):
            if isinstance(error, POSTGRESQL_ENDED):
                raise asyncpg.ConnectionDoesNotExistError(str(error)) from error
        else:
            connection.terminate()
        raise


def _has_ended(connection: asyncpg.Connection) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        # One of the pool's, which takes it back once it has ended, and then lets nobody ask it.
        return True


async def _keep_session(connection: asyncpg.Connection) -> None:
    """Spares the reset query that the pool would send at each release; we change no setting."""


class Database:
    def __init__(self, primary: Primary, pool: asyncpg.Pool) -> None:
        self.primary = primary
        self.presence = Presence("postgresql", "PostgreSQL")
        self._pool = pool
        self._generation = primary.generation
        # Whether one of the pool's connections is new, and nobody has written since.
        self._is_new = True
        self._turns = asyncio.Semaphore(pool.get_max_size())

    @classmethod
    async def connect(cls, url: str, connections_max: int = CONNECTIONS_MAX) -> "Database":
        """Connects to a database that was migrated; raises `UnavailableError`, also where it takes
        no writes, or `SettingsError` where its schema is of another version.
        """
        primary = Primary(url)
        database: Database | None = None

        async def connect(_: None, **options: Any) -> asyncpg.Connection:
            if database is not None:
                database._is_new = True
            return await primary.connect(**options)

        pool = await asyncpg.create_pool(
            connect=connect,
            # With one at least, the pool would log each failure to keep it open.
            min_size=0,
            max_size=connections_max - CONNECTIONS_HELD,
            reset=_keep_session,
            timeout=DEADLINE_SECONDS,
        )
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), pool.acquire() as connection:
                await check_takes_writes(connection)
                await check_version(connection)
        except BaseException as error:
            pool.terminate()
            if isinstance(error, NoPrimaryError):
                raise UnavailableError(str(error)) from error
            if isinstance(error, POSTGRESQL_AWAY):
                raise UnavailableError(_AWAY) from error
            raise
        database = cls(primary, pool)
        return database

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def connection(
        self, deadline_seconds: float = DEADLINE_SECONDS, *, writes: bool = False
    ) -> AsyncIterator[asyncpg.Connection]:
        """A connection for one piece of work; raises `UnavailableError`.

        Work that is cut short ends the connection: nothing of it gets back into the pool. Of
        `writes` see `Primary.connect`.
        """
        ends_at = asyncio.get_running_loop().time() + deadline_seconds
        async with self._turn(ends_at):
            if self._generation != self.primary.generation:
                self._generation = self.primary.generation
                await self._pool.expire_connections()
            try:
                if writes:
                    self.primary.check_not_lonely()
                async with (
                    asyncio.timeout_at(ends_at),
                    # The pool's own timeout bounds the release of a connection that hangs.
                    self._pool.acquire(timeout=DEADLINE_SECONDS) as connection,
                ):
                    with _using(connection):
                        if writes and self._is_new:
                            await self.primary.check_confirms(connection)
                            self._is_new = False
                        yield connection
            except POSTGRESQL_AWAY as error:
                # Of what may take long, a reader may have been slow.
                if deadline_seconds > DEADLINE_SECONDS and isinstance(error, TimeoutError):
                    raise UnavailableError(_AWAY) from error
                raise await self.away(error) from error
            self.presence.answered()

    @asynccontextmanager
    async def _turn(self, ends_at: float) -> AsyncIterator[None]:
        """One of the pool's connections is for us; `UnavailableError` where all are in use."""
        try:
            async with asyncio.timeout_at(ends_at):
                await self._turns.acquire()
        except TimeoutError as error:
            raise UnavailableError from error
        try:
            yield
        finally:
            self._turns.release()

    @asynccontextmanager
    async def snapshot(self, deadline_seconds: float) -> AsyncIterator[asyncpg.Connection]:
        """A connection that sees the rows of one moment, for a long read; `UnavailableError`."""
        async with self.connection(deadline_seconds) as connection:
            await connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield connection
            await connection.execute("COMMIT")

    def hold_connection(self, *, writes: bool = False) -> "HeldConnection":
        """A connection that one batcher keeps to itself; of `writes` see `Primary.connect`."""
        return HeldConnection(self, writes=writes)

    async def away(self, error: Exception) -> UnavailableError:
        """What an error of PostgreSQL that means that it is away becomes."""
        self.presence.failed(error)
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            # There is another primary now, and what is only read here would grow old unnoticed.
            self.primary.leave()
        return UnavailableError(_AWAY)

    async def ping(self) -> None:
        """Raises `UnavailableError` also where it takes no writes: no order would be recorded."""
        await self.primary.look()
        async with self.connection() as connection:
            # On a replica it is on, whatever the settings say.
            if await connection.fetchval("SELECT current_setting('transaction_read_only')") == "on":
                raise asyncpg.ReadOnlySQLTransactionError("it takes no writes")


class HeldConnection:
    """A connection for one query at a time, kept while it works, and made when there is none.

    To take one from the pool and give it back for each batch cost 80 to 150 µs of CPU.
    """

    def __init__(self, database: Database, *, writes: bool) -> None:
        self._database = database
        self._writes = writes
        self._connection: asyncpg.Connection | None = None
        self._generation = 0

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """The query's rows; raises `UnavailableError`.

        A query without an answer ends the connection, so that the next one has a fresh one.
        """
        database = self._database
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                if self._generation != database.primary.generation:
                    self.close()
                if self._connection is None or self._connection.is_closed():
                    self._connection = await database.primary.connect(writes=self._writes)
                    self._generation = database.primary.generation
                with _using(self._connection):
                    rows: list[asyncpg.Record] = await self._connection.fetch(query, *arguments)
        except POSTGRESQL_AWAY as error:
            raise await database.away(error) from error
        database.presence.answered()
        return rows

    def close(self) -> None:
        """Ends the connection at once."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
