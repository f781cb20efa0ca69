"""The tests' own show, so that none of them depends on the demonstration's."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from tigerfans.offer.catalog import Catalog, ClassCode
from tigerfans.offer.file import read_offer
from tigerfans.offer.offer import Listing, Offer
from tigerfans.offer.windows import Window

OFFER_FILE: Final = Path(__file__).with_name("offer.toml")
OFFER: Final = read_offer(OFFER_FILE)
SHOW: Final = OFFER.show
# The same, with several tickets in an order.
UP_TO_FOUR: Final = replace(OFFER, tickets_per_order=4)


def catalog_with(tickets: dict[ClassCode, int], goodies: int = 0) -> Catalog:
    """The tests' show with so many tickets; none of a class that is not named."""
    amounts = dict.fromkeys((listing.code for listing in OFFER.listings), 0)
    return Catalog.build(OFFER, amounts | tickets, goodies)


def on_sale(
    opens_at: datetime | None = None, closes_at: datetime | None = None, code: ClassCode = "A"
) -> Offer:
    """The tests' show, with a window for one of its classes."""

    def within(listing: Listing) -> Listing:
        if listing.code != code:
            return listing
        return replace(listing, window=Window(opens_at, closes_at or listing.window.closes_at))

    return replace(OFFER, listings=tuple(map(within, OFFER.listings)))
