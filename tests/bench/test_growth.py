from pathlib import Path

import pytest

from bench import filling, growth
from bench.growth import GROWN, NEW, Results, Turn
from tests.shops import OpenShop, latest
from tigerfans.ledger.base import Ledger
from tigerfans.office.reconcile import Reconciler
from tigerfans.stores.mails import Mails


def turn(shop: str = GROWN, mark: int = 0, ledger_us: float = 80.0, disk: float = 10.0) -> Turn:
    return Turn(
        shop=shop,
        mark=mark,
        orders=mark or 1,
        purchases=100,
        rate=1000.0,
        p50_ms=20.0,
        p99_ms=90.0,
        cpu_us={"workers": 400.0, "tigerbeetle": ledger_us, "clerk": 9.0},
        memory_mb={"workers": 150.0},
        disk_mb={"ledger": disk},
    )


async def test_what_is_filled_in_is_what_a_sale_leaves_behind(
    open_shop: OpenShop, ledger: Ledger
) -> None:
    shop = await open_shop(tickets_a=20, tickets_b=20)
    await filling.sell(shop, range(6))
    orders = await latest(shop.orders)
    assert sorted(order.email for order in orders) == [f"buyer-{n}@example.org" for n in range(6)]
    assert [order.got_goodie for order in orders].count(True) == 2
    assert (await Reconciler(shop).run()).is_clean
    assert (await Mails(shop.orders.database).counts()).waiting == 0


def test_rows_are_written_behind_those_of_before(tmp_path: Path) -> None:
    path = tmp_path / "growth.csv"
    for mark in (0, 60_000):
        with path.open("a", newline="") as file:
            Results(file, "embedded").write(turn(mark=mark))
    header, first, second = path.read_text().splitlines()
    assert header.endswith("cpu_us,memory_mb,disk_mb")
    assert "embedded,grown,0,1,100,1000.0" in first
    assert second.endswith("workers=400.0 tigerbeetle=80.0 clerk=9.0,workers=150.0,ledger=10.0")


def test_a_grown_shop_stands_beside_a_new_one_and_ten_million_are_computed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    turns = [
        turn(),
        turn(mark=1_000, ledger_us=90.0, disk=20.0),
        turn(NEW, 1_000),
        turn(mark=100_000, ledger_us=100.0, disk=1_010.0),
        turn(NEW, 100_000),
    ]
    growth.print_tables(turns, "tigerbeetle")
    printed = capsys.readouterr().out
    assert "100 (1.25)" in printed
    # Clerks send mails at a pace of their own.
    assert "500 (1.04)" in printed
    # A hundred times as many orders cost 10 µs more, and twice 110 of 10 MB.
    assert "10,000,000, computed" in printed
    costs, sizes = (line.split() for line in printed.splitlines() if "computed" in line)
    assert costs[3] == "110"
    assert sizes[-1].startswith("100,")


@pytest.mark.parametrize("wrong", [["--marks", "-1"], ["--turns", "0"], ["--purchases", "0"]])
def test_a_number_that_makes_no_sense_is_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        growth.main(wrong)
