"""`make faults`: runs seed after seed, and prints the table of what struck and what was lost.

    python -m tests.faults                                    three seeds on each ledger there is
    python -m tests.faults --seeds 20 --keep faults.jsonl     goes on where it was interrupted
    python -m tests.faults --seed 7 --seeds 1 --ledger embedded        repeats one
    python -m tests.faults --seeds 1 --orders 10000 --kill-every 2 --disturbed 3

Exits 1 when a promise was broken, with the seed and the command that repeats it; 130 when it was
interrupted, with the table of the runs that were over.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from tests.faults import table
from tests.faults.plan import WAYS, FaultKind, RunPlan
from tests.faults.run import run
from tests.faults.table import Kept, Row
from tigerfans.settings.settings import SettingsError
from tigerfans.stack import tigerbeetle

EMBEDDED = "embedded"
TIGERBEETLE = "tigerbeetle"

# One process at a time: `kill-all` opens the shop again before the next fault.
KILLS = (FaultKind.KILL, FaultKind.KILL_BACKEND)
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        environments = ledgers(options.ledger)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    kept = Kept(options.keep)
    print(table.head(), flush=True)
    interrupted = False
    rows = []
    try:
        for row in _runs(options, environments, kept):
            print(row, flush=True)
            rows.append(row)
    except KeyboardInterrupt:
        interrupted = True
    print(table.totals(rows))
    broken = [row for row in rows if not row.is_clean]
    print(f"\n{len(rows)} runs, {len(broken)} with a broken promise.")
    if interrupted:
        return INTERRUPTED
    return 1 if broken else 0


def _runs(
    options: argparse.Namespace, environments: dict[str, dict[str, str]], kept: Kept
) -> Iterator[Row]:
    """Runs what was not kept; what breaks a promise is told at once."""
    deadline = time.monotonic() + 60 * (options.minutes or 0)
    for seed in count(options.seed):
        if seed >= options.seed + options.seeds and time.monotonic() >= deadline:
            return
        for ledger in environments:
            plan = _plan(options, seed, ledger)
            if plan.command not in kept.rows:
                report = asyncio.run(run(plan, environments[ledger]))
                kept.add(Row.of(report))
                if not report.is_clean:
                    print(report, file=sys.stderr, flush=True)
            yield kept.rows[plan.command]


def _plan(options: argparse.Namespace, seed: int, ledger: str) -> RunPlan:
    kills = options.kill_every
    return RunPlan(
        seed=seed,
        ledger=ledger,
        provider=options.provider,
        orders=options.orders,
        rate=options.rate,
        fault_seconds=options.fault_every if kills is None else kills,
        disturbed_percent=options.disturbed,
        tickets_per_order=options.tickets,
        kinds=tuple(FaultKind(kind) for kind in options.kinds) if kills is None else KILLS,
    )


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
    add("--provider", choices=list(WAYS), default=plan.provider, help="who takes the money")
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
    add(
        "--tickets",
        type=int,
        default=plan.tickets_per_order,
        help="of an order at most, each may have fewer (%(default)s)",
    )
    kinds = [str(kind) for kind in FaultKind]
    add("--kinds", nargs="+", choices=kinds, default=kinds, help="only these faults; default: all")
    add("--kill-every", type=float, metavar="SECONDS", help="only kills of one process, so often")
    add("--keep", type=Path, metavar="FILE", help="write each run down, and repeat none of those")
    return parser


if __name__ == "__main__":
    sys.exit(main())
