"""Loads for tests: buyers who check out again and again, and raw connections that misbehave."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.faults.exchange import HOST, Answer, NoAnswerError, exchange, read_answer, request
from tests.faults.stack import FaultyShop
from tests.harness.patience import PATIENCE_SECONDS

UNDER_WAY = 200
# More than there are workers, so that each is asked.
QUESTIONS = 8

CHECKOUT = json.dumps({"cls": "B", "customer_email": "buyer@example.org"}).encode()


def new_key() -> dict[str, str]:
    """The header of a checkout that is none of the others'."""
    return {"Idempotency-Key": secrets.token_hex(16)}


def checkout_request() -> bytes:
    """A whole checkout, on a connection that stays open."""
    return (
        request("POST", "/api/checkout", CHECKOUT, {"Connection": "keep-alive"} | new_key())
        + CHECKOUT
    )


@dataclass
class Outcomes:
    """What became of the requests of a load."""

    answers: list[Answer] = field(default_factory=list)
    no_answers: list[str] = field(default_factory=list)

    def statuses(self) -> set[int]:
        return {answer.status for answer in self.answers}


@asynccontextmanager
async def checking_out(port: int, buyers: int) -> AsyncIterator[Outcomes]:
    """Buyers who check out all the time, half of them on connections that stay open.

    After the block each finishes its last request.
    """
    outcomes = Outcomes()
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for number in range(buyers):
            buy = _on_new_connections if number % 2 else _on_one_connection
            tasks.create_task(buy(port, outcomes, stopping), name=f"buyer {number}")
        try:
            yield outcomes
        finally:
            stopping.set()


async def _on_new_connections(port: int, outcomes: Outcomes, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        try:
            answer = await exchange(
                port, "POST", "/api/checkout", CHECKOUT, new_key(), seconds_max=PATIENCE_SECONDS
            )
        except NoAnswerError as error:
            outcomes.no_answers.append(str(error))
        else:
            outcomes.answers.append(answer)


async def _on_one_connection(port: int, outcomes: Outcomes, stopping: asyncio.Event) -> None:
    """As a browser does: a connection is used until the server says, or shows, that it ends it."""
    while not stopping.is_set():
        try:
            reader, writer = await asyncio.open_connection(HOST, port)
        except OSError as error:
            outcomes.no_answers.append(repr(error))
            continue
        is_new = True
        try:
            while not stopping.is_set():
                writer.write(checkout_request())
                answer = await read_answer(reader)
                outcomes.answers.append(answer)
                is_new = False
                if answer.headers.get("connection") == "close":
                    break
        except (OSError, EOFError) as error:
            if is_new:
                outcomes.no_answers.append(repr(error))
        finally:
            writer.close()


async def under_way(shop: FaultyShop, act: Callable[[], None]) -> set[int | str]:
    """What becomes of requests that are under way when something happens: statuses, or errors.

    They are sure to be under way, because the sequencer stands still until it has happened.
    """
    clients = [await Connection.open(shop.port) for _ in range(UNDER_WAY)]
    with shop.standing_still("sequencer"):
        for client in clients:
            client.send(checkout_request())
        await until_read(shop)
        act()
    answers = await asyncio.gather(*(client.answer() for client in clients), return_exceptions=True)
    for client in clients:
        client.close()
    return {a.status if isinstance(a, Answer) else repr(a) for a in answers}


async def until_read(shop: FaultyShop) -> None:
    """Once these are answered, what was sent before is under way, or answered."""
    for _ in range(QUESTIONS):
        await shop.get("/healthz")


class Connection:
    """One connection, spoken to in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection(HOST, port))

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def answer(self) -> Answer:
        return await read_answer(self._reader)

    async def until_closed(self) -> bytes:
        """Everything the server still sends, once it has hung up."""
        try:
            return await self._reader.read()
        except ConnectionError:
            return b""

    def close(self) -> None:
        self._writer.close()
