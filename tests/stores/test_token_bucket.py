"""How many tokens there are, in one process and in all that share a Redis."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from tests.clock import Clock
from tigerfans.stores.sessions import Sessions
from tigerfans.stores.token_bucket import (
    PROMISED_MAX,
    Rate,
    SharedTokenBucket,
    TokenBucket,
)

RATE = Rate(per_second=2.0, burst=3)
# So slow that the time which a test takes does not count.
SLOW = Rate(per_second=1e-6, burst=3)
INTERVAL = 1e6
TEST_SECONDS_MAX = 1e4


async def waits(bucket: TokenBucket | SharedTokenBucket, count: int) -> list[float]:
    return [(await bucket.take()).wait_seconds for _ in range(count)]


async def test_a_burst_is_there_at_once_and_then_one_after_the_other_is_due() -> None:
    clock = Clock()
    bucket = TokenBucket(RATE, clock)
    assert await waits(bucket, 5) == [0, 0, 0, 0.5, 1.0]
    clock.seconds += 1.0
    assert await waits(bucket, 1) == [0.5]


async def test_a_bucket_that_nobody_needs_fills_up_to_its_burst() -> None:
    clock = Clock()
    bucket = TokenBucket(RATE, clock)
    await waits(bucket, 5)
    clock.seconds += 3_600
    assert await waits(bucket, 4) == [0, 0, 0, 0.5]


async def test_in_any_minute_there_are_no_more_tokens_than_the_rate_and_a_burst() -> None:
    clock = Clock()
    bucket = TokenBucket(RATE, clock)
    started, taken = clock.seconds, 0
    while True:
        clock.seconds += (await bucket.take()).wait_seconds
        if clock.seconds > started + 60:
            break
        taken += 1
    assert taken == RATE.burst + 60 * RATE.per_second


async def test_a_token_that_is_given_back_is_the_next_ones() -> None:
    bucket = TokenBucket(RATE, Clock())
    for _ in range(100):
        token = await bucket.take()
        assert token.wait_seconds == 0
        await bucket.give_back(token)


@pytest.mark.parametrize("workers", [1, 2, 3, 64])
def test_the_shares_of_all_workers_are_no_more_than_the_rate(workers: int) -> None:
    share = RATE.shared_by(workers)
    assert share.per_second * workers == pytest.approx(RATE.per_second)
    assert share.burst == max(1, RATE.burst // workers)


# --- Shared by way of Redis ------------------------------------------------------------------


@pytest.fixture
async def workers(redis_url: str) -> AsyncIterator[list[SharedTokenBucket]]:
    """The same bucket, in two workers."""
    sessions = [Sessions.connect(redis_url, "0123abcd") for _ in range(2)]
    yield [SharedTokenBucket(each.store.run, "guesses", SLOW, workers=2) for each in sessions]
    for each in sessions:
        await each.close()


async def test_workers_share_one_bucket(workers: list[SharedTokenBucket]) -> None:
    first, second = workers
    assert await waits(first, 2) == [0, 0]
    assert await waits(second, 1) == [0]
    for count, bucket in ((1, first), (2, second), (3, first)):
        [wait] = await waits(bucket, 1)
        assert count * INTERVAL - TEST_SECONDS_MAX < wait <= count * INTERVAL


async def test_what_one_gives_back_is_another_ones(workers: list[SharedTokenBucket]) -> None:
    first, second = workers
    await waits(first, 2)
    for _ in range(10):
        token = await first.take()
        assert token.wait_seconds == 0
        await first.give_back(token)
    assert await waits(second, 1) == [0]
    [wait] = await waits(second, 1)
    assert wait > 0


async def test_a_clock_that_was_set_back_keeps_nobody_waiting_for_as_long(
    workers: list[SharedTokenBucket], redis_url: str
) -> None:
    async with Redis.from_url(redis_url) as redis:
        await redis.set("0123abcd:guesses", str(10**17))
    [wait] = await waits(workers[0], 1)
    assert 0 < wait <= (PROMISED_MAX + 1) * INTERVAL


async def test_a_bucket_that_is_full_again_takes_no_room(redis_url: str) -> None:
    sessions = Sessions.connect(redis_url, "0123abcd")
    bucket = SharedTokenBucket(sessions.store.run, "guesses", Rate(0.5, 3), workers=2)
    await bucket.take()
    async with Redis.from_url(redis_url) as redis:
        assert 0 < await redis.pttl("0123abcd:guesses") <= 2_000
    await sessions.close()


async def test_without_redis_each_worker_has_its_share(tmp_path: object) -> None:
    sessions = Sessions.connect(f"unix://{tmp_path}/nothing.sock", "0123abcd")
    bucket = SharedTokenBucket(sessions.store.run, "guesses", SLOW, workers=3)
    token = await bucket.take()
    assert token == (0, False)
    [wait] = await waits(bucket, 1)
    assert 3 * INTERVAL - TEST_SECONDS_MAX < wait <= 3 * INTERVAL
    await bucket.give_back(token)
    await sessions.close()
