"""Many purchases at once: who buys what, in a closed or an open loop.

A closed loop finds the most a shop can do; an open one shows what a given demand feels like.
"""

import asyncio
import itertools
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bench.errors import BenchError
from bench.http_client import Address, Connection
from bench.purchase import POLLING, Buyer, Polling, Record, Requests, Via, Wish

# Purchases of an open loop that are under way or wait for a connection; one more never starts.
UNDER_WAY_MAX: Final = 50_000
NOT_STARTED: Final = "not started"


@dataclass(frozen=True, slots=True)
class Mix:
    """What buyers wish for, as shares of 1; orders are of 1 to `qty_max` tickets, in turn."""

    fail_rate: float = 0.0
    cancel_rate: float = 0.0
    class_ratio: float = 0.5
    qty_max: int = 1

    def wishes(self, seed: int) -> Iterator[Wish]:
        """Endlessly many, the same ones for the same seed."""
        dice = random.Random(seed)
        for number in itertools.count(1):
            cls = "A" if dice.random() < self.class_ratio else "B"
            payment = self._payment(dice.random())
            qty = (number - 1) % self.qty_max + 1
            yield Wish(cls, f"buyer-{number}@example.org", payment, qty)

    def _payment(self, thrown: float) -> str:
        if thrown < self.fail_rate:
            return "failed"
        return "canceled" if thrown < self.fail_rate + self.cancel_rate else "succeeded"


@dataclass(frozen=True, slots=True)
class Load:
    """How much of it: until `total` purchases have started or `seconds` have passed."""

    concurrency: int
    total: int
    seconds: float
    # Purchases a second in an open loop; None for a closed one.
    rate: float | None = None

    @property
    def total_max(self) -> int:
        """How many purchases start at most; in an open loop those with number / rate < seconds.

        No clock has a say in it: a moment since the machine's start is rounded more coarsely than
        the share of a second that lies between two purchases.
        """
        if self.rate is None:
            return self.total
        started = math.ceil(self.rate * self.seconds)
        # The product may be rounded up.
        started -= (started - 1) / self.rate >= self.seconds
        return min(self.total, started)


class LoadClient:
    """Runs one load; `record` holds what came of it, also when it was stopped."""

    def __init__(
        self,
        address: Address,
        load: Load,
        mix: Mix,
        via: Via,
        secret: str,
        polling: Polling = POLLING,
        record: Record | None = None,
    ) -> None:
        self.record = record or Record()
        # How long it took, and what this process used for it.
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self._address = address
        self._load = load
        self._requests = Requests(address, secret)
        self._via = via
        self._mix = mix
        self._polling = polling

    async def run(self, seed: int) -> None:
        """Raises `BenchError` where there is no shop."""
        await self._check()
        wishes = itertools.islice(self._mix.wishes(seed), self._load.total_max)
        started, cpu_started = time.perf_counter(), time.process_time()
        try:
            if self._load.rate is None:
                await self._closed_loop(wishes)
            else:
                await self._open_loop(wishes, self._load.rate)
        finally:
            self.seconds = time.perf_counter() - started
            self.cpu_seconds = time.process_time() - cpu_started

    async def _check(self) -> None:
        try:
            connection = await Connection.open(self._address)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise BenchError(f"No shop answers at http://{self._address}: {reason}.") from None
        connection.close()

    def _buyer(self) -> Buyer:
        return Buyer(self._address, self._requests, self._via, self.record, self._polling)

    async def _closed_loop(self, wishes: Iterator[Wish]) -> None:
        """Each buyer starts the next purchase when the last one has come to its end."""
        deadline = time.perf_counter() + self._load.seconds

        async def buy_on(buyer: Buyer) -> None:
            for wish in wishes:
                await buyer.buy(wish)
                if time.perf_counter() >= deadline:
                    break
            buyer.close()

        async with asyncio.TaskGroup() as tasks:
            for number in range(self._load.concurrency):
                tasks.create_task(buy_on(self._buyer()), name=f"buyer {number}")

    async def _open_loop(self, wishes: Iterator[Wish], rate: float) -> None:
        """Purchase n starts at second n / rate, whatever became of those before it."""
        idle = asyncio.LifoQueue[Buyer]()
        for _ in range(self._load.concurrency):
            idle.put_nowait(self._buyer())
        under_way: set[asyncio.Task[None]] = set()

        async def buy(wish: Wish, intended: float) -> None:
            buyer = await idle.get()
            await buyer.buy(wish, intended)
            idle.put_nowait(buyer)

        started = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number, wish in enumerate(wishes):
                intended = started + number / rate
                # Also where it is late already: the others get their turn.
                await asyncio.sleep(max(0.0, intended - time.perf_counter()))
                if len(under_way) >= UNDER_WAY_MAX:
                    self.record.count(NOT_STARTED, wish)
                    continue
                task = tasks.create_task(buy(wish, intended), name=f"purchase {number}")
                under_way.add(task)
                task.add_done_callback(under_way.discard)
        while not idle.empty():
            idle.get_nowait().close()
