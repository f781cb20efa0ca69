"""A provider that gives so many sessions a second: no more is held than can be paid in time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.clock import Clock
from tests.http.test_another_provider import Coins
from tests.offers import OFFER
from tests.shops import OpenShop
from tigerfans.booking.ids import OrderId
from tigerfans.errors import AllOnHoldError, LineTooLongError, TooFewLeftError, UnavailableError
from tigerfans.shop.gone import Gone
from tigerfans.shop.payment_line import RETRY_SECONDS_MIN, estimate
from tigerfans.shop.shop import Shop
from tigerfans.stores.shop_redis import ShopRedis
from tigerfans.stores.token_bucket import Rate
from tigerfans.stores.waiting_line import WaitingLine

# Holds are of 300 s, of which a half may be spent on waiting: the second waits 100 s, and a third
# would wait 200 s.
INTERVAL = 100.0
ROOM = 2
TICKETS = 10
EMAIL = "fan@example.com"


class SlowCoins(Coins):
    """Gives a session every 100 s."""

    def __init__(self, redis: ShopRedis) -> None:
        super().__init__()
        self.line = self.slow_line = WaitingLine(
            redis, "line", Rate(1 / INTERVAL, 1), kept_seconds=300
        )


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[ShopRedis]:
    redis = ShopRedis.connect(redis_url, "0123abcd")
    yield redis
    await redis.close()


@pytest.fixture
async def shops(open_shop: OpenShop, redis: ShopRedis) -> AsyncIterator[list[Shop]]:
    """One shop, in two workers or on two hosts."""
    offer = replace(OFFER, tickets_per_order=TICKETS + 1)
    providers = [SlowCoins(redis) for _ in range(2)]
    yield [await open_shop(TICKETS, provider=provider, offer=offer) for provider in providers]
    for provider in providers:
        await provider.slow_line.close()


async def held(shop: Shop) -> int:
    shop.stock.forget()
    return (await shop.inventory())["A"].held


def look_again(*shops: Shop) -> None:
    """As if the moment had passed for which they take the line to be as it was."""
    for shop in shops:
        assert shop.line_wait is not None
        shop.line_wait.forget()


async def test_once_the_line_is_full_nothing_is_held_any_more_on_any_host(
    shops: list[Shop],
) -> None:
    first, second = shops
    await first.checkout("A", EMAIL)
    look_again(second)
    await second.checkout("A", EMAIL)
    for shop in shops:
        look_again(shop)
        before = sum(shop.counters.steps.values())
        with pytest.raises(LineTooLongError) as refused:
            await shop.checkout("A", EMAIL, "key")
        # There is room when the wait is a half of a hold again.
        assert 30 < refused.value.retry_after_seconds <= 50
        assert sum(shop.counters.steps.values()) == before
    assert await held(first) == ROOM


async def test_that_the_line_is_full_is_said_also_of_what_is_gone(shops: list[Shop]) -> None:
    first, _ = shops
    first.gone = Gone(clock := Clock())
    first.gone.remember(first.ticket_class("A").tickets.ledger, 1, clock())
    with pytest.raises(AllOnHoldError):
        await first.checkout("A", EMAIL, "key")
    for _ in range(ROOM):
        await first.checkout("B", EMAIL)
        look_again(first)
    with pytest.raises(LineTooLongError):
        await first.checkout("A", EMAIL, "key")


async def test_of_all_who_come_in_the_same_moment_no_more_are_held_than_can_pay(
    shops: list[Shop],
) -> None:
    asked = [shop.checkout("A", EMAIL) for shop in shops for _ in range(4)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, LineTooLongError)]
    assert len(refused) == len(asked) - ROOM
    assert min(each.retry_after_seconds for each in refused) >= RETRY_SECONDS_MIN
    assert await held(shops[0]) == ROOM
    _, pending = await shops[0].sessions.pending(10)
    assert pending == ROOM


async def test_a_key_that_came_too_late_for_the_line_has_a_ticket_when_there_is_room(
    shops: list[Shop], redis: ShopRedis
) -> None:
    first, second = shops
    for shop in shops:
        assert await estimate(shop)
    for name in ("one", "two"):
        await first.checkout("A", EMAIL, name)
    # Neither knows yet how long the line has become.
    for shop in shops:
        with pytest.raises(LineTooLongError):
            await shop.checkout("A", EMAIL, "three")
    assert await held(first) == ROOM
    await redis.client.delete("0123abcd:line")
    third = await second.checkout("A", EMAIL, "three")
    assert await first.checkout("A", EMAIL, "three") == third
    assert await held(first) == ROOM + 1


async def test_an_order_that_has_its_place_keeps_it_and_its_hold_however_long_the_line_is(
    shops: list[Shop],
) -> None:
    first, _ = shops
    await first.checkout("A", EMAIL)
    waiting = await first.checkout("A", EMAIL, "key")
    for shop in shops:
        look_again(shop)
        assert await shop.checkout("A", EMAIL, "key") == waiting
    assert await held(first) == ROOM


async def test_an_order_of_several_tickets_waits_for_one_session(shops: list[Shop]) -> None:
    for _ in range(ROOM):
        await shops[0].checkout("A", EMAIL, qty=3)
    assert await held(shops[0]) == 3 * ROOM
    with pytest.raises(LineTooLongError):
        await shops[0].checkout("A", EMAIL)


async def test_who_is_refused_a_ticket_takes_no_place(shops: list[Shop]) -> None:
    shop = shops[0]
    for _ in range(ROOM):
        with pytest.raises(TooFewLeftError):
            await shop.checkout("A", EMAIL, qty=TICKETS + 1)
    look_again(shop)
    line = await estimate(shop)
    assert line is not None
    assert line.wait_seconds == 0


async def test_a_line_that_redis_has_lost_costs_nobody_the_ticket(
    shops: list[Shop], redis: ShopRedis
) -> None:
    shop = shops[0]
    orders = [await shop.checkout("A", EMAIL, str(n)) for n in range(ROOM)]
    await redis.client.flushdb()
    for n, order in enumerate(orders):
        assert await shop.checkout("A", EMAIL, str(n)) == order
    assert await held(shop) == ROOM
    look_again(shop)
    line = await estimate(shop)
    assert line is not None
    assert line.wait_seconds > INTERVAL


async def test_while_redis_loses_the_line_only_a_checkout_goes_on_without_a_place(
    shops: list[Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = shops[0]

    async def away(*_: object) -> None:
        raise UnavailableError

    assert shop.provider.line is not None
    monkeypatch.setattr(shop.provider.line, "join", away)
    order_id = OrderId.read((await shop.checkout("A", EMAIL)).order_id)
    assert order_id is not None
    assert await shop.open_payment(order_id, "http://shop.test")


async def test_a_hold_that_is_given_back_leaves_the_times_of_those_behind_it(
    shops: list[Shop],
) -> None:
    shop = shops[0]
    first = await shop.checkout("A", EMAIL)
    order_id = OrderId.read(first.order_id)
    assert order_id is not None
    second = await shop.checkout("A", EMAIL)
    assert shop.provider.line is not None
    before = await shop.provider.line.join(second.order_id, 0)
    await shop.release(order_id)
    after = await shop.provider.line.join(second.order_id, 0)
    assert 0 <= before.wait_seconds - after.wait_seconds < INTERVAL / 2
