"""What several shop hosts on one cluster sell together, beside one with as many workers.

    python -m bench.hosts_load
    python -m bench.hosts_load --hosts 3 --concurrency 60 200 --seconds 8 --turns 3
    python -m bench.model --hosts 3 bench/results/hosts.csv

All of it runs on this machine: the replicas, one PostgreSQL, one Redis, and several hosts' worth of
shop processes (a sequencer and its workers each) that are one shop. They are measured in turn, one
arrangement after the other while the rest of them idle, so the machine's moods fall on all alike.
More hosts bring no cores here, so what there is to see is what an arrangement costs: CPU for each
purchase, and how the batches shrink when one stream of requests is divided among sequencers.

Nothing else should use the machine meanwhile.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.cluster import Cluster, find_binary, running_cluster
from bench.config import Config
from bench.errors import BenchError
from bench.machine import ROOT, describe_machine, git_revision
from bench.measurement import WORKER, Measurement, ResultsFile
from bench.phases import PHASES, Bench, Phase
from bench.report import print_table
from bench.run import average_batch
from bench.stack import Stack, data_folder, running_in
from bench.wrk_run import Figures
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.located import database_url, redis_url

REPLICAS: Final = 3
HOSTS_MAX: Final = 8
TURNS_MAX: Final = 100
RESULTS: Final = ROOT / "bench" / "results" / "hosts.csv"
MEASURED: Final = (PHASES["checkout"], PHASES["purchase"])
# The first host's PostgreSQL is everybody's: room for all workers and clerks, and for
# those of a reload.
DATABASE_CONNECTIONS: Final = 64
CONFIG: Final = Config.read(ROOT / "ops" / "workers-1.env")


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Some hosts of the shop, with `workers` on each."""

    hosts: int
    workers: int

    def __str__(self) -> str:
        return f"{self.hosts}-hosts-{self.workers}-workers"


def arrangements(hosts: int) -> list[Arrangement]:
    """From one host on: each number of hosts with one worker, and one host with as many workers."""
    numbers = range(2, hosts + 1)
    return [
        Arrangement(1, 1),
        *(a for n in numbers for a in (Arrangement(1, n), Arrangement(n, 1))),
    ]


@dataclass(frozen=True, slots=True)
class Shop:
    """One shop: what all of its hosts share, and the hosts by the number of their workers.

    The first host with one worker has PostgreSQL and Redis among its processes.
    """

    cluster: Cluster
    hosts: dict[int, list[Stack]]

    def chosen(self, arrangement: Arrangement) -> list[Stack]:
        return self.hosts[arrangement.workers][: arrangement.hosts]

    def cpu_seconds(self) -> dict[str, float]:
        """Of everything: an idle host costs too little to be told from none."""
        seconds = self.cluster.cpu_seconds()
        hosts = [host for group in self.hosts.values() for host in group]
        for number, host in enumerate(hosts, 1):
            for name, used in host.cpu_seconds().items():
                # Workers are counted together, and so are sequencers.
                kind = f"{WORKER}{number}" if name.startswith(WORKER) else name
                seconds[kind] = seconds.get(kind, 0.0) + used
        return seconds


@contextmanager
def running_shop(binary: Path, hosts: int) -> Iterator[Shop]:
    """The shop with every host that the arrangements of `hosts` need."""
    with ExitStack() as stack:
        cluster = stack.enter_context(running_cluster(binary, REPLICAS))
        shared = {"TIGERFANS_LEDGER": cluster.url, "TIGERFANS_PIN_WORKERS": "0"}
        first_folder = stack.enter_context(data_folder())
        # Of its own connections it makes no more than it needs.
        owner = {"TIGERFANS_DATABASE_CONNECTIONS": str(DATABASE_CONNECTIONS)}
        first = stack.enter_context(running_in(first_folder, _config(1, shared | owner)))
        sockets = DataFolder(first_folder).sockets
        shared["DATABASE_URL"] = database_url(sockets / "pg")
        shared["REDIS_URL"] = redis_url(sockets / "redis.sock")
        by_workers = {1: [first]}
        for workers in [*[1] * (hosts - 1), *range(2, hosts + 1)]:
            folder = stack.enter_context(data_folder())
            host = stack.enter_context(running_in(folder, _config(workers, shared)))
            by_workers.setdefault(workers, []).append(host)
        yield Shop(cluster, by_workers)


