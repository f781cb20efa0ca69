"""A connection that is kept, against a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from tigerfans.stores.redis_connection import RedisConnection, Script


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        yield redis


@pytest.fixture
async def connection(redis: Redis) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(redis)
    yield connection
    await connection.close()


async def test_one_connection_is_kept_also_after_a_command_that_redis_refuses(
    connection: RedisConnection,
) -> None:
    first = await connection.execute("CLIENT", "ID")
    with pytest.raises(ResponseError):
        await connection.execute("NO-SUCH-COMMAND")
    assert await connection.execute("CLIENT", "ID") == first


async def test_a_cancelled_commands_reply_never_answers_another(
    connection: RedisConnection, redis: Redis
) -> None:
    waiting = asyncio.create_task(connection.execute("BLPOP", "queue", 0))
    while not (await redis.info("clients"))["blocked_clients"]:
        pass
    waiting.cancel()
    await asyncio.wait([waiting])
    await redis.lpush("queue", "late")
    assert await connection.execute("ECHO", "mine") == b"mine"


async def test_a_connection_that_died_while_it_was_idle_is_replaced(
    connection: RedisConnection, redis: Redis
) -> None:
    first = await connection.execute("CLIENT", "ID")
    await redis.client_kill_filter(_id=first)
    assert await connection.execute("CLIENT", "ID") != first


async def test_a_script_that_redis_has_forgotten_is_told_again(
    connection: RedisConnection, redis: Redis
) -> None:
    script = Script("return {KEYS[1], ARGV[1]}")
    for _ in range(2):
        assert await connection.run(script, 1, "key", b"\xff") == [b"key", b"\xff"]
        await redis.script_flush()
