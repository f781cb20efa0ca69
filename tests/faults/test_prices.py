"""How a shop under test gets other prices: in processes of its own, before they import anything."""

import os
import subprocess
import sys
from pathlib import Path

from tests.faults.prices import FIRST, FOLDER, Prices

# The second is by a default that was there before the prices changed.
TELL = """
from tigerfans.offer.catalog import Catalog, LISTINGS
print([listing.price_cents for listing in LISTINGS])
print([c.price_cents for c in Catalog.build({}, 0).classes])
"""


def run(code: str, environment: dict[str, str]) -> str:
    """What a process started as the shop's programs are prints."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_a_process_sells_at_the_prices_that_were_set_last_before_it_started(
    tmp_path: Path,
) -> None:
    prices = Prices(tmp_path / "prices.json")
    first = list(FIRST.values())
    assert run(TELL, prices.environment) == f"{first}\n{first}\n"
    prices.set({"A": 7100, "B": 2900})
    assert run(TELL, prices.environment) == "[7100, 2900]\n[7100, 2900]\n"
    assert prices.ever == {"A": {FIRST["A"], 7100}, "B": {FIRST["B"], 2900}}


def test_a_sitecustomize_of_somebody_else_runs_as_well(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text("import sys\nsys.other_ran = True\n")
    environment = Prices(tmp_path / "prices.json").environment
    environment["PYTHONPATH"] = os.pathsep.join((str(FOLDER), str(other)))
    assert run("import sys; print(sys.other_ran)", environment) == "True\n"