def _config(workers: int, variables: dict[str, str]) -> Config:
    counted = {"TIGERFANS_WORKERS": str(workers)}
    return replace(CONFIG, variables={**CONFIG.variables, **variables, **counted}, workers=workers)


def measure(
    shop: Shop, arrangement: Arrangement, phase: Phase, concurrency: int, seconds: float
) -> Measurement:
    """One phase at all hosts of an arrangement at once, its connections divided among them."""
    hosts = shop.chosen(arrangement)
    share = max(1, concurrency // len(hosts))
    statuses, cpu = [host.sequencer_status() for host in hosts], shop.cpu_seconds()
    with tempfile.TemporaryDirectory(prefix="tigerfans-bench-") as folder:
        benches = [Bench(host, Path(folder), share, seconds) for host in hosts]
        with ThreadPoolExecutor(len(hosts)) as pool:
            figures = list(pool.map(lambda bench: bench.run(phase, None), benches))
    used = {name: seconds - cpu[name] for name, seconds in shop.cpu_seconds().items()}
    batches = [
        average_batch(before, host.sequencer_status())
        for before, host in zip(statuses, hosts, strict=True)
    ]
    return Measurement(
        timestamp=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=describe_machine(),
        git_revision=git_revision(),
        config=str(arrangement),
        ledger=f"tigerbeetle x {REPLICAS}",
        workers=arrangement.hosts * arrangement.workers,
        concurrency=concurrency,
        phase=phase.name,
        average_batch=sum(b for b in batches if b) / len(batches),
        cpu_seconds=used,
        **_together(figures),
    )


def _together(figures: Sequence[Figures]) -> dict[str, Any]:
    """What several load generators measured at the same time; percentiles are the worst host's."""
    return {
        "total": sum(f.total for f in figures),
        "ok": sum(f.ok for f in figures),
        "errors": sum(f.total - f.ok for f in figures),
        "throughput": sum(f.throughput for f in figures),
        "p50_ms": max(f.p50_ms for f in figures),
        "p99_ms": max(f.p99_ms for f in figures),
    }


def run(options: argparse.Namespace) -> list[Measurement]:
    """Measures all of it, in turn."""
    measurements = []
    each = arrangements(options.hosts)
    binary = find_binary(os.environ, ROOT)
    with (
        running_shop(binary, options.hosts) as shop,
        ResultsFile(options.results) as results,
    ):
        for arrangement in each:
            measure(shop, arrangement, PHASES["purchase"], max(options.concurrency), 1.0)
        for turn in range(options.turns):
            # The other way round every other time, for what drifts.
            for arrangement in each if turn % 2 == 0 else each[::-1]:
                for concurrency in options.concurrency:
                    for phase in MEASURED:
                        started = time.monotonic()
                        row = measure(shop, arrangement, phase, concurrency, options.seconds)
                        results.write(row)
                        measurements.append(row)
                        print(
                            f"turn {turn + 1}, {arrangement}, {phase.name}, {concurrency}:"
                            f" {row.throughput:,.0f}/s in {time.monotonic() - started:.0f} s",
                            file=sys.stderr,
                        )
    return measurements


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What do several shop hosts sell together?")
    add = parser.add_argument
    add("--hosts", type=int, default=3, help="the most of them; default %(default)s")
    add("--concurrency", type=int, nargs="+", default=[200], help="connections, of all hosts")
    add("--seconds", type=float, default=5.0, help="for each measurement; default %(default)s")
    add("--turns", type=int, default=3, help="how often each; default %(default)s")
    add("--results", type=Path, default=RESULTS, help="the file of the rows")
    options = parser.parse_args(arguments)
    try:
        for name, most in (("hosts", HOSTS_MAX), ("turns", TURNS_MAX)):
            if not 0 < getattr(options, name) <= most:
                raise BenchError(f"--{name} must be from 1 to {most}.")
        measurements = run(options)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    order = [str(arrangement) for arrangement in arrangements(options.hosts)]
    print_table(sorted(measurements, key=lambda m: (m.phase, m.concurrency, order.index(m.config))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
