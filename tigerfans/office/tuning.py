"""`tigerfans tune`: how many workers this machine wants, by selling for some seconds with each.

The measuring is done by the benchmarks (`python -m bench`), which live in the checkout beside this
package and run as a process of their own; what is here reads their rows and decides.
"""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tigerfans.settings.settings import SettingsError

ROOT: Final = Path(__file__).parent.parent.parent
# The rows of the last time, for whoever wants to know more.
RESULTS: Final = ROOT / "data" / "tune.csv"
# For which there is a file of settings in `ops/`.
COUNTS: Final = (1, 2, 4, 8)
SECONDS: Final = 4
REPEATS: Final = 2
CONCURRENCY: Final = 60
# More workers than this for each core are not tried: they only take turns.
WORKERS_PER_CORE: Final = 2
# Two runs of the same differ by as much; what more workers gain beyond it is theirs.
NOISE: Final = 0.05

EXIT_FAILED: Final = 1


@dataclass(frozen=True, slots=True)
class Trial:
    """What one number of workers sold: purchases a second, the slowest percent, the batches."""

    workers: int
    rate: float
    p99_ms: float
    average_batch: float

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> Self:
        return cls(
            int(row["workers"]),
            float(row["throughput"]),
            float(row["p99_ms"]),
            float(row["average_batch"] or 0),
        )

    def __str__(self) -> str:
        sold = f"{_workers(self.workers):>10}  {self.rate:7,.0f} purchases/s"
        return f"{sold}  p99 {self.p99_ms:4.0f} ms  batches of {self.average_batch:.1f}"


def run() -> int:
    """Measures and gives advice; the exit code. Raises `SettingsError` outside a checkout."""
    cores = os.cpu_count() or 1
    workers_max = max(2, cores * WORKERS_PER_CORE)
    counts = [workers for workers in COUNTS if workers <= workers_max]
    configs = [ROOT / "ops" / f"workers-{workers}.env" for workers in counts]
    if not (ROOT / "bench" / "__main__.py").is_file():
        raise SettingsError(
            "tigerfans tune needs the benchmarks, which are in the repository and not in the"
            " package: run it in a checkout."
        )
    exit_code = _measure(configs)
    if exit_code not in (0, EXIT_FAILED):
        return exit_code
    trials = read(RESULTS)
    if not trials:
        return EXIT_FAILED
    print(advise(trials, cores))
    return 0


def _measure(configs: Sequence[Path]) -> int:
    options = ("--phases", "purchase", "--no-plots")
    results = ("--results", str(RESULTS.parent), "--name", RESULTS.stem)
    amounts = {"seconds": SECONDS, "repeats": REPEATS, "concurrency": CONCURRENCY}
    numbers = (word for name, value in amounts.items() for word in (f"--{name}", str(value)))
    command = (sys.executable, "-m", "bench", *options, *results, *numbers)
    with subprocess.Popen([*command, "--configs", *map(str, configs)], cwd=ROOT) as bench:
        # The benchmarks hear of Ctrl-C themselves; they stop their shop, and we wait for it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: bench.terminate())
        return bench.wait()


def read(path: Path) -> list[Trial]:
    """The trials in the benchmarks' rows, fewest workers first; the best repeat of each."""
    with path.open(newline="") as file:
        trials = [Trial.from_row(row) for row in csv.DictReader(file) if not row["failure"]]
    best: dict[int, Trial] = {}
    for trial in sorted(trials, key=lambda trial: (trial.workers, trial.rate)):
        best[trial.workers] = trial
    return list(best.values())


def choose(trials: Sequence[Trial]) -> Trial:
    """The fewest workers that sell as much as any, as far as that can be told."""
    most = max(trial.rate for trial in trials)
    return next(trial for trial in trials if trial.rate >= most * (1 - NOISE))


def advise(trials: Sequence[Trial], cores: int) -> str:
    """What to do, what was measured, and why."""
    chosen = choose(trials)
    reasons = [_compare(trial, chosen) for trial in trials if trial is not chosen]
    return "\n".join(
        [
            f"\nUse {_workers(chosen.workers)} on these {cores} cores:"
            f" make up OPS=ops/workers-{chosen.workers}.env\n",
            *map(str, trials),
            "",
            *reasons,
        ]
    )


def _compare(other: Trial, chosen: Trial) -> str:
    gain = other.rate / chosen.rate - 1
    if other.workers < chosen.workers:
        return f"With {_workers(other.workers)}, {-gain:.0%} less is sold."
    if gain > 0:
        return f"{_workers(other.workers)} sell {gain:.0%} more, which is no more than runs differ."
    return f"{_workers(other.workers)} sell {-gain:.0%} less: they take turns on the same cores."


def _workers(count: int) -> str:
    return f"{count} worker{'s' if count > 1 else ''}"
