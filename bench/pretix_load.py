"""Purchases at pretix by its REST interface, and at this shop in the same run.

    python -m bench.pretix_load --pretix ~/pretix
    python -m bench.pretix_load --pretix ~/pretix --concurrency 20 --seconds 20 --turns 2

`--pretix` is a virtual environment with pretix in it; `bench/pretix.py` says how to make one. Both
keep what they keep in the same PostgreSQL and Redis, and are measured in turn while the other
idles. A purchase at pretix is three requests as well: create an order with one ticket, confirm its
payment, get the order. A connection is made for each, as gunicorn's workers close it.

pretix does far more for an order than this shop: invoices, taxes, mails, a log of each change, and
plugins that may have a say in any of it. So what is measured is what a rush costs with a general
ticketing system, not how good it is. Nothing else should use the machine meanwhile.
"""

import argparse
import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any, Final

from bench.beside import create_database
from bench.config import Config
from bench.errors import BenchError
from bench.latencies import summarise
from bench.machine import ROOT, describe_machine
from bench.phases import Bench
from bench.pretix import POLL_SECONDS, START_SECONDS_MAX, Pretix, running_pretix
from bench.stack import data_folder, running_in
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.located import database_url, postgres_sockets, redis_socket

CONFIG: Final = Config.read(ROOT / "ops" / "workers-2.env")
DATABASE: Final = "pretix"
ANSWER_SECONDS_MAX: Final = 60.0
CONCURRENCY_MAX: Final = 200
SECONDS_MAX: Final = 300.0
TURNS_MAX: Final = 20
WARM_UP_SECONDS: Final = 1.0
# What its interface calls an order that is paid.
PAID: Final = "p"

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Client:
    """Asks a pretix; raises `BenchError` for an answer that is none."""

    def __init__(self, pretix: Pretix) -> None:
        self._pretix = pretix

    def create(self) -> str:
        """An order's code."""
        order = {
            "email": "fan@example.org",
            "locale": "en",
            "sales_channel": "web",
            "payment_provider": "manual",
            "positions": [{"item": self._pretix.item}],
        }
        code: str = self._ask("", order)["code"]
        return code

    def confirm(self, code: str) -> None:
        self._ask(f"{code}/payments/1/confirm/", {"send_email": False})

    def purchase(self) -> None:
        code = self.create()
        self.confirm(code)
        if (status := self._ask(f"{code}/")["status"]) != PAID:
            raise BenchError(f"An order that was paid at pretix has the status {status}.")

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - our own process
            self._pretix.orders_url + path,
            None if body is None else json.dumps(body).encode(),
            {"authorization": f"Token {self._pretix.token}", "content-type": "application/json"},
        )
        try:
            with _opener.open(request, timeout=ANSWER_SECONDS_MAX) as response:
                answer: dict[str, Any] = json.load(response)
        except urllib.error.HTTPError as error:
            reason = error.read(500).decode(errors="replace")
            raise BenchError(f"pretix answered {error.code}: {reason}") from None
        except (OSError, ValueError) as error:
            raise BenchError(f"pretix does not answer: {error}.") from None
        return answer


@dataclass(frozen=True, slots=True)
class Measured:
    """What some connections did together."""

    what: str
    done: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        return self.done / self.seconds

    def __str__(self) -> str:
        """A row of a table of Markdown."""
        return f"| {self.what} | {self.rate:,.1f} | {self.p50_ms:,.0f} | {self.p99_ms:,.0f} |"


def closed_loop(
    what: str, act: Callable[[str], object], items: Iterator[str], connections: int, seconds: float
) -> Measured:
    """Each of so many threads acts as soon as it is done, until the time or the items are over."""
    latencies: list[float] = []
    begun = time.monotonic()

    def act_on() -> None:
        for item in items:
            started = time.monotonic()
            act(item)
            latencies.append(time.monotonic() - started)
            if time.monotonic() >= begun + seconds:
                break

    with ThreadPoolExecutor(connections) as pool:
        for running in [pool.submit(act_on) for _ in range(connections)]:
            running.result()
    taken = time.monotonic() - begun
    summary = summarise(latencies)
    return Measured(what, len(latencies), taken, summary.get("p50", 0.0), summary.get("p99", 0.0))


def measure(pretix: Pretix, connections: int, seconds: float) -> Iterator[Measured]:
    """Purchases, then orders that are created only, and payments of these."""
    client = Client(pretix)
    cpu = pretix.cpu_seconds()
    bought = closed_loop("", lambda _: client.purchase(), repeat(""), connections, seconds)
    each_ms = 1e3 * (pretix.cpu_seconds() - cpu) / bought.done
    yield replace(bought, what=f"pretix, purchases ({each_ms:,.0f} ms of its CPU each)")
    codes: list[str] = []
    yield closed_loop(
        "pretix, orders created",
        lambda _: codes.append(client.create()),
        repeat(""),
        connections,
        seconds,
    )
    yield closed_loop("pretix, payments", client.confirm, iter(codes), connections, seconds)


def run(options: argparse.Namespace) -> None:
    """Prints a row for each as soon as it is measured."""
    connections, seconds = options.concurrency, options.seconds
    with data_folder() as data, running_in(data, CONFIG) as ours:
        folder = DataFolder(data)
        sockets = postgres_sockets(folder)
        asyncio.run(create_database(database_url(sockets), DATABASE))
        with running_pretix(options.pretix, DATABASE, sockets, redis_socket(folder), data) as other:
            _wait_for(Client(other))
            bench = Bench(ours, data, connections, seconds)
            bench.purchases(min(seconds, WARM_UP_SECONDS))
            print(f"{describe_machine()}, {connections} connections\n")
            print("| | a second | p50 ms | p99 ms |\n| --- | ---: | ---: | ---: |", flush=True)
            for _ in range(options.turns):
                for measured in measure(other, connections, seconds):
                    print(measured, flush=True)
                figures = bench.purchases(seconds)
                what = "TigerFans, purchases"
                print(
                    Measured(what, figures.ok, figures.seconds, figures.p50_ms, figures.p99_ms),
                    flush=True,
                )


def _wait_for(client: Client) -> None:
    """Until it sells; raises `BenchError`."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            client.purchase()
        except BenchError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(POLL_SECONDS)
        else:
            return


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Purchases at pretix, and at this shop.")
    add = parser.add_argument
    add("--pretix", type=Path, required=True, help="a virtual environment with pretix in it")
    add("--concurrency", type=int, default=20, help="connections; default %(default)s")
    add("--seconds", type=float, default=20.0, help="for each measurement; default %(default)s")
    add("--turns", type=int, default=2, help="how often each; default %(default)s")
    options = parser.parse_args(arguments)
    try:
        for name, most in (
            ("concurrency", CONCURRENCY_MAX),
            ("seconds", SECONDS_MAX),
            ("turns", TURNS_MAX),
        ):
            if not 0 < getattr(options, name) <= most:
                raise BenchError(f"--{name} must be above 0 and up to {most:g}.")
        run(options)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
