"""Versions of the shop beside each other in one run: what each takes, and the ratio of it.

    python -m bench.side_by_side before=../tigerfans-0.4.0 now=.
    python -m bench.side_by_side before=../tigerfans-0.4.0 now=. --phases webhook --pairs 20
    python -m bench.side_by_side 3.11=. 3.14=.,/opt/venv-3.14/bin/python --embedded

A version is a checkout, with the Python of its own `.venv` or the one named. Each runs the whole
stack with its own code, and all of them stay up; while one is loaded, the others are idle. They
take turns, in an order that is reversed each time, so that what the machine does meanwhile meets
all alike: its speed drifts by more than most changes are worth. So what counts is the median of
the ratios of each round's turns, to the first version's, with its quartiles.

Phases: `purchase` is a whole one by this checkout's load client, as the provider sends the payment;
`checkout` and `webhook` are that request alone. CPU is what the kernel counted for every thread of
a process and of its children, in µs for each purchase or request; it needs Linux.
"""

import argparse
import asyncio
import csv
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Final, NamedTuple, Self

import orjson
import psutil
import uvloop

from bench.errors import BenchError
from bench.http_client import Address, Connection, HttpError
from bench.latencies import percentile
from bench.load import Load, LoadClient, Mix
from bench.machine import ROOT, describe_machine
from bench.purchase import WHOLE, Requests, Via, Wish
from tigerfans.settings.settings import Settings

PAIRS_MAX: Final = 1_000
TOTAL_MAX: Final = 100_000
CONCURRENCY_MAX: Final = 10_000
TURN_SECONDS_MAX: Final = 120.0
STOP_SECONDS_MAX: Final = 60.0
# What a shop still does for a turn after its last answer belongs to that turn.
SETTLE_SECONDS: Final = 0.1
# Works off the mails of earlier turns while it can, so that its share says nothing of this one.
CLERK: Final = "clerk"
DEFAULT_CONFIG: Final = ROOT / "ops" / "workers-2.env"

# By whatever the checkout has there: also a version that does not have this program yet.
_SERVE: Final = """
import json, platform, sys
from pathlib import Path
from bench.config import Config
from bench.errors import BenchError
from bench.machine import git_revision
from bench.stack import running
from tigerfans.settings.folder import state_file
from tigerfans.stack import state
try:
    with running(Config.read(Path(sys.argv[1])), embedded=sys.argv[2] == "embedded") as stack:
        processes = state.read_running(state_file(stack.data)).processes
        pids = {process.name: process.pid for process in processes if process.pid}
        what = f"{git_revision()}, Python {platform.python_version()}"
        print(json.dumps({"url": stack.url, "pids": pids, "what": what}), flush=True)
        sys.stdin.read()
except BenchError as error:
    sys.exit(str(error))
"""


@dataclass(frozen=True, slots=True)
class Version:
    """A checkout and the Python that runs it; `name` heads its column."""

    name: str
    checkout: Path
    python: Path

    @classmethod
    def parse(cls, text: str) -> Self:
        """From NAME=CHECKOUT[,PYTHON]; raises `BenchError`."""
        name, _, places = text.partition("=")
        folder, _, python = places.partition(",")
        if not name or not folder:
            raise BenchError(f"A version is NAME=CHECKOUT[,PYTHON], not {text}.")
        checkout = Path(folder).absolute()
        if not (checkout / "bench" / "stack.py").is_file():
            raise BenchError(f"{checkout} is no checkout of this project.")
        # Not resolved: a .venv is found by its link to the Python.
        path = Path(python).absolute() if python else checkout / ".venv" / "bin" / "python"
        if not path.is_file():
            raise BenchError(f"{name} has no Python at {path}.")
        return cls(name, checkout, path)


