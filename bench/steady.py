"""A shop at a steady demand: what a backup, a reload and a reconciliation add to each step.

    python -m bench.steady                               800 purchases a second for ten minutes
    python -m bench.steady --seconds 60 --rate 200       in short
    python -m bench.steady --embedded                    on the embedded ledger

Purchases start by the clock, whatever became of those before them, and each counts from the moment
it was meant to start: a stall counts for everybody it kept waiting. Meanwhile `ops/backup.sh`,
`tigerfans reload` and `tigerfans reconcile` are run one after the other, as an operator would.
Times are told apart by what ran when a step began: one of the three, until `AFTER_SECONDS` after
its end, or nothing (calm).

TigerBeetle is a cluster of `--replicas`, all on this machine: a backup stops the one whose file it
copies, and with a single one the shop would answer 503 meanwhile. Any answer but 200 is told, with
its time. Rows of each second go to a file, for who looks for the cause of a stall.
"""

import argparse
import asyncio
import csv
import os
import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import psutil
import uvloop

from bench.backup import prepared_backup
from bench.cluster import find_binary, running_cluster
from bench.config import Config
from bench.errors import BenchError
from bench.http_client import Address
from bench.latencies import percentile
from bench.load import Load, LoadClient, Mix
from bench.machine import ROOT
from bench.purchase import WHOLE, Via
from bench.stack import Stack, clean_environment, data_folder, running_in
from bench.timeline import Timeline, Window
from tigerfans.process.runtime import settle_down
from tigerfans.settings.settings import DEFAULT_WEBHOOK_SECRET

CONFIG: Final = ROOT / "ops" / "workers-2.env"
# No results of `python -m bench`, which are what TigerBench shows.
RESULTS: Final = ROOT / "data" / "steady.csv"
SECONDS_MAX: Final = 3_600.0
RATE_MAX: Final = 10_000.0
REPLICAS_MAX: Final = 6
CONNECTIONS: Final = 400
WARM_UP: Final = Load(concurrency=60, total=1_000_000, seconds=3.0)
# Of an open loop the first moments are not steady yet.
SETTLING_SECONDS: Final = 2.0
# What a chore leaves behind, caches that are cold and connections that are new, is its own doing.
AFTER_SECONDS: Final = 2.0
# Between the end of one and the begin of the next at least.
REST_SECONDS: Final = 5.0
CALM: Final = "calm"
SETTLING: Final = "settling"
STEPS: Final = ("checkout", "pay", "status", WHOLE)
PERCENTS: Final = (50.0, 99.0, 99.9)
TROUBLES_TOLD_MAX: Final = 20
COLUMNS: Final = (
    *("second", "during", "purchases", "p50_ms", "p99_ms", "worst_ms"),
    *("idle_percent", "written_mb"),
)


class Chore(NamedTuple):
    """Something an operator does; `share` of the time is over when it begins, at the earliest."""

    name: str
    share: float
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """A chore that was done, and what it printed last."""

    window: Window
    seconds: float
    exit_code: int
    last_line: str


def chores(backup: tuple[str, ...]) -> tuple[Chore, ...]:
    tigerfans = (sys.executable, "-P", "-m", "tigerfans")
    return (
        Chore("backup", 0.15, backup),
        Chore("reload", 0.40, (*tigerfans, "reload")),
        Chore("reconcile", 0.60, (*tigerfans, "reconcile")),
    )


async def do_chores(
    stack: Stack, timeline: Timeline, seconds: float, backup: tuple[str, ...]
) -> list[Done]:
    """Does one after the other while the purchases go on."""
    done: list[Done] = []
    environment = clean_environment() | {"TIGERFANS_DATA": str(stack.data), "COLUMNS": "120"}
    for chore in chores(backup):
        rested_at = done[-1].window.ended + REST_SECONDS if done else 0.0
        await asyncio.sleep(max(chore.share * seconds, rested_at) - timeline.now)
        began = timeline.now
        process = await asyncio.create_subprocess_exec(
            *chore.command,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await process.communicate()
        ended = timeline.now
        lines = told.decode(errors="replace").strip().splitlines()
        window = Window(chore.name, began, ended + AFTER_SECONDS)
        exit_code = process.returncode or 0
        done.append(Done(window, ended - began, exit_code, lines[-1].strip() if lines else ""))
    return done


class Machine:
    """What else there was to do: of each second how idle the processors were, in %, and how much
    was written to disks, in MB.

    A stall in a second in which the processors rested, or the disks were busy, is none of the
    shop's own.
    """

    def __init__(self) -> None:
        self.idle = array("d")
        self.written = array("d")

    async def watch(self) -> None:
        """Until it is cancelled."""
        psutil.cpu_times_percent()
        before = _bytes_written()
        while True:
            await asyncio.sleep(1.0)
            self.idle.append(psutil.cpu_times_percent().idle)
            now = _bytes_written()
            self.written.append((now - before) / 1e6)
            before = now


def _bytes_written() -> int:
    counters = psutil.disk_io_counters()
    return counters.write_bytes if counters else 0


async def measure(
    stack: Stack, load: Load, backup: tuple[str, ...]
) -> tuple[Timeline, list[Done], Machine]:
    address = Address.parse(stack.url)
    mix = Mix()
    await LoadClient(address, WARM_UP, mix, Via.PROVIDER, DEFAULT_WEBHOOK_SECRET).run(seed=0)
    # What is observed must not be interrupted by whoever observes, nor wait at the disk for what
    # others wrote before: the kernel writes that back half a minute later, all of it at once.
    settle_down()
    os.sync()
    timeline, machine = Timeline(), Machine()
    client = LoadClient(address, load, mix, Via.PROVIDER, DEFAULT_WEBHOOK_SECRET, record=timeline)
    watching = asyncio.create_task(machine.watch(), name="watch")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.run(seed=1), name="load")
        doing = tasks.create_task(do_chores(stack, timeline, load.seconds, backup), name="chores")
    watching.cancel()
    return timeline, doing.result(), machine


