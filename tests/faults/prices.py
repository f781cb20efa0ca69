"""What the tickets of a shop under test cost, changed while it sells; how many an order may have.

The shop sells what a file of the suite's says, the tests' own show at first; a new price comes
with a reload, which takes the file over.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.offers import OFFER, OFFER_FILE
from tigerfans.offer.money import decimal_text
from tigerfans.offer.offer import ClassCode

FIRST: Final = {listing.code: listing.price_cents for listing in OFFER.listings}


class Prices:
    """The prices of one ticket in the offer at `file`, in cents; at first those of the tests' show.

    `ever` are all that were set so far, by class.
    """

    def __init__(self, file: Path, tickets_per_order: int = 1) -> None:
        self._file = file
        self._limits = f"\n[limits]\ntickets_per_order = {tickets_per_order}\n"
        self.ever: dict[ClassCode, set[int]] = {code: set() for code in FIRST}
        self.set(FIRST)

    def set(self, prices: Mapping[ClassCode, int]) -> None:
        """For every class, and for the processes that start from now on."""
        # One that starts at once may be asked before this is over.
        for code, price_cents in prices.items():
            self.ever[code].add(price_cents)
        head, *classes = re.split(r"(?m)^(?=\[\[class\]\])", OFFER_FILE.read_text())
        repriced = [
            re.sub(r"(?m)^price = .*$", f'price = "{decimal_text(prices[code], "eur")}"', part)
            for code, part in zip(FIRST, classes, strict=True)
        ]
        written = self._file.with_suffix(".new")
        written.write_text("".join([head, *repriced, self._limits]))
        written.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """What the processes of the shop need in theirs."""
        return {"TIGERFANS_OFFER": str(self._file)}
