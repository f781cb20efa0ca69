"""A line of those who wait for something that is had so many times a second, for all workers of a
shop together.

A place is a time, from which on its owner may have it: known when the line is joined, and the same
whichever worker is asked, however often. Nobody is served by the line, so who comes later than that
time keeps nobody waiting and needs no other place; and who never comes costs the others nothing,
who were told their own time. A line that everybody has left is gone when its last time has passed.

Redis keeps line and places, by its own clock. While it is away nobody joins, and where it has lost
them all join once more, in the order in which they ask.
"""

import math
from typing import Any, Final, NamedTuple

from tigerfans.stores.redis_connection import Script
from tigerfans.stores.shop_redis import ShopRedis
from tigerfans.stores.token_bucket import Rate

# A line is never longer: then Redis' clock was set back, and nobody shall wait for that.
LINE_SECONDS_MAX: Final = 3600
_MICROSECONDS: Final = 1_000_000

# The first key has when the last in the line will have had its turn, and the second whose place it
# is: the time, or 0 where there was no room. Arguments: microseconds from turn to turn, those of
# all that may be had at once, for how long a place is kept behind its turn, those of the longest
# line, and of the longest that there is room in.
_JOIN: Final = Script("""
local interval, at_once, kept, longest, wait_max =
    tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local function write(key, microseconds, lasts)
    redis.call('SET', key, string.format('%.0f', microseconds), 'PX', math.ceil(lasts / 1000))
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local due = tonumber(redis.call('GET', KEYS[2]) or '')
if due and due > 0 and due <= now + longest then
    return {due - now, 1}
end
local ends = tonumber(redis.call('GET', KEYS[1]) or '0')
ends = math.max(now, math.min(ends, now + longest)) + interval
local wait = math.max(0, ends - at_once - now)
if due == 0 or wait > wait_max then
    write(KEYS[2], 0, kept)
    return {wait, 0}
end
write(KEYS[1], ends, ends - now)
write(KEYS[2], now + wait, wait + kept)
return {wait, 1}
""")
_LENGTH: Final = Script("""
local time = redis.call('TIME')
local ends = tonumber(redis.call('GET', KEYS[1]) or '0')
return math.max(0, ends + ARGV[1] - ARGV[2] - time[1] * 1000000 - time[2])
""")


class Place(NamedTuple):
    """`wait_seconds` is until the turn comes, or would come where it is not taken; below 0 it came
    so long ago.
    """

    wait_seconds: float
    is_taken: bool


class WaitingLine:
    """The line under `key`; every method raises `UnavailableError` without Redis.

    A place is known for `kept_seconds` behind its turn, and that there was no room for as long.
    """

    def __init__(self, redis: ShopRedis, key: str, rate: Rate, kept_seconds: int) -> None:
        self._redis = redis
        self._key = f"{redis.key_prefix}:{key}"
        self._interval = round(_MICROSECONDS / rate.per_second)
        self._at_once = self._interval * rate.burst
        self._kept = kept_seconds * _MICROSECONDS

    async def join(self, name: str, wait_seconds_max: float = LINE_SECONDS_MAX) -> Place:
        """The place of that name, which takes one where it has none and would not wait longer.

        Who was not let in is not let in later, whatever room there is then.
        """
        reply: Any = await self._redis.asked(
            lambda: self._redis.client.eval(
                _JOIN.text,
                2,
                self._key,
                f"{self._key}:{name}",
                self._interval,
                self._at_once,
                self._kept,
                LINE_SECONDS_MAX * _MICROSECONDS,
                math.floor(wait_seconds_max * _MICROSECONDS),
            )
        )
        wait, is_taken = reply
        return Place(wait / _MICROSECONDS, bool(is_taken))

    async def seconds(self) -> float:
        """How long whoever joins now will wait."""
        wait: Any = await self._redis.asked(
            lambda: self._redis.client.eval(
                _LENGTH.text, 1, self._key, self._interval, self._at_once
            )
        )
        return float(wait) / _MICROSECONDS
