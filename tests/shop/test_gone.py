"""Who asks for what is known to be gone is refused without the ledger, and misses nothing by it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.clock import Clock
from tests.harness.patience import until
from tests.offers import OFFER, on_sale
from tests.shops import OpenShop, event
from tigerfans.booking.ids import OrderId
from tigerfans.booking.stock_changes import Move, Wanted
from tigerfans.errors import (
    AllOnHoldError,
    InvalidEmailError,
    InvalidKeyError,
    InvalidQtyError,
    InvalidRequestError,
    KeyConflictError,
    NotOnSaleError,
    SaleClosedError,
    SoldOutError,
    TooFewLeftError,
    TooManyHoldsError,
    UnavailableError,
)
from tigerfans.ledger.wire import Operation
from tigerfans.payments.base import EventType
from tigerfans.shop.checkout import Checkout
from tigerfans.shop.gone import ASK_AGAIN_SECONDS, GONE_SECONDS, Gone
from tigerfans.shop.hold_limits import HoldLimits
from tigerfans.shop.shop import Shop

EMAIL = "fan@example.org"
# Of resources, on the ledger.
A, B = 1, 2
UP_TO_THREE = replace(OFFER, tickets_per_order=3)


# --- What is remembered ---------------------------------------------------------------------------


def test_nothing_is_gone_before_the_ledger_has_refused_it() -> None:
    assert not Gone(Clock()).refuses(A, 1)


def test_as_many_and_more_are_gone_and_fewer_may_be_left() -> None:
    gone = Gone(clock := Clock())
    gone.remember(A, 2, clock())
    assert [gone.refuses(A, qty) for qty in (1, 2, 3)] == [False, True, True]
    assert not gone.refuses(B, 3)


def test_a_refusal_counts_from_before_the_ledger_was_asked() -> None:
    gone = Gone(clock := Clock())
    asked_at = clock()
    clock.seconds += ASK_AGAIN_SECONDS / 2
    gone.remember(A, 1, asked_at)
    assert gone.refuses(A, 1)
    clock.seconds = asked_at + GONE_SECONDS
    assert not gone.refuses(A, 1)
    assert not gone.refuses(A, 1)


def test_halfway_through_one_is_let_through_to_ask_again() -> None:
    gone = Gone(clock := Clock())
    gone.remember(A, 1, clock())
    clock.seconds += ASK_AGAIN_SECONDS
    assert [gone.refuses(A, 1) for _ in range(3)] == [False, True, True]
    # Where that one was refused as well, so is everybody else from then on.
    gone.remember(A, 1, clock())
    clock.seconds += GONE_SECONDS - ASK_AGAIN_SECONDS - 0.001
    assert gone.refuses(A, 1)


def test_the_fewest_that_are_gone_are_remembered_as_long_as_that_is_fresh() -> None:
    gone = Gone(clock := Clock())
    gone.remember(A, 2, clock())
    gone.remember(A, 3, clock())
    assert gone.refuses(A, 2)
    gone.remember(A, 1, clock())
    assert gone.refuses(A, 1)
    clock.seconds += GONE_SECONDS
    gone.remember(A, 3, clock())
    assert [gone.refuses(A, qty) for qty in (2, 3)] == [False, True]


# --- Who is refused by it, and who is not ---------------------------------------------------------


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def open_worker(open_shop: OpenShop, clock: Clock) -> Callable[..., Awaitable[Shop]]:
    """Opens shops of one ticket that take the moment to be the clock's."""

    async def open_one(tickets: int = 1, **options: object) -> Shop:
        shop: Shop = await open_shop(tickets_a=tickets, **options)
        shop.gone = Gone(clock)
        return shop

    return open_one


OpenWorker = Callable[..., Awaitable[Shop]]


