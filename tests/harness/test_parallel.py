import itertools

from tests.harness.inner import ROOT
from tests.harness.parallel import APART, APART_FILES, LONG, TOGETHER, rank_of, unit_of


def test_what_shares_a_shop_runs_in_one_process() -> None:
    assert unit_of("tests/browser/test_late.py::test_a") == unit_of("tests/browser/test_bench.py")
    assert unit_of("tests/browser/test_buying.py") == unit_of("tests/browser/test_stock.py")
    assert unit_of("tests/faults/test_overload.py::test_a[1::2]") == "tests/faults"
    assert unit_of("tests/stack/test_up.py::test_a") == "tests/stack/test_up.py"


def test_what_needs_long_comes_first() -> None:
    ranks = [rank_of(f"{unit}::test") for unit in LONG if unit not in {*TOGETHER, APART}]
    assert all(before < after for before, after in itertools.pairwise(ranks))
    assert rank_of("tests/test_batching.py::test_a") == len(LONG)


def test_all_that_is_named_is_there() -> None:
    assert all((ROOT / name).exists() for name in {*LONG, *TOGETHER, *APART_FILES} - {APART})
