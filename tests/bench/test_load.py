import asyncio
import itertools
from collections import Counter

import pytest

from bench import load as load_module
from bench.errors import BenchError
from bench.http_client import Address
from bench.latencies import percentile, summarise
from bench.load import NOT_STARTED, Load, LoadClient, Mix
from bench.purchase import Buyer, Via, Wish
from tests.bench.fake_shop import Answer, FakeShop, Request

LONG = 60.0


def client(address: Address, load: Load, mix: Mix | None = None) -> LoadClient:
    return LoadClient(address, load, mix or Mix(), Via.PROVIDER, "secret")


def test_a_seed_gives_the_same_buyers_again() -> None:
    mix = Mix(0.2, 0.2, 0.5)
    first, second, other = (list(itertools.islice(mix.wishes(s), 50)) for s in (1, 1, 2))
    assert first == second != other


def test_the_mix_has_the_shares_that_were_asked_for() -> None:
    wishes = list(itertools.islice(Mix(0.1, 0.3, 0.25).wishes(1), 10_000))
    payments = Counter(wish.payment for wish in wishes)
    assert payments["failed"] == pytest.approx(1000, rel=0.2)
    assert payments["canceled"] == pytest.approx(3000, rel=0.2)
    assert Counter(wish.cls for wish in wishes)["A"] == pytest.approx(2500, rel=0.2)


def test_orders_are_of_one_to_as_many_tickets_as_was_asked_for_in_turn() -> None:
    wishes = itertools.islice(Mix(qty_max=3).wishes(1), 5)
    assert [wish.qty for wish in wishes] == [1, 2, 3, 1, 2]


def test_nobody_fails_unless_asked_to() -> None:
    wishes = itertools.islice(Mix().wishes(1), 1000)
    assert {wish.payment for wish in wishes} == {"succeeded"}


async def test_a_closed_loop_buys_as_often_as_it_should(shop: FakeShop, address: Address) -> None:
    shop.sells()
    running = client(address, Load(concurrency=5, total=23, seconds=LONG))
    await running.run(seed=1)
    assert (running.record.total, running.record.fulfilled) == (23, 23)


async def test_a_closed_loop_ends_with_its_time(shop: FakeShop, address: Address) -> None:
    shop.sells()
    running = client(address, Load(concurrency=2, total=10**9, seconds=1e-9))
    await running.run(seed=1)
    assert running.record.total == 2


# 20 / 1000 s after it, a clock that says this has gone on by less than 0.02 s.
A_CLOCK_THAT_ROUNDS_DOWN = 1000.0


@pytest.mark.parametrize("now", [0.0, A_CLOCK_THAT_ROUNDS_DOWN])
async def test_an_open_loop_starts_as_many_as_it_should_whatever_the_clock_says(
    shop: FakeShop, address: Address, monkeypatch: pytest.MonkeyPatch, now: float
) -> None:
    meant: list[float] = []
    # It stands still while the load begins; from then on every purchase is late.
    clock = itertools.chain([now, now], itertools.repeat(now + LONG))

    async def buy(_: Buyer, __: Wish, started: float) -> None:
        meant.append(started)

    monkeypatch.setattr(Buyer, "buy", buy)
    monkeypatch.setattr("bench.load.time.perf_counter", lambda: next(clock))
    await client(address, Load(concurrency=1, total=10**9, seconds=0.02, rate=1000)).run(seed=1)
    assert sorted(meant) == [now + number / 1000 for number in range(20)]


@pytest.mark.parametrize(
    ("rate", "seconds", "started"),
    [
        (1000, 0.02, 20),
        # 100 * 0.29 comes to less than 29, and 100 * 0.07 to more than 7.
        (100, 0.29, 29),
        (100, 0.07, 7),
        (3, 0.5, 2),
        (1, 0.1, 1),
        (1000, 60, 50),
        (None, 0.02, 50),
    ],
)
def test_an_open_loop_starts_those_whose_second_comes_in_time(
    rate: float | None, seconds: float, started: int
) -> None:
    load = Load(concurrency=1, total=50, seconds=seconds, rate=rate)
    assert load.total_max == started


async def test_an_open_loop_does_not_start_more_than_it_can_hold(
    shop: FakeShop, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_module, "UNDER_WAY_MAX", 2)
    shop.sells()
    sell = shop.routes["/api/checkout"]
    running = client(address, Load(concurrency=1, total=5, seconds=LONG, rate=10_000))

    async def when_all_have_come(request: Request) -> Answer:
        while running.record.outcomes[NOT_STARTED] < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
        return await sell(request)

    shop.routes["/api/checkout"] = when_all_have_come
    await running.run(seed=1)
    assert running.record.outcomes == {"PAID": 2, NOT_STARTED: 3}


async def test_a_shop_that_is_not_there_is_said_in_a_sentence() -> None:
    nobody = client(Address("127.0.0.1", 1), Load(1, 1, LONG))
    with pytest.raises(BenchError, match=r"No shop answers at http://127\.0\.0\.1:1"):
        await nobody.run(seed=1)


def test_percentiles_are_values_that_were_measured() -> None:
    ordered = [float(value) for value in range(1, 101)]
    assert [percentile(ordered, p) for p in (0, 50, 99, 100)] == [1, 50, 99, 100]
    assert percentile([7.0], 99) == 7.0


def test_latencies_are_summarised_in_milliseconds() -> None:
    assert summarise([0.002, 0.001]) == {"p50": 1, "p90": 2, "p99": 2, "p100": 2}
    assert summarise([]) == {}
