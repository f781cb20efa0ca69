"""Fixtures for every integration test: `database_url`, `empty_database_url` and `redis_url`.

The servers start once in a test run, when the first test asks. Each test finds them empty.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import asyncpg
import hypothesis
import pytest
from argon2 import PasswordHasher
from redis.asyncio import Redis

from tests.servers import postgres_server, redis_server, run
from tigerfans.office import passwords
from tigerfans.settings import located
from tigerfans.stores.schema import migrate

pytest_plugins = [
    "tests.harness.bytecode",
    "tests.harness.leaks",
    "tests.harness.parallel",
    "tests.harness.skips",
    "tests.harness.time_limit",
    "tests.shops",
    "tests.stripe_server.fixtures",
]

NAME: Final = "tests"

# How long an example takes is the machine's matter.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")

_EMPTY: Final = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
    DROP SCHEMA public CASCADE;
    CREATE SCHEMA public;
"""


# A comparison of the box office's passwords would take a tenth of a second of a core.
passwords.HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # type: ignore[misc]


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder with a short name: the path of a Unix socket has to fit into 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="tigerfans-tests-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_sockets(server_folder: Path) -> Iterator[Path]:
    """The socket folder of a running PostgreSQL."""
    with postgres_server(server_folder) as sockets:
        yield sockets


@pytest.fixture(scope="session")
def redis_server_url(server_folder: Path) -> Iterator[str]:
    with redis_server(server_folder) as url:
        yield url


@pytest.fixture(scope="session")
def one_database_url(postgres_sockets: Path) -> str:
    """A database for all tests, because a new one for each costs a tenth of a second."""
    run(_execute(located.database_url(postgres_sockets, "postgres"), f"CREATE DATABASE {NAME}"))
    return located.database_url(postgres_sockets, NAME)


@pytest.fixture
async def empty_database_url(one_database_url: str) -> str:
    """An empty database, which nobody else is connected to any more."""
    await _execute(one_database_url, _EMPTY)
    return one_database_url


@pytest.fixture
async def database_url(empty_database_url: str) -> str:
    """A database that has the tables of the shop, and nothing in them."""
    await migrate(empty_database_url)
    return empty_database_url


@pytest.fixture
async def redis_url(redis_server_url: str) -> str:
    """An empty Redis."""
    async with Redis.from_url(redis_server_url) as redis:
        await redis.flushall()
    return redis_server_url


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
