"""What the tickets of a shop under test cost, changed while it sells.

Prices are no setting of the shop's, they stand in its code; a new one comes with new workers. So
the suite gives every process of the shop a `sitecustomize` of its own, in this folder, by way of
PYTHONPATH: it reads the prices from a file before anything else of the shop is imported.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tigerfans.offer.catalog import LISTINGS, ClassCode

# None of the shop's own names, which it would refuse.
FILE_VARIABLE: Final = "FAULTS_PRICES"
FOLDER: Final = Path(__file__).parent
FIRST: Final = {listing.code: listing.price_cents for listing in LISTINGS}


class Prices:
    """The prices in `file`, in cents; at first those of the catalog.

    `ever` are all that were set so far, by class.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.ever: dict[ClassCode, set[int]] = {code: set() for code in FIRST}
        self.set(FIRST)

    def set(self, prices: Mapping[ClassCode, int]) -> None:
        """For every class, and for the processes that start from now on."""
        # One that starts at once may be asked before this is over.
        for code, price_cents in prices.items():
            self.ever[code].add(price_cents)
        written = self._file.with_suffix(".new")
        written.write_text(json.dumps(dict(prices)))
        written.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """What the processes of the shop need in theirs."""
        inherited = os.environ.get("PYTHONPATH")
        path = os.pathsep.join(filter(None, (str(FOLDER), inherited)))
        return {"PYTHONPATH": path, FILE_VARIABLE: str(self._file)}
