"""What a purchase costs as the shop grows: CPU by process, latency, memory, and bytes on disk.

    python -m bench.growth                        from 0 to 2 million orders, on TigerBeetle
    python -m bench.growth --embedded             the same on the embedded ledger
    python -m bench.growth --data DIR --marks 0 60000 300000
    python -m bench.growth --data DIR --marks 2000000      goes on with that shop, later

At each mark some thousand real purchases are made (`bench.load_client`), some turns over, and as
many in turn at a new shop beside it: how fast the machine is just then falls on both alike, and
what is between them is what the orders cost. Between the marks the shop is filled by a shorter way
(`bench.filling`). PostgreSQL begins each mark with a checkpoint, so that pages which are written in
full after one are in the figures. At 10 million they are computed: CPU by the logarithm of the
number of orders, bytes by their number.

Behind the last mark the shop is opened again (`bench.opening`): how soon that is, how long the box
office waits for its pages, and the operator for `tigerfans reconcile`.
"""

import argparse
import asyncio
import csv
import json
import math
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import LinearRegression, linear_regression, median, quantiles
from typing import Any, Final, TextIO

import asyncpg
import psutil
from rich.console import Console
from rich.table import Table

from bench import opening
from bench.config import Config
from bench.errors import BenchError
from bench.filling import fill
from bench.machine import ROOT, describe_machine, git_revision
from bench.measurement import CLERK, SEQUENCER, WORKER, WORKERS
from bench.stack import Stack, clean_environment, data_folder, running, running_in
from tigerfans.settings.folder import DataFolder, state_file
from tigerfans.settings.located import database_url, postgres_sockets
from tigerfans.settings.settings import is_clerk
from tigerfans.stack import state

MARKS: Final = (0, 60_000, 300_000, 600_000, 1_000_000, 2_000_000)
ORDERS_MAX: Final = 5_000_000
COMPUTED: Final = 10_000_000
PURCHASES: Final = 10_000
PURCHASES_MAX: Final = 1_000_000
WARM_UP: Final = 2_000
TURNS: Final = 3
TURNS_MAX: Final = 100
CONCURRENCY: Final = 200
CONFIG: Final = ROOT / "ops" / "workers-2.env"
RESULTS: Final = ROOT / "data"
PATIENCE_SECONDS: Final = 300.0
CHECKPOINT_SECONDS_MAX: Final = 120.0
MEGABYTE: Final = 1e6

