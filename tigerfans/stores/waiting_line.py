"""A line of those who wait for something that is had so many times a second, for all workers of a
shop together.

Who joins is told how long to wait, and keeps the place however often the question is asked, by
whichever worker. Redis keeps line and places, by its own clock. While it is away nobody joins.
"""

from typing import Any, Final

from tigerfans.stores.redis_connection import Script
from tigerfans.stores.shop_redis import ShopRedis
from tigerfans.stores.token_bucket import Rate

# A line is never longer: then Redis' clock was set back, and nobody shall wait for that.
LINE_SECONDS_MAX: Final = 3600
_MICROSECONDS: Final = 1_000_000

# The first key has when the last in the line will have had its turn, and the second whose place it
# is. Arguments: microseconds from turn to turn, those of all that may be had at once, of the grace,
# and of the longest line.
_JOIN: Final = Script("""
local interval, at_once, grace, longest =
    tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local due = tonumber(redis.call('GET', KEYS[2]) or '')
if due and now <= due + grace and due <= now + longest then
    return math.max(0, due - now)
end
local ends = tonumber(redis.call('GET', KEYS[1]) or '0')
ends = math.max(now, math.min(ends, now + longest)) + interval
redis.call('SET', KEYS[1], string.format('%.0f', ends), 'PX', math.ceil((ends - now) / 1000))
due = math.max(now, ends - at_once)
redis.call(
    'SET', KEYS[2], string.format('%.0f', due), 'PX', math.ceil((due - now + grace) / 1000)
)
return due - now
""")
_LENGTH: Final = Script("""
local time = redis.call('TIME')
local ends = tonumber(redis.call('GET', KEYS[1]) or '0')
return math.max(0, ends - ARGV[1] - time[1] * 1000000 - time[2])
""")


class WaitingLine:
    """The line under `key`; every method raises `UnavailableError` without Redis.

    Who comes later than `grace_seconds` after their turn joins again, at the end.
    """

    def __init__(self, redis: ShopRedis, key: str, rate: Rate, grace_seconds: int) -> None:
        self._redis = redis
        self._key = f"{redis.key_prefix}:{key}"
        self._interval = round(_MICROSECONDS / rate.per_second)
        self._at_once = self._interval * rate.burst
        self._grace = grace_seconds * _MICROSECONDS

    async def join(self, name: str) -> float:
        """How many seconds it is until the turn of that name, 0 where it has come."""
        wait: Any = await self._redis.asked(
            lambda: self._redis.client.eval(
                _JOIN.text,
                2,
                self._key,
                f"{self._key}:{name}",
                self._interval,
                self._at_once,
                self._grace,
                LINE_SECONDS_MAX * _MICROSECONDS,
            )
        )
        return float(wait) / _MICROSECONDS

    async def seconds(self) -> float:
        """How long whoever joins now will wait."""
        wait: Any = await self._redis.asked(
            lambda: self._redis.client.eval(_LENGTH.text, 1, self._key, self._at_once)
        )
        return float(wait) / _MICROSECONDS
