"""A whole run: every configuration, concurrency, repeat and phase, each measurement a row.

What fails is a row too, with its reason, and the run goes on with the next phase.
"""

import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import stack
from bench.config import Config
from bench.errors import BenchError
from bench.machine import describe_machine, git_revision
from bench.measurement import CLIENT, Measurement
from bench.phases import Bench, Phase
from bench.stack import Stack
from bench.wrk_run import Figures
from tigerfans.ipc.client import STATS_SECONDS
from tigerfans.telemetry.counters import STAGE_SECONDS

WARM_UP_SECONDS_MAX: Final = 1.0
# Workers tell how long they waited once a second: after so long, all that came before is told.
REPORT_SECONDS: Final = 1.1 * STATS_SECONDS
# Of a shop that did not start.
LEDGER_UNKNOWN: Final = "unknown"

# What the sequencer's `/status` says.
Status = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Matrix:
    """What is measured: every combination of these."""

    configs: Sequence[Config]
    concurrencies: Sequence[int]
    phases: Sequence[Phase]
    repeats: int
    # Of each measurement.
    seconds: float
    embedded: bool = False

    @property
    def rows(self) -> int:
        """How many measurements these are."""
        repeats = len(self.concurrencies) * self.repeats
        return len(self.configs) * repeats * len(self.phases)

    @property
    def needs_wrk(self) -> bool:
        return any(phase.script for phase in self.phases)


class Run:
    """Measures a matrix; `write` is handed each measurement as soon as it is made."""

    def __init__(self, matrix: Matrix, write: Callable[[Measurement], None]) -> None:
        self._matrix = matrix
        self._write = write
        self._machine = describe_machine()
        self._git_revision = git_revision()

    def run(self) -> None:
        for config in self._matrix.configs:
            self._measure_config(config)

    def _measure_config(self, config: Config) -> None:
        unmeasured = [
            (concurrency, phase)
            for concurrency in self._matrix.concurrencies
            for _ in range(self._matrix.repeats)
            for phase in self._matrix.phases
        ]
        try:
            with (
                stack.running(config, embedded=self._matrix.embedded) as shop,
                tempfile.TemporaryDirectory(prefix="tigerfans-bench-") as folder,
            ):
                ledger = shop.sequencer_status()["ledger"]["kind"]
                self._warm_up(shop, Path(folder))
                rates: dict[tuple[str, int], float] = {}
                while unmeasured:
                    concurrency, phase = unmeasured[0]
                    row = self._row(config, ledger, concurrency, phase.name)
                    bench = Bench(shop, Path(folder), concurrency, self._matrix.seconds)
                    rate = rates.get((phase.made_by or "", concurrency))
                    with self._failures(row):
                        _measure(shop, bench, phase, rate, row)
                        rates[phase.name, concurrency] = row["throughput"]
                    self._write(Measurement(**row))
                    del unmeasured[0]
        except BenchError as error:
            # The shop did not start, or did not live to see its first phase.
            for concurrency, phase in unmeasured:
                row = self._row(config, LEDGER_UNKNOWN, concurrency, phase.name)
                self._write(Measurement(**row, failure=str(error)))

    def _warm_up(self, shop: Stack, folder: Path) -> None:
        seconds = min(self._matrix.seconds, WARM_UP_SECONDS_MAX)
        Bench(shop, folder, max(self._matrix.concurrencies), seconds).purchases(seconds)

    def _row(self, config: Config, ledger: str, concurrency: int, phase: str) -> dict[str, Any]:
        """The columns that are known beforehand."""
        return {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": self._machine,
            "git_revision": self._git_revision,
            "config": config.name,
            "ledger": ledger,
            "workers": config.workers,
            "concurrency": concurrency,
            "phase": phase,
        }

    @contextmanager
    def _failures(self, row: dict[str, Any]) -> Iterator[None]:
        """Turns what goes wrong into the row's `failure`."""
        try:
            yield
        except (BenchError, OSError) as error:
            row["failure"] = str(error)


def _measure(
    shop: Stack, bench: Bench, phase: Phase, rate: float | None, row: dict[str, Any]
) -> None:
    """One measurement of `shop`, which `bench` drives, into `row`; raises `BenchError`."""
    shop.check()
    prepared = bench.prepare(phase, rate)
    if not phase.serve:
        time.sleep(REPORT_SECONDS)
    before, cpu_before = shop.sequencer_status(), shop.cpu_seconds()
    row |= _columns(bench.run(phase, prepared))
    after, cpu = shop.sequencer_status(), shop.cpu_seconds()
    for name, seconds in cpu.items():
        if seconds < cpu_before.get(name, math.inf):
            raise BenchError(f"{name} was started again while it was measured.")
        row["cpu_seconds"][name] = seconds - cpu_before[name]
    row["average_batch"] = average_batch(before, after)
    row["stage_ms"] = {} if phase.serve else _stage_ms(before, after)


def _columns(figures: Figures) -> dict[str, Any]:
    return {
        "total": figures.total,
        "ok": figures.ok,
        "errors": figures.total - figures.ok,
        "throughput": figures.throughput,
        "p50_ms": figures.p50_ms,
        "p99_ms": figures.p99_ms,
        "cpu_seconds": {CLIENT: figures.client_cpu_seconds},
    }


def average_batch(before: Status, after: Status) -> float | None:
    """Transfers in a batch between two looks at the sequencer."""
    then, now = (status["operations"]["create_transfers"] for status in (before, after))
    batches, events = (now[name] - then[name] for name in ("batches", "events"))
    return events / batches if batches else None


def _stage_ms(before: Status, after: Status) -> dict[str, float]:
    """How long a request waited for each store between two looks at the sequencer, on average.

    What workers have not told yet of the last second is missing.
    """
    waits, seconds = (now - then for now, then in zip(_stages(after), _stages(before), strict=True))
    return {stage: 1e3 * seconds[stage] / count for stage, count in waits.items()}


def _stages(status: Status) -> tuple["Counter[str]", "Counter[str]"]:
    """How often requests waited for each store so far, at all workers, and how many seconds."""
    waits: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for worker in status["workers"]:
        for family in worker["stats"]:
            if family["name"] == STAGE_SECONDS:
                for sample in family["samples"]:
                    (stage,) = sample["labels"]
                    waits[stage] += sum(sample["buckets"])
                    seconds[stage] += sample["sum"]
    return waits, seconds
