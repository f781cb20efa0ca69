"""A canceled show, and the refunds that a clerk does, over a real ledger, Redis and PostgreSQL."""

import asyncio
from typing import Final

import pytest

from tests.harness.patience import until
from tests.offers import UP_TO_FOUR
from tests.shop.test_refund import OWNER, Provider, order_of, paid, stock
from tests.shop.test_shop import answer
from tests.shops import OpenShop, event
from tigerfans.door.door import Door, Presentation
from tigerfans.errors import (
    InvalidRequestError,
    ProviderError,
    SaleClosedError,
    UnavailableError,
)
from tigerfans.payments.base import EventType
from tigerfans.shop.answers import order_answer
from tigerfans.shop.cancellation import CancellationRounds
from tigerfans.shop.closing import park
from tigerfans.shop.lookup import session_of_order
from tigerfans.shop.refund_rounds import forget_refunded, refund_due
from tigerfans.shop.shop import Shop
from tigerfans.stores import show_cancellation, ticket_refunds
from tigerfans.stores.audit import Audit
from tigerfans.stores.door_scans import DoorScans
from tigerfans.stores.orders import OrderStatus
from tigerfans.stores.token_bucket import Rate, TokenBucket

TOKENS: Final = TokenBucket(Rate(per_second=100_000, burst=100_000))
PRICE: Final = 6500


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
async def shop(open_shop: OpenShop, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Shop:
    # Nothing is under way here that would still come.
    monkeypatch.setattr(show_cancellation, "STILL_COMING_SECONDS", 0)
    shop: Shop = await open_shop(offer=UP_TO_FOUR, provider=provider)
    return shop


async def is_due_now(shop: Shop) -> None:
    """No lease and no pause is left."""
    async with shop.orders.database.connection(writes=True) as connection:
        await connection.execute("UPDATE ticket_refunds SET next_attempt_at = now()")


async def test_what_was_asked_for_and_not_done_a_clerk_goes_on_with(
    shop: Shop, provider: Provider
) -> None:
    _, order_id = await paid(shop, qty=2)
    provider.error = ConnectionError("away")
    with pytest.raises(ProviderError):
        await shop.refund(order_id, OWNER)
    # Not at once: whoever pressed has a lease, or it waits for its next attempt.
    assert not await refund_due(shop, TOKENS)
    assert provider.asked == 1
    await is_due_now(shop)
    await refund_due(shop, TOKENS)
    assert provider.asked == 2
    [first, _] = await shop.ticket_refunds.of(order_id)
    assert first.attempts == 2
    provider.error = None
    await is_due_now(shop)
    await refund_due(shop, TOKENS)
    assert (await order_of(shop, order_id)).status is OrderStatus.REFUNDED
    assert provider.given_back == {f"{order_id.hex_digits}-0": 2 * PRICE}


async def test_several_clerks_and_an_owner_at_once_give_each_refund_back_once(
    open_shop: OpenShop, provider: Provider
) -> None:
    clerks = [await open_shop(offer=UP_TO_FOUR, provider=provider) for _ in range(2)]
    orders = [(await paid(clerks[0], qty=2))[1] for _ in range(4)]
    await clerks[0].ticket_refunds.ask_for_all(orders, OWNER)
    rounds = [refund_due(clerk, TOKENS) for clerk in clerks * 2]
    await asyncio.gather(*rounds, *(clerks[1].refund(order_id, OWNER) for order_id in orders))
    for order_id in orders:
        assert (await order_of(clerks[0], order_id)).status is OrderStatus.REFUNDED
    assert provider.given_back == {f"{each.hex_digits}-0": 2 * PRICE for each in orders}
    assert await stock(clerks[0]) == (10, 0, 0)


async def test_what_redis_said_of_an_order_before_its_refund_is_forgotten_some_time_after(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, order_id = await paid(shop)
    # A webhook that is told again just now writes down what it knew before.
    session = await session_of_order(shop, order_id)
    assert session is not None
    stale = order_answer(await order_of(shop, order_id))
    await shop.refund(order_id, OWNER)
    shop.sessions.finish(session, stale)

    async def is_told() -> bool:
        return await shop.sessions.find(order_id) is not None

    await until(is_told)
    assert not await forget_refunded(shop)
    assert (await answer(shop, checkout))["status"] == "PAID"
    monkeypatch.setattr(ticket_refunds, "FORGET_AFTER_SECONDS", 0)
    await forget_refunded(shop)
    assert (await answer(shop, checkout))["status"] == "REFUNDED"
    assert await shop.ticket_refunds.forgettable(10) == []


async def test_a_show_is_canceled_by_its_name_once(shop: Shop) -> None:
    name = shop.catalog.offer.show.name
    for wrong in ("", "another", name.lower()):
        with pytest.raises(InvalidRequestError, match=name):
            await shop.cancel(wrong, OWNER)
    assert await shop.cancellation.find() is None
    canceled = await shop.cancel(name, OWNER)
    assert canceled.canceled_by == OWNER
    assert await shop.cancel(f" {name} ", "another") == canceled


async def test_a_canceled_show_gives_all_money_back_also_what_is_paid_later(
    shop: Shop, provider: Provider
) -> None:
    _, first = await paid(shop, qty=3)
    _, second = await paid(shop, cls="B")
    await shop.refund(first, OWNER, [1])
    late = await shop.checkout("A", "late@example.org")
    rounds = CancellationRounds(shop, TOKENS)
    assert not await rounds.do()
    assert await shop.ticket_refunds.due(10) == ([], 0)
    await shop.cancel(shop.catalog.offer.show.name, OWNER)
    await rounds.do()
    await refund_due(shop, TOKENS)
    for order_id in (first, second):
        assert (await order_of(shop, order_id)).status is OrderStatus.REFUNDED
    # What came back is kept back.
    await park(shop)
    with pytest.raises(SaleClosedError):
        await shop.checkout("B", "next@example.org")
    progress = await shop.cancellation.progress()
    assert (progress.orders, progress.refunded, progress.failing) == (2, 2, 0)
    # The hold was there before, and its buyer pays.
    assert (await shop.settle(event(late))).order_status == "PAID"
    await rounds.do()
    await refund_due(shop, TOKENS)
    assert (await answer(shop, late))["status"] == "REFUNDED"
    assert sum(provider.given_back.values()) == 4 * PRICE + 3500
    rows = await shop.ticket_refunds.of(second)
    assert [row.asked_by for row in rows] == [OWNER]


async def test_a_canceled_show_gives_back_what_could_not_be_fulfilled(
    open_shop: OpenShop, provider: Provider
) -> None:
    shop = await open_shop(tickets_a=1, provider=provider)
    late = await shop.checkout("A", "late@example.org")
    await shop.settle(event(late, EventType.FAILED))
    await shop.checkout("A", "other@example.org")
    assert (await shop.settle(event(late))).order_status == "PAID_UNFULFILLED"
    await shop.cancel(shop.catalog.offer.show.name, OWNER)
    rounds = CancellationRounds(shop, TOKENS)
    provider.error = ConnectionError("away")
    await rounds.do()
    await rounds.do()
    # What the provider refuses is not tried in each round.
    assert provider.asked == 1
    provider.error = None
    await CancellationRounds(shop, TOKENS).do()
    assert provider.given_back == {late.order_id: PRICE}


async def test_a_cancellation_that_is_killed_in_the_middle_goes_on(
    shop: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [(await paid(shop, qty=2))[1] for _ in range(5)]
    await shop.cancel(shop.catalog.offer.show.name, OWNER)
    monkeypatch.setattr("tigerfans.shop.cancellation.ASKED_AT_ONCE_MAX", 2)
    rounds = CancellationRounds(shop, TOKENS)
    asked = shop.cancellation.asked

    async def is_away(last: object) -> None:
        raise UnavailableError

    # Killed once between asking and noting how far that is.
    monkeypatch.setattr(shop.cancellation, "asked", is_away)
    with pytest.raises(UnavailableError):
        await rounds.do()
    monkeypatch.setattr(shop.cancellation, "asked", asked)
    again = CancellationRounds(shop, TOKENS)
    while await again.do():
        await refund_due(shop, TOKENS)
    await refund_due(shop, TOKENS)
    for order_id in orders:
        assert (await order_of(shop, order_id)).status is OrderStatus.REFUNDED
    assert provider.given_back == {f"{each.hex_digits}-0": 2 * PRICE for each in orders}
    assert await stock(shop) == (10, 0, 0)


async def test_who_is_inside_keeps_the_ticket_and_all_others_get_their_money(
    shop: Shop, provider: Provider
) -> None:
    (_, inside), (_, outside) = await paid(shop, qty=3), await paid(shop)
    door = Door(shop, DoorScans(shop.orders.database))
    code = shop.door_code(await order_of(shop, inside), 1)
    scan = Presentation(bytes(range(16)), code, "North", "phone", 1_000, offline=False)
    [case] = await door.scan([scan], "gate 1")
    assert case.result == "admitted"
    await shop.cancel(shop.catalog.offer.show.name, OWNER)
    await CancellationRounds(shop, TOKENS).do()
    await refund_due(shop, TOKENS)
    assert (await order_of(shop, outside)).status is OrderStatus.REFUNDED
    kept = await order_of(shop, inside)
    assert (kept.status, kept.tickets_valid) == (OrderStatus.PAID, [1])
    assert provider.given_back == {
        f"{inside.hex_digits}-0": 2 * PRICE,
        f"{outside.hex_digits}-0": PRICE,
    }
    progress = await shop.cancellation.progress()
    assert (progress.orders, progress.refunded, progress.used) == (2, 1, 1)
    assert not progress.is_under_way
    *_, refused = await Audit(shop.orders.database).of_order(inside)
    assert (refused.what, refused.detail) == ("Not refunded", "ticket 2 was used at the door")
