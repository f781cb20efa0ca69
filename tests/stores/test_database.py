"""Connections, the pool's and those that a batcher keeps, against a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from tigerfans.errors import UnavailableError
from tigerfans.stores import database as database_module
from tigerfans.stores.database import Database, HeldConnection
from tigerfans.stores.schema import MIGRATIONS, SchemaTooNewError, SchemaTooOldError

PID = "SELECT pg_backend_pid()"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url)
    yield database
    await database.close()


@pytest.fixture
async def held(database: Database) -> AsyncIterator[HeldConnection]:
    held = database.hold_connection()
    yield held
    held.close()


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
    monkeypatch.setattr(database_module, "DEADLINE_SECONDS", 0.02)
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


@pytest.mark.parametrize(
    ("version", "refusal"),
    [(len(MIGRATIONS) - 1, SchemaTooOldError), (len(MIGRATIONS) + 1, SchemaTooNewError)],
)
async def test_a_database_of_another_version_is_refused_and_left_as_it_is(
    database_url: str, version: int, refusal: type[Exception]
) -> None:
    operator = await asyncpg.connect(database_url)
    await operator.execute("DELETE FROM schema_version")
    await operator.execute("INSERT INTO schema_version VALUES ($1)", version)
    with pytest.raises(refusal, match=f"schema version {version}"):
        await Database.connect(database_url)
    assert await operator.fetchval("SELECT max(version) FROM schema_version") == version
    await operator.close()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [((), asyncpg.InterfaceError), ((1, 2), asyncpg.InterfaceError), (("x",), asyncpg.DataError)],
)
async def test_arguments_that_do_not_fit_are_a_bug_and_not_postgresql_being_away(
    held: HeldConnection, database: Database, arguments: tuple[object, ...], error: type[Exception]
) -> None:
    async def from_the_pool() -> None:
        async with database.connection() as connection:
            await connection.fetch("SELECT $1::int", *arguments)

    async def from_a_snapshot() -> None:
        async with database.snapshot(60) as connection:
            await connection.fetch("SELECT $1::int", *arguments)

    with pytest.raises(error):
        await held.fetch("SELECT $1::int", *arguments)
    with pytest.raises(error):
        await from_the_pool()
    with pytest.raises(error):
        await from_a_snapshot()


async def test_a_connection_that_ends_between_two_queries_is_postgresql_being_away(
    database: Database, database_url: str
) -> None:
    operator = await asyncpg.connect(database_url)

    async def two_queries() -> None:
        async with database.connection() as connection:
            pid = await connection.fetchval(PID)
            # Waits until it is gone.
            await operator.execute("SELECT pg_terminate_backend($1, 10000)", pid)
            await connection.fetchval(PID)

    with pytest.raises(UnavailableError, match="PostgreSQL"):
        await two_queries()
    await operator.close()
    await database.ping()


async def test_without_a_server_the_first_connection_is_refused_in_a_sentence(
    tmp_path: Path,
) -> None:
    with pytest.raises(UnavailableError, match="PostgreSQL"):
        await Database.connect(f"postgresql:///tests?host={tmp_path}&user=nobody")


async def test_of_several_hosts_the_one_that_takes_writes_is_found(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    host = parse_qs(urlsplit(database_url).query)["host"][0]
    hosts = database_url.replace(host, f"{tmp_path},{host}")
    cluster = await Database.connect(f"{hosts}&target_session_attrs=read-write")
    try:
        await cluster.ping()
    finally:
        await cluster.close()
    name = urlsplit(database_url).path[1:]
    async with database.connection() as connection:
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        try:
            with pytest.raises(UnavailableError, match="PostgreSQL"):
                await Database.connect(f"{hosts}&target_session_attrs=read-write")
        finally:
            await connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
