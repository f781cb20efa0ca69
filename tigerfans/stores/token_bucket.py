"""A token bucket: so many at once, then so many a second, for all workers of a shop together.

Who takes a token is told how long to wait for it, and nobody else gets that one: with every worker
taking one at a time, they take turns. Redis keeps the bucket, by its own clock. While it is away,
each worker has a bucket of its own with its share of the rate.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from tigerfans.errors import UnavailableError
from tigerfans.stores.redis_connection import Argument, Script

# Tokens that may be promised and not be due yet, where workers take one at a time: one for each
# worker there can be.
PROMISED_MAX: Final = 64
_MICROSECONDS: Final = 1_000_000

# The key holds when the bucket is full again. Arguments: microseconds from token to token, those
# of a full bucket, and those of what may be promised beyond it. A clock that was set back must keep
# nobody waiting for as long.
_TAKE: Final = Script("""
local interval, full, promised = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full_at = tonumber(redis.call('GET', KEYS[1]) or '0')
full_at = math.max(now, math.min(full_at, now + full + promised)) + interval
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
return math.max(0, full_at - full - now)
""")
_GIVE_BACK: Final = Script("""
local full_at = redis.call('GET', KEYS[1])
if full_at then
    redis.call('SET', KEYS[1], string.format('%.0f', full_at - ARGV[1]), 'KEEPTTL')
end
""")

# Runs a script on one key; raises `UnavailableError`.
RunScript = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `burst` tokens at once, and then `per_second`."""

    per_second: float
    burst: int

    def shared_by(self, workers: int) -> "Rate":
        """What each of several workers may take, so that all of them keep to this rate."""
        return Rate(self.per_second / workers, max(1, self.burst // workers))


class Token(NamedTuple):
    """A token that is due after `wait_seconds`; of the shared bucket, or of this worker's own."""

    wait_seconds: float
    is_shared: bool


class Tokens(Protocol):
    """Where tokens come from; never raises because something is away."""

    async def take(self) -> Token: ...

    async def give_back(self, token: Token) -> None:
        """It was not needed after all."""


class TokenBucket:
    """A bucket in this process, on this process's clock."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / rate.per_second
        self._slack = (rate.burst - 1) * self._interval
        self._clock = clock
        self._full_at = 0.0

    async def take(self) -> Token:
        now = self._clock()
        full_at = max(now, self._full_at)
        self._full_at = full_at + self._interval
        return Token(max(0.0, full_at - now - self._slack), is_shared=False)

    async def give_back(self, token: Token) -> None:
        self._full_at -= self._interval


class SharedTokenBucket:
    """A bucket in Redis under `key`, for `workers` of them on each host.

    Past `promised_max` tokens that are not due yet, several are due at the same time.
    """

    def __init__(
        self,
        run: RunScript,
        key: str,
        rate: Rate,
        workers: int,
        promised_max: int = PROMISED_MAX,
    ) -> None:
        self._run = run
        self._key = key
        interval = round(_MICROSECONDS / rate.per_second)
        self._interval = interval
        self._arguments: tuple[Argument, ...] = (
            interval,
            interval * rate.burst,
            interval * promised_max,
        )
        self._own = TokenBucket(rate.shared_by(workers))

    async def take(self) -> Token:
        try:
            wait = await self._run(_TAKE, self._key, *self._arguments)
        except UnavailableError:
            return await self._own.take()
        return Token(wait / _MICROSECONDS, is_shared=True)

    async def give_back(self, token: Token) -> None:
        if not token.is_shared:
            await self._own.give_back(token)
            return
        try:
            await self._run(_GIVE_BACK, self._key, self._interval)
        except UnavailableError:
            # It comes back by itself, in the time that one takes.
            return
