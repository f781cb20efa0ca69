"""The roster of a shop's hosts, in a real Redis."""

import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from tests.hosts.reports import a_report
from tigerfans.errors import UnavailableError
from tigerfans.hosts.roster import ENTRIES_MAX, GONE_SECONDS, SILENT_SECONDS, Roster
from tigerfans.stores.shop_redis import ShopRedis

PREFIX = "0123abcd"
KEY = f"{PREFIX}:hosts"
NOBODY_LISTENS = "redis://127.0.0.1:1/0"


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        yield redis


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[ShopRedis]:
    store = ShopRedis.connect(redis_url, PREFIX)
    yield store
    await store.close()


@pytest.fixture
def roster(store: ShopRedis) -> Roster:
    return Roster(store)


async def make_older(redis: Redis, name: str, seconds: float) -> None:
    """Has a host not been heard for so long."""
    entry = await redis.hget(KEY, name)
    assert isinstance(entry, bytes)
    seen_ms, _, report = entry.partition(b" ")
    await redis.hset(KEY, name, b"%d %s" % (int(seen_ms) - int(seconds * 1_000), report))


async def test_each_host_reads_what_all_have_written(roster: Roster) -> None:
    first, second = a_report("b"), a_report("a")
    await roster.write(first)
    hosts, _ = await roster.write(second)
    assert [host.report for host in hosts.hosts] == [second, first]
    assert (await roster.read()).hosts == hosts.hosts
    assert hosts.selling == hosts.hosts


async def test_a_host_is_heard_by_the_clock_of_redis(roster: Roster) -> None:
    clock_ms = time.time_ns() // 1_000_000 + 90_000
    hosts, _ = await roster.write(a_report("a", clock_ms=clock_ms))
    [host] = hosts.hosts
    assert host.seen_ms == hosts.now_ms
    assert 60_000 < host.clock_ahead_ms <= 90_000


async def test_what_is_not_heard_is_silent_and_after_a_day_forgotten(
    roster: Roster, redis: Redis
) -> None:
    for name in ("a", "b", "c"):
        await roster.write(a_report(name))
    await make_older(redis, "b", SILENT_SECONDS + 1)
    await make_older(redis, "c", GONE_SECONDS + 1)
    hosts, _ = await roster.write(a_report("a"))
    assert [host.name for host in hosts.hosts] == ["a", "b"]
    assert [host.name for host in hosts.selling] == ["a"]


async def test_a_read_changes_nothing(roster: Roster, redis: Redis) -> None:
    await roster.write(a_report("a"))
    await make_older(redis, "a", GONE_SECONDS + 1)
    assert len((await roster.read()).hosts) == 1
    assert await redis.hlen(KEY) == 1


async def test_two_of_one_name_hear_of_each_other(roster: Roster) -> None:
    ours, theirs = a_report("a", instance="one"), a_report("a", instance="two")
    assert (await roster.write(ours))[1] == ""
    assert (await roster.write(ours))[1] == "one"
    assert (await roster.write(theirs))[1] == "one"
    assert (await roster.write(ours))[1] == "two"


async def test_who_leaves_is_forgotten_and_takes_nobody_elses_name_along(roster: Roster) -> None:
    ours, theirs = a_report("a", instance="one"), a_report("a", instance="two")
    await roster.write(ours)
    await roster.write(theirs)
    await roster.leave(ours)
    assert [host.report for host in (await roster.read()).hosts] == [theirs]
    await roster.leave(theirs)
    assert not (await roster.read()).hosts


async def test_of_too_many_the_one_that_was_heard_first_is_forgotten(
    roster: Roster, redis: Redis
) -> None:
    for number in range(ENTRIES_MAX):
        await roster.write(a_report(f"host-{number:03}"))
    await make_older(redis, "host-042", 1)
    hosts, _ = await roster.write(a_report("one more"))
    assert len(hosts.hosts) == ENTRIES_MAX
    assert "host-042" not in {host.name for host in hosts.hosts}


async def test_a_roster_that_nobody_writes_to_ends(roster: Roster, redis: Redis) -> None:
    await roster.write(a_report("a"))
    assert 0 < await redis.ttl(KEY) <= GONE_SECONDS


async def test_what_stands_there_and_is_no_report_is_a_host_of_which_nothing_is_known(
    roster: Roster, redis: Redis
) -> None:
    await redis.hset(KEY, "a", "nonsense")
    hosts = await roster.read()
    assert [(host.name, host.report.version) for host in hosts.hosts] == [("a", "")]
    assert not hosts.selling


async def test_without_redis_there_is_no_roster() -> None:
    store = ShopRedis.connect(NOBODY_LISTENS, PREFIX)
    with pytest.raises(UnavailableError):
        await Roster(store).read()
    await store.close()
