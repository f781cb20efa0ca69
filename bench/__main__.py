"""Measures the shop in several configurations on this machine.

    python -m bench                      every configuration in ops/, in under three minutes
    python -m bench --sweep              the full matrix, in about forty minutes
    python -m bench --configs ops/workers-2.env --phases checkout --concurrency 60 --seconds 10
    python -m bench --draw bench/results/NAME.csv    the table and the plots of an earlier run

Each measurement is written to `bench/results/NAME.csv` as soon as it is made; the plots go beside
it. Nothing else should use the machine meanwhile.
"""

import argparse
import importlib.util
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import wrk_run
from bench.config import Config
from bench.errors import BenchError
from bench.machine import ROOT
from bench.measurement import Measurement, ResultsFile, read_results
from bench.phases import PHASES
from bench.report import print_failures, print_table
from bench.run import Matrix, Run

RESULTS: Final = ROOT / "bench" / "results"
SECONDS_MAX: Final = 600.0
CONCURRENCY_MAX: Final = 10_000
REPEATS_MAX: Final = 100

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    console = Console()
    try:
        if options.draw:
            measurements = read_results([options.draw])
            show(measurements, options.draw, console, plots=_can_plot())
            return 0
        return measure(_matrix(options), options, console)
    except (BenchError, OSError) as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE


def measure(matrix: Matrix, options: argparse.Namespace, console: Console) -> int:
    """Measures all of it and says what came of it; the exit code."""
    if options.plots and not _can_plot():
        raise BenchError("The plots need matplotlib: pip install -e '.[bench]', or say --no-plots.")
    if matrix.needs_wrk:
        wrk_run.find()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    measurements: list[Measurement] = []
    with ResultsFile(options.results / f"{options.name}.csv") as results:
        try:
            _run(matrix, results, measurements, console)
        except KeyboardInterrupt:
            print_table(measurements)
            console.print(f"Interrupted; {len(measurements)} rows are in {results.path}.")
            return EXIT_INTERRUPTED
    show(measurements, results.path, console, plots=options.plots)
    return EXIT_FAILED if any(m.failure for m in measurements) else 0


def show(measurements: Sequence[Measurement], path: Path, console: Console, *, plots: bool) -> None:
    """Prints the table of the results in `path`, and draws the plots beside it."""
    for place in dict.fromkeys(f"{m.machine}, at {m.git_revision}" for m in measurements):
        console.print(place, highlight=False)
    print_table(measurements)
    print_failures(measurements, console)
    console.print(f"Rows: {path}")
    if plots:
        # Here, because only the plots need matplotlib.
        from bench.plots import draw

        for plot in draw(measurements, path.parent, path.stem):
            console.print(f"Plot: {plot}")


def _run(
    matrix: Matrix, results: ResultsFile, measurements: list[Measurement], console: Console
) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    # Drawn only when a row is done: the bar must not cost what is measured.
    with Progress(*columns, TimeElapsedColumn(), console=console, auto_refresh=False) as progress:
        bar = progress.add_task("starting", total=matrix.rows)
        progress.refresh()

        def write(measurement: Measurement) -> None:
            results.write(measurement)
            measurements.append(measurement)
            description = f"{measurement.config}, {measurement.phase}"
            progress.update(bar, advance=1, description=description, refresh=True)

        Run(matrix, write).run()


def _matrix(options: argparse.Namespace) -> Matrix:
    paths = options.configs or sorted(
        (ROOT / "ops").glob("workers-*.env"), key=lambda path: (len(path.name), path.name)
    )
    if not paths:
        raise BenchError(f"There is no configuration in {ROOT / 'ops'}.")
    unknown = set(options.phases) - PHASES.keys()
    if unknown:
        raise BenchError(f"There is no phase {', '.join(sorted(unknown))}: {', '.join(PHASES)}.")
    for name, values, most in (
        ("concurrency", options.concurrency, CONCURRENCY_MAX),
        ("repeats", [options.repeats], REPEATS_MAX),
        ("seconds", [options.seconds], SECONDS_MAX),
    ):
        for value in values:
            if not 0 < value <= most:
                raise BenchError(f"--{name} must be above 0 and up to {most:g}, not {value:g}.")
    return Matrix(
        configs=[Config.read(path) for path in paths],
        concurrencies=options.concurrency,
        phases=[PHASES[name] for name in options.phases],
        repeats=options.repeats,
        seconds=options.seconds,
        embedded=options.embedded,
    )


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    quick: dict[str, Any] = {"concurrency": [60], "seconds": 2.0, "repeats": 1}
    sweep: dict[str, Any] = {"concurrency": [10, 60, 200], "seconds": 5.0, "repeats": 3}
    parser = argparse.ArgumentParser(prog="python -m bench", description="How fast is the shop?")
    add = parser.add_argument
    add("--sweep", action="store_true", help="the full matrix in place of the quick one")
    add(
        "--configs", type=Path, nargs="+", metavar="FILE", help="by default every ops/workers-*.env"
    )
    add("--phases", nargs="+", default=list(PHASES), help=f"of {', '.join(PHASES)}; default all")
    add("--concurrency", type=int, nargs="+", help="connections; default 60, in a sweep 10 60 200")
    add("--seconds", type=float, help="for each measurement; default 2, in a sweep 5")
    add("--repeats", type=int, help="of each measurement; default 1, in a sweep 3")
    add("--embedded", action="store_true", help="measure the embedded ledger, not TigerBeetle")
    add("--no-plots", dest="plots", action="store_false", help="do not draw")
    add("--results", type=Path, default=RESULTS, help="the folder; default bench/results")
    add("--name", default=f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}", help="of the results; default now")
    add("--draw", type=Path, metavar="CSV", help="measure nothing; show the results in this file")
    parser.set_defaults(**quick)
    if parser.parse_args(arguments).sweep:
        parser.set_defaults(**sweep)
    return parser.parse_args(arguments)


def _can_plot() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def _interrupt(*_: object) -> None:
    # Once: what ends the run must not be ended itself.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
