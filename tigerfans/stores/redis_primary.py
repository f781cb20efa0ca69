"""Every client of Redis is made here: by its address, or by Sentinels that know the primary's.

Sentinels watch a Redis and its replicas, and promote one where the primary dies. They are asked for
each new connection, all at once: of their answers the one of the newest configuration counts, which
they number, so that one which was cut off from the others leads nobody to a primary of before. One
that does not answer costs no more than its own deadline.

Connections and their pool are redis-py's; only the asking is ours. redis-py asks one Sentinel after
the other, and puts the one that answered first by swapping two entries of a list: two connections
that are made at the same moment can lose a Sentinel for good.
"""

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from tigerfans.settings.store_urls import Host, SentinelUrl, is_sentinel_url, read_sentinel_url

# What a Sentinel has for its answer, of the 1.5 s that a batch of sessions has in all.
SENTINEL_SECONDS_MAX: Final = 0.4


class States(dict[str, Any]):
    """What a Sentinel knows of each primary, by its name; a `reason` where it does not say."""

    def __init__(self, states: Mapping[str, Any] = MappingProxyType({}), reason: str = "") -> None:
        super().__init__(states)
        self.reason = reason or "it watches nobody"


class NoSentinelError(RedisConnectionError):
    """No Sentinel knows a primary of that name which answers."""


def connect_redis(url: str, **options: Any) -> Redis:
    """A client with redis-py's own `options`; connects when there is something to send.

    By Sentinels, a connection that cannot be made raises `NoSentinelError`.
    """
    if not is_sentinel_url(url):
        return Redis.from_url(url, **options)
    address = read_sentinel_url(url)
    redis: Redis = _sentinels(address).master_for(
        address.name,
        connection_pool_class=_Pool,
        db=address.database,
        username=address.username,
        password=address.password,
        **options,
    )
    return redis


async def ask_sentinels(url: str) -> "dict[Host, States]":
    """What the Sentinels of a REDIS_URL know, none where it names none."""
    if not is_sentinel_url(url):
        return {}
    sentinels = _sentinels(read_sentinel_url(url))
    try:
        return await sentinels.ask()
    finally:
        await sentinels.close()


def _sentinels(address: SentinelUrl) -> "Sentinels":
    return Sentinels(
        address.sentinels,
        sentinel_kwargs={
            "username": address.sentinel_username,
            "password": address.sentinel_password,
            "socket_timeout": SENTINEL_SECONDS_MAX,
            "socket_connect_timeout": SENTINEL_SECONDS_MAX,
            # One attempt more, for a connection that died while it was idle.
            "retry": Retry(NoBackoff(), 1),
        },
    )


class _Pool(SentinelConnectionPool):
    """Closes its Sentinels with it."""

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.close()


class Sentinels(Sentinel):
    """The Sentinels of a shop; they listen at `addresses`."""

    def __init__(self, addresses: Sequence[Host], **options: Any) -> None:
        hosts = [(address.name, address.port) for address in addresses]
        super().__init__(hosts, **options)  # type: ignore[no-untyped-call]
        self.addresses: Final = addresses

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Where the primary of that name listens; raises `NoSentinelError`."""
        answers = await self.ask()
        known = [states[service_name] for states in answers.values() if service_name in states]
        newest = max((state["config-epoch"] for state in known), default=0)
        for state in known:
            is_newest = state["config-epoch"] == newest
            if is_newest and self.check_master_state(state, service_name):
                return state["ip"], state["port"]
        raise NoSentinelError(_why_none(service_name, answers))

    async def close(self) -> None:
        for sentinel in self.sentinels:
            await sentinel.aclose()

    async def ask(self) -> dict[Host, States]:
        """What each of them knows, all at once."""
        answers = await asyncio.gather(*map(_states, self.sentinels))
        return dict(zip(self.addresses, answers, strict=True))


async def _states(sentinel: Redis) -> States:
    try:
        async with asyncio.timeout(SENTINEL_SECONDS_MAX):
            return States(cast("dict[str, Any]", await sentinel.sentinel_masters()))
    except (OSError, TimeoutError, RedisError) as error:
        return States(reason=f"{type(error).__name__}: {error}".removesuffix(": "))


def _why_none(name: str, answers: Mapping[Host, States]) -> str:
    known = {name for states in answers.values() for name in states}
    if name in known:
        return f"The Sentinels know of no {name} that answers: a failover may be under way."
    if known:
        return (
            f"REDIS_URL names {name}, which its Sentinels do not know: name one of"
            f" {', '.join(sorted(known))}."
        )
    said = ", ".join(f"{host} ({states.reason})" for host, states in answers.items())
    return f"REDIS_URL names no Sentinel that answers: {said}."
