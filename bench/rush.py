"""The rush itself: far more buyers than tickets, within seconds, and most of them are refused.

    python -m bench.rush                                   20,000 buyers, 2,000 tickets, 10 s
    python -m bench.rush --visits 3 --canceled 0.3 --hold-seconds 6
    python -m bench.rush --embedded --buyers 5000 --tickets 500 --seconds 4

Buyers come by the clock, each over a connection of its own that stays open as a browser's does.
Where this process may not have so many, those are closed first that were refused first. Each sends
an Idempotency-Key, as the page does, and its latency counts from the moment it was meant to come,
the connection included. Who is refused while all are on hold comes again with the same key, with
`--visits`, when the shop said and as spread out as the page is (`jittered`).

Of those who hold a ticket, a share gives it back after some seconds (`--canceled`), and the others
let it run out where holds are short (`--hold-seconds`). What comes back is offered again to whoever
comes next, and how long that took counts from the moment the shop said that it was given back, or
its hold ended. When nobody comes any more, who still holds a ticket pays for it.

CPU is each process's own, for each hold until the last ticket is held, for each answer after that
until nobody comes any more, and for each payment after that. All of it shares this machine.
"""

import argparse
import asyncio
import random
import resource
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import orjson
import uvloop

from bench.config import Config
from bench.errors import BenchError
from bench.http_client import CONNECT_SECONDS_MAX, Address, Connection, HttpError, Response
from bench.latencies import summarise
from bench.measurement import CLIENT, WORKER, WORKERS
from bench.purchase import ON_HOLD, SOLD_OUT, Requests, Wish
from bench.stack import Stack, running
from tigerfans.settings.settings import DEFAULT_WEBHOOK_SECRET

BUYERS_MAX: Final = 28_000
SECONDS_MAX: Final = 600.0
VISITS_MAX: Final = 30
RUN_SECONDS_MAX: Final = 900.0
# Of what a process may have open, for all but buyers' connections.
FILES_SPARE: Final = 500
DECIDING_SECONDS: Final = (1.0, 3.0)
# As the page's scripts do (`api.js`).
JITTER: Final = (0.8, 1.2)
PAYING_AT_ONCE: Final = 60
HELD: Final = "held"
# How an answer reads whose state is told by its name.
STATES: Final = {b'"on_hold"': ON_HOLD, b'"sold_out"': SOLD_OUT}


class Answer(NamedTuple):
    """One answer to a checkout; both moments are of `time.perf_counter`."""

    intended: float
    answered: float
    outcome: str


class Crowd:
    """How many connections are open, and how many were at most."""

    def __init__(self) -> None:
        self.open = 0
        self.open_max = 0

    def came(self) -> None:
        self.open += 1
        self.open_max = max(self.open_max, self.open)

    def went(self) -> None:
        self.open -= 1


class CountedConnection(Connection):
    """A connection of one of the crowd's."""

    def __init__(self, crowd: Crowd) -> None:
        super().__init__()
        self._crowd = crowd

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._crowd.came()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._crowd.went()


class Held(NamedTuple):
    """A ticket on hold, and the connection of who holds it."""

    order: dict[str, object]
    wish: Wish
    connection: Connection


