"""Payments that nobody told, over a real ledger, Redis and PostgreSQL: the provider is asked."""

import asyncio
import time
from typing import Any, cast

import pytest

from tests.shops import OpenShop, event, latest, payment
from tigerfans.booking.ids import OrderId
from tigerfans.errors import UnavailableError
from tigerfans.ledger.base import LedgerBusyError
from tigerfans.payments.base import EventType, PaymentEvent
from tigerfans.payments.mockpay import MockPay
from tigerfans.shop import inquiry
from tigerfans.shop.checkout import Checkout
from tigerfans.shop.inquiry import ATTEMPTS_MAX, PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN, inquire
from tigerfans.shop.shop import Shop
from tigerfans.stores.orders import OrderStatus
from tigerfans.stores.sessions import ASKED_WITHIN_SECONDS
from tigerfans.telemetry.steps import Step

EMAIL = "fan@example.org"
# Until a provider is given up, in these tests.
ATTEMPTS = 12


@pytest.fixture(autouse=True)
def given_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inquiry, "ATTEMPTS_MAX", ATTEMPTS)


class Provider:
    """Stands in for what the provider of a shop answers, and counts the questions."""

    def __init__(self) -> None:
        self.decided: dict[str, PaymentEvent] = {}
        self.asked: list[str] = []
        self.error: Exception | None = None

    async def look_up(self, order_id: str) -> PaymentEvent | None:
        self.asked.append(order_id)
        if self.error:
            raise self.error
        return self.decided.get(order_id)


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
async def workers(
    open_shop: OpenShop, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> list[Shop]:
    """Three workers of one shop, with one ticket of class A."""
    shops = [await open_shop(tickets_a=1) for _ in range(3)]
    for shop in shops:
        monkeypatch.setattr(shop.provider, "look_up", provider.look_up)
    return shops


@pytest.fixture
def worker(workers: list[Shop]) -> Shop:
    return workers[0]


async def end_holds(shop: Shop) -> None:
    """As if the holds of all sessions had ended, to Redis."""
    await make_due(shop, shop.sessions._unpaid)


async def end_pauses(shop: Shop) -> None:
    """As if whatever is postponed or leased were due."""
    await make_due(shop, shop.sessions._asked)


async def make_due(shop: Shop, index: str) -> None:
    redis = shop.sessions._redis
    for order_id in cast("list[bytes]", await redis.zrange(index, 0, -1)):
        await redis.zadd(index, {order_id: 1})


async def status(shop: Shop, checkout: Checkout) -> str:
    order_id = OrderId.parse(checkout.order_id)
    assert order_id is not None
    order = await shop.order(order_id)
    assert order is not None
    return order.status


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [
        (EventType.SUCCEEDED, OrderStatus.PAID),
        (EventType.FAILED, OrderStatus.FAILED),
        (EventType.CANCELED, OrderStatus.CANCELED),
    ],
)
async def test_what_nobody_told_is_asked_for_once_the_hold_is_over(
    workers: list[Shop], provider: Provider, event_type: EventType, expected: OrderStatus
) -> None:
    worker = workers[0]
    checkout = await worker.checkout("A", EMAIL)
    provider.decided[checkout.order_id] = event(checkout, event_type)
    await inquire(worker)
    assert provider.asked == []
    await end_holds(worker)
    await asyncio.gather(*map(inquire, workers))
    assert await status(worker, checkout) == expected
    [order] = await latest(worker.orders)
    assert order.email == EMAIL
    assert sum(w.counters.steps[Step.LEARNED] for w in workers) == 1
    # Once, for all workers and all times.
    await asyncio.gather(*map(inquire, workers))
    assert provider.asked == [checkout.order_id]


async def test_what_is_not_decided_is_asked_about_once_more_when_its_session_is_over(
    worker: Shop, provider: Provider
) -> None:
    checkout = await worker.checkout("A", EMAIL)
    await end_holds(worker)
    for _ in range(3):
        await inquire(worker)
    assert len(provider.asked) == 1
    await worker.sessions._redis.delete(worker.sessions._entry + checkout.order_id.encode())
    for _ in range(3):
        await end_pauses(worker)
        await inquire(worker)
    assert len(provider.asked) == 2
    assert await latest(worker.orders) == []
    assert worker.counters.steps[Step.LEARNED] == 0


async def test_what_was_paid_after_the_hold_and_never_told_is_learned_in_the_end(
    worker: Shop, provider: Provider
) -> None:
    checkout = await worker.checkout("A", EMAIL)
    await end_holds(worker)
    await inquire(worker)
    provider.decided[checkout.order_id] = event(checkout)
    await end_pauses(worker)
    await inquire(worker)
    assert await status(worker, checkout) == OrderStatus.PAID


