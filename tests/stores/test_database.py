"""The database, and a connection that a batcher keeps, against a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tigerfans.errors import UnavailableError
from tigerfans.stores import database
from tigerfans.stores.database import Database, HeldConnection
from tigerfans.stores.schema import MIGRATIONS, SchemaTooNewError, SchemaTooOldError

PID = "SELECT pg_backend_pid()"


@pytest.fixture
async def held(database_url: str) -> AsyncIterator[HeldConnection]:
    opened = await Database.connect(database_url)
    held = opened.hold_connection()
    yield held
    held.close()
    await opened.close()


async def pid(held: HeldConnection) -> int:
    [row] = await held.fetch(PID)
    return int(row[0])


async def test_it_is_the_same_connection_again_and_again(held: HeldConnection) -> None:
    assert await pid(held) == await pid(held)


async def test_a_cancelled_query_ends_its_connection_and_the_next_has_another(
    held: HeldConnection, database_url: str
) -> None:
    first = await pid(held)
    query = asyncio.create_task(held.fetch("SELECT pg_sleep(60)"))
    await asyncio.sleep(0)
    query.cancel()
    await asyncio.wait([query])
    assert await pid(held) != first


async def test_a_query_without_an_answer_is_given_up_at_its_deadline(
    held: HeldConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await pid(held)
    monkeypatch.setattr(database, "DEADLINE_SECONDS", 0.02)
    with pytest.raises(UnavailableError, match="PostgreSQL"):
        await held.fetch("SELECT pg_sleep(60)")
    monkeypatch.undo()
    assert await pid(held) != first


async def test_a_connection_that_ends_while_it_is_idle_is_replaced(
    held: HeldConnection, database_url: str
) -> None:
    first = await pid(held)
    operator = await asyncpg.connect(database_url)
    # Waits until it is gone.
    await operator.execute("SELECT pg_terminate_backend($1, 10000)", first)
    await operator.close()
    assert await pid(held) != first


async def test_a_mistake_in_a_query_is_heard_as_it_is(held: HeldConnection) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await held.fetch("SELECT * FROM nothing")


async def test_a_look_at_a_database_that_is_not_set_up_is_refused_and_leaves_it_so(
    database_url: str,
) -> None:
    with pytest.raises(SchemaTooOldError, match=r"DATABASE_URL .* schema version 0, .* starts"):
        await Database.look(database_url)
    operator = await asyncpg.connect(database_url)
    assert (
        await operator.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    )
    await operator.close()


@pytest.mark.parametrize(
    ("version", "refusal"),
    [(len(MIGRATIONS) - 1, SchemaTooOldError), (len(MIGRATIONS) + 1, SchemaTooNewError)],
)
async def test_a_look_at_a_database_of_another_version_is_refused(
    database_url: str, version: int, refusal: type[Exception]
) -> None:
    await (await Database.connect(database_url)).close()
    operator = await asyncpg.connect(database_url)
    await operator.execute("DELETE FROM schema_version")
    await operator.execute("INSERT INTO schema_version VALUES ($1)", version)
    with pytest.raises(refusal, match=f"schema version {version}"):
        await Database.look(database_url)
    assert await operator.fetchval("SELECT max(version) FROM schema_version") == version
    await operator.close()


async def test_a_look_at_a_database_that_is_set_up_reads_it(database_url: str) -> None:
    await (await Database.connect(database_url)).close()
    looked = await Database.look(database_url)
    await looked.ping()
    await looked.close()
