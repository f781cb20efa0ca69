"""The sequencer's process: startup, serve, drain, shutdown.

It is ready as soon as it listens, even while the ledger is away: requests fail one by one until
the ledger is back. What it cannot survive ends it loudly, with exit code 1, and so does an embedded
ledger that cannot be opened for want of room: whoever started it starts it again, and the workers
send again what was not answered.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import uvloop

from tigerfans.ledger import open_ledger
from tigerfans.ledger.base import Ledger, LedgerOpenError, LedgerUnavailableError
from tigerfans.presence import watch
from tigerfans.process.listening import until_listening
from tigerfans.process.notify import notify_ready
from tigerfans.process.runtime import let_others_finish, settle_down
from tigerfans.sequencer import web
from tigerfans.sequencer.history import History
from tigerfans.sequencer.listener import BACKLOG, bound_socket
from tigerfans.sequencer.metrics import Exporter
from tigerfans.sequencer.reporting import Reporting
from tigerfans.sequencer.sequencer import Sequencer
from tigerfans.settings.settings import Settings, SettingsError

# Of the ten seconds in which the whole stack has to stop.
DRAIN_SECONDS_MAX: Final = 5.0
METRICS_STOP_SECONDS_MAX: Final = 1.0
LEDGER_CLOSE_SECONDS_MAX: Final = 2.0

logger = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code. Raises `SettingsError` at start."""
    # Before the ledger has threads, which do so as well.
    let_others_finish()
    try:
        return uvloop.run(_main(settings))
    except LedgerUnavailableError as error:
        logger.critical("the sequencer cannot start: %s", error)
        return 1


async def _main(settings: Settings) -> int:
    ending = _Ending()
    with bound_socket(settings.sequencer.socket) as bound:
        metrics_port = settings.sequencer.metrics_port
        metrics_address = web.find_address(settings.sequencer.metrics_host, metrics_port)
        async with _open_ledger(settings) as ledger:
            sequencer = Sequencer(ledger)
            history = History(sequencer)
            async with (
                _running(history.run(), "history", ending),
                _reporting(Reporting(sequencer, history, settings), ending),
                _running(watch(sequencer.presence, sequencer.ask_ledger), "watch", ending),
                _serving_metrics(metrics_address, metrics_port, sequencer, history, ending),
            ):
                loop = asyncio.get_running_loop()
                server = await loop.create_unix_server(
                    sequencer.connect, sock=bound, backlog=BACKLOG
                )
                logger.info("listening on %s, ledger %s", settings.sequencer.socket, ledger.kind)
                settle_down()
                notify_ready()
                await ending.wait()
                server.close()
                if not await sequencer.drain(DRAIN_SECONDS_MAX):
                    logger.warning("not all requests were answered: %r", sequencer)
                await sequencer.hang_up()
    return ending.exit_code


class _Ending:
    """Why the process ends: a signal, or something that died."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.exit_code = 0
        self._event = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._event.set)
        loop.set_exception_handler(self._on_exception)

    async def wait(self) -> None:
        await self._event.wait()

    def fail(self, reason: str) -> None:
        logger.critical("the sequencer stops: %s", reason)
        self.exit_code = 1
        self._event.set()

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        loop.default_exception_handler(context)
        # What happens to one connection ends that connection only; the loop has closed it.
        if "transport" not in context:
            self.fail(context["message"])


@asynccontextmanager
async def _open_ledger(settings: Settings) -> AsyncIterator[Ledger]:
    if settings.ledger is None:
        raise SettingsError("The sequencer needs TIGERFANS_LEDGER, such as embedded:data/ledger.")
    try:
        ledger = await open_ledger(settings.ledger)
    except LedgerOpenError as error:
        raise SettingsError(f"TIGERFANS_LEDGER={settings.ledger}: {error}") from error
    try:
        yield ledger
    finally:
        try:
            async with asyncio.timeout(LEDGER_CLOSE_SECONDS_MAX):
                await ledger.close()
        except TimeoutError:
            logger.warning("the ledger did not close in time: %r", ledger)


@asynccontextmanager
async def _running(
    work: Coroutine[None, None, None], name: str, ending: _Ending
) -> AsyncIterator[None]:
    """Has something run in the background that must not end by itself."""
    task = asyncio.create_task(work, name=name)

    def on_done(task: asyncio.Task[None]) -> None:
        ending.fail(f"the {name} died: {task.exception()}")

    task.add_done_callback(on_done)
    try:
        yield
    finally:
        task.remove_done_callback(on_done)
        task.cancel()


@asynccontextmanager
async def _reporting(reporting: Reporting, ending: _Ending) -> AsyncIterator[None]:
    try:
        async with _running(reporting.run(), "reporting", ending):
            yield
    finally:
        # Who died is missed, and who was stopped is not.
        await reporting.close(says_goodbye=not ending.exit_code)


@asynccontextmanager
async def _serving_metrics(
    address: str, port: int, sequencer: Sequencer, history: History, ending: _Ending
) -> AsyncIterator[None]:
    exporter = Exporter(sequencer)
    pages = {
        "/metrics": ("text/plain; version=0.0.4; charset=utf-8", exporter.metrics),
        "/status": ("application/json", exporter.status),
        "/history": ("application/json", history.page),
    }
    server = web.build_server(address, port, pages)
    task = asyncio.create_task(server.serve(), name="metrics server")

    def on_done(task: asyncio.Task[None]) -> None:
        ending.fail(f"the metrics server died: {task.exception()}")

    task.add_done_callback(on_done)
    try:
        await until_listening(port, task)
        yield
    finally:
        task.remove_done_callback(on_done)
        server.stop()  # type: ignore[no-untyped-call]
        _, late = await asyncio.wait([task], timeout=METRICS_STOP_SECONDS_MAX)
        if late:
            task.cancel()
