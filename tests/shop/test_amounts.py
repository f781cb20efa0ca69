"""Orders of several tickets: held, sold and given back as one, and paid for as one."""

import asyncio
from typing import Any

import orjson
import pytest

from tests.harness.patience import until
from tests.offers import UP_TO_FOUR
from tests.shop.test_shop import answer, stock, until_expired, wipe_where
from tests.shops import OpenShop, event, latest
from tigerfans.booking.ids import OrderId
from tigerfans.booking.tickets import ticket_codes
from tigerfans.errors import (
    AllOnHoldError,
    InvalidQtyError,
    KeyConflictError,
    SoldOutError,
    TooFewLeftError,
    TooManyHoldsError,
)
from tigerfans.ledger.wire import Operation
from tigerfans.payments.base import EventType
from tigerfans.shop.checkout import Checkout
from tigerfans.shop.hold_limits import HoldLimits
from tigerfans.shop.lookup import session_of_order
from tigerfans.shop.payment import UNMATCHED
from tigerfans.shop.shop import Shop
from tigerfans.stores.orders import OrderStatus

EMAIL = "fan@example.org"


@pytest.fixture
async def shop(open_shop: OpenShop) -> Shop:
    shop: Shop = await open_shop(offer=UP_TO_FOUR)
    return shop


def id_of(order_id: str) -> OrderId:
    parsed = OrderId.parse(order_id)
    assert parsed is not None
    return parsed


async def test_an_order_of_three_is_one_hold_one_sale_and_one_goodie(shop: Shop) -> None:
    checkout = await shop.checkout("A", EMAIL, qty=3)
    assert checkout.amount_cents == 3 * 6500
    assert await stock(shop) == (7, 3, 0)
    assert (await shop.settle(event(checkout))).order_status == "PAID"
    assert await stock(shop) == (7, 0, 3)
    assert (await shop.read_stock())[-1].sold == 1
    [order] = await latest(shop.orders)
    assert (order.qty, order.amount_cents, order.got_goodie) == (3, 3 * 6500, True)
    assert order.ticket_codes == ticket_codes(order.id, shop.secret, 3)
    answered = await answer(shop, checkout)
    assert (answered["qty"], answered["amount"]) == (3, 3 * 6500)


@pytest.mark.parametrize("redis_is_wiped", [False, True])
@pytest.mark.parametrize("event_type", list(EventType))
async def test_whatever_becomes_of_several_tickets_a_replay_says_the_same(
    shop: Shop, redis_url: str, redis_is_wiped: bool, event_type: EventType
) -> None:
    checkout = await shop.checkout("A", EMAIL, qty=3)
    await wipe_where(redis_is_wiped, redis_url)
    await shop.settle(event(checkout, event_type))
    before = await answer(shop, checkout)
    await wipe_where(redis_is_wiped, redis_url)
    assert (await shop.settle(event(checkout, event_type))).is_replay
    assert await answer(shop, checkout) == before
    sold = 3 if event_type is EventType.SUCCEEDED else 0
    assert await stock(shop) == (10 - sold, 0, sold)


async def test_an_answer_that_a_worker_of_before_has_kept_is_told_with_its_tickets(
    shop: Shop,
) -> None:
    checkout = await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout))
    whole, order_id = await answer(shop, checkout), id_of(checkout.order_id)
    kept = orjson.dumps({name: whole[name] for name in whole if name != "tickets"})
    session = await session_of_order(shop, order_id)
    assert session is not None
    shop.sessions.finish(session, kept)

    async def is_kept() -> bool:
        entry = await shop.sessions.find(order_id)
        return entry is not None and entry.paid_answer == kept

    await until(is_kept)
    assert await answer(shop, checkout) == whole


async def test_a_payment_of_one_ticket_does_not_fit_an_order_of_three(shop: Shop) -> None:
    checkout = await shop.checkout("A", EMAIL, qty=3)
    assert (await shop.settle(event(checkout, amount=6500))).order_status == UNMATCHED
    assert await stock(shop) == (7, 3, 0)