class Rush:
    """The buyers of one run, and what they met."""

    def __init__(self, shop: Address, secret: str, options: argparse.Namespace) -> None:
        self.answers: list[Answer] = []
        self.connect_seconds = array("d")
        self.crowd = Crowd()
        # When a ticket came back, and when one was held, after all had been.
        self.given_back: list[float] = []
        self.held: list[float] = []
        self.all_held = asyncio.Event()
        self.unpaid: list[Held] = []
        self.paid_seconds = array("d")
        self.not_paid = 0
        self._shop = shop
        self._requests = Requests(shop, secret)
        self._options = options
        self._dice = random.Random(options.seed)
        self._connections_max = files_max() - FILES_SPARE
        # Of those who were refused and come no more.
        self._idle: deque[Connection] = deque()

    async def come(self) -> None:
        """All buyers, by the clock, until each has what is to be had for it."""
        options, began = self._options, time.perf_counter()
        moments = sorted(self._dice.uniform(0, options.seconds) for _ in range(options.buyers))
        async with asyncio.TaskGroup() as group:
            for number, moment in enumerate(moments):
                intended = began + moment
                # Also where it is late already: the others get their turn.
                await asyncio.sleep(max(0.0, intended - time.perf_counter()))
                group.create_task(self._buyer(number, intended))

    async def pay(self) -> None:
        """Who holds a ticket pays for it, so many at a time."""
        left = iter(self.unpaid)

        async def pay_on() -> None:
            for order, wish, connection in left:
                started = time.perf_counter()
                if await self._tell(order, wish, connection):
                    self.paid_seconds.append(time.perf_counter() - started)
                else:
                    self.not_paid += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(PAYING_AT_ONCE):
                group.create_task(pay_on())

    def close(self) -> None:
        for connection in (*self._idle, *(held.connection for held in self.unpaid)):
            connection.close()

    async def _buyer(self, number: int, intended: float) -> None:
        wish = Wish("A", f"buyer-{number}@example.org", "succeeded")
        request = self._requests.checkout(wish)
        connection = None
        for visit in range(self._options.visits):
            try:
                if connection is None or not connection.is_open:
                    connection = await self._connect()
                response = await connection.request(request)
            except (HttpError, OSError) as error:
                self._note(intended, f"error: {str(error) or type(error).__name__}")
                return
            outcome = outcome_of(response)
            self._note(intended, outcome)
            if outcome == HELD:
                await self._hold(Held(orjson.loads(response.body), wish, connection))
                return
            wait = response.header("retry-after")
            if wait is None or visit + 1 == self._options.visits:
                self._idle.append(connection)
                return
            await asyncio.sleep(float(wait) * self._dice.uniform(*JITTER))
            intended = time.perf_counter()

    def _note(self, intended: float, outcome: str) -> None:
        now = time.perf_counter()
        self.answers.append(Answer(intended, now, outcome))
        if outcome == HELD:
            self.held.append(now)
            if len(self.held) == self._options.tickets:
                self.all_held.set()

    async def _hold(self, held: Held) -> None:
        """What becomes of a ticket while others come."""
        if self._dice.random() < self._options.canceled:
            await asyncio.sleep(self._dice.uniform(*DECIDING_SECONDS))
            wish = held.wish
            await self._tell(held.order, Wish(wish.cls, wish.email, "canceled"), held.connection)
            self.given_back.append(time.perf_counter())
            return
        self.unpaid.append(held)
        self.given_back.append(time.perf_counter() + self._options.hold_seconds)

    async def _tell(self, order: dict[str, object], wish: Wish, connection: Connection) -> bool:
        """The provider's webhook, by whichever connection."""
        request = self._requests.webhook(order, wish)
        try:
            if connection.is_open:
                with suppress(HttpError):  # It was hung up on meanwhile.
                    return (await connection.request(request)).status == 200
            connection = await self._connect()
            self._idle.append(connection)
            return (await connection.request(request)).status == 200
        except (HttpError, OSError):
            return False

    async def _connect(self) -> Connection:
        while self.crowd.open >= self._connections_max and self._idle:
            self._idle.popleft().close()
        started = time.perf_counter()
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: CountedConnection(self.crowd), *self._shop
            )
        self.connect_seconds.append(time.perf_counter() - started)
        return connection


def outcome_of(response: Response) -> str:
    if response.status == 200:
        return HELD
    if response.status == 409:
        for state, outcome in STATES.items():
            if state in response.body:
                return outcome
    return f"error: {response.status}"


def offered_again(given_back: Sequence[float], held: Sequence[float], tickets: int) -> list[float]:
    """How long each ticket that came back waited until somebody held it, in seconds.

    The first that came back is the first that is held after all `tickets` were.
    """
    again = sorted(held)[tickets:]
    return [max(0.0, h - b) for b, h in zip(sorted(given_back), again, strict=False)]


class Spent(NamedTuple):
    """What the processes had used at a moment."""

    at: float
    cpu_seconds: Mapping[str, float]


def spend(stack: Stack) -> Spent:
    """By kind of process, all workers together."""
    kinds = {CLIENT: time.process_time(), WORKERS: 0.0}
    for name, seconds in stack.cpu_seconds().items():
        kind = WORKERS if name.startswith(WORKER) else name
        kinds[kind] = kinds.get(kind, 0.0) + seconds
    return Spent(time.perf_counter(), kinds)


def cpu_us(before: Spent, after: Spent, count: int) -> dict[str, float]:
    """CPU µs for each of `count`."""
    return {
        kind: (seconds - before.cpu_seconds[kind]) / max(1, count) * 1e6
        for kind, seconds in after.cpu_seconds.items()
    }


async def measure(stack: Stack, options: argparse.Namespace) -> list[str]:
    """Runs the rush; the lines of its report."""
    rush = Rush(Address.parse(stack.url), DEFAULT_WEBHOOK_SECRET, options)

    async def when_all_held() -> Spent:
        await rush.all_held.wait()
        return await asyncio.to_thread(spend, stack)

    first = spend(stack)
    filling = asyncio.create_task(when_all_held(), name="until all are held")
    try:
        async with asyncio.timeout(RUN_SECONDS_MAX):
            await rush.come()
            came = spend(stack)
            if not rush.all_held.is_set():
                raise BenchError(f"Not all tickets were held: {len(rush.held):,}.")
            full = await filling
            await rush.pay()
            paid = spend(stack)
    finally:
        filling.cancel()
        rush.close()
    return list(_report(options, rush, (first, full, came, paid)))


