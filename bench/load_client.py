"""Whole purchases against a running shop, as many as it takes, and how long each step took.

    python -m bench.load_client --total 10000
    python -m bench.load_client --total 10000 --fail-rate 0.05 --cancel-rate 0.05 --class-ratio 0.3
    python -m bench.load_client --seconds 60 --rate 500
    python -m bench.load_client --total 10000 --qty 4
    python -m bench.load_client --via provider --json
    python -m bench.load_client --base http://127.0.0.1:8000 --total 200 --poll-interval 0.05

In a closed loop each of `--concurrency` buyers starts as soon as the one before has finished: that
finds the most the shop can do. In an open loop (`--rate`) purchases start by the clock, whether or
not those before have finished, over `--concurrency` connections; their latency counts from the
moment they were meant to start, so that a stall counts for everybody it kept waiting.

It takes the options of the reference's `bench/load_client.py` as well, so that one command drives
both shops. `--http2` is not among them: this client speaks HTTP/1.1 alone.

The client is a process on the machine that it measures: it is asyncio on uvloop over raw HTTP/1.1
(`http_client`), because every microsecond it needs is one the shop does not get.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Any, Final

import orjson
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.errors import BenchError
from bench.http_client import Address
from bench.latencies import PERCENTILES, summarise
from bench.load import Load, LoadClient, Mix
from bench.purchase import POLLING, PURCHASE_SECONDS_MAX, Polling, Via
from tigerfans.offer.tables import TICKETS_PER_ORDER_MAX
from tigerfans.settings.settings import Settings, SettingsError

CONCURRENCY_MAX: Final = 10_000
TOTAL_MAX: Final = 1_000_000_000
SECONDS_MAX: Final = 24 * 3600.0
RATE_MAX: Final = 1_000_000.0
PROGRESS_SECONDS: Final = 0.25

EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130


def report(client: LoadClient) -> dict[str, Any]:
    """What a run came to, for programs; latencies in milliseconds."""
    record = client.record
    return {
        "seconds": client.seconds,
        "cpu_seconds": client.cpu_seconds,
        "total": record.total,
        "ok": record.fulfilled,
        "outcomes": dict(record.outcomes.most_common()),
        "latencies_ms": {step: summarise(seconds) for step, seconds in record.seconds.items()},
    }


def print_report(report: dict[str, Any], console: Console) -> None:
    """The same for people."""
    total, seconds = report["total"], report["seconds"]
    outcomes = Table("outcome", "purchases", "share", title="Outcomes")
    for outcome, count in report["outcomes"].items():
        outcomes.add_row(outcome, f"{count:,}", f"{count / total:.1%}")
    steps = Table("step", *(f"p{p} ms" for p in PERCENTILES[:-1]), "max ms", title="Latencies")
    for step, latencies in report["latencies_ms"].items():
        steps.add_row(step, *(f"{latencies[f'p{p}']:.1f}" for p in PERCENTILES))
    for table in (outcomes, steps):
        for column in table.columns[1:]:
            column.justify = "right"
        console.print(table)
    rate = total / seconds if seconds else 0.0
    console.print(f"{total:,} purchases in {seconds:.1f} s: {rate:,.0f} a second")


async def run_with_progress(client: LoadClient, load: Load, seed: int, console: Console) -> bool:
    """Runs the load below a progress bar; whether it came to its end without a signal."""
    running = asyncio.create_task(client.run(seed), name="load")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    expected = load.total_max if load.total_max < TOTAL_MAX else None
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        bar = progress.add_task("purchases", total=expected, rate="")
        started = time.perf_counter()
        while not running.done():
            await asyncio.wait([running], timeout=PROGRESS_SECONDS)
            done = client.record.total
            rate = f"{done / (time.perf_counter() - started):,.0f}/s"
            progress.update(bar, completed=done, rate=rate, refresh=True)
    with suppress(asyncio.CancelledError):
        await running
    return not running.cancelled()


def main(arguments: list[str] | None = None) -> int:
    try:
        options = _parse(arguments)
        load = Load(options.concurrency, options.total, options.seconds, options.rate)
        mix = Mix(options.fail_rate, options.cancel_rate, options.class_ratio, options.qty)
        secret = Settings.from_environment(os.environ).payments.secrets[0]
        # Where the figures go to a program, nobody watches the bar.
        console = Console(stderr=options.json, quiet=options.json)
        finished, figures = uvloop.run(_run(options, load, mix, secret, console))
    except (BenchError, SettingsError) as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    if options.json:
        print(orjson.dumps(figures).decode())
    else:
        print_report(figures, console)
    return 0 if finished else EXIT_INTERRUPTED


async def _run(
    options: argparse.Namespace, load: Load, mix: Mix, secret: str, console: Console
) -> tuple[bool, dict[str, Any]]:
    polling = Polling(options.poll_interval, options.poll_timeout)
    client = LoadClient(Address.parse(options.url), load, mix, options.via, secret, polling)
    finished = await run_with_progress(client, load, options.seed, console)
    return finished, report(client)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Buys tickets, many at a time.")
    add = parser.add_argument
    add("--url", "--base", default="http://127.0.0.1:8000", help="the shop; default %(default)s")
    add("--concurrency", type=int, default=60, help="connections; default %(default)s")
    add("--total", type=int, default=TOTAL_MAX, help="purchases; by default --seconds end it")
    add("--seconds", type=float, help="how long; default 10, with --total as long as it takes")
    add("--rate", type=float, help="purchases started a second: an open loop")
    add("--fail-rate", type=float, default=0.0, help="share of payments that fail")
    add("--cancel-rate", type=float, default=0.0, help="share of payments that are canceled")
    ratio = "share of class A; default %(default)s"
    add("--class-ratio", "--ratio-a", type=float, default=0.5, help=ratio)
    qty = "orders are of 1 to so many tickets; default %(default)s"
    add("--qty", type=int, default=1, help=qty)
    interval = "seconds until a pending order is asked for again; default %(default)s"
    add("--poll-interval", type=float, default=POLLING.interval_seconds, help=interval)
    patience = (
        "seconds after which an order that is still pending is unresolved; default %(default)s"
    )
    add("--poll-timeout", type=float, default=POLLING.seconds_max, help=patience)
    add("--via", type=Via, choices=list(Via), default=Via.BROWSER, help="who sends the payment")
    add("--seed", type=int, default=1, help="of the mix; default %(default)s")
    add("--json", action="store_true", help="print one JSON object and no progress bar")
    options = parser.parse_args(arguments)
    if options.seconds is None:
        options.seconds = 10.0 if options.total == TOTAL_MAX else SECONDS_MAX
    for name, most in (
        ("concurrency", CONCURRENCY_MAX),
        ("total", TOTAL_MAX),
        ("seconds", SECONDS_MAX),
        ("rate", RATE_MAX),
        ("qty", TICKETS_PER_ORDER_MAX),
        ("poll_interval", PURCHASE_SECONDS_MAX),
        ("poll_timeout", PURCHASE_SECONDS_MAX),
    ):
        value = getattr(options, name)
        if value is not None and not 0 < value <= most:
            option = name.replace("_", "-")
            raise BenchError(f"--{option} must be above 0 and up to {most:g}, not {value:g}.")
    for name in ("fail_rate", "cancel_rate", "class_ratio"):
        if not 0 <= getattr(options, name) <= 1:
            raise BenchError(f"--{name.replace('_', '-')} is a share, from 0 to 1.")
    if options.fail_rate + options.cancel_rate > 1:
        raise BenchError("--fail-rate and --cancel-rate are more than 1 together.")
    return options


if __name__ == "__main__":
    sys.exit(main())