def describe(timeline: Timeline, done: Sequence[Done]) -> list[str]:
    """What it came to, as Markdown."""
    windows = [Window(SETTLING, 0.0, SETTLING_SECONDS), *(each.window for each in done)]
    names = (CALM, *(each.window.name for each in done))
    lines = [
        f"| ms | {' | '.join(names)} |",
        f"| --- |{' ---: |' * len(names)}",
    ]
    for step in STEPS:
        found = {n: sorted(s) for n, s in timeline.by_window(step, windows, CALM).items()}
        for percent in PERCENTS:
            figures = [_figure(found[n], percent) for n in names]
            lines.append(f"| {step}, p{percent:g} | {' | '.join(figures)} |")
        lines.append(f"| {step}, worst | {' | '.join(_figure(found[n], 100) for n in names)} |")
    lines.append("")
    lines += [
        f"{each.window.name}: {each.seconds:.1f} s from {each.window.began:.0f} s on, exit code"
        f" {each.exit_code}: {each.last_line}"
        for each in done
    ]
    return lines


def _figure(ordered: Sequence[float], percent: float) -> str:
    return f"{percentile(ordered, percent) * 1e3:.1f}" if ordered else "-"


def tell_troubles(timeline: Timeline, done: Sequence[Done]) -> list[str]:
    """Each kind of answer but 200, when, and during what."""
    windows = [each.window for each in done]
    kinds: Counter[tuple[str, str]] = Counter()
    for trouble in timeline.troubles:
        name = next((w.name for w in windows if w.holds(trouble.at)), CALM)
        kinds[name, trouble.outcome] += 1
    lines = [
        f"{'once' if count == 1 else f'{count} times'} during {name}: {what}"
        for (name, what), count in kinds.most_common()
    ]
    first = timeline.troubles[:TROUBLES_TOLD_MAX]
    return lines + [f"  at {trouble.at:.2f} s: {trouble.outcome}" for trouble in first]


def write_seconds(timeline: Timeline, done: Sequence[Done], machine: Machine, path: Path) -> None:
    """A row for each second: what ran, how many purchases began, how long they took, and what else
    there was to do.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for second, seconds in timeline.by_second(WHOLE):
            name = next((d.window.name for d in done if d.window.holds(second)), CALM)
            figures = (_figure(seconds, percent) for percent in (50, 99, 100))
            has_seen = second < len(machine.idle)
            idle = f"{machine.idle[second]:.0f}" if has_seen else ""
            written = f"{machine.written[second]:.1f}" if has_seen else ""
            writer.writerow((second, name, len(seconds), *figures, idle, written))


@contextmanager
def running_shop(
    options: argparse.Namespace,
) -> Iterator[tuple[Stack, tuple[str, ...]]]:
    """The shop, and the command that makes its backup."""
    config = Config.read(options.config)
    with data_folder() as folder:
        data = folder / "shop"
        data.mkdir()
        (folder / "ops").mkdir()
        if options.embedded:
            with running_in(data, config, embedded=True) as stack:
                ledger = f"embedded:{data / 'ledger'}"
                with prepared_backup(folder / "ops", stack, ledger, None) as backup:
                    yield stack, backup
            return
        with running_cluster(find_binary(os.environ, ROOT), options.replicas) as cluster:
            variables = {**config.variables, "TIGERFANS_LEDGER": cluster.url}
            on_cluster = Config(config.name, variables, config.workers)
            # Of several, the last one follows the first.
            replica = cluster.replicas[-1]
            with (
                running_in(data, on_cluster) as stack,
                prepared_backup(folder / "ops", stack, cluster.url, replica) as backup,
            ):
                yield stack, backup


def run(options: argparse.Namespace) -> int:
    load = Load(CONNECTIONS, 10**9, options.seconds, options.rate)
    with running_shop(options) as (stack, backup):
        kind = stack.sequencer_status()["ledger"]["kind"]
        timeline, done, machine = uvloop.run(measure(stack, load, backup))
    write_seconds(timeline, done, machine, options.results)
    replicas = "" if options.embedded else f", {options.replicas} replicas"
    print(
        f"{timeline.total:,} purchases in {options.seconds:g} s, {options.rate:g} a second,"
        f" {kind} ledger{replicas}: {timeline.fulfilled:,} as they should\n"
    )
    print("\n".join(describe(timeline, done)))
    troubles = tell_troubles(timeline, done)
    print("\n".join(troubles) or "No answer but 200.")
    return int(bool(troubles) or any(each.exit_code for each in done))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A shop at a steady demand.")
    add = parser.add_argument
    add("--seconds", type=float, default=600.0, help="of load (%(default)g)")
    add("--rate", type=float, default=800.0, help="purchases started a second (%(default)g)")
    add("--replicas", type=int, default=3, help="of TigerBeetle (%(default)s)")
    add("--embedded", action="store_true", help="on the embedded ledger")
    add("--config", type=Path, default=CONFIG, help="a file of settings")
    add("--results", type=Path, default=RESULTS, help="the file of the rows of each second")
    options = parser.parse_args(arguments)
    for name, most in (
        ("seconds", SECONDS_MAX),
        ("rate", RATE_MAX),
        ("replicas", REPLICAS_MAX),
    ):
        if not 0 < getattr(options, name) <= most:
            parser.error(f"--{name} takes above 0 to {most:,g}.")
    try:
        return run(options)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
