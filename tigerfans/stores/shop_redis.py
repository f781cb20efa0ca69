"""One shop's keys in a Redis: what is common to all that a process asks of it.

Payment sessions, the bucket of the guesses and the roster of hosts have scripts and keys of their
own. What they share stands here: the client, the deadline, what it means that Redis is away, and
the digits of the shop's id by which every key begins, so that two shops on one Redis never meet.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MaxConnectionsError, RedisError

from tigerfans.errors import UnavailableError
from tigerfans.presence import Presence
from tigerfans.stores.away_redis import is_redis_away, is_redis_replica
from tigerfans.stores.redis_connection import Argument, RedisConnection, Script
from tigerfans.stores.redis_primary import connect_redis

DEADLINE_SECONDS: Final = 1.5
CONNECTIONS_MAX: Final = 8

Output = TypeVar("Output")


class ShopRedis:
    """A method that answers raises `UnavailableError` where Redis does not.

    `key_prefix` is the shop's own (`ShopId.key_prefix`); `client` is for commands that are not
    batched, and whoever sends batches keeps a connection.
    """

    def __init__(self, client: Redis, key_prefix: str) -> None:
        self.presence = Presence("redis", "Redis")
        self.client = client
        self.key_prefix = key_prefix
        # Who asks by the client's pool waits for one of its connections, and is not refused for it.
        self._turns = asyncio.Semaphore(CONNECTIONS_MAX)
        self._kept: list[RedisConnection] = []

    @classmethod
    def connect(cls, url: str, key_prefix: str) -> "ShopRedis":
        """Connections to the Redis at `url` are made when they are needed."""
        client = connect_redis(
            url,
            # The deadline is ours, once for each batch: redis-py's costs 70 µs a command.
            socket_timeout=None,
            socket_connect_timeout=DEADLINE_SECONDS,
            # One attempt more, for a connection that died while it was idle.
            retry=Retry(NoBackoff(), 1),
            max_connections=CONNECTIONS_MAX,
        )
        return cls(client, key_prefix)

    async def close(self) -> None:
        for connection in self._kept:
            await connection.close()
        await self.client.aclose()

    def keep(self) -> RedisConnection:
        """A connection for one that sends command after command; closed with the rest."""
        connection = RedisConnection(self.client)
        self._kept.append(connection)
        return connection

    async def run(self, script: Script, key: str, *arguments: Argument) -> Any:
        """What a script answers on one key of the shop's, which is named without its prefix."""
        return await self.asked(
            lambda: self.client.eval(script.text, 1, f"{self.key_prefix}:{key}", *arguments)
        )

    async def ping(self) -> None:
        await self.asked(self.client.ping)

    async def asked(self, ask: Callable[[], Awaitable[Output]]) -> Output:
        """The reply to what is asked by `client`, of whose connections there are few."""

        async def in_turn() -> Output:
            async with self._turns:
                return await ask()

        return await self.answered(in_turn())

    async def answered(self, command: Awaitable[Output]) -> Output:
        """The reply to a command, within the deadline."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                reply = await command
        except MaxConnectionsError as error:
            # Ours are all in use: Redis has nothing to do with it.
            raise UnavailableError from error
        except (RedisError, OSError, TimeoutError) as error:
            if not is_redis_away(error):
                raise
            self.presence.failed(error)
            if is_redis_replica(error):
                await self._expire_connections()
            raise UnavailableError("Payment sessions are away (Redis does not answer).") from error
        self.presence.answered()
        return reply

    async def _expire_connections(self) -> None:
        """There is another primary now, and what is only read here would grow old unnoticed."""
        for connection in self._kept:
            connection.expire()
        with suppress(RedisError, OSError):
            await self.client.connection_pool.disconnect(inuse_connections=False)