@pytest.mark.parametrize("redis_is_wiped", [False, True])
async def test_several_tickets_cost_what_was_agreed_whatever_one_costs_now(
    open_shop: OpenShop, redis_url: str, redis_is_wiped: bool
) -> None:
    before = await open_shop(offer=UP_TO_FOUR)
    checkout = await before.checkout("A", EMAIL, qty=3)
    await before.settle(event(checkout, EventType.CANCELED))
    shop = await open_shop(prices={"A": 7500})
    await wipe_where(redis_is_wiped, redis_url)
    session = await shop.payment_session(f"mock_{checkout.order_id}")
    assert session is not None
    assert (session.amount_cents, session.price_cents) == (3 * 6500, 6500)
    assert (await shop.settle(event(checkout))).order_status == "PAID"
    assert await stock(shop) == (7, 0, 3)


async def test_an_expired_hold_of_several_tickets_sells_them_all_late(open_shop: OpenShop) -> None:
    shop = await open_shop(hold_seconds=1, offer=UP_TO_FOUR)
    checkout = await shop.checkout("A", EMAIL, qty=3)
    await until_expired(shop, checkout)
    assert (await shop.settle(event(checkout))).order_status == "PAID"
    assert await stock(shop) == (7, 0, 3)
    assert (await shop.settle(event(checkout))).is_replay


async def test_a_late_payment_gets_all_of_its_tickets_or_none(open_shop: OpenShop) -> None:
    shop = await open_shop(tickets_a=4, offer=UP_TO_FOUR)
    late = await shop.checkout("A", EMAIL, qty=3)
    await shop.settle(event(late, EventType.CANCELED))
    await shop.checkout("A", "other@example.org", qty=2)
    assert (await shop.settle(event(late))).order_status == "PAID_UNFULFILLED"
    assert await stock(shop) == (2, 2, 0)
    [order] = await latest(shop.orders)
    assert (order.qty, order.amount_cents, order.ticket_codes) == (3, 3 * 6500, ())


async def test_a_refund_of_several_tickets_gives_back_what_all_of_them_cost(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await open_shop(tickets_a=3, offer=UP_TO_FOUR)
    late = await shop.checkout("A", EMAIL, qty=3)
    await shop.settle(event(late, EventType.CANCELED))
    await shop.checkout("A", "other@example.org")
    await shop.settle(event(late))
    given_back = []

    async def give_back(*asked: Any) -> None:
        given_back.append(asked)

    monkeypatch.setattr(shop.provider, "refund", give_back)
    await shop.refund(id_of(late.order_id), "admin")
    assert given_back == [(late.order_id, None, 3 * 6500, late.order_id)]


async def test_a_repair_brings_all_tickets_of_an_order_back(shop: Shop, redis_url: str) -> None:
    checkout = await shop.checkout("A", EMAIL, qty=3)
    order_id = id_of(checkout.order_id)
    await shop.submit(Operation.CREATE_TRANSFERS, shop.booking.sale(order_id, "A"))
    await wipe_where(True, redis_url)
    order = await shop.restore(order_id)
    assert order is not None
    assert (order.status, order.qty) == (OrderStatus.PAID, 3)
    assert order.ticket_codes == ticket_codes(order_id, shop.secret, 3)


# --- How many --------------------------------------------------------------------------------


@pytest.mark.parametrize("qty", [-1, 0, 5, 64, 65, 2**128])
async def test_a_number_that_is_not_offered_holds_nothing(shop: Shop, qty: int) -> None:
    for key in (None, "key-1"):
        with pytest.raises(InvalidQtyError, match="1 to 4 tickets"):
            await shop.checkout("A", EMAIL, key, qty=qty)
    assert await stock(shop) == (10, 0, 0)


async def test_a_shop_sells_one_ticket_an_order_unless_its_offer_says_more(
    open_shop: OpenShop,
) -> None:
    shop = await open_shop()
    with pytest.raises(InvalidQtyError, match="one ticket"):
        await shop.checkout("A", EMAIL, qty=2)


async def test_what_is_left_of_too_few_is_told(open_shop: OpenShop) -> None:
    shop = await open_shop(tickets_a=3, offer=UP_TO_FOUR)
    with pytest.raises(TooFewLeftError, match="Only 3 tickets") as refused:
        await shop.checkout("A", EMAIL, qty=4)
    assert refused.value.fields == {"state": "too_few", "available": 3}
    held = await shop.checkout("A", EMAIL, qty=3)
    # Other workers: what this one explains a refusal by may be a moment old.
    with pytest.raises(AllOnHoldError):
        await (await open_shop(tickets_a=3, offer=UP_TO_FOUR)).checkout("A", EMAIL, qty=2)
    await shop.settle(event(held))
    with pytest.raises(SoldOutError):
        await (await open_shop(tickets_a=3, offer=UP_TO_FOUR)).checkout("A", EMAIL, qty=2)


async def test_a_rush_for_several_sells_no_ticket_twice(open_shop: OpenShop) -> None:
    workers = [await open_shop(tickets_a=10, offer=UP_TO_FOUR) for _ in range(3)]
    asked = [worker.checkout("A", EMAIL, qty=3) for worker in workers * 4]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, Checkout) for answer in answers) == 3
    assert await stock(workers[0]) == (1, 9, 0)