GROWN: Final = "grown"
NEW: Final = "new"
# As the table has them; the ledger's server is there where it is one.
KINDS: Final = (WORKERS, SEQUENCER, "tigerbeetle", "redis", "postgres", CLERK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Some purchases at a shop that had so many `orders` before; a row of the results.

    CPU is in µs for each purchase, memory and disk in MB afterwards.
    """

    shop: str
    mark: int
    orders: int
    purchases: int
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: Mapping[str, float]
    memory_mb: Mapping[str, float]
    disk_mb: Mapping[str, float]


class Results:
    """The file of the rows, each written as soon as it is measured, behind those of before."""

    def __init__(self, file: TextIO, ledger: str) -> None:
        self._file = file
        self._writer = csv.writer(file)
        self._place = (describe_machine(), git_revision(), ledger)
        if file.tell() == 0:
            self._writer.writerow(("machine", "git_revision", "ledger", *Turn.__slots__))

    def write(self, turn: Turn) -> None:
        values = (getattr(turn, name) for name in Turn.__slots__)
        self._writer.writerow((*self._place, *map(_written, values)))
        self._file.flush()


def _written(value: object) -> str:
    match value:
        case float():
            return f"{value:.1f}"
        case Mapping():
            return " ".join(f"{name}={number:.1f}" for name, number in value.items())
    return str(value)


def measure(options: argparse.Namespace, data: Path) -> None:
    config = Config.read(options.config)
    turns: list[Turn] = []
    with running_in(data, config, embedded=options.embedded) as grown, ExitStack() as stack:
        ledger = grown.sequencer_status()["ledger"]["kind"]
        path = options.results or RESULTS / f"growth-{ledger}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        results = Results(stack.enter_context(path.open("a", newline="")), ledger)
        orders = grown.sold()
        for mark in sorted(options.marks):
            if mark < orders:
                _say(f"{mark:,}: passed before, there are {orders:,} orders.")
                continue
            fill(grown, mark - orders, orders)
            at_mark = _turns(options, config, grown, mark)
            for turn in at_mark:
                results.write(turn)
            turns += at_mark
            _say(f"{mark:,}: {', '.join(_mark_in_short(turns, mark))}")
            orders = grown.sold()
    print_tables(turns, ledger)
    _say(f"Rows: {path}")
    if not options.no_opening:
        opening.measure(data, config, embedded=options.embedded)


def _turns(options: argparse.Namespace, config: Config, grown: Stack, mark: int) -> list[Turn]:
    """The purchases at one mark, in turn at the shop that has grown and, but for the first mark,
    at a new one.
    """
    beside = mark > 0 and not options.alone
    context = running(config, embedded=options.embedded) if beside else nullcontext(None)
    turns = []
    with context as new:
        shops = [(GROWN, grown), *([(NEW, new)] if new else [])]
        for _, shop in shops:
            asyncio.run(_checkpoint(shop))
            _buy(shop, WARM_UP, options.concurrency)
        for number in range(options.turns):
            # The other way round every other time, for what drifts.
            for name, shop in shops if number % 2 == 0 else shops[::-1]:
                turns.append(_turn(name, mark, shop, options.purchases, options.concurrency))
    return turns


def _turn(name: str, mark: int, shop: Stack, purchases: int, concurrency: int) -> Turn:
    orders, cpu = shop.sold(), shop.cpu_seconds()
    report = _buy(shop, purchases, concurrency)
    used = {kind: seconds - cpu[kind] for kind, seconds in shop.cpu_seconds().items()}
    latencies = report["latencies_ms"]["purchase"]
    return Turn(
        shop=name,
        mark=mark,
        orders=orders,
        purchases=report["ok"],
        rate=report["ok"] / report["seconds"],
        p50_ms=latencies["p50"],
        p99_ms=latencies["p99"],
        cpu_us=_by_kind({kind: seconds * 1e6 / report["ok"] for kind, seconds in used.items()}),
        memory_mb=_by_kind(_memory_mb(shop)),
        disk_mb=_disk_mb(shop.data),
    )


def _buy(shop: Stack, purchases: int, concurrency: int) -> dict[str, Any]:
    """Purchases over HTTP; raises `BenchError` unless all of them were sales."""
    amounts = ("--total", str(purchases), "--concurrency", str(concurrency))
    command = [sys.executable, "-m", "bench.load_client", "--json", "--url", shop.url]
    bought = subprocess.run(
        [*command, "--via", "provider", *amounts],
        cwd=ROOT,
        env=clean_environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    if bought.returncode != 0:
        raise BenchError(f"The load client failed: {bought.stderr.strip().rpartition(chr(10))[2]}")
    report: dict[str, Any] = json.loads(bought.stdout)
    if report["ok"] < report["total"]:
        raise BenchError(f"Not every purchase was a sale: {report['outcomes']}.")
    return report


async def _checkpoint(shop: Stack) -> None:
    url = database_url(postgres_sockets(DataFolder(shop.data)))
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CHECKPOINT", timeout=CHECKPOINT_SECONDS_MAX)
    finally:
        await connection.close()


def _by_kind(processes: Mapping[str, float]) -> dict[str, float]:
    """All workers together, and all clerks."""
    kinds: dict[str, float] = {}
    for name, figure in processes.items():
        kind = WORKERS if name.startswith(WORKER) else CLERK if is_clerk(name) else name
        kinds[kind] = kinds.get(kind, 0.0) + figure
    return kinds


def _memory_mb(shop: Stack) -> dict[str, float]:
    """Of each process and its children; what several have in common counts once."""
    running_stack = state.read_running(state_file(shop.data))
    processes = running_stack.processes if running_stack else ()
    memory = {}
    for each in processes:
        if each.pid is not None:
            process = psutil.Process(each.pid)
            family = (process, *process.children(recursive=True))
            memory[each.name] = sum(map(_resident_bytes, family)) / MEGABYTE
    return memory


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0


def _disk_mb(data: Path) -> dict[str, float]:
    folder = DataFolder(data)
    wal = folder.postgres / "pg_wal"
    ledger = _bytes_below(folder.embedded_ledger) + _bytes_below(folder.tigerbeetle_file.parent)
    used = {
        "ledger": ledger,
        "postgres": _bytes_below(folder.postgres) - _bytes_below(wal),
        "wal": _bytes_below(wal),
        "redis": _bytes_below(folder.redis),
    }
    return {store: size / MEGABYTE for store, size in used.items()}


def _bytes_below(folder: Path) -> int:
    """On the disk, where a file with holes takes less than its size."""
    size = 0
    for path in folder.rglob("*"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        if path.is_file():
            size += status.st_blocks * 512
    return size


def print_tables(turns: Sequence[Turn], ledger: str) -> None:
    """Medians over the turns of a mark; in brackets, as multiples of the new shop's."""
    marks = list(dict.fromkeys(turn.mark for turn in turns))
    if not marks:
        return
    kinds = [kind for kind in KINDS if any(kind in turn.cpu_us for turn in turns)]
    stores = list(turns[0].disk_mb)
    cpu = _table(f"CPU µs a purchase, {ledger} ledger", (*kinds, "all", "a second", "p50", "p99"))
    space = _table("MB in memory; on the disk", (*kinds, *stores))
    for mark in marks:
        grown = [t for t in turns if t.mark == mark and t.shop == GROWN]
        cpu.add_row(f"{mark:,}", *_costs(turns, mark, kinds))
        memory = (f"{median(t.memory_mb.get(kind, 0.0) for t in grown):,.0f}" for kind in kinds)
        disk = (f"{grown[-1].disk_mb[store]:,.0f}" for store in stores)
        space.add_row(f"{mark:,}", *memory, *disk)
    if len([mark for mark in marks if mark]) > 1:
        cpu.add_row(f"{COMPUTED:,}, computed", *_computed_costs(turns, kinds))
        sizes = [f"{_disk_at(COMPUTED, turns, store):,.0f}" for store in stores]
        space.add_row(f"{COMPUTED:,}, computed", *[""] * len(kinds), *sizes)
    console = Console(width=160, highlight=False)
    console.print(cpu, space)


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table("orders", title=title, title_justify="left", box=None, header_style="bold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _costs(turns: Sequence[Turn], mark: int, kinds: Sequence[str]) -> list[str]:
    grown = [t for t in turns if t.mark == mark and t.shop == GROWN]
    new = [t for t in turns if t.mark == mark and t.shop == NEW]
    row = []
    for kind in (*kinds, None):
        costs, costs_new = [_cpu(t, kind) for t in grown], [_cpu(t, kind) for t in new]
        row.append(f"{median(costs):.0f}{_beside(costs, costs_new)}")
    row.append(f"{median(t.rate for t in grown):,.0f}")
    row += [f"{median(t.p50_ms for t in grown):.0f}", f"{median(t.p99_ms for t in grown):.0f}"]
    return row


def _cpu(turn: Turn, kind: str | None) -> float:
    """Of one kind of process, or of all but clerks, which send mails at a pace of their own."""
    if kind is None:
        return sum(us for each, us in turn.cpu_us.items() if each != CLERK)
    return turn.cpu_us.get(kind, 0.0)


def _beside(grown: Sequence[float], new: Sequence[float]) -> str:
    """The median of their ratios, and its quartiles where there are enough of them."""
    ratios = [each / other for each, other in zip(grown, new, strict=False) if other]
    if not ratios:
        return ""
    if len(ratios) < 3:
        return f" ({median(ratios):.2f})"
    low, middle, high = quantiles(ratios, n=4, method="inclusive")
    return f" ({middle:.2f}, {low:.2f}-{high:.2f})"


def _computed_costs(turns: Sequence[Turn], kinds: Sequence[str]) -> list[str]:
    grown = [t for t in turns if t.shop == GROWN and t.mark]
    logarithms = [math.log(t.orders) for t in grown]
    at = math.log(COMPUTED)
    lines = [linear_regression(logarithms, [_cpu(t, k) for t in grown]) for k in (*kinds, None)]
    return [f"{_on(line, at):.0f}" for line in lines]


def _disk_at(orders: int, turns: Sequence[Turn], store: str) -> float:
    grown = [t for t in turns if t.shop == GROWN]
    line = linear_regression([t.orders for t in grown], [t.disk_mb[store] for t in grown])
    return _on(line, orders)


def _on(line: LinearRegression, at: float) -> float:
    return line.slope * at + line.intercept


def _mark_in_short(turns: Sequence[Turn], mark: int) -> list[str]:
    kinds = [kind for kind in KINDS if any(kind in turn.cpu_us for turn in turns)]
    names = (*kinds, "all", "a second", "p50", "p99")
    return [f"{n} {c}" for n, c in zip(names, _costs(turns, mark, kinds), strict=True)]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What does a purchase cost as the shop grows?")
    add = parser.add_argument
    add("--marks", type=int, nargs="*", default=list(MARKS), help="numbers of orders")
    add("--purchases", type=int, default=PURCHASES, help="of a turn (%(default)s)")
    add("--turns", type=int, default=TURNS, help="at each mark (%(default)s)")
    add("--concurrency", type=int, default=CONCURRENCY, help="connections (%(default)s)")
    add("--embedded", action="store_true", help="even where there is TigerBeetle")
    add("--alone", action="store_true", help="no new shop beside it")
    add("--no-opening", action="store_true", help="do not open it again at the end")
    add("--config", type=Path, default=CONFIG, help="a file of settings")
    add("--data", type=Path, help="the shop's folder, which stays; by default one that is gone")
    add("--results", type=Path, help="the file of the rows; by default in data/")
    options = parser.parse_args(arguments)
    for name, values, least, most in (
        ("marks", options.marks, 0, ORDERS_MAX),
        ("purchases", [options.purchases], 1, PURCHASES_MAX),
        ("turns", [options.turns], 1, TURNS_MAX),
        ("concurrency", [options.concurrency], 1, PURCHASES_MAX),
    ):
        if not all(least <= value <= most for value in values):
            parser.error(f"--{name} takes {least} to {most:,}.")
    try:
        if options.data is None:
            with data_folder() as data:
                measure(options, data)
        else:
            options.data.mkdir(parents=True, exist_ok=True)
            measure(options, options.data.absolute())
    except (BenchError, subprocess.TimeoutExpired, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
