"""TigerFans beside what one would build instead: how fast, and what is left after a kill.

    python -m bench.peers                          whole purchases, at 1, 60 and 200 connections
    python -m bench.peers --shops tigerfans hot_row --concurrency 60 --seconds 4 --runs 1
    python -m bench.peers --kill                   kills each part of each shop under load

All run on this machine, one after the other, with two workers each, the same PostgreSQL and Redis
and the same load; each run starts every shop anew. Purchases are a checkout with a key, the
provider's signed webhook and the order's status (`bench.load_client --via provider`). TigerFans
sells on TigerBeetle where its server is found. Nothing else should use the machine meanwhile.

`--kill` reads the books afterwards: how many tickets were sold too often, which paid orders are
lost, and which tickets never came back (`bench.peers.kills`). It needs no quiet machine.
"""

import argparse
import asyncio
import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Final

from bench.errors import BenchError
from bench.machine import describe_machine, git_revision
from bench.peers.kills import Books, kill_under_load
from bench.peers.measuring import Row, measure
from bench.peers.shops import CONTENDERS, Demand
from tigerfans.stack.service import ServiceError

HOLD_SECONDS: Final = 300
CONCURRENCY_MAX: Final = 1_000
SECONDS_MAX: Final = 60.0
RUNS_MAX: Final = 10
KILLS_MAX: Final = 10
TICKETS_MAX: Final = 1_000_000
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130

# The columns of CPU: the application with what it consists of, and the stores.
CPU: Final = {
    "application": ("workers", "sequencer", "clerk"),
    "TigerBeetle": ("tigerbeetle",),
    "PostgreSQL": ("postgres",),
    "Redis": ("redis",),
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    print(f"{describe_machine()}, at {git_revision()}")
    try:
        asyncio.run(_kill(options) if options.kill else _measure(options))
    except (BenchError, ServiceError) as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


async def _measure(options: argparse.Namespace) -> None:
    rows: list[Row] = []

    def write(row: Row) -> None:
        rows.append(row)
        print(f"{row.shop}, {row.connections}: {row.per_second:,.0f}/s", file=sys.stderr)

    demand = Demand(options.tickets, HOLD_SECONDS, options.workers)
    try:
        for _ in range(options.runs):
            for name in options.shops:
                contender = CONTENDERS[name]
                await measure(contender, demand, options.concurrency, options.seconds, write)
    finally:
        print("\n".join(table(rows)))
        if options.csv and rows:
            _write_csv(options.csv, rows)


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of Markdown: what each run came to, and of CPU their median."""
    head = ["shop", "connections", "purchases a second", "p50, ms", "p99, ms", "checkout p50; p99"]
    head += [f"{name}, µs" for name in CPU]
    lines = [_line([*head, "errors"]), _line(["---"] * 2 + ["---:"] * (len(head) - 1))]
    groups: dict[tuple[int, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.connections, row.shop), []).append(row)
    for (connections, shop), runs in sorted(groups.items(), key=lambda group: group[0][0]):
        cells = [
            shop,
            str(connections),
            "; ".join(f"{row.per_second:,.0f}" for row in runs),
            "; ".join(f"{row.p50_ms:.1f}" for row in runs),
            "; ".join(f"{row.p99_ms:.0f}" for row in runs),
            f"{_median(runs, 'checkout_p50_ms'):.1f}; {_median(runs, 'checkout_p99_ms'):.0f}",
        ]
        for kinds in CPU.values():
            used = median(sum(row.cpu_us.get(kind, 0.0) for kind in kinds) for row in runs)
            cells.append(f"{used:,.0f}" if used else "")
        lines.append(_line([*cells, str(sum(row.errors for row in runs))]))
    return lines


def _median(rows: Sequence[Row], column: str) -> float:
    return float(median(getattr(row, column) for row in rows))


def _write_csv(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(asdict(rows[0]))
        for row in rows:
            *figures, cpu = asdict(row).values()
            named = " ".join(f"{name}={used:.0f}" for name, used in cpu.items())
            writer.writerow([*figures, named])


async def _kill(options: argparse.Namespace) -> None:
    head = ["shop", "killed", "sold", "oversold", "lost", "never back", "to refund", "no sale for"]
    print(_line(head))
    print(_line(["---"] * 2 + ["---:"] * 6), flush=True)
    for name in options.shops:
        contender = CONTENDERS[name]
        for part in contender.parts:
            books = await kill_under_load(contender, part, options.kill_tickets, options.kills)
            print(_line([name, part, *_figures(books)]), flush=True)


def _figures(books: Books) -> list[str]:
    counts = (books.paid, books.oversold, books.lost, books.never_back, books.to_refund)
    return [*(f"{count:,}" for count in counts), f"{books.pause_seconds:.1f} s"]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers", description="Measures shops, or kills parts of them."
    )
    add = parser.add_argument
    add("--shops", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS), metavar="SHOP")
    add("--concurrency", nargs="+", type=int, default=[1, 60, 200], metavar="CONNECTIONS")
    add("--seconds", type=float, default=8.0, help="of each measurement; default %(default)s")
    add("--runs", type=int, default=2, help="each with new shops; default %(default)s")
    add("--workers", type=int, default=2, help="of each shop; default %(default)s")
    add("--tickets", type=int, default=100_000, help="of each class; default %(default)s")
    add("--csv", type=Path, help="write the rows into a file as well")
    add("--kill", action="store_true", help="kill parts of them under load")
    add("--kills", type=int, default=3, help="of each part; default %(default)s")
    add("--kill-tickets", type=int, default=3_000, help="to be sold meanwhile; default %(default)s")
    options = parser.parse_args(arguments)
    for name, values, most in (
        ("concurrency", options.concurrency, CONCURRENCY_MAX),
        ("seconds", [options.seconds], SECONDS_MAX),
        ("runs", [options.runs], RUNS_MAX),
        ("tickets", [options.tickets], TICKETS_MAX),
        ("kills", [options.kills], KILLS_MAX),
        ("kill-tickets", [options.kill_tickets], TICKETS_MAX),
    ):
        if not all(0 < value <= most for value in values):
            parser.error(f"--{name} takes more than 0 and at most {most:,}.")
    return options


if __name__ == "__main__":
    sys.exit(main())
