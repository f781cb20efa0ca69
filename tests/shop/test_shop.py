"""The shop's steps over a real ledger, Redis and PostgreSQL, in the orders that life deals them."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from tests.clock import Clock
from tests.harness.patience import patience
from tests.shops import OpenShop, event, latest
from tigerfans.booking.ids import KEY_ATTEMPTS_MAX, OrderId, OrderIds
from tigerfans.booking.transfers import fingerprint
from tigerfans.errors import (
    AllOnHoldError,
    InvalidEmailError,
    InvalidRequestError,
    KeyConflictError,
    KeyRefusedError,
    OrderEndedError,
    SoldOutError,
    TooManyHoldsError,
    UnavailableError,
)
from tigerfans.ledger.base import LedgerUnavailableError
from tigerfans.ledger.wire import TRANSFER_SIZE, Operation
from tigerfans.payments.base import EventType
from tigerfans.shop.checkout import Checkout
from tigerfans.shop.gone import Gone
from tigerfans.shop.hold_limits import HoldLimits
from tigerfans.shop.payment import UNMATCHED, sell
from tigerfans.shop.shop import Shop
from tigerfans.stores.orders import OrderStatus

EMAIL = "fan@example.org"


async def answer(shop: Shop, checkout: Checkout) -> dict[str, Any]:
    order_id = OrderId.parse(checkout.order_id)
    assert order_id is not None
    body = await shop.order_answer(order_id)
    assert body is not None
    answered: dict[str, Any] = orjson.loads(body)
    return answered


async def stock(shop: Shop, cls: str = "A") -> tuple[int, int, int]:
    """Available, held, sold: straight from the ledger, not from the cache."""
    codes = [c.code for c in shop.catalog.classes]
    inventory = (await shop.read_stock())[codes.index(cls)]
    return inventory.available, inventory.held, inventory.sold


async def wipe_where(is_wiped: bool, redis_url: str) -> None:
    if is_wiped:
        async with Redis.from_url(redis_url) as redis:
            await redis.flushall()


def a_moment_later(*workers: Shop) -> None:
    """As if the moment had passed for which they take what was refused to be gone."""
    for worker in workers:
        worker.gone = Gone()


async def until_expired(shop: Shop, checkout: Checkout) -> None:
    async with patience():
        # The hold runs out by the ledger's clock, which tells nobody.
        while (await answer(shop, checkout))["status"] != "EXPIRED":  # noqa: ASYNC110
            await asyncio.sleep(0.05)


# --- Checkout --------------------------------------------------------------------------------


async def test_a_checkout_holds_one_ticket_and_leads_to_the_payment(shop: Shop) -> None:
    checkout = await shop.checkout("A", EMAIL)
    assert checkout.amount_cents == 6500
    assert checkout.redirect_url == f"/mockpay/mock_{checkout.order_id}"
    assert await stock(shop) == (9, 1, 0)
    answered = await answer(shop, checkout)
    assert answered["status"] == "PENDING"
    assert answered["paid_at"] is None


async def test_a_class_is_sold_out_only_when_its_last_hold_is_paid(open_shop: OpenShop) -> None:
    shop = await open_shop(tickets_a=1)
    checkout = await shop.checkout("A", EMAIL)
    with pytest.raises(AllOnHoldError):
        await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout))
    # Another worker: what this one explains a refusal by may be a moment old.
    other = await open_shop(tickets_a=1)
    with pytest.raises(SoldOutError):
        await other.checkout("A", EMAIL)
    await other.checkout("B", EMAIL)


@pytest.mark.parametrize("cls", ["", "a", "Z", "AA"])
async def test_an_unknown_class_is_refused_and_holds_nothing(shop: Shop, cls: str) -> None:
    with pytest.raises(InvalidRequestError, match="class"):
        await shop.checkout(cls, EMAIL)
    assert await stock(shop) == (10, 0, 0)


async def test_an_address_is_kept_in_one_form_however_it_is_typed(shop: Shop) -> None:
    typed, kept = " Ada@BU\u0308CHER.example.org", "Ada@bücher.example.org"
    checkout = await shop.checkout("A", typed, "key-1")
    assert await shop.checkout("A", kept, "key-1") == checkout
    await shop.settle(event(checkout))
    [order] = await latest(shop.orders)
    assert order.email == kept


async def test_what_is_no_address_holds_nothing(shop: Shop) -> None:
    with pytest.raises(InvalidEmailError):
        await shop.checkout("A", "fan@exam\u202eple.org")
    assert await stock(shop) == (10, 0, 0)


async def test_a_client_over_its_limit_gets_no_ticket_and_holds_none(open_shop: OpenShop) -> None:
    shop = await open_shop(limits=HoldLimits("secret", per_client=2))
    for _ in range(2):
        await shop.checkout("A", EMAIL, client="192.0.2.7")
    with pytest.raises(TooManyHoldsError, match=r"Only 2 tickets .* from one network address"):
        await shop.checkout("A", EMAIL, client="192.0.2.7")
    assert await stock(shop) == (8, 2, 0)
    await shop.checkout("A", EMAIL, client="192.0.2.8")


async def test_whoever_is_over_a_limit_is_told_when_there_is_room(open_shop: OpenShop) -> None:
    shop = await open_shop(limits=HoldLimits("secret", per_client=1), hold_seconds=90)
    await shop.checkout("A", EMAIL, client="192.0.2.7")
    with pytest.raises(TooManyHoldsError, match=r"Only 1 ticket .* in 2 minutes") as raised:
        await shop.checkout("A", EMAIL, client="192.0.2.7")
    assert 60 < raised.value.retry_after_seconds <= 90


async def test_a_client_that_is_nobodys_has_no_limit(open_shop: OpenShop) -> None:
    shop = await open_shop(limits=HoldLimits("secret", per_client=1))
    for _ in range(3):
        await shop.checkout("A", EMAIL)
    assert await stock(shop) == (7, 3, 0)


async def test_an_email_over_its_limit_gets_no_ticket_from_any_client(open_shop: OpenShop) -> None:
    shop = await open_shop(limits=HoldLimits("secret", per_client=2, per_email=1))
    await shop.checkout("A", EMAIL, client="192.0.2.7")
    with pytest.raises(TooManyHoldsError, match=r"Only 1 ticket .* for one email address"):
        await shop.checkout("A", EMAIL.upper(), client="192.0.2.8")
    await shop.checkout("A", "other@example.org", client="192.0.2.7")
    assert await stock(shop) == (8, 2, 0)


async def test_workers_that_are_asked_at_once_hold_no_more_than_one_may(
    open_shop: OpenShop,
) -> None:
    workers = [await open_shop(limits=HoldLimits("secret", per_client=3)) for _ in range(3)]
    asked = [worker.checkout("A", EMAIL, client="192.0.2.7") for worker in workers * 3]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, Checkout) for answer in answers) == 3
    assert sum(isinstance(answer, TooManyHoldsError) for answer in answers) == 6
    assert await stock(workers[0]) == (7, 3, 0)


async def test_a_checkout_that_is_replayed_counts_once(open_shop: OpenShop) -> None:
    shop = await open_shop(limits=HoldLimits("secret", per_client=1))
    first = await shop.checkout("A", EMAIL, "key-1", client="192.0.2.7")
    assert await shop.checkout("A", EMAIL, "key-1", client="192.0.2.7") == first
    assert await stock(shop) == (9, 1, 0)


@pytest.mark.parametrize("event_type", list(EventType))
async def test_an_order_that_ends_leaves_room_for_the_next(
    open_shop: OpenShop, event_type: EventType
) -> None:
    shop = await open_shop(limits=HoldLimits("secret", per_client=1, per_email=1))
    checkout = await shop.checkout("A", EMAIL, client="192.0.2.7")
    await shop.settle(event(checkout, event_type))
    await shop.sessions._finishes.drain()
    await shop.checkout("A", EMAIL, client="192.0.2.7")
    sold = int(event_type is EventType.SUCCEEDED)
    assert await stock(shop) == (9 - sold, 1, sold)


async def test_a_key_whose_hold_was_given_back_gets_a_ticket_when_there_is_room(
    open_shop: OpenShop,
) -> None:
    shop = await open_shop(limits=HoldLimits("secret", per_client=1))
    first = await shop.checkout("A", EMAIL, client="192.0.2.7")
    with pytest.raises(TooManyHoldsError):
        await shop.checkout("A", EMAIL, "key-1", client="192.0.2.7")
    await shop.settle(event(first))
    await shop.sessions._finishes.drain()
    checkout = await shop.checkout("A", EMAIL, "key-1", client="192.0.2.7")
    assert await shop.checkout("A", EMAIL, "key-1", client="192.0.2.7") == checkout
    assert await stock(shop) == (8, 1, 1)


async def test_a_hold_that_was_promised_is_not_given_back_when_redis_has_forgotten_it(
    open_shop: OpenShop, redis_url: str
) -> None:
    shop = await open_shop(limits=HoldLimits("secret", per_client=1))
    promised = await shop.checkout("A", EMAIL, "key-1", client="192.0.2.7")
    await wipe_where(True, redis_url)
    await shop.checkout("A", "other@example.org", client="192.0.2.7")
    assert await shop.checkout("A", EMAIL, "key-1", client="192.0.2.7") == promised
    assert await stock(shop) == (8, 2, 0)
    assert (await shop.settle(event(promised))).order_status == "PAID"


async def test_a_hold_that_is_being_given_back_is_promised_to_nobody(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = [await open_shop(limits=HoldLimits("secret", per_client=1)) for _ in range(2)]
    first = await slow.checkout("A", EMAIL, client="192.0.2.7")
    save, is_over, goes_on = slow.sessions.save, asyncio.Event(), asyncio.Event()

    async def save_slowly(*saved: Any) -> Any:
        over = await save(*saved)
        is_over.set()
        await goes_on.wait()
        return over

    monkeypatch.setattr(slow.sessions, "save", save_slowly)
    refused = asyncio.create_task(slow.checkout("A", EMAIL, "key-1", client="192.0.2.7"))
    await is_over.wait()
    await quick.settle(event(first))
    await quick.sessions._finishes.drain()
    checkout = await quick.checkout("A", EMAIL, "key-1", client="192.0.2.7")
    goes_on.set()
    with pytest.raises(TooManyHoldsError):
        await refused
    assert await quick.checkout("A", EMAIL, "key-1", client="192.0.2.7") == checkout
    assert await stock(quick) == (8, 1, 1)
    assert (await quick.settle(event(checkout))).order_status == "PAID"


async def test_a_client_and_an_email_are_unreadable_in_redis(
    open_shop: OpenShop, redis_url: str
) -> None:
    shop = await open_shop(limits=HoldLimits("secret", per_client=1, per_email=1))
    await shop.checkout("A", EMAIL, client="192.0.2.7")
    async with Redis.from_url(redis_url) as redis:
        keys = await redis.keys(f"{shop.identity.id.key_prefix}:holds:*")
        seen = repr([*keys, *await redis.mget(keys)])
    assert len(keys) == 2
    assert "192.0.2.7" not in seen
    assert EMAIL not in seen


async def test_what_is_over_a_limit_is_refused_also_when_it_cannot_be_given_back(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await open_shop(limits=HoldLimits("secret", per_client=1))
    await shop.checkout("A", EMAIL, client="192.0.2.7")
    save = shop.sessions.save

    async def no_ledger(operation: Operation, events: bytes) -> bytes:
        raise LedgerUnavailableError

    def save_and_lose_the_ledger(*saved: Any) -> Any:
        monkeypatch.setattr(shop.ledger, "submit", no_ledger)
        return save(*saved)

    monkeypatch.setattr(shop.sessions, "save", save_and_lose_the_ledger)
    with pytest.raises(TooManyHoldsError):
        await shop.checkout("A", EMAIL, client="192.0.2.7")


async def test_the_same_key_and_body_give_the_same_order_and_one_hold(
    open_shop: OpenShop,
) -> None:
    workers = [await open_shop() for _ in range(3)]
    checkouts = await asyncio.gather(*(w.checkout("A", EMAIL, "key-1") for w in workers * 5))
    assert len({checkout.order_id for checkout in checkouts}) == 1
    assert await stock(workers[0]) == (9, 1, 0)


@pytest.mark.parametrize(("cls", "email"), [("B", EMAIL), ("A", "other@example.org")])
async def test_the_same_key_with_another_body_is_a_conflict(
    shop: Shop, cls: str, email: str
) -> None:
    await shop.checkout("A", EMAIL, "key-1")
    with pytest.raises(KeyConflictError):
        await shop.checkout(cls, email, "key-1")
    assert await stock(shop, cls) == ((10, 0, 0) if cls == "B" else (9, 1, 0))


async def test_the_same_key_gives_the_same_order_also_after_holds_last_longer(
    open_shop: OpenShop,
) -> None:
    before = await (await open_shop(hold_seconds=60)).checkout("A", EMAIL, "key-1")
    shop = await open_shop(hold_seconds=300)
    assert await shop.checkout("A", EMAIL, "key-1") == before
    assert await stock(shop) == (9, 1, 0)
    for cls, email in (("B", EMAIL), ("A", "other@example.org")):
        with pytest.raises(KeyConflictError):
            await shop.checkout(cls, email, "key-1")


@pytest.mark.parametrize("email", ["Ada@Example.ORG", "ada@xn--bcher-kva.de", "bu\u0308cher@x.io"])
async def test_a_key_from_before_emails_had_one_form_leads_to_its_order(
    shop: Shop, email: str
) -> None:
    order_id = shop.ids.of_key("key-1", 0)
    hold = shop.booking.hold(order_id, "A", fingerprint("A", email))
    await shop.submit(Operation.CREATE_TRANSFERS, hold)
    assert (await shop.checkout("A", email, "key-1")).order_id == order_id.hex_digits
    assert await stock(shop) == (9, 1, 0)
    with pytest.raises(KeyConflictError):
        await shop.checkout("A", "other@example.org", "key-1")


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_that_is_empty_or_too_long_is_refused(shop: Shop, key: str) -> None:
    with pytest.raises(InvalidRequestError, match="Idempotency-Key"):
        await shop.checkout("A", EMAIL, key)


async def test_a_key_that_was_refused_gets_a_ticket_that_comes_back(open_shop: OpenShop) -> None:
    workers = [await open_shop(tickets_a=1) for _ in range(3)]
    other = await workers[0].checkout("A", "other@example.org")
    for _ in range(2):
        with pytest.raises(AllOnHoldError):
            await workers[0].checkout("A", EMAIL, "key-1")
        a_moment_later(*workers)
    await workers[0].settle(event(other, EventType.CANCELED))
    checkouts = await asyncio.gather(*(w.checkout("A", EMAIL, "key-1") for w in workers * 3))
    assert len(set(checkouts)) == 1
    assert await stock(workers[0]) == (0, 1, 0)
    await workers[0].settle(event(checkouts[0]))
    assert await workers[1].checkout("A", EMAIL, "key-1") == checkouts[0]


async def test_a_key_has_a_bounded_number_of_attempts(open_shop: OpenShop) -> None:
    shop = await open_shop(tickets_a=1)
    other = await shop.checkout("A", "other@example.org")
    for _ in range(KEY_ATTEMPTS_MAX):
        with pytest.raises(AllOnHoldError):
            await shop.checkout("A", EMAIL, "key-1")
        a_moment_later(shop)
    await shop.settle(event(other, EventType.CANCELED))
    with pytest.raises(KeyRefusedError):
        await shop.checkout("A", EMAIL, "key-1")
    await shop.checkout("A", EMAIL, "key-2")


async def test_a_first_attempt_is_one_question_to_the_ledger_and_none_to_postgresql(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def submit(operation: Operation, events: bytes) -> Awaitable[bytes]:
        asked.append(operation)
        return ledger_submit(operation, events)

    async def fail(_: OrderId) -> None:
        raise UnavailableError

    ledger_submit = shop.ledger.submit
    monkeypatch.setattr(shop.ledger, "submit", submit)
    monkeypatch.setattr(shop.orders, "find", fail)
    await shop.checkout("A", EMAIL, "key-1")
    assert asked == [Operation.CREATE_TRANSFERS]


@pytest.mark.parametrize("redis_is_wiped", [False, True])
async def test_the_key_of_an_order_that_is_paid_gives_that_order(
    shop: Shop, redis_url: str, redis_is_wiped: bool
) -> None:
    checkout = await shop.checkout("A", EMAIL, "key-1")
    await shop.settle(event(checkout))
    await shop.sessions._finishes.drain()
    await wipe_where(redis_is_wiped, redis_url)
    assert await shop.checkout("A", EMAIL, "key-1") == checkout
    assert await stock(shop) == (9, 0, 1)
    assert await shop.sessions.pending(10) == ([], 0)


@pytest.mark.parametrize("event_type", [EventType.FAILED, EventType.CANCELED])
async def test_the_key_of_an_order_that_came_to_nothing_says_so(
    shop: Shop, event_type: EventType
) -> None:
    checkout = await shop.checkout("A", EMAIL, "key-1")
    status = (await shop.settle(event(checkout, event_type))).order_status
    with pytest.raises(OrderEndedError, match="start a new one") as refusal:
        await shop.checkout("A", EMAIL, "key-1")
    assert refusal.value.fields == {"new_key_needed": True, "order_status": status}
    assert await stock(shop) == (10, 0, 0)


@pytest.mark.parametrize("hold_seconds_now", [1, 300])
async def test_the_key_of_a_hold_that_has_expired_says_so(
    open_shop: OpenShop, hold_seconds_now: int
) -> None:
    shop = await open_shop(hold_seconds=1)
    checkout = await shop.checkout("A", EMAIL, "key-1")
    await until_expired(shop, checkout)
    with pytest.raises(OrderEndedError, match="has expired") as refusal:
        await (await open_shop(hold_seconds=hold_seconds_now)).checkout("A", EMAIL, "key-1")
    assert refusal.value.fields["order_status"] == "EXPIRED"
    # Paid all the same, it is the key's order again.
    await shop.settle(event(checkout))
    assert await shop.checkout("A", EMAIL, "key-1") == checkout


# --- Payment ---------------------------------------------------------------------------------


async def test_a_paid_order_has_a_ticket_and_the_first_ones_a_goodie(shop: Shop) -> None:
    answers = []
    for _ in range(3):
        checkout = await shop.checkout("A", EMAIL)
        settled = await shop.settle(event(checkout))
        assert (settled.order_status, settled.is_replay) == ("PAID", False)
        answers.append(await answer(shop, checkout))
    assert [a["got_goodie"] for a in answers] == [True, True, False]
    assert all(a["status"] == "PAID" and a["paid_at"] for a in answers)
    assert len({a["ticket_code"] for a in answers}) == 3
    assert await stock(shop) == (7, 0, 3)


async def test_once_goodies_are_gone_a_sale_is_one_transfer_and_replays_are_what_they_were(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, other = await open_shop(goodies=1), await open_shop(goodies=1)
    shop.gone = Gone(Clock())
    checkouts = [await shop.checkout("A", EMAIL) for _ in range(3)]
    submitted: list[int] = []

    def submit(operation: Operation, records: bytes) -> Awaitable[bytes]:
        submitted.append(len(records) // TRANSFER_SIZE)
        return Shop.submit(shop, operation, records)

    monkeypatch.setattr(shop, "submit", submit)
    for checkout in checkouts:
        assert (await shop.settle(event(checkout))).order_status == "PAID"
    assert submitted == [3, 3, 1]
    answers = [await answer(shop, checkout) for checkout in checkouts]
    assert [a["got_goodie"] for a in answers] == [True, False, False]
    sessions = [await shop.payment_session(f"mock_{c.order_id}") for c in checkouts]
    for session, sold in zip(sessions, answers, strict=True):
        # By whoever knows that they are gone, and by whoever does not.
        for worker in shop, other:
            order = await sell(worker, session)
            assert order.got_goodie is sold["got_goodie"]
            assert order.paid_at is not None
            assert order.paid_at.isoformat() == sold["paid_at"]
    assert await stock(shop) == (7, 0, 3)
    assert (await other.goodies()).sold == 1


@pytest.mark.parametrize("redis_is_wiped", [False, True])
async def test_a_replayed_payment_changes_nothing_and_says_so(
    shop: Shop, redis_url: str, redis_is_wiped: bool
) -> None:
    checkout = await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout))
    before = await answer(shop, checkout)
    if redis_is_wiped:
        async with Redis.from_url(redis_url) as redis:
            await redis.flushall()
    settled = await shop.settle(event(checkout))
    assert (settled.order_status, settled.is_replay) == ("PAID", True)
    assert await answer(shop, checkout) == before
    assert await stock(shop) == (9, 0, 1)


async def test_the_same_payment_told_to_all_workers_at_once_sells_one_ticket(
    open_shop: OpenShop,
) -> None:
    workers = [await open_shop() for _ in range(3)]
    checkout = await workers[0].checkout("A", EMAIL)
    settled = await asyncio.gather(*(w.settle(event(checkout)) for w in workers * 5))
    assert {s.order_status for s in settled} == {"PAID"}
    assert sum(not s.is_replay for s in settled) == 1
    assert await stock(workers[0]) == (9, 0, 1)
    assert len(await latest(workers[0].orders)) == 1


@pytest.mark.parametrize(
    ("event_type", "status"),
    [(EventType.FAILED, OrderStatus.FAILED), (EventType.CANCELED, OrderStatus.CANCELED)],
)
async def test_a_payment_that_fails_gives_the_ticket_back(
    shop: Shop, event_type: EventType, status: OrderStatus
) -> None:
    checkout = await shop.checkout("A", EMAIL)
    settled = await shop.settle(event(checkout, event_type))
    assert (settled.order_status, settled.is_replay) == (status, False)
    assert await stock(shop) == (10, 0, 0)
    assert (await answer(shop, checkout))["status"] == status
    assert (await shop.settle(event(checkout, event_type))).is_replay


async def test_a_payment_that_succeeds_after_it_failed_sells_late(shop: Shop) -> None:
    checkout = await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout, EventType.FAILED))
    settled = await shop.settle(event(checkout))
    assert settled.order_status == "PAID"
    assert await stock(shop) == (9, 0, 1)
    paid = await answer(shop, checkout)
    assert paid["got_goodie"] is True
    assert (await shop.settle(event(checkout))).is_replay
    assert await answer(shop, checkout) == paid


async def test_a_payment_that_fails_after_it_succeeded_stays_paid(
    shop: Shop, redis_url: str
) -> None:
    checkout = await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout))
    assert (await shop.settle(event(checkout, EventType.FAILED))).order_status == "PAID"
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
    settled = await shop.settle(event(checkout, EventType.FAILED))
    assert (settled.order_status, settled.is_replay) == ("PAID", True)
    assert await stock(shop) == (9, 0, 1)


async def test_a_failure_told_before_the_paid_order_is_stored_stores_the_paid_order(
    shop: Shop,
) -> None:
    checkout = await shop.checkout("A", EMAIL)
    order_id = OrderId.parse(checkout.order_id)
    assert order_id is not None
    # The sale is on the ledger, and then the worker died.
    entry = await shop.sessions.find(order_id)
    assert entry is not None
    assert entry.session is not None
    await sell(shop, entry.session)
    settled = await shop.settle(event(checkout, EventType.FAILED))
    assert (settled.order_status, settled.is_replay) == ("PAID", False)
    assert (await answer(shop, checkout))["status"] == "PAID"


async def test_a_late_payment_without_stock_is_unfulfilled_for_ever(open_shop: OpenShop) -> None:
    shop = await open_shop(tickets_a=1)
    late = await shop.checkout("A", EMAIL)
    await shop.settle(event(late, EventType.CANCELED))
    other = await shop.checkout("A", "other@example.org")
    assert (await shop.settle(event(late))).order_status == "PAID_UNFULFILLED"
    # Even when stock comes back, the buyer was told of a refund.
    await shop.settle(event(other, EventType.CANCELED))
    settled = await shop.settle(event(late))
    assert (settled.order_status, settled.is_replay) == ("PAID_UNFULFILLED", True)
    assert (await answer(shop, late))["ticket_code"] is None
    assert await stock(shop) == (1, 0, 0)


async def test_an_expired_hold_reads_expired_and_still_sells_late(open_shop: OpenShop) -> None:
    shop = await open_shop(hold_seconds=1)
    checkout = await shop.checkout("A", EMAIL)
    await until_expired(shop, checkout)
    assert (await shop.settle(event(checkout))).order_status == "PAID"
    assert await stock(shop) == (9, 0, 1)


# --- The price that was agreed ---------------------------------------------------------------


@pytest.mark.parametrize("redis_is_wiped", [False, True])
async def test_a_session_costs_what_was_agreed_whatever_a_ticket_costs_now(
    open_shop: OpenShop, redis_url: str, redis_is_wiped: bool
) -> None:
    checkout = await (await open_shop()).checkout("A", EMAIL)
    shop = await open_shop(prices={"A": 7500})
    await wipe_where(redis_is_wiped, redis_url)
    session = await shop.payment_session(f"mock_{checkout.order_id}")
    assert session is not None
    assert session.amount_cents == 6500
    assert (await answer(shop, checkout))["amount"] == 6500
    assert (await shop.checkout("A", EMAIL)).amount_cents == 7500


@pytest.mark.parametrize("redis_is_wiped", [False, True])
@pytest.mark.parametrize("event_type", list(EventType))
async def test_a_payment_of_the_agreed_amount_fits_after_the_price_has_changed(
    open_shop: OpenShop, redis_url: str, redis_is_wiped: bool, event_type: EventType
) -> None:
    checkout = await (await open_shop()).checkout("A", EMAIL)
    shop = await open_shop(prices={"A": 7500})
    await wipe_where(redis_is_wiped, redis_url)
    assert not (await shop.settle(event(checkout, event_type))).is_replay
    await wipe_where(redis_is_wiped, redis_url)
    assert (await shop.settle(event(checkout, event_type))).is_replay
    [order] = await latest(shop.orders)
    assert order.amount_cents == 6500


@pytest.mark.parametrize("redis_is_wiped", [False, True])
async def test_a_late_sale_that_is_told_again_after_the_price_has_changed_says_the_same(
    open_shop: OpenShop, redis_url: str, redis_is_wiped: bool
) -> None:
    before = await open_shop()
    checkout = await before.checkout("A", EMAIL)
    await before.settle(event(checkout, EventType.CANCELED))
    # The ledger sold late, and the worker died before it stored the order.
    session = await before.payment_session(f"mock_{checkout.order_id}")
    assert session is not None
    sold = await sell(before, session)
    shop = await open_shop(prices={"A": 7500})
    await wipe_where(redis_is_wiped, redis_url)
    assert (await shop.settle(event(checkout))).order_status == "PAID"
    assert (await shop.settle(event(checkout))).is_replay
    [order] = await latest(shop.orders)
    assert (order.amount_cents, order.paid_at) == (6500, sold.paid_at)


async def test_a_late_sale_of_an_earlier_version_is_told_again(open_shop: OpenShop) -> None:
    shop = await open_shop()
    checkout = await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout, EventType.CANCELED))
    order_id = OrderId.parse(checkout.order_id)
    assert order_id is not None
    at_the_price_of_the_day = shop.booking.late_sale(order_id, "A", 7500)
    await shop.submit(Operation.CREATE_TRANSFERS, at_the_price_of_the_day)
    assert (await shop.settle(event(checkout))).order_status == "PAID"
    [order] = await latest(shop.orders)
    assert order.amount_cents == 6500


async def test_a_repair_stores_what_was_agreed(open_shop: OpenShop, redis_url: str) -> None:
    before = await open_shop()
    checkout = await before.checkout("A", EMAIL)
    order_id = OrderId.parse(checkout.order_id)
    assert order_id is not None
    await before.submit(Operation.CREATE_TRANSFERS, before.booking.sale(order_id, "A"))
    shop = await open_shop(prices={"A": 7500})
    await wipe_where(True, redis_url)
    order = await shop.restore(order_id)
    assert order is not None
    assert order.amount_cents == 6500


async def test_a_refund_gives_back_what_was_agreed(
    open_shop: OpenShop, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await open_shop(tickets_a=1)
    late = await before.checkout("A", EMAIL)
    await before.settle(event(late, EventType.CANCELED))
    await before.checkout("A", "other@example.org")
    shop = await open_shop(tickets_a=1, prices={"A": 7500})
    await wipe_where(True, redis_url)
    assert (await shop.settle(event(late))).order_status == "PAID_UNFULFILLED"
    given_back = []

    async def give_back(*asked: Any) -> None:
        given_back.append(asked)

    monkeypatch.setattr(shop.provider, "refund", give_back)
    order_id = OrderId.parse(late.order_id)
    assert order_id is not None
    await shop.refund(order_id, "admin")
    assert given_back == [(late.order_id, None, 6500, late.order_id)]


async def test_workers_that_disagree_on_the_price_agree_on_an_order(open_shop: OpenShop) -> None:
    workers = [await open_shop(), await open_shop(prices={"A": 7500})]
    first, *others = await asyncio.gather(*(w.checkout("A", EMAIL, "key-1") for w in workers * 5))
    assert set(others) == {first}
    assert first.amount_cents in (6500, 7500)
    assert await stock(workers[0]) == (9, 1, 0)
    for worker in workers:
        assert (await worker.settle(event(first))).order_status == "PAID"


# --- Events that do not fit ------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 1},
        {"currency": "usd"},
        {"cls": "B"},
        {"payment_session_id": "mock_of_another"},
        {"order_id": "nonsense"},
    ],
)
@pytest.mark.parametrize("redis_is_wiped", [False, True])
async def test_an_event_that_does_not_match_its_session_changes_nothing(
    shop: Shop, redis_url: str, changes: dict[str, Any], redis_is_wiped: bool
) -> None:
    checkout = await shop.checkout("A", EMAIL)
    if redis_is_wiped:
        async with Redis.from_url(redis_url) as redis:
            await redis.flushall()
    assert (await shop.settle(event(checkout, **changes))).order_status == UNMATCHED
    assert await stock(shop) == (9, 1, 0)
    assert await latest(shop.orders) == []
    assert (await shop.unmatched.waiting(1))[1] == 1


# --- Redis wiped -----------------------------------------------------------------------------


async def test_with_redis_wiped_the_ledger_still_knows_the_order(
    shop: Shop, redis_url: str
) -> None:
    checkout = await shop.checkout("B", EMAIL)
    before = await answer(shop, checkout)
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
    assert await answer(shop, checkout) == before
    session = await shop.payment_session(f"mock_{checkout.order_id}")
    assert session is not None
    assert (session.cls, session.amount_cents) == ("B", 3500)


async def test_a_session_that_a_newer_release_wrote_in_its_own_format_is_sold_by_the_ledgers_hold(
    shop: Shop, redis_url: str
) -> None:
    checkout = await shop.checkout("B", EMAIL)
    before = await answer(shop, checkout)
    async with Redis.from_url(redis_url) as redis:
        [key] = await redis.keys("*:order:*")
        await redis.set(key, b'[2, "whatever it holds"]\n')
    assert await answer(shop, checkout) == before
    assert await shop.payment_session(f"mock_{checkout.order_id}") is not None
    await shop.settle(event(checkout, cls="B", customer_email=EMAIL))
    [order] = await latest(shop.orders)
    assert (order.status, order.email) == (OrderStatus.PAID, EMAIL)


async def test_with_redis_wiped_the_signed_event_brings_the_email_back(
    shop: Shop, redis_url: str
) -> None:
    checkout = await shop.checkout("B", EMAIL)
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
    await shop.settle(event(checkout, cls="B", customer_email=EMAIL))
    [order] = await latest(shop.orders)
    assert (order.status, order.email) == (OrderStatus.PAID, EMAIL)


async def test_a_redis_that_is_full_takes_no_checkouts_and_stops_no_payment(
    shop: Shop, redis_url: str
) -> None:
    checkout = await shop.checkout("A", EMAIL)
    async with Redis.from_url(redis_url) as redis:
        await redis.config_set("maxmemory", 1)
        try:
            with pytest.raises(UnavailableError):
                await shop.checkout("A", EMAIL)
            assert (await shop.settle(event(checkout))).order_status == "PAID"
            await shop.sessions._finishes.drain()
        finally:
            await redis.config_set("maxmemory", 0)
    assert (await answer(shop, checkout))["status"] == "PAID"


async def test_a_payment_is_not_started_without_its_email_while_redis_is_away(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = await shop.checkout("B", EMAIL)

    async def fail(_: OrderId) -> None:
        raise UnavailableError

    with monkeypatch.context() as patched:
        patched.setattr(shop.sessions, "find", fail)
        with pytest.raises(UnavailableError):
            await shop.payment_session(f"mock_{checkout.order_id}")
        # What is known already needs no session.
        assert (await answer(shop, checkout))["status"] == "PENDING"
    session = await shop.payment_session(f"mock_{checkout.order_id}")
    assert session is not None
    assert session.email == EMAIL


@pytest.mark.parametrize("customer_email", [EMAIL, None])
async def test_while_redis_is_away_a_payment_waits_only_where_the_event_names_no_email(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, customer_email: str | None
) -> None:
    checkout = await shop.checkout("B", EMAIL)
    paid = event(checkout, cls="B", customer_email=customer_email)

    async def fail(_: OrderId) -> None:
        raise UnavailableError

    with monkeypatch.context() as patched:
        patched.setattr(shop.sessions, "find", fail)
        if customer_email is None:
            with pytest.raises(UnavailableError):
                await shop.settle(paid)
        else:
            await shop.settle(paid)
    await shop.settle(paid)
    [order] = await latest(shop.orders)
    assert (order.status, order.email) == (OrderStatus.PAID, EMAIL)


# --- Opening ---------------------------------------------------------------------------------


async def test_opening_twenty_times_at_once_funds_once(open_shop: OpenShop) -> None:
    shops = await asyncio.gather(*(open_shop() for _ in range(20)))
    assert await stock(shops[0]) == (10, 0, 0)
    assert (await shops[0].goodies()).capacity == 2


async def test_how_many_there_are_is_said_at_the_first_opening_only(open_shop: OpenShop) -> None:
    await open_shop(tickets_b=10)
    assert (await (await open_shop(tickets_b=11)).inventory())["B"].capacity == 10
    looked = await open_shop(tickets_b=9, to_look=True)
    assert (await looked.inventory())["B"].capacity == 10


async def test_a_look_at_a_shop_sees_its_stock(open_shop: OpenShop) -> None:
    shop = await open_shop()
    await shop.checkout("A", EMAIL)
    assert await stock(await open_shop(to_look=True)) == (9, 1, 0)


async def test_the_body_of_a_checkout_is_on_the_ledger_as_a_fingerprint(shop: Shop) -> None:
    assert fingerprint("A", EMAIL) != fingerprint("B", EMAIL)
    assert fingerprint("A", EMAIL) != fingerprint("A", "other@example.org")


async def test_an_id_that_somebody_made_up_costs_a_look_into_redis_and_no_more(
    shop: Shop,
) -> None:
    before = shop.counters.order.count, shop.counters.ledger.count
    for order_id in (OrderId.new(), OrderId(bytes(16))):
        assert await shop.order(order_id) is None
        assert await shop.order_answer(order_id) is None
        assert await shop.payment_session(f"mock_{order_id.hex_digits}") is None
    assert (shop.counters.order.count, shop.counters.ledger.count) == before


@pytest.mark.parametrize("key", [None, "key"])
async def test_an_order_of_a_shop_from_before_ids_were_checked_is_found(
    open_shop: OpenShop, redis_url: str, key: str | None
) -> None:
    shop = await open_shop()
    shop.ids = OrderIds(shop.secret, are_checked=False)
    checkout = await shop.checkout("A", EMAIL, key)
    order_id = OrderId.parse(checkout.order_id)
    assert order_id is not None
    await wipe_where(True, redis_url)
    found = await shop.order(order_id)
    assert found is not None
    assert found.status is OrderStatus.PENDING
