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

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from tigerfans.assembly import open_shop
from tigerfans.errors import ShopError
from tigerfans.http.app import create_app
from tigerfans.http.counting import counted
from tigerfans.ledger.base import LedgerError
from tigerfans.notify import notify_ready
from tigerfans.payments.mockpay import MockPay
from tigerfans.settings import Settings
from tigerfans.shop import Shop

# Connections, idle ones too; past it the kernel's queue holds them, and past that refuses them.
CONNECTIONS_MAX: Final = 4096
BACKLOG: Final = 2048
HEADER_SECONDS_MAX: Final = 10

logger = logging.getLogger(__name__)


def run(settings: Settings, name: str) -> int:
    """Serves until SIGTERM or SIGINT, then finishes what was accepted; the exit code."""
    try:
        return uvloop.run(_serve(settings, name))
    except (ShopError, LedgerError, OSError) as error:
        logger.error("%s cannot open the shop: %s", name, error)
        return 1


async def _serve(settings: Settings, name: str) -> int:
    async with AsyncExitStack() as stack:
        shop, mockpay = await open_shop(stack, settings, name)
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


def _server(settings: Settings, shop: Shop, mockpay: MockPay) -> Server:
    return Server(
        counted(create_app(settings, shop, mockpay), shop.counters),
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