@dataclass(frozen=True, slots=True)
class Served:
    """A version whose shop runs; `what` says of which revision and Python."""

    name: str
    address: Address
    pids: Mapping[str, int]
    what: str

    def cpu_seconds(self) -> dict[str, float]:
        """What each kind of process has used so far; all workers together are one."""
        seconds: dict[str, float] = {}
        for name, pid in self.pids.items():
            kind = kind_of(name)
            seconds[kind] = seconds.get(kind, 0.0) + cpu_seconds(pid)
        return seconds


def kind_of(process: str) -> str:
    """`worker-1` is a worker."""
    kind, _, number = process.rpartition("-")
    return kind if kind and number.isdecimal() else process


def cpu_seconds(pid: int) -> float:
    """Of a process and its descendants: the running ones to the ns, the ended ones to 10 ms."""
    try:
        process = psutil.Process(pid)
        return sum(map(_own_cpu_seconds, [process, *process.children(recursive=True)]))
    except psutil.NoSuchProcess:
        raise BenchError("A process of a shop has ended: what it used is not known.") from None


def _own_cpu_seconds(process: psutil.Process) -> float:
    running_ns = 0
    for file in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
        try:
            running_ns += int(file.read_text().split()[0])
        except OSError:
            continue  # A thread, or a connection of PostgreSQL's, that has just ended.
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(running_ns / 1e9 + times.children_user + times.children_system)


