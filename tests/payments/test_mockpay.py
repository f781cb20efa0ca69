"""MockPay's deliveries while their sender is about to stop."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.harness.patience import patience
from tests.payments.test_outbox import ORDER_ID, pass_time
from tests.shops import payment
from tigerfans.payments import mockpay
from tigerfans.payments.base import EventType
from tigerfans.payments.mockpay import MockPay
from tigerfans.payments.outbox import PAUSE_SECONDS_MIN, Outbox, Webhook
from tigerfans.stores.database import Database

PAYMENT = payment(ORDER_ID)
NEVER_SECONDS = 10_000.0


class Silence:
    """Takes webhooks and says nothing, as a socket does whose process takes nothing more."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n")
        self.heard.set()
        await reader.read()
        writer.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url)
    yield database
    await database.close()


@pytest.fixture
def silence() -> Silence:
    return Silence()


@pytest.fixture
async def provider(
    silence: Silence, database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MockPay]:
    monkeypatch.setattr(mockpay, "DELIVERY_SECONDS_MAX", NEVER_SECONDS)
    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with httpx.AsyncClient(trust_env=False) as client:
        yield MockPay(["secret"], f"http://127.0.0.1:{port}/", client, Outbox(database))
    server.close()
    await server.wait_closed()


async def test_a_process_that_stops_leaves_what_nobody_confirms_to_the_next_sender(
    provider: MockPay, silence: Silence, database: Database
) -> None:
    pressed = asyncio.create_task(provider.emit(PAYMENT, EventType.SUCCEEDED), name="button")
    async with patience():
        await silence.heard.wait()
        provider.stop_waiting()
        await pressed
        # Neither does one wait that comes later.
        await provider.emit(PAYMENT, EventType.CANCELED)
    await pass_time(database, 2 * PAUSE_SECONDS_MIN)
    assert len(await Outbox(database).lease(10)) == 2


class SlowOutbox(Outbox):
    """Forgets nothing until it is let."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    async def delivered(self, webhook: Webhook) -> None:
        self.asked.set()
        await self.let.wait()
        await super().delivered(webhook)


async def test_a_buyer_goes_on_while_what_was_confirmed_leaves_the_outbox_and_a_stop_waits_for_it(
    database: Database,
) -> None:
    outbox = SlowOutbox(database)
    confirms = httpx.MockTransport(lambda _: httpx.Response(200))
    async with patience(), httpx.AsyncClient(transport=confirms) as client:
        provider = MockPay(["secret"], "http://shop/", client, outbox)
        await provider.emit(PAYMENT, EventType.SUCCEEDED)
        await outbox.asked.wait()
        closing = asyncio.create_task(provider.close(), name="stop")
        outbox.let.set()
        await closing
    assert await waiting(database) == 0


async def waiting(database: Database) -> int:
    async with database.connection() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM mockpay_webhooks")
    return count