@pytest.mark.parametrize("uncharged", [EventType.FAILED, EventType.CANCELED])
@pytest.mark.parametrize("is_told", [True, False])
async def test_what_was_paid_after_it_was_not_charged_and_never_told_is_learned_in_the_end(
    worker: Shop, provider: Provider, uncharged: EventType, is_told: bool
) -> None:
    checkout = await worker.checkout("A", EMAIL)
    if is_told:
        await worker.settle(event(checkout, uncharged))
        await worker.sessions._finishes.drain()
    else:
        provider.decided[checkout.order_id] = event(checkout, uncharged)
        await end_holds(worker)
        await inquire(worker)
    assert await status(worker, checkout) == uncharged.name
    assert await worker.sessions.pending(1) == ([], 0)
    provider.decided[checkout.order_id] = event(checkout)
    asked = len(provider.asked)
    await inquire(worker)
    assert len(provider.asked) == asked
    await end_pauses(worker)
    await inquire(worker)
    assert await status(worker, checkout) == OrderStatus.PAID
    assert await worker.sessions._redis.exists(worker.sessions._asked) == 0


async def test_a_session_that_ends_while_it_is_asked_about_is_asked_about_once_more(
    worker: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = await worker.checkout("A", EMAIL)
    entry = worker.sessions._entry + checkout.order_id.encode()

    async def answer_and_be_paid(order_id: str) -> PaymentEvent | None:
        before = await provider.look_up(order_id)
        provider.decided[order_id] = event(checkout)
        await worker.sessions._redis.delete(entry)
        return before

    monkeypatch.setattr(worker.provider, "look_up", answer_and_be_paid)
    await end_holds(worker)
    await inquire(worker)
    await end_pauses(worker)
    await inquire(worker)
    assert await status(worker, checkout) == OrderStatus.PAID


async def test_what_ended_while_the_shop_was_closed_is_asked_about_when_it_opens(
    worker: Shop, provider: Provider
) -> None:
    checkout = await worker.checkout("A", EMAIL)
    provider.decided[checkout.order_id] = event(checkout)
    six_days_ago_ms = time.time_ns() // 1_000_000 - 6 * 24 * 3_600_000
    await worker.sessions._redis.zadd(worker.sessions._unpaid, {checkout.order_id: six_days_ago_ms})
    await worker.checkout("B", EMAIL)
    await inquire(worker)
    assert await status(worker, checkout) == OrderStatus.PAID


async def test_what_is_paid_by_now_is_not_asked_about(worker: Shop, provider: Provider) -> None:
    checkout = await worker.checkout("A", EMAIL)
    await worker.settle(event(checkout))
    await worker.sessions._finishes.drain()
    # As if Redis had not heard of it.
    await worker.sessions._redis.zadd(worker.sessions._unpaid, {checkout.order_id: 1})
    await inquire(worker)
    assert provider.asked == []


async def test_a_payment_that_was_told_before_the_answer_comes_is_settled_once(
    worker: Shop, provider: Provider
) -> None:
    checkout = await worker.checkout("A", EMAIL)
    await end_holds(worker)
    told = provider.decided[checkout.order_id] = event(checkout)
    await asyncio.gather(inquire(worker), worker.settle(told))
    assert (await worker.settle(told)).is_replay
    assert (await worker.read_stock())[0].sold == 1


async def test_what_is_learned_when_nothing_is_left_is_a_refund_due(
    worker: Shop, provider: Provider
) -> None:
    checkout = await worker.checkout("A", EMAIL)
    await worker.settle(event(checkout, EventType.CANCELED))
    other = await worker.checkout("A", EMAIL)
    # Its session is indexed once more, as if the cancelation had not been told.
    await worker.sessions._redis.zadd(worker.sessions._unpaid, {checkout.order_id: 1})
    provider.decided[checkout.order_id] = event(checkout)
    await inquire(worker)
    assert await status(worker, checkout) == OrderStatus.PAID_UNFULFILLED
    assert await status(worker, other) == OrderStatus.PENDING


async def test_what_is_learned_and_fits_no_order_is_an_unmatched_payment(
    worker: Shop, provider: Provider
) -> None:
    checkout = await worker.checkout("A", EMAIL)
    await end_holds(worker)
    provider.decided[checkout.order_id] = event(checkout, amount=1)
    await inquire(worker)
    assert (await worker.unmatched.waiting(1))[1] == 1


async def test_nothing_is_learned_from_what_fits_no_order_and_moves_no_money(
    worker: Shop, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = await worker.checkout("A", EMAIL)
    await end_holds(worker)
    provider.decided[checkout.order_id] = event(checkout, EventType.FAILED, amount=1)
    await inquire(worker)
    assert worker.counters.steps[Step.DISREGARDED] == 1
    assert worker.counters.steps[Step.LEARNED] == 0
    assert "nobody told" not in caplog.text


# --- Providers that do not answer ----------------------------------------------------------------


@pytest.mark.parametrize("error", [UnavailableError(), OSError("no route"), KeyError("a bug")])
async def test_a_provider_that_fails_is_asked_again_after_a_pause(
    worker: Shop, provider: Provider, error: Exception
) -> None:
    checkout = await worker.checkout("A", EMAIL)
    await end_holds(worker)
    provider.error = error
    await inquire(worker)
    await inquire(worker)
    assert len(provider.asked) == 1
    provider.error = None
    provider.decided[checkout.order_id] = event(checkout)
    await end_pauses(worker)
    await inquire(worker)
    assert await status(worker, checkout) == OrderStatus.PAID


async def test_a_provider_that_never_answers_is_given_up_with_a_line_in_the_log(
    worker: Shop, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = await worker.checkout("A", EMAIL)
    await end_holds(worker)
    provider.error = UnavailableError()
    for _ in range(ATTEMPTS + 3):
        await inquire(worker)
        await end_pauses(worker)
    assert len(provider.asked) == ATTEMPTS
    # The first attempt, the second, the fourth and the eighth.
    assert caplog.text.count("could not ask about") == 4
    assert f"gave up asking about order {checkout.order_id}" in caplog.text


@pytest.mark.parametrize("error", [UnavailableError(), LedgerBusyError()])
@pytest.mark.parametrize("place", ["find", "submit"])
async def test_a_store_that_is_away_is_no_attempt_at_the_provider_and_no_line(
    worker: Shop,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    place: str,
) -> None:
    async def be_away(*_: Any) -> Any:
        raise error

    checkout = await worker.checkout("A", EMAIL)
    provider.decided[checkout.order_id] = event(checkout)
    await end_holds(worker)
    with monkeypatch.context() as patched:
        patched.setattr(worker.orders if place == "find" else worker, place, be_away)
        for _ in range(ATTEMPTS + 1):
            await inquire(worker)
            await end_pauses(worker)
    assert "order" not in caplog.text
    await inquire(worker)
    assert await status(worker, checkout) == OrderStatus.PAID


async def test_to_wait_for_the_end_of_a_session_is_no_attempt(
    worker: Shop, provider: Provider
) -> None:
    await worker.checkout("A", EMAIL)
    await end_holds(worker)
    await inquire(worker)
    await end_pauses(worker)
    [claim] = await worker.sessions.claim_ended(1, 0)
    assert (len(provider.asked), claim.attempts) == (1, 0)


def test_pauses_double_up_to_a_bound_and_end_after_a_week(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inquiry, "ATTEMPTS_MAX", ATTEMPTS_MAX)
    *pauses, last = [inquiry._pause_seconds(attempts) for attempts in range(1, ATTEMPTS_MAX + 1)]
    assert pauses[:3] == [PAUSE_SECONDS_MIN, 2 * PAUSE_SECONDS_MIN, 4 * PAUSE_SECONDS_MIN]
    assert (pauses[-1], last) == (PAUSE_SECONDS_MAX, None)
    waited_seconds = sum(pause for pause in pauses if pause)
    assert 0 <= waited_seconds - ASKED_WITHIN_SECONDS < PAUSE_SECONDS_MAX


async def test_a_provider_that_says_nothing_is_waited_for_no_longer_than_the_lease(
    worker: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def say_nothing(_: str) -> PaymentEvent | None:
        await asyncio.Event().wait()
        return None

    assert inquiry.LOOK_UP_SECONDS_MAX < inquiry.LEASE_SECONDS
    monkeypatch.setattr(inquiry, "LOOK_UP_SECONDS_MAX", 0.02)
    monkeypatch.setattr(worker.provider, "look_up", say_nothing)
    await worker.checkout("A", EMAIL)
    await end_holds(worker)
    await inquire(worker)
    # It is for another attempt.
    await end_pauses(worker)
    [claim] = await worker.sessions.claim_ended(1, 0)
    assert claim.attempts == 1


async def test_a_worker_that_dies_while_it_asks_leaves_the_question_to_another(
    workers: list[Shop], provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying, other, _ = workers
    asked = asyncio.Event()

    async def be_asked(_: str) -> PaymentEvent | None:
        asked.set()
        await asyncio.Event().wait()
        return None

    monkeypatch.setattr(dying.provider, "look_up", be_asked)
    checkout = await dying.checkout("A", EMAIL)
    provider.decided[checkout.order_id] = event(checkout)
    await end_holds(dying)
    asking = asyncio.create_task(inquire(dying))
    await asked.wait()
    asking.cancel()
    await asyncio.wait([asking])
    await inquire(other)
    assert provider.asked == []
    await end_pauses(other)
    await inquire(other)
    assert await status(other, checkout) == OrderStatus.PAID


# --- MockPay -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pressed", "expected"), [(EventType.SUCCEEDED, "PAID"), (None, "PENDING")]
)
async def test_mockpay_tells_what_was_decided_at_its_page(
    shop: Shop, pressed: EventType | None, expected: str
) -> None:
    assert isinstance(shop.provider, MockPay)
    checkout = await shop.checkout("A", EMAIL)
    if pressed:
        await shop.provider.emit(payment(checkout.order_id, EMAIL), pressed)
    told = await shop.provider.look_up(checkout.order_id)
    assert (told and (told.type, told.order_id)) == (pressed and (pressed, checkout.order_id))
    await end_holds(shop)
    await inquire(shop)
    assert await status(shop, checkout) == expected