def watch_holds(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The transfers that the ledger is asked for from now on."""
    asked: list[bytes] = []
    submit = shop.ledger.submit

    def note(operation: Operation, records: bytes) -> Awaitable[bytes]:
        if operation is Operation.CREATE_TRANSFERS:
            asked.append(records)
        return submit(operation, records)

    monkeypatch.setattr(shop.ledger, "submit", note)
    return asked


async def refuse(shop: Shop, key: str = "a key that finds out", qty: int = 1) -> None:
    """The ledger refuses, and the worker knows."""
    with pytest.raises((AllOnHoldError, SoldOutError, TooFewLeftError)):
        await shop.checkout("A", "other@example.org", key, qty=qty)
    assert shop.gone.refuses(A, qty)


def id_of(checkout: Checkout) -> OrderId:
    order_id = OrderId.parse(checkout.order_id)
    assert order_id is not None
    return order_id


async def test_a_crowd_is_refused_by_one_question_to_the_ledger(
    open_worker: OpenWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await open_worker()
    await shop.checkout("A", EMAIL)
    asked = watch_holds(shop, monkeypatch)
    await refuse(shop)
    for key in (None, "key-1", "key-2"):
        with pytest.raises(AllOnHoldError):
            await shop.checkout("A", EMAIL, key)
    assert len(asked) == 1
    await shop.checkout("B", EMAIL)


async def test_who_was_refused_without_the_ledger_has_used_up_no_attempt(
    open_worker: OpenWorker, clock: Clock
) -> None:
    shop = await open_worker()
    held = await shop.checkout("A", EMAIL)
    await refuse(shop)
    for _ in range(20):
        with pytest.raises(AllOnHoldError):
            await shop.checkout("A", EMAIL, "key-1")
    await shop.release(id_of(held))
    clock.seconds += GONE_SECONDS
    got = await shop.checkout("A", EMAIL, "key-1")
    assert id_of(got) == shop.ids.of_key("key-1", 0)


async def test_the_refusal_says_what_the_ledgers_would(open_worker: OpenWorker) -> None:
    shop = await open_worker(3, offer=UP_TO_THREE)
    held = await shop.checkout("A", EMAIL, qty=2)
    await refuse(shop, qty=2)
    shop.stock.forget()
    for qty in (2, 3):
        with pytest.raises(TooFewLeftError, match="Only 1 ticket of this class is left"):
            await shop.checkout("A", EMAIL, f"key for {qty}", qty=qty)
    # One is left, and sold.
    last = await shop.checkout("A", EMAIL, "key for 1")
    for each in (held, last):
        await shop.settle(event(each))
    shop.stock.forget()
    with pytest.raises(SoldOutError):
        await shop.checkout("A", EMAIL, "another key", qty=2)


@pytest.mark.parametrize("is_paid", [False, True])
async def test_a_key_that_has_its_tickets_gets_its_answer_again(
    open_worker: OpenWorker, *, is_paid: bool
) -> None:
    shop, other = await open_worker(), await open_worker()
    held = await shop.checkout("A", EMAIL, "key-1")
    if is_paid:
        await shop.settle(event(held))
    for worker in (shop, other):
        await refuse(worker)
        assert await worker.checkout("A", EMAIL, "key-1") == held
        with pytest.raises(KeyConflictError):
            await worker.checkout("A", "other@example.org", "key-1")


async def test_a_key_that_was_refused_first_and_has_its_tickets_since_gets_its_answer_again(
    open_worker: OpenWorker, clock: Clock
) -> None:
    shop, other = await open_worker(), await open_worker()
    held = await shop.checkout("A", EMAIL)
    await refuse(shop, "key-1")
    await shop.release(id_of(held))
    clock.seconds += GONE_SECONDS
    got = await shop.checkout("A", EMAIL, "key-1")
    assert id_of(got) == shop.ids.of_key("key-1", 1)
    for worker in (shop, other):
        await refuse(worker)
        assert await worker.checkout("A", EMAIL, "key-1") == got


async def test_a_key_that_was_over_a_limit_first_gets_its_answer_again(
    open_worker: OpenWorker,
) -> None:
    shop = await open_worker(2, limits=HoldLimits("secret", per_client=1))
    first = await shop.checkout("A", EMAIL, client="192.0.2.7")
    with pytest.raises(TooManyHoldsError):
        await shop.checkout("A", EMAIL, "key-1", client="192.0.2.7")
    await shop.settle(event(first))
    got = await shop.checkout("A", EMAIL, "key-1", client="192.0.2.7")
    await refuse(shop)
    assert await shop.checkout("A", EMAIL, "key-1", client="192.0.2.7") == got


async def test_where_redis_is_away_the_ledger_is_asked(
    open_worker: OpenWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: OrderId) -> bool:
        raise UnavailableError

    shop = await open_worker()
    await shop.checkout("A", EMAIL)
    await refuse(shop)
    asked = watch_holds(shop, monkeypatch)
    monkeypatch.setattr(shop.sessions, "has_trace", fail)
    with pytest.raises(AllOnHoldError):
        await shop.checkout("A", EMAIL, "key-1")
    assert len(asked) == 1


async def test_each_worker_finds_out_by_itself(
    open_worker: OpenWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, other = await open_worker(), await open_worker()
    await shop.checkout("A", EMAIL)
    await refuse(shop)
    asked = watch_holds(other, monkeypatch)
    await refuse(other, "key-1")
    with pytest.raises(AllOnHoldError):
        await other.checkout("A", EMAIL, "key-2")
    assert len(asked) == 1


async def test_what_is_wrong_with_a_request_is_said_all_the_same(open_worker: OpenWorker) -> None:
    shop = await open_worker()
    await shop.checkout("A", EMAIL)
    await refuse(shop)
    with pytest.raises(InvalidRequestError):
        await shop.checkout("Z", EMAIL, "key-1")
    with pytest.raises(InvalidEmailError):
        await shop.checkout("A", "nobody", "key-1")
    with pytest.raises(InvalidQtyError):
        await shop.checkout("A", EMAIL, "key-1", qty=9)
    with pytest.raises(InvalidKeyError):
        await shop.checkout("A", EMAIL, "")


async def test_a_class_that_is_closed_or_not_on_sale_any_more_is_said_to_be(
    open_worker: OpenWorker,
) -> None:
    shop = await open_worker()
    held = await shop.checkout("A", EMAIL, "key-1")
    await refuse(shop)
    await shop.change_stock("A", Wanted(Move.CLOSE), "ada")
    shop.stock.forget()
    for key in ("key-2", None):
        with pytest.raises(SaleClosedError):
            await shop.checkout("A", EMAIL, key)
    assert await shop.checkout("A", EMAIL, "key-1") == held
    later = await open_worker(offer=on_sale(None, datetime.now(UTC) - timedelta(hours=1)))
    later.gone = shop.gone
    with pytest.raises(NotOnSaleError):
        await later.checkout("A", EMAIL, "key-2")
    assert await later.checkout("A", EMAIL, "key-1") == held


# --- What comes back ------------------------------------------------------------------------------


async def give_back(shop: Shop, held: Checkout) -> None:
    await shop.release(id_of(held))


async def fail_to_pay(shop: Shop, held: Checkout) -> None:
    await shop.settle(event(held, EventType.FAILED))


async def refund(shop: Shop, held: Checkout) -> None:
    await shop.settle(event(held))
    await shop.refund(id_of(held), "ada")


async def add_one(shop: Shop, held: Checkout) -> None:
    await shop.change_stock("A", Wanted(Move.ADD, 1), "ada")


@pytest.mark.parametrize("comes_back", [give_back, fail_to_pay, refund, add_one])
async def test_what_comes_back_is_sold_by_every_worker_as_soon_as_a_refusal_is_old(
    open_worker: OpenWorker,
    clock: Clock,
    comes_back: Callable[[Shop, Checkout], Awaitable[None]],
) -> None:
    shop, other = await open_worker(), await open_worker()
    held = await shop.checkout("A", EMAIL)
    await refuse(other)
    await comes_back(shop, held)
    clock.seconds += GONE_SECONDS
    await other.checkout("A", EMAIL, "key-1")


async def test_what_was_held_too_long_is_sold_as_soon_as_a_refusal_is_old(
    open_worker: OpenWorker, clock: Clock
) -> None:
    shop = await open_worker(hold_seconds=1)
    await shop.checkout("A", EMAIL)
    await refuse(shop)

    async def available() -> int:
        return (await shop.read_stock())[0].available

    # It runs out by the ledger's clock, which tells nobody.
    await until(available)
    clock.seconds += GONE_SECONDS
    await shop.checkout("A", EMAIL, "key-1")
