"""One worker: a process that serves the shop over HTTP, beside others on the same port.

The server runs inside our own event loop, so that this process alone decides what opens before
the first request and what closes after the last one. Several workers share the port by
SO_REUSEPORT; each has its own connection to the sequencer, to Redis and to PostgreSQL.
"""

import asyncio
import logging
import signal
import socket
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
from tigerfans.http.events import OrderEvents
from tigerfans.http.listening import until_listening
from tigerfans.ledger.base import LedgerError
from tigerfans.notify import notify_ready
from tigerfans.payments.mockpay import MockPay
from tigerfans.settings import HttpSettings, Settings, SettingsError
from tigerfans.shop import Shop

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
        opened = await open_shop(stack, settings, name)
        events = OrderEvents(opened.shop.order_answer)
        server = _server(settings, opened.shop, opened.mockpay, events)

        def stop() -> None:
            server.stop()  # type: ignore[no-untyped-call]
            # They would last for minutes, and the server waits for each request it accepted.
            events.close()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        serving = asyncio.create_task(server.serve(), name=f"server of {name}")
        background = [
            asyncio.create_task(opened.mockpay.deliver_forever(), name="webhook deliveries"),
            asyncio.create_task(opened.ledger.watch(), name="connection to the sequencer"),
        ]
        await until_listening(settings.http.port)
        notify_ready()
        await asyncio.wait([serving, *background], return_when=asyncio.FIRST_COMPLETED)
        # Nothing in the background ends by itself: what it raised ends this process, loudly.
        for task in background:
            if task.done():
                task.result()
            task.cancel()
        await serving
    return 0


def _server(settings: Settings, shop: Shop, mockpay: MockPay, events: OrderEvents) -> Server:
    return Server(
        counted(create_app(settings, shop, mockpay, events), shop.counters),
        address=_ip_address(settings.http),
        port=settings.http.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS_MAX * 1_000),
        websockets=False,
        backlog=settings.http.backlog,
        backpressure=settings.http.connections,
        log_enabled=False,
    )


def _ip_address(http: HttpSettings) -> str:
    """The address of the host's name: Granian wants a number."""
    try:
        info = socket.getaddrinfo(
            http.host.strip("[]"), http.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise SettingsError(f"TIGERFANS_HOST={http.host} cannot be used: {error}.") from error
    return str(info[0][4][0])
