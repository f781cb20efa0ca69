"""One buyer alone, and nothing else going on: how long each step takes, as so many round trips.

    python -m bench.alone                            this shop, on TigerBeetle
    python -m bench.alone --embedded                 on the embedded ledger
    python -m bench.alone --before ../tigerfans-0.4.0    another checkout's shop beside it, in turn

What a step takes at least is what the ledger takes to write, twice for a purchase. So beside each
step stands its unit, measured in the same turn: a bare transfer through the sequencer's socket. The
parts that a step is made of are measured bare, too: a transfer by TigerBeetle's own client, a read
from Redis, a durable row in PostgreSQL, a request that asks no store. What is left of a step is
what its process does, and what it waits for without need.

A checkout that is compared has to have its own `.venv`.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import asyncpg
import orjson
import uvloop
from redis.asyncio import Redis

from bench.cluster import find_binary, running_cluster
from bench.config import Config
from bench.errors import BenchError
from bench.http_client import Address, Connection, Response
from bench.machine import ROOT
from bench.purchase import Requests, Wish
from bench.stack import running
from tigerfans.ipc.client import SequencerClient
from tigerfans.ledger.base import Submit
from tigerfans.ledger.tigerbeetle_client import TigerBeetleClient
from tigerfans.ledger.wire import Account, Operation, Transfer, TransferFlags
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.located import (
    database_url,
    located,
    postgres_sockets,
    redis_socket,
    redis_url,
)
from tigerfans.settings.settings import DEFAULT_WEBHOOK_SECRET, Settings
from tigerfans.stores.redis_connection import RedisConnection

CONFIG: Final = ROOT / "ops" / "workers-2.env"
TURNS_MAX: Final = 10_000
# Of the first ones nothing counts: everything is cold.
WARM_UP_TURNS: Final = 20
# The kernel picks a worker for each connection: each gets its share of the turns.
TURNS_OF_A_CONNECTION: Final = 10
HOLD_SECONDS: Final = 300
DEADLINE_SECONDS: Final = 5.0

NOW: Final = "now"
BEFORE: Final = "before"

UNIT: Final = "ledger, through the sequencer"
CLIENT: Final = "ledger, TigerBeetle's own client"
HTTP: Final = "HTTP, no store asked"
REDIS: Final = "Redis, a read"
POSTGRESQL: Final = "PostgreSQL, a row"
CHECKOUT: Final = "checkout"
WEBHOOK: Final = "payment (webhook)"
STATUS: Final = "status"
BROWSER: Final = "purchase, the browser's way"
BUTTON: Final = "of it MockPay's button"
PAGE: Final = "of it the page behind"

# What a step asks, each once.
MADE_OF: Final[Mapping[str, Sequence[str]]] = {
    CHECKOUT: (HTTP, UNIT, REDIS),
    WEBHOOK: (HTTP, UNIT, REDIS, POSTGRESQL),
    STATUS: (HTTP, REDIS),
}

# Starts a shop of the checkout it runs in: that one's own code, told where it is.
_SERVE: Final = """
import json, sys
from bench.config import Config
from bench.stack import running
name, variables, workers, embedded = json.loads(sys.stdin.readline())
with running(Config(name, variables, workers), embedded=embedded) as stack:
    print(json.dumps({"url": stack.url, "data": str(stack.data)}), flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class Version:
    """A shop that runs; `cluster` is the address of its own TigerBeetle, None without."""

    name: str
    url: str
    data: Path
    cluster: tuple[str, int] | None


@dataclass
class Times:
    """Of one version, in seconds, by what was measured: a figure for each turn."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, what: str, seconds: float) -> None:
        self.seconds.setdefault(what, []).append(seconds)


class Bare:
    """Transfers on accounts of their own, one at a time, over one way to the ledger."""

    def __init__(self, submit: Submit) -> None:
        self._submit = submit
        ledger = 1 + secrets.randbits(31)
        self._ids = [1 + secrets.randbits(120) for _ in range(2)]
        self._accounts = [Account(id=id_, ledger=ledger, code=1) for id_ in self._ids]
        self._ledger = ledger

    async def open(self) -> None:
        records = b"".join(account.pack() for account in self._accounts)
        await self._submit(Operation.CREATE_ACCOUNTS, records)

    async def transfer(self) -> None:
        """A hold, as a checkout places it."""
        debit_id, credit_id = self._ids
        transfer = Transfer(
            id=secrets.randbits(127),
            debit_account_id=debit_id,
            credit_account_id=credit_id,
            amount=1,
            ledger=self._ledger,
            code=1,
            flags=TransferFlags.PENDING,
            timeout=HOLD_SECONDS,
        )
        await self._submit(Operation.CREATE_TRANSFERS, transfer.pack())


class Buyer:
    """Measures one version: turn by turn each part and each step, one after the other."""

    def __init__(self, version: Version) -> None:
        self.times = Times()
        self._version = version
        self._address = Address.parse(version.url)
        self._requests = Requests(self._address, DEFAULT_WEBHOOK_SECRET)
        self._parts: dict[str, Callable[[], Awaitable[object]]] = {}
        self._connection: Connection | None = None
        self._turns = 0

    async def open(self, exits: AsyncExitStack) -> None:
        """Connects to each part of the shop."""
        folder = DataFolder(self._version.data)
        settings = located(Settings(), folder)
        sequencer = await SequencerClient.connect(settings.sequencer.socket, name="alone")
        exits.push_async_callback(sequencer.close)
        if self._version.cluster is not None:
            client = TigerBeetleClient(*self._version.cluster)
            exits.push_async_callback(client.close)
            bare = Bare(lambda op, records: client.submit(op, records, DEADLINE_SECONDS))
            await bare.open()
            self._parts[CLIENT] = bare.transfer
        through = Bare(sequencer.submit)
        await through.open()
        self._parts[UNIT] = through.transfer
        redis = Redis.from_url(redis_url(redis_socket(folder)))
        exits.push_async_callback(redis.aclose)
        kept = RedisConnection(redis)
        exits.push_async_callback(kept.close)
        self._parts[REDIS] = lambda: kept.execute("MGET", "nothing")
        postgresql = await asyncpg.connect(database_url(postgres_sockets(folder)))
        exits.push_async_callback(postgresql.close)
        await postgresql.execute("CREATE TABLE alone (id uuid PRIMARY KEY, email text)")
        insert = "INSERT INTO alone VALUES (gen_random_uuid(), 'fan@example.org') RETURNING id"
        self._parts[POSTGRESQL] = lambda: postgresql.fetch(insert)

    async def turn(self) -> None:
        if self._turns % TURNS_OF_A_CONNECTION == 0:
            self.close()
            self._connection = await Connection.open(self._address)
        self._turns += 1
        for what, measured in self._parts.items():
            await self._timed(what, measured())
        wish = Wish("A", f"buyer-{self._turns}@example.org", "succeeded")
        order = await self._timed(CHECKOUT, self._ask(self._requests.checkout(wish)))
        body = orjson.loads(order.body)
        await self._timed(WEBHOOK, self._ask(self._requests.webhook(body, wish)))
        await self._timed(STATUS, self._status(body["order_id"]))
        # Here, where the worker is as warm as it was for the others.
        await self._timed(HTTP, self._ask(self._requests.get("/api/orders/none"), 404))
        await self._timed(BROWSER, self._buy_as_browser(wish))

    def forget(self) -> None:
        """What was measured so far does not count."""
        self.times = Times()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    async def _buy_as_browser(self, wish: Wish) -> None:
        order = orjson.loads((await self._ask(self._requests.checkout(wish))).body)
        button = self._requests.press_button(order["redirect_url"], wish.payment)
        pressed = await self._timed(BUTTON, self._ask(button, 303))
        page = self._requests.get(pressed.header("location") or "/")
        await self._timed(PAGE, self._ask(page))
        await self._status(order["order_id"])

    async def _status(self, order_id: str) -> None:
        answer = await self._ask(self._requests.get(f"/api/orders/{order_id}"))
        if (status := orjson.loads(answer.body)["status"]) != "PAID":
            raise BenchError(f"The order is {status} once its payment was confirmed.")

    async def _ask(self, request: bytes, expected: int = 200) -> Response:
        if self._connection is None or not self._connection.is_open:
            self._connection = await Connection.open(self._address)
        answer = await self._connection.request(request)
        if answer.status != expected:
            raise BenchError(f"The shop answered {answer.status}: {answer.body.decode()[:200]}")
        return answer

    async def _timed(self, what: str, work: Awaitable[Any]) -> Any:
        started = time.perf_counter()
        result = await work
        self.times.add(what, time.perf_counter() - started)
        return result


async def measure(versions: Sequence[Version], turns: int) -> dict[str, Times]:
    async with AsyncExitStack() as exits:
        buyers = [Buyer(version) for version in versions]
        for buyer in buyers:
            await buyer.open(exits)
            exits.callback(buyer.close)
        for turn in range(WARM_UP_TURNS + turns):
            if turn == WARM_UP_TURNS:
                for buyer in buyers:
                    buyer.forget()
            # The other way round every other time, for what one leaves to the next.
            for buyer in buyers if turn % 2 == 0 else buyers[::-1]:
                await buyer.turn()
        return {v.name: buyer.times for v, buyer in zip(versions, buyers, strict=True)}


def describe(measured: Mapping[str, Times]) -> list[str]:
    """What it came to, as Markdown."""
    now = measured[NOW].seconds
    before = measured[BEFORE].seconds if BEFORE in measured else None
    heads = ["", "µs", "quartiles", "round trips"]
    if before:
        heads += ["before, µs", "now / before", "quartiles"]
    lines = [f"| {' | '.join(heads)} |", f"| --- |{' ---: |' * (len(heads) - 1)}"]
    for what, seconds in now.items():
        cells = [what, f"{median(seconds) * 1e6:,.0f}", _quartiles(seconds, 1e6, ",.0f")]
        trips = [step / unit for step, unit in zip(seconds, now[UNIT], strict=True)]
        cells.append(f"{median(trips):.2f}")
        if before:
            ratios = [a / b for a, b in zip(seconds, before[what], strict=True)]
            cells.append(f"{median(before[what]) * 1e6:,.0f}")
            cells += [f"{median(ratios):.2f}", _quartiles(ratios, 1, ".2f")]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", "Of a step's median, in µs:", "", *_breakdown(now)]


def _breakdown(now: Mapping[str, Sequence[float]]) -> list[str]:
    us = {what: median(seconds) * 1e6 for what, seconds in now.items()}
    # The embedded ledger is part of the sequencer.
    ledger_us = us.get(CLIENT, us[UNIT])
    lines = [
        "| | whole | ledger | sequencer | HTTP | Redis | PostgreSQL | the rest |",
        f"| --- |{' ---: |' * 7}",
    ]
    for what, parts in MADE_OF.items():
        asks_ledger = UNIT in parts
        figures = [
            us[what],
            ledger_us if asks_ledger else None,
            us[UNIT] - ledger_us if asks_ledger else None,
            *(us[part] if part in parts else None for part in (HTTP, REDIS, POSTGRESQL)),
            us[what] - sum(us[part] for part in parts),
        ]
        cells = ["" if figure is None else f"{figure:,.0f}" for figure in figures]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return lines


def _quartiles(figures: Sequence[float], factor: float, form: str) -> str:
    if len(figures) < 2:
        return "-"
    low, _, high = quantiles(figures, n=4)
    return f"{low * factor:{form}} to {high * factor:{form}}"


@contextmanager
def running_version(
    name: str, checkout: Path | None, config: Config, binary: Path | None
) -> Iterator[Version]:
    """A shop of this checkout or another one, on a ledger of its own; embedded without `binary`."""
    with ExitStack() as stack:
        variables, cluster = dict(config.variables), None
        if binary is not None:
            url = stack.enter_context(running_cluster(binary, 1)).url
            variables["TIGERFANS_LEDGER"] = url
            address, _, cluster_id = url.removeprefix("tigerbeetle://").partition("/")
            cluster = address, int(cluster_id)
        asked = Config(config.name, variables, config.workers)
        if checkout is None:
            shop = stack.enter_context(running(asked, embedded=binary is None))
            yield Version(name, shop.url, shop.data, cluster)
        else:
            told = stack.enter_context(_serving(checkout, asked, embedded=binary is None))
            yield Version(name, told["url"], Path(told["data"]), cluster)


@contextmanager
def _serving(checkout: Path, config: Config, *, embedded: bool) -> Iterator[dict[str, Any]]:
    python = checkout / ".venv" / "bin" / "python"
    if not python.exists():
        raise BenchError(f"{checkout} has no .venv.")
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [python, "-c", _SERVE], cwd=checkout, stdin=pipe, stdout=pipe, text=True
    ) as process:
        # Both ends of a pipe were asked for.
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        asked = [config.name, dict(config.variables), config.workers, embedded]
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        told = process.stdout.readline()
        if not told:
            raise BenchError(f"The shop of {checkout} does not start.")
        yield json.loads(told)
        process.stdin.close()


def run(options: argparse.Namespace) -> None:
    config = Config.read(options.config)
    binary = None if options.embedded else find_binary(os.environ, ROOT)
    with ExitStack() as stack:
        versions = [stack.enter_context(running_version(NOW, None, config, binary))]
        if options.before:
            before = running_version(BEFORE, options.before.resolve(), config, binary)
            versions.append(stack.enter_context(before))
        measured = uvloop.run(measure(versions, options.turns))
    kind = "embedded" if options.embedded else "tigerbeetle"
    print(f"One buyer alone, {options.turns} turns, {config.workers} workers, {kind} ledger\n")
    print("\n".join(describe(measured)))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="One buyer alone.")
    add = parser.add_argument
    add("--turns", type=int, default=400, help="of each step (%(default)s)")
    add("--embedded", action="store_true", help="on the embedded ledger")
    add("--before", type=Path, help="another checkout, to be measured beside this one")
    add("--config", type=Path, default=CONFIG, help="a file of settings")
    options = parser.parse_args(arguments)
    if not 0 < options.turns <= TURNS_MAX:
        parser.error(f"--turns takes 1 to {TURNS_MAX:,}.")
    try:
        run(options)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
