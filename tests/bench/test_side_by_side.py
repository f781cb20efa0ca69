"""Versions side by side: what is made of the turns, and a turn against a shop that seems to run."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from bench import side_by_side
from bench.errors import BenchError
from bench.http_client import Address
from bench.machine import ROOT
from bench.side_by_side import Asked, Ratio, Served, Version, cpu_seconds, table, take_turn
from tests.bench.fake_shop import Answer, FakeShop

needs_schedstat = pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="the kernel does not count a thread's time"
)


def served(address: Address) -> Served:
    """A shop whose only worker is this process."""
    return Served("now", address, {"worker-1": os.getpid()}, "")


def test_a_version_is_a_checkout_and_the_python_that_runs_it(tmp_path: Path) -> None:
    named = Version.parse(f"3.11={ROOT},{sys.executable}")
    assert named == Version("3.11", ROOT, Path(sys.executable))
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "stack.py").touch()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    own = Version.parse(f"before={tmp_path}")
    assert own.python == tmp_path / ".venv" / "bin" / "python"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("before", "A version is NAME=CHECKOUT"),
        ("=.", "A version is NAME=CHECKOUT"),
        ("before=/nowhere", "/nowhere is no checkout"),
        (f"before={ROOT},/no/python", "before has no Python at /no/python"),
    ],
)
def test_what_is_no_version_is_said(text: str, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        Version.parse(text)


def test_workers_are_of_one_kind_and_others_keep_their_names() -> None:
    named = {name: side_by_side.kind_of(name) for name in ("worker-1", "worker-12", "redis", "-1")}
    assert named == {"worker-1": "worker", "worker-12": "worker", "redis": "redis", "-1": "-1"}


def test_the_ratio_is_of_the_turns_of_one_round_and_not_of_the_medians() -> None:
    # The machine became slower and slower; the second version takes half of the first each time.
    assert Ratio.of([1, 2, 4, 8, 16], [2, 4, 8, 16, 32]) == (0.5, 0.5, 0.5)
    assert str(Ratio.of([1, 2, 3, 4, 5], [1, 1, 1, 1, 1])) == "3.000 (2.000–4.000)"
    assert Ratio.of([3], [2]) == (1.5, 1.5, 1.5)


def test_there_is_no_ratio_to_what_is_not_there() -> None:
    assert Ratio.of([1, 2], [0, 0]) is None


def test_the_table_has_a_column_for_each_version_and_for_each_ratio_to_the_first() -> None:
    turns = {
        "a": [{"worker, µs": 200.0, "p50, ms": 8.0}] * 2,
        "b": [{"worker, µs": 150.0, "p50, ms": 8.0, "more": 1.0}] * 2,
        "c": [{"worker, µs": 2000.0}] * 2,
    }
    assert table("webhook", turns) == [
        "| webhook | a | b | c | b / a (quartiles) | c / a (quartiles) |",
        "| --- | --- | --- | --- | --- | --- |",
        "| worker, µs | 200 | 150 | 2,000 | 0.750 (0.750–0.750) | 10.000 (10.000–10.000) |",
        "| p50, ms | 8.0 | 8.0 | 0.0 | 1.000 (1.000–1.000) | 0.000 (0.000–0.000) |",
    ]


def test_turns_are_kept_whole(tmp_path: Path) -> None:
    file = tmp_path / "made" / "turns.csv"
    side_by_side.write_turns(file, [("webhook", 60, {"now": [{"worker, µs": 200.25}]})])
    header, row = file.read_text().splitlines()
    assert header == "phase,concurrency,round,version,figure,value"
    assert row == 'webhook,60,1,now,"worker, µs",200.250'


@needs_schedstat
def test_what_a_process_uses_is_counted() -> None:
    before = cpu_seconds(os.getpid())
    while cpu_seconds(os.getpid()) <= before:
        pass


@needs_schedstat
@pytest.mark.parametrize(
    ("phase", "paths"),
    [
        ("purchase", {"/api/checkout": 6, "/payments/webhook": 6, "/api/orders/": 6}),
        ("checkout", {"/api/checkout": 6}),
        ("webhook", {"/api/checkout": 6, "/payments/webhook": 6}),
    ],
)
async def test_a_turn_asks_for_as_much_as_it_should(
    shop: FakeShop, address: Address, phase: str, paths: dict[str, int]
) -> None:
    shop.sells()
    figures = await take_turn(served(address), phase, Asked(concurrency=2, total=6, seed=1))
    seen = [request.path for request in shop.requests]
    assert {path: sum(each.startswith(path) for each in seen) for path in paths} == paths
    assert len(seen) == sum(paths.values())
    assert set(figures) == {
        *("worker, µs", "all but the clerk, µs", "a second", "p50, ms", "p99, ms")
    }
    assert all(value > 0 for value in figures.values())


@pytest.mark.parametrize("phase", side_by_side.PHASES)
async def test_a_turn_with_a_refusal_is_none(shop: FakeShop, address: Address, phase: str) -> None:
    shop.sells()
    shop.answers("/api/checkout", Answer(409))
    with pytest.raises(BenchError, match=r"ended well|answered with 409"):
        await take_turn(served(address), phase, Asked(concurrency=1, total=2, seed=1))


@needs_schedstat
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([f"now={ROOT},{sys.executable}"], "Two versions or more"),
        ([f"now={ROOT},{sys.executable}"] * 2, "each with a name of its own"),
        ([f"{name}={ROOT},{sys.executable}" for name in "ab"] + ["--pairs", "0"], "--pairs"),
        ([f"{name}={ROOT},{shutil.which('false')}" for name in "ab"], "a does not run"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert side_by_side.main(arguments) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1
