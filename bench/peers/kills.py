"""What is lost and what is sold twice when a part of a shop is killed while it sells.

Buyers send what was not answered again, with the same key, and so does the payment provider, as any
does: until it has a 200. Some payments fail, and some buyers go away. Kills come while they buy;
then they buy all that is left and comes back, and the books are read:

    oversold     more orders are paid than there are tickets
    lost         an order whose webhook had the answer 200, PAID, and that is not paid
    never back   tickets that nobody has, and nobody gets any more
    to refund    paid, and no ticket was left: an order that the shop has owned up to
"""

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import psutil

from bench.errors import BenchError
from bench.http_client import Address, Connection, HttpError, Response
from bench.peers.shops import POWER, Contender, Demand, Shop, kill, lose_power
from bench.purchase import Requests, Wish
from bench.stack import StackError
from tigerfans.settings.settings import DEFAULT_WEBHOOK_SECRET

BUYERS: Final = 60
CLS: Final = "A"
HOLD_SECONDS: Final = 5
# Before the first kill, and between the first sale after one and the next.
PAUSE_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 0.1
UNDER_WAY_SECONDS: Final = 0.3
ANSWER_SECONDS_MAX: Final = 10.0
# A buyer looks at the page so long, on average, before the next purchase.
THINK_SECONDS: Final = 0.3
FAILED_SHARE, ABANDONED_SHARE = 0.1, 0.1
# After the last sale and the last trouble: what was on hold has come back long before.
QUIET_SECONDS: Final = 2.5 * HOLD_SECONDS
RUN_SECONDS_MAX: Final = 180.0


@dataclass(slots=True)
class Books:
    """What buyers and provider were told, and what the shop says in the end."""

    tickets: int
    # What webhooks of payments were answered with 200, by order.
    told: dict[str, str] = field(default_factory=dict)
    # All orders that were ever placed.
    orders: set[str] = field(default_factory=set)
    statuses: dict[str, str] = field(default_factory=dict)
    last_sale: float = field(default_factory=time.monotonic)
    # When something was not answered, or by a shop in trouble.
    last_trouble: float = 0.0
    # The longest time without a sale while kills went on; later, sales wait for holds to end.
    pause_seconds: float = 0.0
    is_watched: bool = True

    def sold(self, order_id: str, status: str) -> None:
        now = time.monotonic()
        if status == "PAID" and order_id not in self.told:
            if self.is_watched:
                self.pause_seconds = max(self.pause_seconds, now - self.last_sale)
            self.last_sale = now
        self.told[order_id] = status

    @property
    def quiet_at(self) -> float:
        """When nothing more is to be expected of the shop."""
        return max(self.last_sale, self.last_trouble) + QUIET_SECONDS

    @property
    def paid(self) -> int:
        return sum(status == "PAID" for status in self.statuses.values())

    @property
    def oversold(self) -> int:
        return max(0, self.paid - self.tickets)

    @property
    def never_back(self) -> int:
        return max(0, self.tickets - self.paid)

    @property
    def lost(self) -> int:
        told = (order_id for order_id, status in self.told.items() if status == "PAID")
        return sum(self.statuses.get(order_id) != "PAID" for order_id in told)

    @property
    def to_refund(self) -> int:
        return sum(status == "PAID_UNFULFILLED" for status in self.statuses.values())


