"""One worker: a process that serves the shop over HTTP, beside others on the same port.

The server runs inside our own event loop, so that this process alone decides what opens before
the first request and what closes after the last one. Several workers share the port by
SO_REUSEPORT; each has its own connection to the sequencer, to Redis and to PostgreSQL.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import uvloop

from tigerfans.assembly import open_shop
from tigerfans.errors import ShopError
from tigerfans.http.api.order_stream import OrderStreams
from tigerfans.http.app import create_app
from tigerfans.http.serving.counting import counted
from tigerfans.http.serving.draining import DRAIN_SECONDS, Draining
from tigerfans.http.serving.guarding import stay_on_own_ledger
from tigerfans.http.serving.server import build_server, inherited_host
from tigerfans.http.serving.shortcut import Shortcut
from tigerfans.ledger.base import LEDGER_AWAY
from tigerfans.presence import watch
from tigerfans.process.listening import stop_accepting, until_listening
from tigerfans.process.notify import notify_ready
from tigerfans.process.runtime import let_others_finish, settle_down, stay_on_one_core
from tigerfans.settings.settings import Settings, worker_name

logger = logging.getLogger(__name__)


def run(settings: Settings, number: int) -> int:
    """Serves until SIGTERM or SIGINT, then finishes what was accepted; the exit code.

    Raises `SettingsError` where the shop must not be opened with these settings.
    """
    name = worker_name(number)
    # Whoever opened the socket may have put it elsewhere than the settings say.
    if (host := inherited_host()) is not None:
        settings.check_listener(host, f"The socket on {host} that this worker was given")
    let_others_finish()
    if settings.http.pins_workers:
        stay_on_one_core(number, settings.http.workers)
    try:
        return uvloop.run(_serve(settings, name))
    except (ShopError, *LEDGER_AWAY, OSError) as error:
        logger.error("%s cannot open the shop: %s", name, error)
        return 1


async def _serve(settings: Settings, name: str) -> int:
    async with AsyncExitStack() as stack:
        opened = await open_shop(stack, settings, name)
        streams = OrderStreams(opened.shop.order_answer)
        app = create_app(settings, opened.shop, opened.mockpay, streams)
        draining = Draining(counted(Shortcut(app), opened.shop.counters))
        server = build_server(draining, settings.http)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            draining.begin()
            stop_accepting(settings.http.port)
            # They would last for minutes, and the server waits for each request it accepted.
            streams.close()
            if opened.mockpay:
                opened.mockpay.stop_waiting()
            loop.call_later(DRAIN_SECONDS, server.stop)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        serving = asyncio.create_task(server.serve(), name=f"server of {name}")
        own_ledger = stay_on_own_ledger(opened.ledger, opened.shop.check)
        background = [
            asyncio.create_task(opened.ledger.watch(), name="connection to the sequencer"),
            asyncio.create_task(own_ledger, name="identity of the ledger"),
            asyncio.create_task(opened.shop.inquire_forever(), name="inquiries"),
        ]
        shop = opened.shop
        for presence, ask in (
            (shop.sessions.presence, shop.sessions.ping),
            (shop.orders.database.presence, shop.orders.ping),
        ):
            watching = watch(presence, ask)
            background.append(asyncio.create_task(watching, name=f"watch over {presence.key}"))
        if opened.mockpay:
            deliveries = opened.mockpay.deliver_forever()
            background.append(asyncio.create_task(deliveries, name="webhook deliveries"))
        await until_listening(settings.http.port)
        settle_down()
        notify_ready()
        await until_stopped(serving, background, stop)
    return 0


async def until_stopped(
    serving: asyncio.Task[None],
    background: Sequence[asyncio.Task[object]],
    stop: Callable[[], None],
) -> None:
    """Returns when the server has answered all that it accepted, and nothing else runs any more.

    Nothing in the background ends by itself: what it raised ends this process, loudly. But first
    the server is told to `stop`, as by SIGTERM, and what the requests under way use stays open.
    """
    await asyncio.wait([serving, *background], return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        stop()
    await asyncio.wait([serving])
    for task in background:
        task.cancel()
    await asyncio.wait(background)
    for task in background:
        if not task.cancelled():
            task.result()
    serving.result()
