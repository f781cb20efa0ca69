"""Places in a line, and that they are the same in all processes that share a Redis."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from tigerfans.errors import UnavailableError
from tigerfans.stores.shop_redis import ShopRedis
from tigerfans.stores.token_bucket import Rate
from tigerfans.stores.waiting_line import LINE_SECONDS_MAX, WaitingLine

PREFIX = "0123abcd"
INTERVAL = 100.0
RATE = Rate(per_second=1 / INTERVAL, burst=2)
KEPT_SECONDS = 300
# What a test takes is far less, and so says nothing of a place.
TEST_SECONDS_MAX = 50.0


@pytest.fixture
async def lines(redis_url: str) -> AsyncIterator[list[WaitingLine]]:
    """The same line, in two workers."""
    stores = [ShopRedis.connect(redis_url, PREFIX) for _ in range(2)]
    yield [WaitingLine(store, "line", RATE, KEPT_SECONDS) for store in stores]
    for store in stores:
        await store.close()


def turn(seconds: float) -> float:
    """In how many turns a wait ends."""
    assert seconds % INTERVAL == 0 or seconds % INTERVAL > INTERVAL - TEST_SECONDS_MAX
    return -(-seconds // INTERVAL)


async def turns(line: WaitingLine, *names: str) -> list[float]:
    return [turn((await line.join(name)).wait_seconds) for name in names]


async def test_some_come_at_once_and_then_one_after_the_other_in_whichever_worker(
    lines: list[WaitingLine],
) -> None:
    first, second = lines
    assert await turns(first, "a", "b", "c") == [0, 0, 1]
    assert await turns(second, "d", "e") == [2, 3]


async def test_a_place_stays_the_same_whoever_joins_behind_it_and_however_often_it_is_asked_for(
    lines: list[WaitingLine],
) -> None:
    first, second = lines
    await turns(first, "a", "b", "c", "d")
    assert await turns(second, "c", "d", "c") == [1, 2, 1]
    assert await turns(second, "e") == [3]


async def test_who_comes_after_the_turn_hears_for_how_long_and_takes_no_other_place(
    redis_url: str,
) -> None:
    store = ShopRedis.connect(redis_url, PREFIX)
    line = WaitingLine(store, "line", Rate(1e6, 1), KEPT_SECONDS)
    await line.join("a")
    place = await line.join("a")
    assert (place.is_taken, -TEST_SECONDS_MAX < place.wait_seconds < 0) == (True, True)
    assert 0 < await store.client.pttl(f"{PREFIX}:line:a") <= KEPT_SECONDS * 1_000
    await store.close()


async def test_who_joins_next_is_told_the_wait_before(lines: list[WaitingLine]) -> None:
    first, second = lines
    for name, expected in zip("abcde", (0, 0, 1, 2, 3), strict=True):
        assert turn(await second.seconds()) == expected
        assert await turns(first, name) == [expected]


async def test_there_is_room_for_so_many_as_would_not_wait_longer_and_for_nobody_else(
    lines: list[WaitingLine],
) -> None:
    first, second = lines
    taken = [(await first.join(name, INTERVAL)).is_taken for name in "abcd"]
    assert taken == [True, True, True, False]
    # They take no place, and who has one keeps it.
    assert turn(await second.seconds()) == 2
    assert (await second.join("c", INTERVAL)).is_taken
    assert await turns(second, "e") == [2]


async def test_who_was_not_let_in_is_not_let_in_by_another_worker_a_moment_later(
    lines: list[WaitingLine],
) -> None:
    first, second = lines
    await turns(first, "a", "b", "c")
    assert not (await first.join("d", INTERVAL)).is_taken
    assert not (await second.join("d")).is_taken
    assert await turns(second, "e") == [2]


async def test_a_line_that_redis_has_lost_begins_anew(
    lines: list[WaitingLine], redis_url: str
) -> None:
    first, second = lines
    await turns(first, "a", "b", "c", "d")
    async with Redis.from_url(redis_url) as redis:
        await redis.flushdb()
    assert await turns(second, "d", "c", "b", "a") == [0, 0, 1, 2]


async def test_a_line_ends_with_its_last_place_whoever_has_come(redis_url: str) -> None:
    store = ShopRedis.connect(redis_url, PREFIX)
    line = WaitingLine(store, "line", Rate(10, 1), KEPT_SECONDS)
    for name in "abcd":
        await line.join(name)
    assert 0 < await store.client.pttl(f"{PREFIX}:line") <= 400
    await store.close()


async def test_a_clock_that_was_set_back_keeps_nobody_waiting_for_as_long(
    lines: list[WaitingLine], redis_url: str
) -> None:
    async with Redis.from_url(redis_url) as redis:
        for key in ("line", "line:a"):
            await redis.set(f"{PREFIX}:{key}", str(10**17))
    assert (await lines[0].join("a")).wait_seconds <= LINE_SECONDS_MAX + INTERVAL


async def test_while_redis_is_away_nobody_joins(tmp_path: object) -> None:
    store = ShopRedis.connect(f"unix://{tmp_path}/nothing.sock", PREFIX)
    line = WaitingLine(store, "line", RATE, KEPT_SECONDS)
    with pytest.raises(UnavailableError):
        await line.join("a")
    with pytest.raises(UnavailableError):
        await line.seconds()
    await store.close()
