"""`make hosts`: sells on several hosts under one fault after the other, and prints what each did.

    python -m tests.hosts                              a run for each fault
    python -m tests.hosts --faults kill-primary        one of them
    python -m tests.hosts --orders 20000               one long run, in which every host dies once

Needs root, for network namespaces, and a TigerBeetle server. Exits 1 when a promise was broken.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tests.faults.plan import RunPlan
from tests.hosts.faults import FAULTS, LONG_RUN, Fault
from tests.hosts.namespaces import NoNamespacesError, Street
from tests.hosts.refusals import REFUSALS
from tests.hosts.run import Report, run
from tigerfans.settings.settings import SettingsError
from tigerfans.stack import tigerbeetle

# From so many orders on it is one run, in which each host that can be spared dies once.
LONG_ORDERS_MIN: Final = 2_000
ORDERS: Final = 450
RATE: Final = 30.0
LONG_RATE: Final = 60.0
DISTURBED_PERCENT: Final = 5.0
# The seed's holds last 300 s, so that what a pause costs is no hold.
SEED: Final = 3
COLUMNS: Final = (
    "fault",
    "checkouts paused",
    "payments paused",
    "503",
    "over after",
    "orders",
    "paid",
    "refunds due",
    "lost",
    "sold twice",
    "seconds",
    "who acts",
)
EXIT_USAGE: Final = 2
INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    # As Ctrl-C does, which ends the run in order, with all that it started.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        binary = tigerbeetle.find_binary(os.environ, Path.cwd())
        if binary is None:
            raise SettingsError("There is no TigerBeetle server: set TIGERBEETLE_BIN.")
        street = Street()
    except (SettingsError, NoNamespacesError) as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    try:
        is_clean = _try_all(options, street, binary)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0 if is_clean else 1


def _try_all(options: argparse.Namespace, street: Street, binary: Path) -> bool:
    """Prints each run as it ends; whether every promise was kept."""
    print(line(COLUMNS), line(["---"] * len(COLUMNS)), sep="\n", flush=True)
    refusals = list(REFUSALS) if options.refusals else []
    is_clean = True
    for plan, faults in _runs(options):
        report = asyncio.run(run(plan, faults, street, binary, options.shops, refusals))
        for row in rows(report):
            print(line(row), flush=True)
        if not report.is_clean:
            is_clean = False
            print(report, file=sys.stderr, flush=True)
    return is_clean


def _runs(options: argparse.Namespace) -> Iterator[tuple[RunPlan, list[Fault]]]:
    """A run for each fault, or the long one; what cannot strike here is told, and left out."""
    is_long = options.orders >= LONG_ORDERS_MIN
    chosen = [FAULTS[name] for name in options.faults or FAULTS]
    if is_long and not options.faults:
        chosen = list(LONG_RUN)
    possible = []
    for fault in chosen:
        if reason := fault.missing():
            print(f"{fault.name} does not strike: {reason}.", file=sys.stderr, flush=True)
        else:
            possible.append(fault)
    plan = RunPlan(
        seed=options.seed,
        ledger="tigerbeetle",
        orders=options.orders,
        rate=options.rate or (LONG_RATE if is_long else RATE),
        disturbed_percent=options.disturbed,
        kinds=(),
    )
    if is_long or options.together:
        yield plan, possible
    else:
        for fault in possible:
            yield plan, [fault]


def rows(report: Report) -> Iterator[list[str]]:
    """A row for each fault; what was sold stands in that of the last one."""
    audit = report.audit
    sums = [audit.attempted, audit.paid, audit.refunds_due, audit.lost, audit.sold_twice]
    sold = [f"{n:,}" for n in (*sums, round(report.seconds))]
    for number, struck in enumerate(report.struck, 1):
        yield [
            struck.fault.name,
            f"{struck.checkouts_paused:.1f} s",
            f"{struck.payments_paused:.1f} s",
            str(struck.refused),
            f"{struck.seconds:.1f} s",
            *(sold if number == len(report.struck) else [""] * len(sold)),
            struck.fault.acts,
        ]
    for name in report.refused:
        yield [name, *[""] * (len(COLUMNS) - 2), "refused"]


def line(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make hosts", description="Sells on several hosts under faults, and loses nothing."
    )
    add = parser.add_argument
    add("--faults", nargs="+", choices=list(FAULTS), help="only these; default: each there is")
    add("--together", action="store_true", help="one run for all of them, one after the other")
    add("--refusals", action="store_true", help="try hosts that do not belong, too")
    add("--orders", type=int, default=ORDERS, help="orders of a run (%(default)s)")
    add("--rate", type=float, help=f"buyers a second ({RATE:g}, in the long run {LONG_RATE:g})")
    add("--shops", type=int, default=2, help="hosts that sell (%(default)s)")
    add("--seed", type=int, default=SEED, help="which buyers come (%(default)s)")
    add(
        "--disturbed",
        type=float,
        default=DISTURBED_PERCENT,
        metavar="PERCENT",
        help="webhooks that are lost, doubled or overtaken (%(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
