"""This shop beside the reference design: in turn, on one machine, over the same servers.

    python -m bench.beside --reference ~/reference
    python -m bench.beside --reference ~/reference --concurrency 60 200 --seconds 4 --turns 3
    python -m bench.beside --draw bench/results/beside.csv

`--reference` is a checkout of it with a `.venv` of its own; `bench/reference.py` says how to make
one. Two workers of this shop, one and two of the reference, one TigerBeetle replica in its
production setting, one PostgreSQL and one Redis for all of them, with a database each. They are
measured phase by phase, one after the other while the rest idle, so the machine's moods fall on all
alike; every other turn goes the other way round.

What is printed is the table of docs/performance-notebook.md: medians over the turns, and how many
times as many ours does. Nothing else should use the machine meanwhile.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

import asyncpg
from rich.console import Console

from bench.cluster import CLUSTER_ID, Cluster, find_binary, running_cluster
from bench.config import Config
from bench.errors import BenchError
from bench.machine import ROOT, describe_machine, git_revision
from bench.measurement import SEQUENCER, WORKER, Measurement, ResultsFile, read_results
from bench.phases import PHASES, Bench, Phase
from bench.reference import CONNECTIONS_MAX, Reference, running_reference
from bench.report import print_failures, print_table
from bench.stack import Stack, data_folder, running_in
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.located import database_url, postgres_sockets, redis_socket, redis_url
from tigerfans.settings.settings import is_clerk

TURNS_MAX: Final = 100
SECONDS_MAX: Final = 60.0
WARM_UP_SECONDS: Final = 1.0
RESULTS: Final = ROOT / "bench" / "results" / "beside.csv"
CONFIG: Final = Config.read(ROOT / "ops" / "workers-2.env")
MEASURED: Final = tuple(PHASES[name] for name in ("reserve", "checkout", "webhook", "purchase"))
# Of the reference, in the stores of the run.
DATABASE: Final = "reference"
REDIS_DATABASE: Final = 1
REFERENCE: Final = "reference-"
REFERENCE_WORKERS: Final = (1, 2)


@dataclass(frozen=True, slots=True)
class Contestant:
    """A shop that is measured: ours, or the reference on the servers that ours has started."""

    name: str
    workers: int
    shop: Stack | Reference
    ours: Stack
    cluster: Cluster

    def cpu_seconds(self) -> dict[str, float]:
        """Of its own processes and of the servers, so far."""
        used = self.ours.cpu_seconds() | self.cluster.cpu_seconds()
        if isinstance(self.shop, Reference):
            servers = {name: cpu for name, cpu in used.items() if not _is_own(name)}
            used = {f"{WORKER}1": self.shop.cpu_seconds()} | servers
        return used


def _is_own(process: str) -> bool:
    """Whether it is a part of our shop, and not a server that the reference uses as well."""
    return process.startswith(WORKER) or process == SEQUENCER or is_clerk(process)


@contextmanager
def running_contestants(checkout: Path) -> Iterator[list[Contestant]]:
    """Ours, and the reference with one and with two workers, over the same servers."""
    with ExitStack() as stack:
        cluster = stack.enter_context(running_cluster(find_binary(os.environ, ROOT), 1))
        folder = stack.enter_context(data_folder())
        ours = stack.enter_context(running_in(folder, _config(cluster)))
        stores = _stores_of_reference(cluster, DataFolder(folder))
        contestants = [Contestant(CONFIG.name, CONFIG.workers, ours, ours, cluster)]
        # The one with a single worker first: two would make the tables at the same time.
        for workers in REFERENCE_WORKERS:
            running = running_reference(checkout, workers, stores, folder)
            reference = stack.enter_context(running)
            name = f"{REFERENCE}{workers}"
            contestants.append(Contestant(name, workers, reference, ours, cluster))
        yield contestants


def _config(cluster: Cluster) -> Config:
    # PostgreSQL has room for as many connections as its owner may ask for.
    room = CONNECTIONS_MAX * sum(REFERENCE_WORKERS)
    variables = {
        **CONFIG.variables,
        "TIGERFANS_LEDGER": cluster.url,
        "TIGERFANS_DATABASE_CONNECTIONS": str(room),
    }
    return replace(CONFIG, variables=variables)


def _stores_of_reference(cluster: Cluster, folder: DataFolder) -> dict[str, str]:
    """Makes its database, and says where its stores are."""
    sockets = postgres_sockets(folder)
    asyncio.run(create_database(database_url(sockets), DATABASE))
    addresses = cluster.url.removeprefix("tigerbeetle://").rpartition("/")[0]
    return {
        "DATABASE_URL": database_url(sockets, DATABASE),
        "REDIS_URL": f"{redis_url(redis_socket(folder))}?db={REDIS_DATABASE}",
        "TB_ADDRESS": addresses,
        "TB_CLUSTER_ID": str(CLUSTER_ID),
    }


async def create_database(url: str, name: str) -> None:
    """Beside the one at `url`."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()