@contextmanager
def served(version: Version, config: Path, *, embedded: bool) -> Iterator[Served]:
    """Runs a version's shop; raises `BenchError` where it does not start."""
    process = subprocess.Popen(
        [version.python, "-c", _SERVE, config, "embedded" if embedded else ""],
        cwd=version.checkout,
        # A Python with another checkout in it runs this one's code all the same.
        env=os.environ | {"PYTHONPATH": str(version.checkout)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for us.
        process_group=0,
    )
    # Where its input ends it stops its shop and ends.
    asked, said = process.stdin, process.stdout
    assert asked is not None  # noqa: S101
    assert said is not None  # noqa: S101
    with process:
        try:
            line = said.readline()
            if not line:
                raise BenchError(f"{version.name} does not run.")
            told = json.loads(line)
            yield Served(version.name, Address.parse(told["url"]), told["pids"], told["what"])
        finally:
            asked.close()
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()


class Asked(NamedTuple):
    """One turn; the same seed asks for the same."""

    concurrency: int
    total: int
    seed: int

    def wishes(self) -> list[Wish]:
        return list(itertools.islice(Mix().wishes(self.seed), self.total))


# What is measured of a turn, when what it needs is there; latencies in seconds.
Measured = Callable[[], Awaitable[Sequence[float]]]


async def _purchase(address: Address, asked: Asked) -> Measured:
    load = Load(asked.concurrency, asked.total, TURN_SECONDS_MAX)
    client = LoadClient(address, load, Mix(), Via.PROVIDER, _secret())

    async def run() -> Sequence[float]:
        await client.run(asked.seed)
        if client.record.fulfilled != asked.total:
            raise BenchError(f"Not every purchase ended well: {dict(client.record.outcomes)}.")
        return client.record.seconds[WHOLE]

    return run


async def _checkout(address: Address, asked: Asked) -> Measured:
    requests = Requests(address, _secret())
    return partial(_latencies, address, [requests.checkout(w) for w in asked.wishes()], asked)


async def _webhook(address: Address, asked: Asked) -> Measured:
    requests = Requests(address, _secret())
    wishes = asked.wishes()
    placed = await _ask(address, [requests.checkout(wish) for wish in wishes], asked)
    webhooks = [
        requests.webhook(orjson.loads(answer.body), wish)
        for answer, wish in zip(placed, wishes, strict=True)
    ]
    return partial(_latencies, address, webhooks, asked)


PHASES: Final[Mapping[str, Callable[[Address, Asked], Awaitable[Measured]]]] = {
    "purchase": _purchase,
    "checkout": _checkout,
    "webhook": _webhook,
}


def _secret() -> str:
    """The shops are started without any setting of the environment."""
    return Settings().payments.secrets[0]


class _Answer(NamedTuple):
    body: bytes
    seconds: float


async def _ask(address: Address, requests: Sequence[bytes], asked: Asked) -> list[_Answer]:
    """Sends all over so many connections; raises `BenchError` for anything but a 200."""
    answers: dict[int, _Answer] = {}
    numbers = iter(range(len(requests)))

    async def ask_on() -> None:
        connection = await Connection.open(address)
        try:
            for number in numbers:
                started = time.perf_counter()
                response = await connection.request(requests[number])
                answers[number] = _Answer(response.body, time.perf_counter() - started)
                if response.status != 200:
                    raise BenchError(f"A request was answered with {response.status}.")
        finally:
            connection.close()

    await asyncio.gather(*(ask_on() for _ in range(asked.concurrency)))
    return [answers[number] for number in range(len(requests))]


async def _latencies(address: Address, requests: Sequence[bytes], asked: Asked) -> Sequence[float]:
    return [answer.seconds for answer in await _ask(address, requests, asked)]


# What one turn came to, by the name of the figure.
Figures = Mapping[str, float]


async def take_turn(shop: Served, phase: str, asked: Asked) -> Figures:
    """Loads one shop; raises `BenchError` where anything is not answered as it should be."""
    try:
        async with asyncio.timeout(TURN_SECONDS_MAX):
            run = await PHASES[phase](shop.address, asked)
            await asyncio.sleep(SETTLE_SECONDS)
            before, started = shop.cpu_seconds(), time.perf_counter()
            latencies = await run()
            seconds = time.perf_counter() - started
            await asyncio.sleep(SETTLE_SECONDS)
            after = shop.cpu_seconds()
    except TimeoutError:
        raise BenchError(f"{shop.name}: a turn took over {TURN_SECONDS_MAX:.0f} s.") from None
    except (HttpError, OSError) as error:
        raise BenchError(f"{shop.name} does not answer: {error}.") from None
    ordered = sorted(latencies)
    used_us = {kind: (after[kind] - before[kind]) / asked.total * 1e6 for kind in after}
    return {
        **{f"{kind}, µs": us for kind, us in used_us.items()},
        "all but the clerk, µs": sum(us for kind, us in used_us.items() if kind != CLERK),
        "a second": asked.total / seconds,
        "p50, ms": percentile(ordered, 50) * 1e3,
        "p99, ms": percentile(ordered, 99) * 1e3,
    }


# The turns of each version, in the order in which the rounds were.
Turns = Mapping[str, Sequence[Figures]]


def take_turns(
    shops: Sequence[Served], phase: str, concurrency: int, total: int, pairs: int
) -> Turns:
    """So many turns of each, in alternating order."""
    turns: dict[str, list[Figures]] = {shop.name: [] for shop in shops}
    for number in range(pairs):
        asked = Asked(concurrency, total, seed=number)
        for shop in shops if number % 2 == 0 else reversed(shops):
            turns[shop.name].append(uvloop.run(take_turn(shop, phase, asked)))
    return turns


class Ratio(NamedTuple):
    """The median of the ratios of pairs, and their quartiles."""

    lower: float
    middle: float
    upper: float

    @classmethod
    def of(cls, those: Sequence[float], base: Sequence[float]) -> Self | None:
        """None where there is nothing to divide by."""
        ratios = [one / other for one, other in zip(those, base, strict=True) if other > 0]
        if not ratios:
            return None
        if len(ratios) == 1:
            return cls(*ratios * 3)
        return cls(*quantiles(ratios, n=4, method="inclusive"))

    def __str__(self) -> str:
        return f"{self.middle:.3f} ({self.lower:.3f}–{self.upper:.3f})"


def table(title: str, turns: Turns) -> list[str]:
    """The lines of a table: the versions' medians, and each one's ratio to the first."""
    base, *others = turns
    ratios = [f"{other} / {base} (quartiles)" for other in others]
    head = [title, *turns, *ratios]
    lines = [_row(head), _row(["---"] * len(head))]
    for figure in turns[base][0]:
        # A process that only one of them has is in none of the ratios.
        values = {name: [turn.get(figure, 0.0) for turn in taken] for name, taken in turns.items()}
        medians = [_figure(median(each)) for each in values.values()]
        compared = [Ratio.of(values[other], values[base]) for other in others]
        lines.append(_row([figure, *medians, *(str(ratio or "–") for ratio in compared)]))
    return lines


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def write_turns(file: Path, rows: Sequence[tuple[str, int, Turns]]) -> None:
    """Every figure of every turn, as CSV."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(("phase", "concurrency", "round", "version", "figure", "value"))
        for phase, concurrency, turns in rows:
            for name, taken in turns.items():
                for number, figures in enumerate(taken, 1):
                    for figure, value in figures.items():
                        row = (phase, concurrency, number, name, figure, f"{value:.3f}")
                        writer.writerow(row)


def compare(options: argparse.Namespace, versions: Sequence[Version]) -> None:
    """Prints a table for each phase and concurrency, as soon as it is known."""
    rows: list[tuple[str, int, Turns]] = []
    with ExitStack() as stacks:
        shops = [
            stacks.enter_context(served(version, options.config, embedded=options.embedded))
            for version in versions
        ]
        ledger = "embedded" if options.embedded else "tigerbeetle"
        print(f"{describe_machine()}; {options.config.name}, ledger {ledger}", flush=True)
        for shop in shops:
            print(f"{shop.name}: {shop.what}", flush=True)
        for concurrency in options.concurrency:
            for shop in shops:
                asked = Asked(concurrency, options.warm_up, seed=-1)
                uvloop.run(take_turn(shop, "purchase", asked))
            for phase in options.phases:
                turns = take_turns(shops, phase, concurrency, options.total, options.pairs)
                title = f"{phase}, {concurrency} connections"
                print("\n" + "\n".join(table(title, turns)), flush=True)
                rows.append((phase, concurrency, turns))
                if options.csv is not None:
                    write_turns(options.csv, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        options = _parse(arguments)
        if not Path("/proc/self/schedstat").exists():
            raise BenchError("The kernel of this machine does not count what a thread has used.")
        compare(options, options.versions)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures versions of the shop side by side.")
    add = parser.add_argument
    add("versions", nargs="+", metavar="NAME=CHECKOUT[,PYTHON]", help="the first is the base")
    add("--phases", nargs="+", choices=list(PHASES), default=list(PHASES), help="all by default")
    add("--concurrency", type=int, nargs="+", default=[60, 200], help="connections (60 200)")
    add("--pairs", type=int, default=10, help="turns of each version (%(default)s)")
    add("--total", type=int, default=4_000, help="purchases or requests a turn (%(default)s)")
    add("--warm-up", type=int, default=6_000, help="purchases before (%(default)s)")
    add("--config", type=Path, default=DEFAULT_CONFIG, help="settings of all (ops/workers-2.env)")
    add("--embedded", action="store_true", help="even where there is TigerBeetle")
    add("--csv", type=Path, help="a file for every turn's figures")
    options = parser.parse_args(arguments)
    options.config = options.config.absolute()
    options.versions = [Version.parse(text) for text in options.versions]
    names = [version.name for version in options.versions]
    if len(set(names)) != len(names) or len(names) < 2:
        raise BenchError("Two versions or more are compared, each with a name of its own.")
    for name, most in (
        ("concurrency", CONCURRENCY_MAX),
        ("pairs", PAIRS_MAX),
        ("total", TOTAL_MAX),
        ("warm_up", TOTAL_MAX),
    ):
        value = getattr(options, name)
        for each in value if isinstance(value, list) else [value]:
            if not 0 < each <= most:
                raise BenchError(f"--{name.replace('_', '-')} takes 1 to {most:,}, not {each}.")
    return options


if __name__ == "__main__":
    sys.exit(main())
