"""How a database is migrated while others use it, against a real PostgreSQL."""

import asyncio
import logging
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.harness.patience import until
from tests.stores.test_orders import paid_order
from tigerfans.errors import UnavailableError
from tigerfans.stores import migration
from tigerfans.stores.database import Database
from tigerfans.stores.migration import ADVISORY_LOCK, ConcurrentIndex, Transaction
from tigerfans.stores.orders import Orders, Recorded
from tigerfans.stores.schema import (
    MIGRATIONS,
    WORKS_WITH,
    SchemaTooNewError,
    SchemaTooOldError,
    migrate,
)

INDEX = ConcurrentIndex("orders_currency", "ON orders (currency)")
COLUMN = Transaction("ALTER TABLE orders ADD COLUMN note text; CREATE TABLE notes (note text)")


@pytest.fixture
async def operator(empty_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(empty_database_url)
    yield connection
    await connection.close()


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(migration, "PAUSE_SECONDS", 0.01)
    caplog.set_level(logging.INFO, migration.__name__)


async def versions(operator: asyncpg.Connection) -> list[int]:
    rows = await operator.fetch("SELECT version FROM schema_version ORDER BY version")
    return [row["version"] for row in rows]


async def is_valid(operator: asyncpg.Connection) -> bool | None:
    """Whether the index is; None where there is none."""
    valid: bool | None = await operator.fetchval(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", INDEX.name
    )
    return valid


async def builds(operator: asyncpg.Connection) -> bool:
    """Whether an index is being built, and is there for others to see."""
    # In a transaction, it would be told the same again and again.
    await operator.execute("SELECT pg_stat_clear_snapshot()")
    found = await operator.fetchval(
        "SELECT count(*) FROM pg_stat_progress_create_index JOIN pg_index"
        " ON pg_index.indexrelid = index_relid"
    )
    return bool(found)


async def test_twenty_processes_migrate_at_once_and_it_happens_once(
    empty_database_url: str, operator: asyncpg.Connection
) -> None:
    before = await asyncio.gather(*(migrate(empty_database_url) for _ in range(20)))
    assert sorted(before) == [0] + 19 * [len(MIGRATIONS)]
    assert await versions(operator) == list(range(1, len(MIGRATIONS) + 1))


async def test_a_database_of_a_newer_version_is_refused_by_both(
    database_url: str, operator: asyncpg.Connection
) -> None:
    await operator.execute("INSERT INTO schema_version VALUES (999)")
    with pytest.raises(SchemaTooNewError, match="schema version 999"):
        await migrate(database_url)
    with pytest.raises(SchemaTooNewError, match="schema version 999"):
        await Database.connect(database_url)


async def test_a_newer_release_may_say_that_this_one_goes_on_beside_it(
    database_url: str, operator: asyncpg.Connection
) -> None:
    newer = (*MIGRATIONS, COLUMN)
    assert await migrate(database_url, newer, works_with=len(MIGRATIONS)) == len(MIGRATIONS)
    database = await Database.connect(database_url)
    orders = Orders(database)
    assert (await orders.record(paid_order())).is_new
    await orders.close()
    await database.close()
    # What a worker's unit runs before it starts again.
    assert await migrate(database_url) == len(newer)
    assert (await versions(operator))[-1] == len(newer)
    # The one after that may have no use for it any more.
    await migrate(database_url, (*newer, INDEX), works_with=len(newer))
    with pytest.raises(SchemaTooNewError):
        await Database.connect(database_url)


async def test_a_database_that_an_older_release_has_migrated_gets_what_is_said_of_it(
    database_url: str, operator: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await operator.execute("ALTER TABLE schema_version DROP COLUMN works_with")
    database = await Database.connect(database_url)
    await database.close()
    async with operator.transaction():
        # As a backup does for as long as it takes.
        await operator.execute("LOCK TABLE schema_version IN ACCESS SHARE MODE")
        migrating = asyncio.create_task(migrate(database_url), name="migrate")

        async def waits() -> bool:
            return "waits for a table that others use" in caplog.text

        await until(waits)
    assert await migrating == len(MIGRATIONS)
    newest = "SELECT works_with FROM schema_version ORDER BY version DESC LIMIT 1"
    assert await operator.fetchval(newest) == WORKS_WITH


def test_the_oldest_schema_that_a_shop_works_beside_is_none_to_come() -> None:
    assert 1 <= WORKS_WITH <= len(MIGRATIONS)


@pytest.mark.parametrize(("migrated", "version"), [(0, "none"), (1, "1")])
async def test_a_worker_starts_on_no_older_schema_and_says_what_to_run(
    empty_database_url: str, migrated: int, version: str
) -> None:
    if migrated:
        await migrate(empty_database_url, MIGRATIONS[:migrated])
    with pytest.raises(SchemaTooOldError) as refused:
        await Database.connect(empty_database_url)
    assert str(refused.value) == (
        f"DATABASE_URL names a database with schema version {version}; this version of the shop"
        f" needs {len(MIGRATIONS)}: run `tigerfans migrate`."
    )


async def test_a_migration_that_fails_leaves_nothing_behind(
    database_url: str, operator: asyncpg.Connection
) -> None:
    broken = Transaction("CREATE TABLE notes (note text); SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(database_url, (*MIGRATIONS, broken))
    assert await operator.fetchval("SELECT to_regclass('notes')") is None
    assert await migrate(database_url, (*MIGRATIONS, COLUMN)) == len(MIGRATIONS)
    assert (await versions(operator))[-1] == len(MIGRATIONS) + 1


async def test_orders_are_written_while_an_index_over_them_is_built(
    database_url: str, operator: asyncpg.Connection
) -> None:
    database = await Database.connect(database_url)
    orders = Orders(database)
    # As long as this transaction is open, the index is not done.
    transaction = operator.transaction()
    await transaction.start()
    await operator.execute("LOCK TABLE orders IN ROW EXCLUSIVE MODE")
    building = asyncio.create_task(migrate(database_url, (*MIGRATIONS, INDEX)), name="migrate")
    await until(lambda: builds(operator))
    order = paid_order()
    assert await orders.record(order) == Recorded(order, is_new=True)
    assert not building.done()
    await transaction.commit()
    await building
    assert await is_valid(operator) is True
    await orders.close()
    await database.close()


async def test_an_index_that_was_left_in_the_middle_is_built_again(
    database_url: str, operator: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    transaction = operator.transaction()
    await transaction.start()
    await operator.execute("LOCK TABLE orders IN ROW EXCLUSIVE MODE")
    building = asyncio.create_task(migrate(database_url, (*MIGRATIONS, INDEX)), name="migrate")
    await until(lambda: builds(operator))
    await operator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index")
    with pytest.raises(UnavailableError, match="cannot be migrated"):
        await building
    await transaction.commit()
    assert await is_valid(operator) is False
    assert (await versions(operator))[-1] == len(MIGRATIONS)
    assert await migrate(database_url, (*MIGRATIONS, INDEX)) == len(MIGRATIONS)
    assert await is_valid(operator) is True
    assert (await versions(operator))[-1] == len(MIGRATIONS) + 1


async def test_an_index_that_is_there_is_not_built_again(
    database_url: str, operator: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await operator.execute(f"CREATE INDEX {INDEX.name} {INDEX.definition}")
    await migrate(database_url, (*MIGRATIONS, INDEX))
    assert "builds the index" not in caplog.text
    assert (await versions(operator))[-1] == len(MIGRATIONS) + 1


async def test_a_migration_waits_for_a_table_without_a_queue_of_buyers_behind_it(
    database_url: str, operator: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    database = await Database.connect(database_url)
    orders = Orders(database)
    reading = operator.transaction()
    await reading.start()
    await operator.execute("LOCK TABLE orders IN ACCESS SHARE MODE")
    changing = asyncio.create_task(migrate(database_url, (*MIGRATIONS, COLUMN)), name="migrate")

    async def waits() -> bool:
        return "waits for a table that others use" in caplog.text

    await until(waits)
    for _ in range(10):
        order = paid_order()
        assert await orders.record(order) == Recorded(order, is_new=True)
    assert not changing.done()
    await reading.commit()
    assert await changing == len(MIGRATIONS)
    assert caplog.text.count("waits for a table that others use") == 1
    await orders.close()
    await database.close()


async def test_one_that_waits_for_another_does_not_keep_its_index_from_being_done(
    database_url: str, operator: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await operator.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK)
    waiting = asyncio.create_task(migrate(database_url, (*MIGRATIONS, INDEX)), name="migrate")

    async def waits() -> bool:
        return "another process migrates" in caplog.text

    await until(waits)
    await operator.execute("CREATE INDEX CONCURRENTLY beside ON orders (currency)")
    await operator.execute("SELECT pg_advisory_unlock($1)", ADVISORY_LOCK)
    assert await waiting == len(MIGRATIONS)


async def test_without_a_server_a_migration_is_refused_in_a_sentence(tmp_path: object) -> None:
    with pytest.raises(UnavailableError, match="cannot be migrated: FileNotFoundError"):
        await migrate(f"postgresql:///tests?host={tmp_path}&user=nobody")
