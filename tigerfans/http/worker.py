"""One worker: a process that serves the shop over HTTP, beside others on the same port.

The server runs inside our own event loop, so that this process alone decides what opens before
the first request and what closes after the last one. Several workers share the port by
SO_REUSEPORT; each has its own connection to the sequencer, to Redis and to PostgreSQL.
"""

import asyncio
import logging
import signal
from contextlib import AsyncExitStack
from typing import Final

import httpx
import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from tigerfans.booking import Booking
from tigerfans.catalog import Catalog
from tigerfans.database import Database
from tigerfans.http.app import create_app
from tigerfans.ipc.client import SequencerClient
from tigerfans.notify import notify_ready
from tigerfans.orders import Orders
from tigerfans.payments.mockpay import MockPay
from tigerfans.payments.outbox import Outbox
from tigerfans.sessions import Sessions
from tigerfans.settings import Settings, SettingsError
from tigerfans.shop import Shop

# Connections, idle ones too; past it the kernel's queue holds them, and past that refuses them.
CONNECTIONS_MAX: Final = 4096
BACKLOG: Final = 2048
HEADER_SECONDS_MAX: Final = 10

logger = logging.getLogger(__name__)


def run(settings: Settings, name: str) -> int:
    """Serves until SIGTERM or SIGINT, then finishes what was accepted; the exit code."""
    return uvloop.run(_serve(settings, name))


async def _serve(settings: Settings, name: str) -> int:
    async with AsyncExitStack() as stack:
        shop, mockpay = await _open(stack, settings, name)
        server = _server(settings, shop, mockpay)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        serving = asyncio.create_task(server.serve(), name=f"server of {name}")
        delivering = asyncio.create_task(mockpay.deliver_forever(), name="webhook deliveries")
        loop.call_soon(notify_ready)
        await asyncio.wait((serving, delivering), return_when=asyncio.FIRST_COMPLETED)
        # Deliveries never end by themselves: where they did, what they raised ends this process.
        if delivering.done():
            delivering.result()
        delivering.cancel()
        await serving
    return 0


async def _open(stack: AsyncExitStack, settings: Settings, name: str) -> tuple[Shop, MockPay]:
    """Opens everything a worker needs, in the order in which it can be closed again."""
    if settings.stores.database_url is None:
        raise SettingsError("DATABASE_URL must name the PostgreSQL database of the orders.")
    if settings.stores.redis_url is None:
        raise SettingsError("REDIS_URL must name the Redis of the payment sessions.")
    database = await Database.connect(settings.stores.database_url)
    stack.push_async_callback(database.close)
    orders = Orders(database)
    stack.push_async_callback(orders.close)
    sessions = Sessions.connect(settings.stores.redis_url)
    stack.push_async_callback(sessions.close)
    ledger = await SequencerClient.connect(settings.sequencer.socket, name=name)
    stack.push_async_callback(ledger.close)
    mockpay = MockPay(
        settings.payments.mock_secrets,
        settings.payments.webhook_url or f"{settings.http.url}/payments/webhook",
        # It talks to our own address; a proxy from the environment has no business there.
        await stack.enter_async_context(httpx.AsyncClient(trust_env=False)),
        Outbox(database),
    )
    catalog = Catalog.build(
        settings.catalog.tickets_a, settings.catalog.tickets_b, settings.catalog.goodies
    )
    booking = Booking(catalog, settings.hold_seconds)
    shop = Shop(booking, ledger, sessions, orders, mockpay, settings.ticket_secret)
    await shop.open()
    return shop, mockpay


def _server(settings: Settings, shop: Shop, mockpay: MockPay) -> Server:
    return Server(
        create_app(settings, shop, mockpay),
        address=settings.http.host,
        port=settings.http.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS_MAX * 1_000),
        websockets=False,
        backlog=BACKLOG,
        backpressure=CONNECTIONS_MAX,
        log_enabled=False,
    )
