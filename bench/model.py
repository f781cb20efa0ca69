"""How far the shop would go on a larger machine, computed from what a run measured on this one.

    python -m bench.model bench/results/NAME.csv
    python -m bench.model --hosts 3 bench/results/hosts.csv      of python -m bench.hosts_load

The measured part is the CPU time of each process for one purchase. The rest is arithmetic over
three kinds of process:

- HTTP workers: as many as there are cores left, so their cost sets how many cores a rate needs;
- PostgreSQL, a process for each connection, and clerks, of which there may be several: they spread
  over cores too;
- the sequencer, the ledger and Redis: one thread that matters each, so a core each and no more.
  The first of these to fill its core is where the shop ends, whatever else is added.

Several hosts share the workers, and have a sequencer and a replica of TigerBeetle each; one of them
has PostgreSQL, Redis and the busiest replica as well, and sets the limit of cores.

It leaves out what one machine cannot show: the network, disks that are not this machine's, and
memory that is far from a core. Costs are taken as constant, though those of the sequencer and the
ledger fall with larger batches: where they set the limit, it is the lower bound of it.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.errors import BenchError
from bench.measurement import CLERK, CLIENT, REPLICA, SEQUENCER, WORKERS, Measurement, read_results
from bench.report import group, middle

# A thread that does one thing after the other is full before its core is: waits grow without end
# as it comes near. At this share an average request waits four times its own cost.
FULL: Final = 0.8
# Of all cores together, what can be used before everything waits for its turn.
BUSY: Final = 0.9
CORES: Final = (8, 16, 64)
SPREADS: Final = (WORKERS, CLERK, "postgres")
# Each host has its own, for its share of what is sold; the ledger and the stores are everybody's.
OF_EACH_HOST: Final = (WORKERS, CLERK, SEQUENCER)
HOSTS_MAX: Final = 64

EXIT_USAGE: Final = 2


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU µs of each kind of process for one purchase, and where they were measured."""

    by_process: Mapping[str, float]
    source: Measurement

    @classmethod
    def measured(cls, measurements: Sequence[Measurement]) -> "Costs":
        """Those of the configuration and concurrency that sold most; raises `BenchError`."""
        groups = group([m for m in measurements if m.phase == "purchase" and not m.failure])
        if not groups:
            raise BenchError("The results hold no whole purchases: measure the phase purchase.")
        best = max(
            groups.values(), key=lambda repeats: middle([m.throughput for m in repeats]) or 0
        )
        costs = [m.cpu_us() for m in best]
        by_process = {
            kind: middle([cost.get(kind) for cost in costs]) or 0.0
            for kind in costs[0]
            if kind != CLIENT
        }
        return cls(by_process, best[0])

    @property
    def alone(self) -> dict[str, float]:
        """Of those, the processes that a second core does not help."""
        return {kind: us for kind, us in self.by_process.items() if kind not in SPREADS}

    def of_busiest_host(self, hosts: int) -> dict[str, float]:
        """CPU µs of each kind there for one purchase of the shop's."""
        if hosts == 1:
            return dict(self.by_process)
        replicas = sorted(kind for kind in self.by_process if kind.startswith(REPLICA))
        others = set(replicas) - {max(replicas, key=lambda kind: self.by_process[kind], default="")}
        return {
            kind: us / hosts if kind in OF_EACH_HOST else us
            for kind, us in self.by_process.items()
            if kind not in others
        }


@dataclass(frozen=True, slots=True)
class Prediction:
    """A machine's rate in purchases a second, what sets it, and how its cores are used."""

    cores: int
    rate: float
    limit: str
    busy_cores: Mapping[str, float]

    @classmethod
    def of(cls, cores: int, costs: Costs, hosts: int = 1) -> "Prediction":
        """For `hosts` of so many cores each; `busy_cores` are those of the busiest of them."""
        busiest_us = costs.of_busiest_host(hosts)
        limits = {
            kind: FULL * 1e6 / us
            for kind, us in busiest_us.items()
            if us > 0 and kind not in SPREADS
        }
        limits["cores"] = BUSY * cores * 1e6 / sum(busiest_us.values())
        limit = min(limits, key=lambda kind: limits[kind])
        rate = limits[limit]
        busy = {kind: rate * us / 1e6 for kind, us in busiest_us.items()}
        return cls(cores, rate, limit, busy)


def describe(costs: Costs, hosts: int = 1) -> str:
    """The model of `hosts` as Markdown."""
    m = costs.source
    measured = ", ".join(f"{kind} {us:.0f}" for kind, us in costs.by_process.items())
    worker_us, sequencer_us = costs.by_process[WORKERS], costs.by_process[SEQUENCER]
    alone = sorted(costs.alone, key=lambda kind: -costs.alone[kind])
    kinds = list(costs.of_busiest_host(hosts))
    columns = " | ".join(f"{kind}: cores" for kind in kinds)
    place = "" if hosts == 1 else f" of each of {hosts} hosts"
    lines = [
        f"Measured ({m.machine}, {m.git_revision}, {m.config}, {m.ledger} ledger,"
        f" {m.concurrency} connections): CPU µs for one purchase: {measured};"
        f" together {sum(costs.by_process.values()):.0f}.",
        "",
        f"Computed: one sequencer at {FULL:.0%} of its core feeds"
        f" {FULL * worker_us / sequencer_us:.1f} cores of workers and passes on"
        f" {FULL * 1e6 / sequencer_us:,.0f} purchases/s. The processes that one core bounds fill it"
        " in this order: "
        + ", ".join(f"{kind} at {FULL * 1e6 / costs.alone[kind]:,.0f}/s" for kind in alone)
        + ".",
        "",
        f"| cores{place} | purchases/s | set by | {columns} |",
        f"| --- | --- | --- |{' --- |' * len(kinds)}",
    ]
    for cores in CORES:
        p = Prediction.of(cores, costs, hosts)
        used = " | ".join(f"{p.busy_cores[kind]:.1f}" for kind in kinds)
        lines.append(f"| {cores} | {p.rate:,.0f} | {p.limit} | {used} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="How far would the shop go on more cores?")
    parser.add_argument("--hosts", type=int, default=1, help="machines of each size")
    parser.add_argument("results", type=Path, nargs="+", help="of python -m bench")
    options = parser.parse_args(arguments)
    try:
        if not 1 <= options.hosts <= HOSTS_MAX:
            raise BenchError(f"--hosts must be from 1 to {HOSTS_MAX}.")
        print(describe(Costs.measured(read_results(options.results)), options.hosts))
    except BenchError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())
