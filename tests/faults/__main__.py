"""`make faults`: runs seed after seed, and prints the table of what struck and what was lost.

    python -m tests.faults                                    three seeds on each ledger there is
    python -m tests.faults --seeds 20 --minutes 30
    python -m tests.faults --seed 7 --seeds 1 --ledger embedded        repeats one
    python -m tests.faults --orders 10000 --rate 60 --fault-every 2 --kinds kill --disturbed 3

Exits 1 when a promise was broken, with the seed and the command that repeats it.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from tests.faults.plan import FaultKind, RunPlan
from tests.faults.run import Report, run
from tigerfans.settings import SettingsError
from tigerfans.stack import tigerbeetle

EMBEDDED = "embedded"
TIGERBEETLE = "tigerbeetle"

COLUMNS = (
    "seed",
    "ledger",
    "faults",
    *FaultKind,
    "orders",
    "paid",
    "refunds due",
    "unpaid",
    "sold out",
    "lost",
    "sold twice",
    "seconds",
)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        environments = ledgers(options.ledger)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    print(_row(COLUMNS), flush=True)
    reports = []
    deadline = time.monotonic() + 60 * (options.minutes or 0)
    runs = ((seed, ledger) for seed in count(options.seed) for ledger in environments)
    for seed, ledger in runs:
        if seed >= options.seed + options.seeds and time.monotonic() >= deadline:
            break
        plan = RunPlan(
            seed=seed,
            ledger=ledger,
            orders=options.orders,
            rate=options.rate,
            fault_seconds=options.fault_every,
            disturbed_percent=options.disturbed,
            kinds=tuple(FaultKind(kind) for kind in options.kinds),
        )
        report = asyncio.run(run(plan, environments[ledger]))
        reports.append(report)
        print(_row(_cells(report)), flush=True)
        if not report.is_clean:
            print(report, file=sys.stderr, flush=True)
    print(_row(_totals(reports)))
    broken = [report for report in reports if not report.is_clean]
    print(f"{len(reports)} runs, {len(broken)} with a broken promise.")
    return 1 if broken else 0


def ledgers(chosen: str | None) -> dict[str, dict[str, str]]:
    """The ledgers to run on, each with the variables that choose it; raises `SettingsError`."""
    binary = tigerbeetle.find_binary(os.environ, Path.cwd())
    found = {EMBEDDED: dict[str, str]()}
    if binary is not None:
        found[TIGERBEETLE] = {"TIGERBEETLE_BIN": str(binary)}
    elif chosen == TIGERBEETLE:
        raise SettingsError("There is no TigerBeetle server: set TIGERBEETLE_BIN.")
    return found if chosen is None else {chosen: found[chosen]}


def _parser() -> argparse.ArgumentParser:
    plan = RunPlan(seed=1)
    parser = argparse.ArgumentParser(
        prog="make faults", description="Sells under faults and shows that nothing is lost."
    )
    add = parser.add_argument
    add("--seed", type=int, default=plan.seed, help="the first seed (%(default)s)")
    add("--seeds", type=int, default=3, help="how many seeds at least (%(default)s)")
    add("--minutes", type=float, help="go on with further seeds for so long")
    add("--ledger", choices=(EMBEDDED, TIGERBEETLE), help="only this one; default: all there are")
    add("--orders", type=int, default=plan.orders, help="orders of a run (%(default)s)")
    add("--rate", type=float, default=plan.rate, help="buyers a second (%(default)s)")
    add(
        "--fault-every",
        type=float,
        default=plan.fault_seconds,
        metavar="SECONDS",
        help="between two faults, about (%(default)s)",
    )
    add(
        "--disturbed",
        type=float,
        default=plan.disturbed_percent,
        metavar="PERCENT",
        help="webhooks that are lost, doubled or overtaken (%(default)s)",
    )
    kinds = [str(kind) for kind in FaultKind]
    add("--kinds", nargs="+", choices=kinds, default=kinds, help="only these faults; default: all")
    return parser


def _cells(report: Report) -> list[object]:
    audit = report.audit
    return [
        report.plan.seed,
        report.plan.ledger,
        report.faults.total(),
        *(report.faults[kind] for kind in FaultKind),
        audit.attempted,
        audit.paid,
        audit.refunds_due,
        audit.unpaid,
        audit.sold_out,
        audit.lost,
        audit.sold_twice,
        round(report.seconds),
    ]


def _totals(reports: Sequence[Report]) -> list[object]:
    numbers = [_cells(report)[2:] for report in reports]
    return ["all", "", *(sum(map(int, column)) for column in zip(*numbers, strict=True))]


def _row(cells: Sequence[object]) -> str:
    widths = [max(len(name), 11) if name == "ledger" else max(len(name), 4) for name in COLUMNS]
    return "  ".join(
        str(cell).rjust(width) for cell, width in zip(cells, widths, strict=True)
    ).rstrip()


if __name__ == "__main__":
    sys.exit(main())
