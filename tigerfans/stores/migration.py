"""How a database is brought to a schema, step by step, while the shop sells.

A migration changes the schema by one version, and may be killed at any time: the next attempt goes
on where it was. None keeps a buyer waiting. What takes a table's lock gives up at once where others
have it, for whoever comes behind it would wait with it; an index on a table that is in use is built
beside all writes, which PostgreSQL does in no transaction.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, Protocol

import asyncpg

from tigerfans.errors import UnavailableError
from tigerfans.stores.away_postgresql import POSTGRESQL_AWAY
from tigerfans.stores.postgresql_primary import NoPrimaryError, Primary, check_takes_writes

# Any fixed number; it only has to be ours within the database.
ADVISORY_LOCK: Final = 0x7167_6572

CONNECT_SECONDS_MAX: Final = 10.0
CLOSE_SECONDS_MAX: Final = 1.0
# Of the 1.5 s that an order's write has in all.
TABLE_LOCK_MILLISECONDS_MAX: Final = 200
PAUSE_SECONDS: Final = 0.5

RECORD: Final = "INSERT INTO schema_version VALUES ($1)"
_SCHEMA_VERSION: Final = (
    "CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL, works_with integer)"
)
# Where a release of before made the table. It is no version of its own: that release reads and
# writes beside it.
_HAS_WORKS_WITH: Final = """
    SELECT EXISTS (SELECT FROM pg_attribute WHERE attname = 'works_with'
        AND attrelid = 'schema_version'::regclass AND NOT attisdropped)
"""
_ADD_WORKS_WITH: Final = "ALTER TABLE schema_version ADD COLUMN works_with integer"

logger = logging.getLogger(__name__)


class Migration(Protocol):
    """One step of the schema."""

    async def apply(self, connection: asyncpg.Connection, version: int) -> None:
        """Does it, and records that the database has this version."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """SQL that is done as a whole or not at all: new tables with their indexes, new columns."""

    sql: str

    async def apply(self, connection: asyncpg.Connection, version: int) -> None:
        async def change() -> None:
            await connection.execute(self.sql)
            await connection.execute(RECORD, version)

        await _change_tables(connection, change, f"version {version}")


@dataclass(frozen=True, slots=True)
class ConcurrentIndex:
    """An index on a table that is in use; `definition` is what follows `CREATE INDEX name`."""

    name: str
    definition: str

    async def apply(self, connection: asyncpg.Connection, version: int) -> None:
        is_valid = await connection.fetchval(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", self.name
        )
        if is_valid is False:
            # Left by an attempt that ended in the middle.
            await connection.execute(f"DROP INDEX CONCURRENTLY {self.name}")
        if not is_valid:
            logger.info("version %d builds the index %s", version, self.name)
            await connection.execute(f"CREATE INDEX CONCURRENTLY {self.name} {self.definition}")
        await connection.execute(RECORD, version)


class SchemaVersion(NamedTuple):
    """The version of a database's schema, 0 where there is none, and the oldest version whose
    shop goes on working on it. That is None where nobody has said so: no other does.
    """

    number: int = 0
    works_with: int | None = None

    def suits(self, own: int) -> bool:
        """Whether a shop works on it that knows the versions up to `own`."""
        oldest = self.number if self.works_with is None else self.works_with
        return oldest <= own <= self.number


async def read_version(connection: asyncpg.Connection) -> SchemaVersion:
    # A shop of before has made it with one column, and none at all is empty.
    if await connection.fetchval("SELECT to_regclass('schema_version')") is None:
        return SchemaVersion()
    newest = await connection.fetchrow(
        "SELECT version, (to_jsonb(s) ->> 'works_with')::integer AS works_with"
        " FROM schema_version AS s ORDER BY version DESC LIMIT 1"
    )
    return SchemaVersion(*newest) if newest else SchemaVersion()


@asynccontextmanager
async def migrating(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that is the only one to migrate; raises `UnavailableError`."""
    try:
        connection = await Primary(url).connect(timeout=CONNECT_SECONDS_MAX)
        try:
            await check_takes_writes(connection)
            # Whatever the operator allows others.
            await connection.execute("SET statement_timeout = 0; SET lock_timeout = 0")
            await _lock(connection)
            await connection.execute(_SCHEMA_VERSION)
            if not await connection.fetchval(_HAS_WORKS_WITH):
                adding = partial(connection.execute, _ADD_WORKS_WITH)
                await _change_tables(connection, adding, "what is said of versions")
            yield connection
            await connection.close(timeout=CLOSE_SECONDS_MAX)
        except BaseException:
            connection.terminate()
            raise
    except NoPrimaryError as error:
        raise UnavailableError(f"The database cannot be migrated: {error}") from error
    except POSTGRESQL_AWAY as error:
        raise UnavailableError(
            f"The database cannot be migrated: {type(error).__name__}: {error}"
        ) from error


async def apply(
    connection: asyncpg.Connection, migrations: Sequence[Migration], version: int, works_with: int
) -> None:
    """Applies those that the database, at `version`, does not have yet."""
    for number, migration in enumerate(migrations[version:], start=version + 1):
        await migration.apply(connection, number)
        logger.info("the database is at version %d", number)
    # At the end: between two steps there may be what no shop works on.
    await connection.execute(
        "UPDATE schema_version SET works_with = $1 WHERE version = $2", works_with, len(migrations)
    )


async def _change_tables(
    connection: asyncpg.Connection, change: Callable[[], Awaitable[object]], name: str
) -> None:
    """Does it in one transaction as soon as nobody has the tables, and keeps nobody waiting."""
    waits = False
    while True:
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = {TABLE_LOCK_MILLISECONDS_MAX}")
                await change()
        except asyncpg.LockNotAvailableError:
            if not waits:
                waits = True
                logger.info("%s waits for a table that others use", name)
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return


async def _lock(connection: asyncpg.Connection) -> None:
    """Waits until nobody else migrates.

    It asks again and again: a session that waits for a lock in PostgreSQL keeps a snapshot, for
    whose end an index that is built beside it waits in turn.
    """
    waits = False
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", ADVISORY_LOCK):
        if not waits:
            waits = True
            logger.info("another process migrates the database; waiting for it")
        await asyncio.sleep(PAUSE_SECONDS)