def _report(
    options: argparse.Namespace, rush: Rush, spent: tuple[Spent, Spent, Spent, Spent]
) -> Iterator[str]:
    first, full, came, paid = spent
    outcomes = Counter(answer.outcome for answer in rush.answers)
    last_held = sorted(rush.held)[options.tickets - 1]
    seconds = max(answer.answered for answer in rush.answers) - first.at
    yield (
        f"{options.buyers:,} buyers within {options.seconds:g} s for {options.tickets:,} tickets,"
        f" {options.workers} workers; {len(rush.answers):,} answers in {seconds:.1f} s:"
        f" {len(rush.answers) / seconds:,.0f} a second"
    )
    yield f"answers: {', '.join(f'{n:,} {outcome}' for outcome, n in outcomes.most_common())}"
    yield f"last ticket held after {last_held - first.at:.2f} s"
    yield f"open connections at most: {rush.crowd.open_max:,}"
    yield _latencies("to connect", rush.connect_seconds)
    held = [a.answered - a.intended for a in rush.answers if a.outcome == HELD]
    refused = [a.answered - a.intended for a in rush.answers if a.outcome in STATES.values()]
    yield _latencies("a hold", held)
    yield _latencies("a refusal", refused)
    yield _latencies("a payment", rush.paid_seconds)
    again = offered_again(rush.given_back, rush.held, options.tickets)
    yield f"{_latencies('held again', again)}, {len(again):,} of them"
    holds = sum(a.answered <= full.at for a in rush.answers)
    yield _cpu("until all were held", first, full, holds)
    yield _cpu("until nobody came", full, came, len(rush.answers) - holds)
    yield _cpu("a payment", came, paid, len(rush.paid_seconds))
    if rush.not_paid:
        yield f"not paid: {rush.not_paid:,}"


def _latencies(name: str, seconds: Sequence[float]) -> str:
    figures = (f"{percent} {ms:.1f}" for percent, ms in summarise(seconds).items())
    return f"{name}, ms: {' '.join(figures) or 'none'}"


def _cpu(name: str, before: Spent, after: Spent, count: int) -> str:
    figures = " ".join(f"{kind} {us:.0f}" for kind, us in cpu_us(before, after, count).items())
    return f"CPU µs, {name}, for each of {count:,}: {figures}"


def files_max() -> int:
    """How many files this process may have open, and each it starts: as many as they can get."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Far more buyers than tickets.")
    add = parser.add_argument
    add("--buyers", type=int, default=20_000, help="how many (%(default)s)")
    add("--tickets", type=int, default=2_000, help="how many they want (%(default)s)")
    add("--seconds", type=float, default=10.0, help="within which they come (%(default)g)")
    add("--workers", type=int, default=2, help="of the shop (%(default)s)")
    add("--visits", type=int, default=1, help="how often each comes at most (%(default)s)")
    add("--canceled", type=float, default=0.0, help="share of the held that is given back")
    add("--hold-seconds", type=int, default=300, help="how long a ticket is held (%(default)s)")
    add("--config", type=Path, help="a file of settings, such as ops/workers-2.env")
    add("--embedded", action="store_true", help="on the embedded ledger")
    add("--seed", type=int, default=0, help="of the buyers' dice (%(default)s)")
    options = parser.parse_args(arguments)
    for name, most in (
        ("buyers", BUYERS_MAX),
        ("tickets", options.buyers),
        ("seconds", SECONDS_MAX),
        ("visits", VISITS_MAX),
    ):
        if not 0 < getattr(options, name) <= most:
            parser.error(f"--{name} must be above 0 and up to {most:,}.")
    if not 0 <= options.canceled <= 1:
        parser.error("--canceled is a share, from 0 to 1.")
    try:
        files_max()
        with running(_config(options), embedded=options.embedded) as stack:
            lines = uvloop.run(measure(stack, options))
    except (BenchError, TimeoutError) as error:
        print(str(error) or f"Not all had ended after {RUN_SECONDS_MAX:.0f} s.", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


def _config(options: argparse.Namespace) -> Config:
    variables = dict(Config.read(options.config).variables) if options.config else {}
    variables |= {
        "TIGERFANS_WORKERS": str(options.workers),
        "TIGERFANS_TICKETS_A": str(options.tickets),
        "TIGERFANS_HOLD_SECONDS": str(options.hold_seconds),
    }
    return Config("rush", variables, options.workers)


if __name__ == "__main__":
    sys.exit(main())
