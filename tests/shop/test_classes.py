"""What an offer may take away from the one before it, and what not: what was sold stays."""

from dataclasses import replace

import pytest

from tests.offers import OFFER
from tests.shops import OpenShop, event
from tigerfans.booking.ids import OrderId
from tigerfans.errors import InvalidRequestError, UnavailableError
from tigerfans.offer.offer import Offer
from tigerfans.office.reconcile import Reconciler
from tigerfans.payments.base import EventType
from tigerfans.settings.settings import SettingsError
from tigerfans.shop.checkout import Checkout
from tigerfans.shop.shop import Shop

WITHOUT_B = replace(OFFER, listings=OFFER.listings[:1])
MOVED = replace(OFFER, listings=(OFFER.listings[0], replace(OFFER.listings[1], ledger=9)))
TAKEN = replace(OFFER, listings=(replace(OFFER.listings[0], code="Z", ledger=2),))
IN_FRANCS = replace(OFFER, currency="chf")

REFUSALS = [
    (WITHOUT_B, "The offer has no class B any more, but 1 of its tickets was sold or is on hold"),
    (
        MOVED,
        "The offer gives class B the number 9, but 1 of its tickets was sold or is on hold under 2",
    ),
    (TAKEN, "The offer has no class B any more, but 1 of its tickets was sold or is on hold"),
    (
        IN_FRANCS,
        "The offer sells class B in CHF, but 1 of its tickets was sold or is on hold in EUR",
    ),
]


@pytest.mark.parametrize("is_paid", [True, False], ids=["sold", "on hold"])
@pytest.mark.parametrize(
    ("offer", "sentence"), REFUSALS, ids=["gone", "moved", "taken", "in francs"]
)
async def test_what_was_sold_keeps_its_class_its_number_and_its_currency(
    open_shop: OpenShop, offer: Offer, sentence: str, is_paid: bool
) -> None:
    shop: Shop = await open_shop()
    checkout = await shop.checkout("B", "fan@example.org")
    if is_paid:
        await shop.settle(event(checkout))
    with pytest.raises(SettingsError, match=sentence):
        await open_shop(offer=offer)
    # Nothing is half done: with the offer of before it opens again.
    again: Shop = await open_shop()
    assert (await again.inventory())["B"].available == 9


@pytest.mark.parametrize(
    ("offer", "sentence"), REFUSALS, ids=["gone", "moved", "taken", "in francs"]
)
async def test_a_ticket_that_was_refunded_was_sold_all_the_same(
    open_shop: OpenShop, offer: Offer, sentence: str
) -> None:
    shop: Shop = await open_shop()
    checkout = await shop.checkout("B", "fan@example.org")
    await shop.settle(event(checkout))
    await shop.refund(order_id_of(checkout), "admin")
    with pytest.raises(SettingsError, match=sentence):
        await open_shop(offer=offer)


@pytest.mark.parametrize("offer", [WITHOUT_B, MOVED, IN_FRANCS], ids=["gone", "moved", "in francs"])
async def test_what_nobody_bought_may_change(open_shop: OpenShop, offer: Offer) -> None:
    await open_shop()
    shop: Shop = await open_shop(offer=offer)
    assert list(await shop.inventory()) == [listing.code for listing in offer.listings]


async def test_a_class_that_was_dropped_unsold_comes_back(open_shop: OpenShop) -> None:
    await open_shop()
    await open_shop(offer=WITHOUT_B)
    shop: Shop = await open_shop()
    assert (await shop.inventory())["B"].available == 10


async def test_a_hold_that_came_as_its_class_was_dropped_is_paid_given_back_and_counted(
    open_shop: OpenShop,
) -> None:
    old: Shop = await open_shop()
    new: Shop = await open_shop(offer=WITHOUT_B)
    holds = [await old.checkout("B", f"fan{number}@example.org") for number in range(4)]
    assert (await new.settle(event(holds[0]))).order_status == "PAID"
    canceled = await new.settle(event(holds[1], EventType.CANCELED))
    assert canceled.order_status == "CANCELED"
    # Late, and where only the ledger knows of the hold.
    assert (await new.settle(event(holds[1]))).order_status == "PAID"
    await new.sessions._finishes.drain()
    await new.sessions._redis.flushdb()
    found = await new.order(order_id_of(holds[2]))
    assert found is not None
    assert (found.status, found.cls, found.amount_cents) == ("PENDING", "B", 3500)
    assert await new.release(order_id_of(holds[2])) == "CANCELED"
    with pytest.raises(InvalidRequestError, match="Please choose ticket class A"):
        await new.checkout("B", "fan@example.org")
    # What starts later goes on, too, and both sides say the same.
    again: Shop = await open_shop(offer=WITHOUT_B)
    assert (await again.settle(event(holds[3], customer_email="fan@example.org"))).order_status
    report = await Reconciler(again, second_look_seconds=0).run()
    assert (report.sales, report.orders, report.is_clean) == (3, 3, True)


@pytest.mark.parametrize(
    ("offer", "sentence"),
    [
        (MOVED, "The offer gives class B the number 9"),
        (TAKEN, "The offer has no class B any more"),
        (IN_FRANCS, "The offer sells class B in CHF"),
    ],
    ids=["moved", "taken", "in francs"],
)
async def test_the_number_of_a_dropped_class_that_was_sold_after_all_stays_its_own(
    open_shop: OpenShop, offer: Offer, sentence: str
) -> None:
    old: Shop = await open_shop()
    await open_shop(offer=WITHOUT_B)
    await old.checkout("B", "fan@example.org")
    with pytest.raises(SettingsError, match=sentence):
        await open_shop(offer=offer)
    assert list(await (await open_shop()).inventory()) == ["A", "B"]


async def test_a_class_that_came_while_a_worker_ran_is_unknown_there_and_no_failure(
    open_shop: OpenShop,
) -> None:
    old: Shop = await open_shop(offer=WITHOUT_B)
    new: Shop = await open_shop()
    hold = await new.checkout("B", "fan@example.org")
    with pytest.raises(UnavailableError, match="Tickets of class B are not known here yet"):
        await old.settle(event(hold))
    await new.sessions._redis.flushdb()
    with pytest.raises(UnavailableError, match="Tickets of number 2 are not known here yet"):
        await old.order(order_id_of(hold))
    assert (await new.settle(event(hold, customer_email="fan@example.org"))).order_status == "PAID"


def order_id_of(checkout: Checkout) -> OrderId:
    order_id = OrderId.parse(checkout.order_id)
    assert order_id is not None
    return order_id


async def test_an_order_of_a_later_currency_says_so(open_shop: OpenShop) -> None:
    shop: Shop = await open_shop(offer=replace(OFFER, currency="jpy"))
    checkout = await shop.checkout("A", "fan@example.org")
    settled = await shop.settle(event(checkout, currency="jpy"))
    assert settled.order_status == "PAID"
    strange = await shop.checkout("A", "fan@example.org")
    assert (await shop.settle(event(strange, currency="eur"))).order_status == "UNMATCHED"
