"""Runs the whole stack: starts it in order, keeps it up, reloads it, stops it in order.

Servers come first, then the sequencer, then the workers and the clerk; they stop the other way
round, so that each still finds what it needs to finish its work. Before workers come, the database
is brought to their schema. Signals only record what is asked for.

    SIGTERM, SIGINT    stop; a second one kills what is still there
    SIGHUP             replace the workers, one after the other, and then the clerk
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from tigerfans.settings.folder import DataFolder
from tigerfans.stack import room
from tigerfans.stack.plan import Fleet
from tigerfans.stack.process import Process
from tigerfans.stack.process_table import start_time
from tigerfans.stack.service import Service, ServiceError, run_to_its_end
from tigerfans.stack.state import StackState, StateFile


class Supervisor:
    """A stack that runs until it is told to stop, or cannot go on.

    `open_shop` is awaited once every process serves; `report` is told, in a sentence, what a
    person should know.
    """

    def __init__(
        self,
        fleet: Fleet,
        folder: DataFolder,
        environ: Mapping[str, str],
        open_shop: Callable[[], Awaitable[None]],
        report: Callable[[str], None],
    ) -> None:
        self._state_file = StateFile(folder.state, report)
        self._open_shop = open_shop
        self._report = report
        self._start_time = start_time(os.getpid())
        self._had_terminal = _has_terminal()
        self._launch = partial(Process.start, folder=folder, environ=environ)
        service = partial(
            Service,
            launch=self._launch,
            report=report,
            changed=self._write_state,
            has_room=lambda: room.has_room(folder),
        )
        self._migration = fleet.migration
        self._taking = fleet.taking
        self._servers = [service(program) for program in fleet.servers]
        self._sequencer = service(fleet.sequencer)
        # All that have the shop open: workers, and then the clerk.
        self._shops = [service(program) for program in (*fleet.workers, fleet.clerk)]
        self._services = [*self._servers, self._sequencer, *self._shops]
        self._stop_asked, self._kill_asked = asyncio.Event(), asyncio.Event()
        self._reload_asked = asyncio.Event()
        self._reloads = 0
        self._reload_error: str | None = None

    async def serve(self) -> int:
        """Runs the stack; returns its exit code, with no process left."""
        self._handle_signals()
        running = asyncio.create_task(self._run(), name="stack")
        stop_asked = asyncio.create_task(self._stop_asked.wait(), name="stop asked")
        await asyncio.wait({running, stop_asked}, return_when=asyncio.FIRST_COMPLETED)
        failed = running.done()
        await _cancel(running, stop_asked)
        await self._stop_or_kill()
        self._state_file.remove()
        return self._report_failure(running) if failed else 0

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            await self._start(self._servers, tasks)
            await self._migrate()
            await self._start([self._sequencer], tasks)
            await self._start(self._shops, tasks)
            await self._open_shop()
            await self._reload_when_asked()

    async def _start(self, stage: Sequence[Service], tasks: asyncio.TaskGroup) -> None:
        await _each(stage, Service.start, "start")
        for service in stage:
            tasks.create_task(service.keep_running(), name=f"keep {service.program.name} running")

    async def _migrate(self) -> None:
        await run_to_its_end(self._migration, self._launch)

    async def _reload_when_asked(self) -> None:
        while True:
            await self._reload_asked.wait()
            self._reload_asked.clear()
            self._reload_error = None
            try:
                await self._migrate()
                await run_to_its_end(self._taking, self._launch)
                for shop in self._shops:
                    await shop.replace()
            except ServiceError as error:
                self._reload_error = f"The reload failed. {error}"
                self._report(self._reload_error)
            self._reloads += 1
            self._write_state()

    async def _stop_or_kill(self) -> None:
        stopping = asyncio.create_task(self._stop(), name="stop")
        kill_asked = asyncio.create_task(self._kill_asked.wait(), name="kill asked")
        await asyncio.wait({stopping, kill_asked}, return_when=asyncio.FIRST_COMPLETED)
        await _cancel(kill_asked)
        if not stopping.done():
            await _each(self._services, Service.kill, "kill")
        await stopping

    async def _stop(self) -> None:
        await _each(self._shops, Service.stop, "stop")
        await self._sequencer.stop()
        for server in reversed(self._servers):
            await server.stop()

    def _report_failure(self, running: "asyncio.Task[None]") -> int:
        """Says why the stack ended by itself, and gives its exit code."""
        try:
            running.result()
        except* ServiceError as group:
            failures = list(_leaves(group))
            # Both workers may have the same to say.
            for sentence in dict.fromkeys(map(str, failures)):
                self._report(sentence)
            exit_code = max(failure.exit_code for failure in failures)
        return exit_code

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._ask_to_reload)

    def _ask_to_stop(self) -> None:
        if self._stop_asked.is_set():
            self._kill_asked.set()
        self._stop_asked.set()

    def _ask_to_reload(self) -> None:
        # The same signal comes when a terminal is closed; nobody wants a shop to outlive that.
        if self._had_terminal and not _has_terminal():
            self._ask_to_stop()
        else:
            self._reload_asked.set()

    def _write_state(self) -> None:
        processes = tuple(each for service in self._services for each in service.states())
        self._state_file.write(
            StackState(
                pid=os.getpid(),
                started=self._start_time,
                processes=processes,
                reloads=self._reloads,
                reload_error=self._reload_error,
            )
        )


async def _each(
    services: Sequence[Service], action: Callable[[Service], Coroutine[None, None, None]], verb: str
) -> None:
    """Does one thing to all of them at once; a failure cancels the others."""
    async with asyncio.TaskGroup() as tasks:
        for service in services:
            tasks.create_task(action(service), name=f"{verb} {service.program.name}")


async def _cancel(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def _leaves(group: BaseExceptionGroup[ServiceError]) -> Iterator[ServiceError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
