"""Fixtures for every integration test: `database_url` and `redis_url`.

The servers start once in a test run, when the first test asks. Each test finds them empty: a
database of its own, a Redis that was flushed.
"""

import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

from tests.servers import postgres_server, redis_server
from tigerfans.stack import postgres

pytest_plugins = ["tests.shops"]

_database_numbers = itertools.count(1)


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


@pytest.fixture
async def database_url(postgres_sockets: Path) -> AsyncIterator[str]:
    """An empty database, dropped afterwards whoever is still connected."""
    name = f"test_{next(_database_numbers)}"
    connection = await asyncpg.connect(postgres.database_url(postgres_sockets, "postgres"))
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        yield postgres.database_url(postgres_sockets, name)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


@pytest.fixture
async def redis_url(redis_server_url: str) -> str:
    """An empty Redis."""
    async with Redis.from_url(redis_server_url) as redis:
        await redis.flushall()
    return redis_server_url
