"""Sets the prices of a shop under test; Python imports it by its name before the program starts.

The listings are changed in place: they are already a default in the catalog's own module. A
`sitecustomize` that somebody else has put on the path runs as well.
"""

import json
import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

FOLDER = Path(__file__).parent


def set_prices(file: Path) -> None:
    from tigerfans.offer.catalog import LISTINGS

    prices = json.loads(file.read_text())
    for listing in LISTINGS:
        # It is frozen for the shop, which has no business here.
        object.__setattr__(listing, "price_cents", prices[listing.code])


def run_the_hidden() -> None:
    """Runs the `sitecustomize` that this one stands in front of."""
    others = [entry for entry in sys.path if Path(entry).absolute() != FOLDER]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


if __name__ == "sitecustomize":
    run_the_hidden()
    set_prices(Path(os.environ["FAULTS_PRICES"]))
