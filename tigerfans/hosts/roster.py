"""Which hosts sell for a shop: one hash in Redis, in which each has its latest report.

Each sequencer writes its own entry once a second, and reads all of them by the same script. When a
host was heard is told by Redis' clock, so that hosts whose clocks differ agree on who is silent.
Nothing depends on it: where Redis is away, or has forgotten everything, the hosts sell on, and the
next second's reports make it whole.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from tigerfans.hosts.report import HostReport
from tigerfans.ledger.base import SESSIONS_MAX
from tigerfans.stores.redis_connection import Script
from tigerfans.stores.shop_redis import ShopRedis

# As many sessions as a TigerBeetle cluster has: one for each sequencer.
HOSTS_MAX: Final = SESSIONS_MAX
# Some more are kept, so that too many can be said to be too many.
ENTRIES_MAX: Final = 2 * HOSTS_MAX
# Whoever has not been heard for as long is taken to be away, and for as long to be gone.
SILENT_SECONDS: Final = 5.0
GONE_SECONDS: Final = 24 * 3600

_KEY: Final = "hosts"

_READ: Final = Script("""
local time = redis.call('TIME')
return {time[1] * 1000 + math.floor(time[2] / 1000), '', redis.call('HGETALL', KEYS[1])}
""")

# Writes the report ARGV[2] of host ARGV[1]; forgets who was not heard for ARGV[3] milliseconds, and
# of more than ARGV[4] entries the one that was heard first. Gives the moment, what the host's entry
# was before, and all entries.
_WRITE: Final = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = redis.call('HGET', KEYS[1], ARGV[1]) or ''
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now) .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local all = redis.call('HGETALL', KEYS[1])
local first, first_seen = nil, now
for i = 1, #all, 2 do
    local seen = tonumber(string.match(all[i + 1], '^%d+') or '0')
    if now - seen > tonumber(ARGV[3]) then
        redis.call('HDEL', KEYS[1], all[i])
    elseif seen < first_seen then
        first, first_seen = all[i], seen
    end
end
if first and redis.call('HLEN', KEYS[1]) > tonumber(ARGV[4]) then
    redis.call('HDEL', KEYS[1], first)
end
return {now, before, redis.call('HGETALL', KEYS[1])}
""")

# Forgets host ARGV[1], if the entry is still that of instance ARGV[2].
_LEAVE: Final = Script("""
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry and string.find(entry, ARGV[2], 1, true) then
    redis.call('HDEL', KEYS[1], ARGV[1])
end
""")


class Host(NamedTuple):
    """A host that was heard at `seen_ms`, milliseconds since the epoch by Redis' clock."""

    report: HostReport
    seen_ms: int

    @property
    def name(self) -> str:
        return self.report.name

    @property
    def clock_ahead_ms(self) -> int:
        """How far its clock is ahead of Redis', less the way that the report took."""
        return self.report.clock_ms - self.seen_ms


class Hosts(NamedTuple):
    """All hosts that were heard within a day, by their names, at the moment `now_ms` of Redis."""

    now_ms: int
    hosts: Sequence[Host]

    def silent_seconds(self, host: Host) -> float:
        return max(0, self.now_ms - host.seen_ms) / 1_000

    def is_silent(self, host: Host) -> bool:
        return self.silent_seconds(host) > SILENT_SECONDS

    @property
    def selling(self) -> Sequence[Host]:
        """Those that were heard just now."""
        return [host for host in self.hosts if not self.is_silent(host)]


class Roster:
    """The roster of one shop; every method raises `UnavailableError` where Redis is away."""

    def __init__(self, redis: ShopRedis) -> None:
        self._redis = redis

    async def read(self) -> Hosts:
        now_ms, _, entries = await self._redis.run(_READ, _KEY)
        return _hosts(now_ms, entries)

    async def write(self, report: HostReport) -> tuple[Hosts, str]:
        """Leaves a host's report; the second is the instance that wrote under its name before."""
        now_ms, before, entries = await self._redis.run(
            _WRITE, _KEY, report.name, report.pack(), GONE_SECONDS * 1_000, ENTRIES_MAX
        )
        return _hosts(now_ms, entries), _host(report.name, before).report.instance

    async def leave(self, report: HostReport) -> None:
        """The host stops on purpose: nobody need look for it."""
        await self._redis.run(_LEAVE, _KEY, report.name, report.instance)


def _hosts(now_ms: int, entries: Iterable[Any]) -> Hosts:
    names_and_entries = iter(entries)
    hosts = [
        _host(name.decode(errors="replace"), entry)
        for name, entry in zip(names_and_entries, names_and_entries, strict=True)
    ]
    return Hosts(now_ms, sorted(hosts, key=lambda host: host.name))


def _host(name: str, entry: bytes) -> Host:
    seen_ms, _, packed = entry.partition(b" ")
    return Host(HostReport.unpack(name, packed), int(seen_ms) if seen_ms.isdigit() else 0)
