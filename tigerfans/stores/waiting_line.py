"""A line of those who wait for something that is had so many times a second, for all workers of a
shop together.

A place is a time, from which on its owner may have it: known when the line is joined, and the same
whichever worker is asked, however often. Nobody is served by the line, so who comes later than that
time keeps nobody waiting and needs no other place; and who never comes costs the others nothing,
who were told their own time. A line that everybody has left is gone when its last time has passed.

Redis keeps line and places, by its own clock. While it is away nobody joins, and where it has lost
them all join once more, in the order in which they ask. All who join while the last answer is under
way do so by one script call.
"""

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from tigerfans.batching import BatchedCalls
from tigerfans.stores.redis_connection import Argument, Script
from tigerfans.stores.shop_redis import ShopRedis
from tigerfans.stores.token_bucket import Rate

# A line is never longer: then Redis' clock was set back, and nobody shall wait for that.
LINE_SECONDS_MAX: Final = 3600
BATCH_MAX: Final = 500
# As many as wait for the ledger at most (`ipc.client`).
QUEUE_MAX: Final = 2_048
_MICROSECONDS: Final = 1_000_000

# The first key has when the last in the line will have had its turn, and each of the others whose
# place it is: the time, or 0 where there was no room. Arguments: microseconds from turn to turn,
# those of all that may be had at once, for how long a place is kept behind its turn, those of the
# longest line; and for each place, of the longest that there is room in. Replies with a pair each.
_JOIN: Final = Script("""
local interval, at_once, kept, longest =
    tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local function write(key, microseconds, lasts)
    redis.call('SET', key, string.format('%.0f', microseconds), 'PX', math.ceil(lasts / 1000))
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function join(place, wait_max)
    local due = tonumber(redis.call('GET', place) or '')
    if due and due > 0 and due <= now + longest then
        return {due - now, 1}
    end
    local ends = tonumber(redis.call('GET', KEYS[1]) or '0')
    ends = math.max(now, math.min(ends, now + longest)) + interval
    local wait = math.max(0, ends - at_once - now)
    if due == 0 or wait > wait_max then
        write(place, 0, kept)
        return {wait, 0}
    end
    write(KEYS[1], ends, ends - now)
    write(place, now + wait, wait + kept)
    return {wait, 1}
end
local places = {}
for i = 2, #KEYS do
    places[i - 1] = join(KEYS[i], tonumber(ARGV[i + 3]))
end
return places
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
        self._joining = redis.keep()
        self._joins = BatchedCalls[tuple[str, float], Place](
            "places in line", self._join_many, batch_max=BATCH_MAX, queue_max=QUEUE_MAX
        )

    async def close(self) -> None:
        await self._joins.close()

    async def join(self, name: str, wait_seconds_max: float = LINE_SECONDS_MAX) -> Place:
        """The place of that name, which takes one where it has none and would not wait longer.

        Who was not let in is not let in later, whatever room there is then.
        """
        return await self._joins.call((name, wait_seconds_max))

    async def seconds(self) -> float:
        """How long whoever joins now will wait."""
        wait: Any = await self._redis.asked(
            lambda: self._redis.client.eval(
                _LENGTH.text, 1, self._key, self._interval, self._at_once
            )
        )
        return float(wait) / _MICROSECONDS

    async def _join_many(self, joins: list[tuple[str, float]]) -> Sequence[Place]:
        arguments: list[Argument] = [1 + len(joins), self._key]
        arguments += (f"{self._key}:{name}" for name, _ in joins)
        arguments += (self._interval, self._at_once, self._kept, LINE_SECONDS_MAX * _MICROSECONDS)
        arguments += (math.floor(wait_seconds_max * _MICROSECONDS) for _, wait_seconds_max in joins)
        reply = await self._redis.answered(self._joining.run(_JOIN, *arguments))
        return [Place(wait / _MICROSECONDS, bool(is_taken)) for wait, is_taken in reply]