# --- Keys ------------------------------------------------------------------------------------


async def test_the_same_key_for_another_number_of_tickets_is_a_conflict(shop: Shop) -> None:
    held = await shop.checkout("A", EMAIL, "key-1", qty=2)
    for qty in (1, 3):
        with pytest.raises(KeyConflictError):
            await shop.checkout("A", EMAIL, "key-1", qty=qty)
    assert await shop.checkout("A", EMAIL, "key-1", qty=2) == held
    assert await stock(shop) == (8, 2, 0)


async def test_the_same_key_leads_to_its_order_after_fewer_are_offered(
    open_shop: OpenShop,
) -> None:
    held = await (await open_shop(offer=UP_TO_FOUR)).checkout("A", EMAIL, "key-1", qty=3)
    shop = await open_shop(prices={"A": 7500})
    assert await shop.checkout("A", EMAIL, "key-1", qty=3) == held
    with pytest.raises(InvalidQtyError):
        await shop.checkout("A", EMAIL, "key-2", qty=3)
    assert await stock(shop) == (7, 3, 0)


async def test_a_key_that_was_refused_several_gets_fewer(open_shop: OpenShop) -> None:
    shop = await open_shop(tickets_a=2, offer=UP_TO_FOUR)
    with pytest.raises(TooFewLeftError):
        await shop.checkout("A", EMAIL, "key-1", qty=3)
    held = await shop.checkout("A", EMAIL, "key-1", qty=2)
    assert await shop.checkout("A", EMAIL, "key-1", qty=2) == held
    assert await stock(shop) == (0, 2, 0)


# --- Limits ----------------------------------------------------------------------------------


async def test_a_limit_counts_tickets_and_not_orders(open_shop: OpenShop) -> None:
    shop = await open_shop(offer=UP_TO_FOUR, limits=HoldLimits("secret", per_email=5))
    first = await shop.checkout("A", EMAIL, qty=3)
    with pytest.raises(TooManyHoldsError, match="Only 5 tickets"):
        await shop.checkout("A", EMAIL, qty=3)
    await shop.checkout("A", EMAIL, qty=2)
    with pytest.raises(TooManyHoldsError):
        await shop.checkout("A", EMAIL)
    assert await stock(shop) == (5, 5, 0)
    await shop.settle(event(first))
    await shop.sessions._finishes.drain()
    await shop.checkout("A", EMAIL, qty=3)
    assert await stock(shop) == (2, 5, 3)


async def test_nobody_is_offered_more_than_one_may_have_on_hold(open_shop: OpenShop) -> None:
    shop = await open_shop(offer=UP_TO_FOUR, limits=HoldLimits("secret", per_client=2))
    with pytest.raises(InvalidQtyError, match="1 to 2 tickets"):
        await shop.checkout("A", EMAIL, qty=3, client="192.0.2.7")
    await shop.checkout("A", EMAIL, qty=2, client="192.0.2.7")
