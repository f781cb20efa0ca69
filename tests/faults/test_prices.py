"""How a shop under test gets other prices: by the file that it reads its offer from."""

from pathlib import Path

from tests.faults.prices import FIRST, Prices
from tigerfans.settings.settings import Settings


def test_a_process_sells_at_the_prices_that_were_set_last_before_it_started(
    tmp_path: Path,
) -> None:
    prices = Prices(tmp_path / "offer.toml")

    def sold_at() -> list[int]:
        settings = Settings.from_environment(prices.environment)
        return [each.price_cents for each in settings.build_catalog().classes]

    assert sold_at() == list(FIRST.values())
    prices.set({"A": 7100, "B": 2900})
    assert sold_at() == [7100, 2900]
    assert prices.ever == {"A": {FIRST["A"], 7100}, "B": {FIRST["B"], 2900}}
