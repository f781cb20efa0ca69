"""What an offer may take away from the one before it, and what not: what was sold stays."""

from dataclasses import replace

import pytest

from tests.offers import OFFER
from tests.shops import OpenShop, event
from tigerfans.offer.offer import Offer
from tigerfans.settings.settings import SettingsError
from tigerfans.shop.shop import Shop

WITHOUT_B = replace(OFFER, listings=OFFER.listings[:1])
MOVED = replace(OFFER, listings=(OFFER.listings[0], replace(OFFER.listings[1], ledger=9)))
TAKEN = replace(OFFER, listings=(replace(OFFER.listings[0], code="Z", ledger=2),))
IN_FRANCS = replace(OFFER, currency="chf")

REFUSALS = [
    (WITHOUT_B, "The offer has no class B any more, but 1 of its tickets is sold or on hold"),
    (
        MOVED,
        "The offer gives class B the number 9, but 1 of its tickets is sold or on hold under 2",
    ),
    (TAKEN, "The offer has no class B any more, but 1 of its tickets is sold or on hold"),
    (IN_FRANCS, "The offer sells class B in CHF, but 1 of its tickets is sold or on hold in EUR"),
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


async def test_an_order_of_a_later_currency_says_so(open_shop: OpenShop) -> None:
    shop: Shop = await open_shop(offer=replace(OFFER, currency="jpy"))
    checkout = await shop.checkout("A", "fan@example.org")
    settled = await shop.settle(event(checkout, currency="jpy"))
    assert settled.order_status == "PAID"
    strange = await shop.checkout("A", "fan@example.org")
    assert (await shop.settle(event(strange, currency="eur"))).order_status == "UNMATCHED"
