"""A hold that its buyer goes on with or gives back, on each ledger, while others pay and buy."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.shops import OpenShop, event
from tests.tigerbeetle_server import CLUSTER_ID, DEVELOPMENT, running_tigerbeetle
from tigerfans.booking.ids import OrderId
from tigerfans.errors import AllOnHoldError, OrderEndedError
from tigerfans.ledger import open_ledger
from tigerfans.ledger.base import Ledger
from tigerfans.shop.checkout import Checkout
from tigerfans.shop.hold_limits import HoldLimits
from tigerfans.shop.shop import Shop
from tigerfans.telemetry.steps import Step

EMAIL = "fan@example.org"


@pytest.fixture(params=["embedded", "tigerbeetle"])
async def each_ledger(request: pytest.FixtureRequest, ledger: Ledger) -> AsyncIterator[Ledger]:
    if request.param == "embedded":
        yield ledger
        return
    with running_tigerbeetle(DEVELOPMENT) as server:
        tigerbeetle = await open_ledger(f"tigerbeetle://{server.addresses}/{CLUSTER_ID}")
        yield tigerbeetle
        await tigerbeetle.close()


def id_of(checkout: Checkout) -> OrderId:
    order_id = OrderId.parse(checkout.order_id)
    assert order_id is not None
    return order_id


async def stock(shop: Shop) -> tuple[int, int, int]:
    """Available, held, sold, of class A: straight from the ledger."""
    inventory = (await shop.read_stock())[0]
    return inventory.available, inventory.held, inventory.sold


async def status(shop: Shop, checkout: Checkout) -> str:
    order = await shop.order(id_of(checkout))
    assert order is not None
    return order.status


async def test_whatever_a_payment_meets_its_buyer_has_a_ticket_or_the_money_back(
    open_shop: OpenShop, each_ledger: Ledger
) -> None:
    workers = [await open_shop(tickets_a=10, on=each_ledger) for _ in range(2)]
    paying, giving_back = workers
    # At the same moment, each of them first as often as the other.
    for turn in range(8):
        checkout = await paying.checkout("A", EMAIL)
        both = [paying.settle(event(checkout)), giving_back.release(id_of(checkout))]
        await asyncio.gather(*(both if turn % 2 else reversed(both)))
        assert await status(paying, checkout) == "PAID"
    assert await stock(paying) == (2, 0, 8)

    # First the payment: there is nothing to give back any more.
    paid = await paying.checkout("A", EMAIL)
    await paying.settle(event(paid))
    assert await giving_back.release(id_of(paid)) == "PAID"
    assert await stock(paying) == (1, 0, 9)

    # First the buyer, of the last ticket, which somebody else buys before the payment is told.
    last = await paying.checkout("A", EMAIL)
    assert await giving_back.release(id_of(last)) == "CANCELED"
    assert await status(paying, last) == "CANCELED"
    other = await giving_back.checkout("A", "other@example.org")
    with pytest.raises(AllOnHoldError):
        await paying.checkout("A", EMAIL)
    await giving_back.settle(event(other))
    assert (await paying.settle(event(last))).order_status == "PAID_UNFULFILLED"
    assert await giving_back.release(id_of(last)) == "PAID_UNFULFILLED"
    assert await stock(paying) == (0, 0, 10)


async def test_a_ticket_is_given_back_once_however_often_it_is_asked_for(
    open_shop: OpenShop, each_ledger: Ledger
) -> None:
    workers = [await open_shop(on=each_ledger) for _ in range(3)]
    checkout = await workers[0].checkout("A", EMAIL, "key-1")
    asked = [worker.release(id_of(checkout)) for worker in workers * 3]
    assert set(await asyncio.gather(*asked)) == {"CANCELED"}
    assert sum(worker.counters.steps[Step.CANCELED] for worker in workers) == 1
    assert await stock(workers[0]) == (10, 0, 0)
    with pytest.raises(OrderEndedError):
        await workers[0].checkout("A", EMAIL, "key-1")
    # Paid all the same while there are tickets, it is one.
    assert (await workers[0].settle(event(checkout))).order_status == "PAID"
    assert await workers[1].release(id_of(checkout)) == "PAID"
    assert await stock(workers[0]) == (9, 0, 1)


async def test_the_last_ticket_can_be_given_back_and_held_again(open_shop: OpenShop) -> None:
    limits = HoldLimits("secret", per_client=1, per_email=1)
    shop = await open_shop(tickets_a=1, limits=limits)
    mistyped = await shop.checkout("A", "fam@example.org", client="192.0.2.7")
    assert (await shop.inventory())["A"].available == 0
    await shop.release(id_of(mistyped))
    # What is shown of the stock knows of it at once, and so does the limit.
    assert (await shop.inventory())["A"].available == 1
    await shop.sessions._finishes.drain()
    await shop.checkout("A", EMAIL, client="192.0.2.7")


async def test_an_open_hold_says_where_and_until_when_it_can_be_paid(open_shop: OpenShop) -> None:
    shop = await open_shop(hold_seconds=300)
    checkout = await shop.checkout("B", EMAIL)
    hold = await shop.open_hold(id_of(checkout))
    assert hold is not None
    assert (hold.order.cls, hold.order.amount_cents, hold.order.email) == ("B", 3500, EMAIL)
    assert hold.redirect_url == checkout.redirect_url
    assert (hold.expires_at - hold.order.created_at).total_seconds() == 300
    await shop.settle(event(checkout))
    assert await shop.open_hold(id_of(checkout)) is None


async def test_an_order_that_nobody_knows_is_neither_open_nor_given_back(shop: Shop) -> None:
    nobodys = OrderId.new()
    assert await shop.open_hold(nobodys) is None
    assert await shop.release(nobodys) is None
    assert await shop.orders.find(nobodys) is None