class Buyer:
    """Buys one ticket after the other, and takes no silence for an answer."""

    def __init__(self, number: int, address: Address, books: Books) -> None:
        self._address = address
        self._requests = Requests(address, DEFAULT_WEBHOOK_SECRET)
        self._books = books
        self._dice = random.Random(number)
        self._wish = Wish(CLS, f"buyer-{number}@example.org", "succeeded")
        self._connection: Connection | None = None

    async def buy_on(self) -> None:
        """For ever; until it is cancelled."""
        try:
            while True:
                await asyncio.sleep(self._dice.uniform(0, 2 * THINK_SECONDS))
                await self._buy()
        finally:
            self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    async def _buy(self) -> None:
        answer = await self.ask(self._requests.checkout(self._wish))
        if answer.status != 200:
            return
        order: dict[str, Any] = orjson.loads(answer.body)
        order_id = order["order_id"]
        self._books.orders.add(order_id)
        thrown = self._dice.random()
        if thrown < ABANDONED_SHARE:
            return
        is_failed = thrown < ABANDONED_SHARE + FAILED_SHARE
        wish = Wish(CLS, self._wish.email, "failed" if is_failed else "succeeded")
        paid = await self.ask(self._requests.webhook(order, wish))
        if paid.status == 200 and not is_failed:
            self._books.sold(order_id, orjson.loads(paid.body)["order_status"])

    async def status(self, order_id: str) -> None:
        answer = await self.ask(self._requests.get(f"/api/orders/{order_id}"))
        self._books.statuses[order_id] = orjson.loads(answer.body).get("status", "UNKNOWN")

    async def ask(self, request: bytes) -> Response:
        """The answer, however often it has to be asked for: the very same request each time."""
        while True:
            with suppress(HttpError, OSError, TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    if self._connection is None or not self._connection.is_open:
                        self._connection = await Connection.open(self._address)
                    answer = await self._connection.request(request)
                    if answer.status < 500:
                        return answer
            self._books.last_trouble = time.monotonic()
            await asyncio.sleep(RETRY_SECONDS)


async def kill_under_load(contender: Contender, part: str, tickets: int, kills: int) -> Books:
    """Kills a part of a shop so often while it sells; raises `BenchError` where it does not end."""
    books = Books(tickets)
    try:
        async with (
            asyncio.timeout(RUN_SECONDS_MAX),
            contender.start(Demand(tickets, HOLD_SECONDS)) as shop,
        ):
            address = Address.parse(shop.url)
            buyers = [Buyer(number, address, books) for number in range(BUYERS)]
            books.last_sale = time.monotonic()
            buying = [asyncio.create_task(b.buy_on(), name="buyer") for b in buyers]
            try:
                for _ in range(kills):
                    await asyncio.sleep(PAUSE_SECONDS)
                    await _kill(shop, part)
                    await _sells_again(books)
                books.is_watched = False
                while (left := books.quiet_at - time.monotonic()) > 0:  # noqa: ASYNC110
                    await asyncio.sleep(left)
            finally:
                for task in buying:
                    task.cancel()
                await asyncio.wait(buying)
            await _read(buyers, books)
    except TimeoutError:
        killed = f"{contender.name}, {part}"
        raise BenchError(f"{killed}: not over within {RUN_SECONDS_MAX:.0f} s.") from None
    return books


async def _kill(shop: Shop, part: str) -> None:
    while True:
        # What is just being started again cannot be killed yet.
        with suppress(StackError, psutil.NoSuchProcess, ProcessLookupError):
            if part == POWER:
                return await lose_power(shop)
            return kill(shop, part)
        await asyncio.sleep(RETRY_SECONDS)


async def _sells_again(books: Books) -> None:
    """Waits for the next sale, or until it is clear that there will be none."""
    # Answers that were on their way are none.
    killed = time.monotonic() + UNDER_WAY_SECONDS
    while books.last_sale < killed and time.monotonic() < books.quiet_at:  # noqa: ASYNC110
        await asyncio.sleep(RETRY_SECONDS)


async def _read(buyers: list[Buyer], books: Books) -> None:
    """Asks the shop about every order, also those that nobody paid."""
    left = iter(sorted(books.orders))

    async def read_on(buyer: Buyer) -> None:
        for order_id in left:
            await buyer.status(order_id)
        buyer.close()

    async with asyncio.TaskGroup() as tasks:
        for buyer in buyers:
            tasks.create_task(read_on(buyer), name="read")
