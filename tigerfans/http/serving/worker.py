"""One worker: a process that serves the shop over HTTP, beside others on the same port.

The server runs inside our own event loop, so that this process alone decides what opens before
the first request and what closes after the last one. Several workers share the port by
SO_REUSEPORT; each has its own connection to the sequencer, to Redis and to PostgreSQL.
"""

import asyncio
import signal
from contextlib import AsyncExitStack

from tigerfans.assembly import open_shop
from tigerfans.http.api.order_stream import OrderStreams
from tigerfans.http.app import create_app
from tigerfans.http.serving.counting import counted
from tigerfans.http.serving.crowding import Crowding
from tigerfans.http.serving.draining import DRAIN_SECONDS, Draining
from tigerfans.http.serving.server import build_server, inherited_host
from tigerfans.http.serving.shortcut import Shortcut
from tigerfans.http.serving.warming import warm_up
from tigerfans.life import live, stay_open, until_stopped
from tigerfans.process.listening import stop_accepting, until_listening
from tigerfans.process.notify import notify_ready
from tigerfans.process.runtime import let_others_finish, settle_down, stay_on_one_core
from tigerfans.settings.settings import Settings, worker_name


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
    return live(name, _serve(settings, name))


async def _serve(settings: Settings, name: str) -> None:
    async with AsyncExitStack() as stack:
        opened = await open_shop(stack, settings, name)
        streams = OrderStreams(opened.shop.order_answer)
        app = create_app(settings, opened.shop, opened.mockpay, streams)
        shortcut = Shortcut(app)
        await warm_up(shortcut, opened.shop)
        # Before it listens: to walk over all that was made so far takes a tenth of a second.
        settle_down()
        serve = counted(shortcut, opened.shop.counters)
        draining = Draining(Crowding(serve, settings.http.connections))
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
        background = stay_open(opened)
        await until_listening(settings.http.port)
        notify_ready()
        await until_stopped(serving, background, stop)
