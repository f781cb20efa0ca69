"""The order of a run, and what becomes of what fails, with a shop that only seems to run."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from bench import run as run_module
from bench import stack, wrk_run
from bench.config import Config
from bench.errors import BenchError
from bench.measurement import Measurement
from bench.phases import PHASES, Bench, Phase
from bench.run import Matrix, Run
from bench.stack import Stack, StackError
from bench.wrk_run import Figures
from tigerfans.telemetry.counters import Counters

FIGURES = Figures(total=100, ok=98, seconds=2.0, p50_ms=1.0, p99_ms=9.0, client_cpu_seconds=0.25)
Outcome = Callable[[], Figures]


class SeemingStack:
    """A shop with figures of its own: each look at them finds more."""

    def __init__(self) -> None:
        self.url = "http://127.0.0.1:1"
        self.looks = 0
        self.restarted = False
        self.ended = False

    def check(self) -> None:
        if self.ended:
            raise StackError("The shop has ended: it is gone.")

    def sequencer_status(self) -> dict[str, Any]:
        self.looks += 1
        lane = {"batches": 10 * self.looks, "events": 250 * self.looks}
        return {
            "ledger": {"kind": "embedded"},
            "operations": {"create_transfers": lane},
            "workers": [{"stats": self.counters(self.looks * n).stats()} for n in (1, 2)],
        }

    def counters(self, requests: int) -> Counters:
        """A worker's, whose requests wait 2.5 ms for the ledger and for nothing else."""
        counters = Counters()
        for _ in range(requests):
            counters.ledger.observe(0.0025)
        return counters

    def cpu_seconds(self) -> dict[str, float]:
        return {"sequencer": float(self.looks), "worker-1": -1.0 if self.restarted else 0.0}

    def sold(self) -> int:
        return 0


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> SeemingStack:
    """The shop that is measured; every phase gives `FIGURES`, if nothing else is said."""
    shop = SeemingStack()

    @contextmanager
    def running(config: Config, *, embedded: bool) -> Iterator[SeemingStack]:
        yield shop

    monkeypatch.setattr(run_module, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(stack, "running", running)
    monkeypatch.setattr(Bench, "purchases", lambda *_: FIGURES)
    monkeypatch.setattr(Bench, "prepare", lambda *_: None)
    monkeypatch.setattr(Bench, "run", lambda *_: FIGURES)
    return shop


def matrix(**changes: Any) -> Matrix:
    fields: dict[str, Any] = {
        "configs": [Config("workers-2", {}, 2)],
        "concurrencies": [60],
        "phases": [PHASES["reserve"], PHASES["purchase"]],
        "repeats": 1,
        "seconds": 1.0,
    }
    return Matrix(**(fields | changes))


def measure(matrix: Matrix) -> list[Measurement]:
    measurements: list[Measurement] = []
    Run(matrix, measurements.append).run()
    assert len(measurements) == matrix.rows
    return measurements


def test_each_combination_is_a_row(shop: SeemingStack) -> None:
    configs = [Config("workers-1", {}, 1), Config("workers-2", {}, 2)]
    rows = measure(matrix(configs=configs, concurrencies=[10, 60], repeats=2))
    assert [(m.config, m.concurrency, m.phase) for m in rows] == [
        (config, concurrency, phase)
        for config in ("workers-1", "workers-2")
        for concurrency in (10, 60)
        for phase in ["reserve", "purchase"] * 2
    ]


def test_a_row_says_what_was_measured(shop: SeemingStack) -> None:
    reserve, _ = measure(matrix())
    assert (reserve.ledger, reserve.workers, reserve.failure) == ("embedded", 2, "")
    assert (reserve.total, reserve.ok, reserve.errors, reserve.throughput) == (100, 98, 2, 49.0)
    assert reserve.average_batch == 25.0
    assert reserve.stage_ms == pytest.approx({"ledger": 2.5})
    assert reserve.cpu_seconds == {"client": 0.25, "sequencer": 1.0, "worker-1": 0.0}


def test_a_phase_that_fails_is_a_row_and_the_run_goes_on(
    shop: SeemingStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Bench, phase: Phase, __: Path | None) -> Figures:
        if phase.name == "reserve":
            raise BenchError("wrk failed: it is tired.")
        return FIGURES

    monkeypatch.setattr(Bench, "run", fail)
    reserve, purchase = measure(matrix())
    assert (reserve.failure, reserve.throughput) == ("wrk failed: it is tired.", None)
    assert (purchase.failure, purchase.throughput) == ("", 49.0)


def test_a_shop_that_does_not_start_fails_each_of_its_phases(
    shop: SeemingStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StackError("The shop has ended: no disk.")

    monkeypatch.setattr(stack, "running", fail)
    rows = measure(matrix(repeats=2))
    assert {m.failure for m in rows} == {"The shop has ended: no disk."}
    assert {m.ledger for m in rows} == {"unknown"}


def test_a_shop_that_ends_fails_the_phases_that_are_left(
    shop: SeemingStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> Figures:
        shop.ended = True
        return FIGURES

    monkeypatch.setattr(Bench, "run", end)
    reserve, purchase = measure(matrix())
    assert (reserve.failure, purchase.failure) == ("", "The shop has ended: it is gone.")


def test_a_process_that_was_started_again_fails_the_phase(
    shop: SeemingStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restart(*_: object) -> Figures:
        shop.restarted = True
        return FIGURES

    monkeypatch.setattr(Bench, "run", restart)
    reserve, _ = measure(matrix())
    assert reserve.failure == "worker-1 was started again while it was measured."


def bench(shop: SeemingStack, folder: Path) -> Bench:
    return Bench(cast(Stack, shop), folder, 60, 2.0)


def test_what_is_used_up_is_prepared_as_a_share_of_the_rate_at_which_it_is_made(
    tmp_path: Path,
) -> None:
    counts: list[int] = []

    def prepare(url: str, secret: str, count: int, path: Path) -> None:
        counts.append(count)

    shop = bench(SeemingStack(), tmp_path)
    phase = Phase("commit", "commit", prepare, made_by="reserve", made_share=0.8)
    assert shop.prepare(phase, rate=1000.0) == tmp_path / "commit.txt"
    shop.prepare(phase, rate=None)
    shop.prepare(phase, rate=1e9)
    assert 1600 == counts[0] < counts[1] < counts[2]
    assert shop.prepare(PHASES["purchase"], rate=None) is None


def test_the_yardstick_is_measured_in_place_of_the_shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[tuple[str, str]] = []

    def wrk(script: str, url: str, *_: object) -> Figures:
        measured.append((script, url))
        return FIGURES

    @contextmanager
    def serve() -> Iterator[str]:
        yield "http://127.0.0.1:2"

    monkeypatch.setattr(wrk_run, "run", wrk)
    phase = replace(PHASES["yardstick"], serve=serve)
    assert bench(SeemingStack(), tmp_path).run(phase, None) == FIGURES
    # Once to get warm, once to be measured.
    assert measured == [("report", "http://127.0.0.1:2")] * 2


def test_answers_that_sold_nothing_are_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrk_run, "run", lambda *_: FIGURES)
    with pytest.raises(BenchError, match="Only 0 tickets were sold by 98"):
        bench(SeemingStack(), tmp_path).run(PHASES["webhook"], None)


def test_a_phase_without_a_good_answer_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none_ok = Figures(5, 0, 1.0, 0.0, 0.0, 0.0)
    monkeypatch.setattr(wrk_run, "run", lambda *_: none_ok)
    with pytest.raises(BenchError, match="None of 5"):
        bench(SeemingStack(), tmp_path).run(PHASES["reserve"], None)


def test_purchases_that_do_not_end_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("load_client", 1)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(BenchError, match="did not end"):
        bench(SeemingStack(), tmp_path).run(PHASES["purchase"], None)