def measure(
    contestant: Contestant, phase: Phase, concurrency: int, seconds: float, rate: float | None
) -> Measurement:
    """One phase of one of them; `rate` is that of the phase that makes what it uses up."""
    row = Measurement(
        timestamp=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=describe_machine(),
        git_revision=git_revision(),
        config=contestant.name,
        ledger="tigerbeetle",
        workers=contestant.workers,
        concurrency=concurrency,
        phase=phase.name,
    )
    contestant.shop.check()
    try:
        with tempfile.TemporaryDirectory(prefix="tigerfans-bench-") as folder:
            bench = Bench(contestant.shop, Path(folder), concurrency, seconds)
            prepared = bench.prepare(phase, rate)
            before = contestant.cpu_seconds()
            figures = bench.run(phase, prepared)
            used = {name: cpu - before[name] for name, cpu in contestant.cpu_seconds().items()}
    except BenchError as error:
        return replace(row, failure=str(error))
    return replace(
        row,
        total=figures.total,
        ok=figures.ok,
        errors=figures.total - figures.ok,
        throughput=figures.throughput,
        p50_ms=figures.p50_ms,
        p99_ms=figures.p99_ms,
        cpu_seconds=used,
    )


def run(options: argparse.Namespace) -> list[Measurement]:
    """Measures all of it, in turn; each row is written as soon as it is made."""
    measurements: list[Measurement] = []
    with (
        running_contestants(options.reference) as contestants,
        ResultsFile(options.results) as results,
    ):
        for contestant in contestants:
            measure(contestant, PHASES["purchase"], max(options.concurrency), WARM_UP_SECONDS, None)
        rates: dict[tuple[str, str, int], float] = {}
        for turn in range(options.turns):
            for concurrency in options.concurrency:
                for phase in MEASURED:
                    for contestant in contestants if turn % 2 == 0 else contestants[::-1]:
                        rate = rates.get((contestant.name, phase.made_by or "", concurrency))
                        row = measure(contestant, phase, concurrency, options.seconds, rate)
                        if row.throughput:
                            rates[contestant.name, phase.name, concurrency] = row.throughput
                        results.write(row)
                        measurements.append(row)
                        print(f"turn {turn + 1}: {_said(row)}", file=sys.stderr)
    return measurements


def _said(row: Measurement) -> str:
    measured = f"{row.throughput or 0:,.0f}/s, p99 {row.p99_ms or 0:,.0f} ms"
    place = f"{row.config}, {row.phase} at {row.concurrency} connections"
    return f"{place}: {row.failure or measured}"


@dataclass(frozen=True, slots=True)
class Middle:
    """The medians of one of them in one phase, as they are quoted."""

    throughput: int
    p99_ms: int


def middles(measurements: Sequence[Measurement]) -> dict[tuple[str, int, str], Middle]:
    """By phase, connections and configuration, of what did not fail."""
    groups: dict[tuple[str, int, str], list[Measurement]] = {}
    for m in measurements:
        if not m.failure:
            groups.setdefault((m.phase, m.concurrency, m.config), []).append(m)
    return {
        key: Middle(
            round(median(m.throughput or 0.0 for m in rows)),
            round(median(m.p99_ms or 0.0 for m in rows)),
        )
        for key, rows in groups.items()
    }


def table(measurements: Sequence[Measurement]) -> Iterator[str]:
    """Lines of Markdown: a second and p99 of each, and how many times as many ours does."""
    found = middles(measurements)
    names = [f"{REFERENCE}{workers}" for workers in REFERENCE_WORKERS]
    yield (
        "| | connections | reference, 1 worker | reference, 2 workers | TigerFans, 2 workers"
        " | times 1 worker; 2 |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | --- |"
    for concurrency in sorted({m.concurrency for m in measurements}):
        for phase in MEASURED:
            row = [found.get((phase.name, concurrency, name)) for name in (*names, CONFIG.name)]
            if None in row:
                continue
            *others, ours = [middle for middle in row if middle is not None]
            cells = [f"{m.throughput:,.0f}, {m.p99_ms:,.0f} ms" for m in (*others, ours)]
            times = "; ".join(f"{ours.throughput / m.throughput:.1f}" for m in others)
            yield f"| {phase.name} | {concurrency} | {' | '.join(cells)} | {times} |"


def main(arguments: list[str] | None = None) -> int:
    try:
        options = _parse(arguments)
        measurements = read_results(options.draw) if options.draw else run(options)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    print_table(sorted(measurements, key=lambda m: (m.concurrency, m.phase)))
    print_failures(measurements, Console())
    print("\n".join(table(measurements)))
    return 1 if any(m.failure for m in measurements) else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="This shop beside the reference design.")
    add = parser.add_argument
    add("--reference", type=Path, help="a checkout of it, with a .venv of its own")
    add("--concurrency", type=int, nargs="+", default=[60, 200], help="default 60 200")
    add("--seconds", type=float, default=4.0, help="for each measurement; default %(default)s")
    add("--turns", type=int, default=2, help="how often each; default %(default)s")
    add("--results", type=Path, default=RESULTS, help="the file of the rows")
    draw = "measure nothing; show the rows in these files together"
    add("--draw", type=Path, nargs="+", metavar="CSV", help=draw)
    options = parser.parse_args(arguments)
    if options.reference is None and options.draw is None:
        raise BenchError("Say with --reference where a checkout of the reference is.")
    for name, most in (("turns", TURNS_MAX), ("seconds", SECONDS_MAX)):
        if not 0 < getattr(options, name) <= most:
            raise BenchError(f"--{name} must be above 0 and up to {most:g}.")
    return options


if __name__ == "__main__":
    sys.exit(main())
