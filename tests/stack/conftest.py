"""A stack of stand-in programs, run in the test's own process."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.stack import stand_in
from tigerfans.settings.folder import DataFolder
from tigerfans.stack import state
from tigerfans.stack.plan import Fleet
from tigerfans.stack.programs import Program
from tigerfans.stack.state import ProcessState
from tigerfans.stack.supervisor import Supervisor

# The state file tells nobody that it has changed.
POLL_PAUSE_S = 0.01


class StandIns:
    """Two servers, a migration and an offer that are done at once, a sequencer, two workers and a
    clerk.

    `event` gives what happens to them, in order.
    """

    def __init__(self, folder: DataFolder) -> None:
        self.folder = folder
        self.reports: list[str] = []
        self.stop_timeout_s = 5.0
        self._reported = asyncio.Event()
        self._events_path = folder.sockets / "events"
        self._events = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._events.bind(str(self._events_path))
        self._events.setblocking(False)
        self._serving: asyncio.Task[int] | None = None
        self._opened = asyncio.Event()

    def behave(self, name: str, behaviour: str) -> None:
        """What `name` does from its next start on."""
        (self.folder.root / f"{name}.behaviour").write_text(behaviour)

    def program(self, name: str) -> Program:
        behaviour = self.folder.root / f"{name}.behaviour"
        if not behaviour.exists():
            self.behave(name, "does" if name in ("migrate", "offer") else "serves")
        script = (sys.executable, "-I", "-S", stand_in.__file__)
        arguments = (str(self._events_path), name, str(behaviour))
        return Program(name=name, argv=(*script, *arguments), stop_timeout_s=self.stop_timeout_s)

    def start(self) -> None:
        """Starts the stack; `finished` has its exit code."""

        async def open_shop() -> None:
            self._opened.set()

        supervisor = Supervisor(
            Fleet(
                servers=[self.program("store"), self.program("ledger")],
                migration=self.program("migrate"),
                taking=self.program("offer"),
                sequencer=self.program("sequencer"),
                workers=[self.program("worker-1"), self.program("worker-2")],
                clerk=replace(self.program("clerk-1"), is_needed=False),
            ),
            self.folder,
            dict(os.environ),
            open_shop,
            self._report,
        )
        self._serving = asyncio.create_task(supervisor.serve(), name="stack of stand-ins")

    async def open(self) -> None:
        """Starts the stack, and returns when all of it serves."""
        self.start()
        await self.events(6)
        await self._opened.wait()

    async def finished(self) -> int:
        assert self._serving is not None
        return await self._serving

    async def stop(self) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return await self.finished()

    async def report(self) -> str:
        """The next thing the stack says, or the last one if it has said something."""
        await self._reported.wait()
        return self.reports[-1]

    async def event(self) -> str:
        return (await asyncio.get_running_loop().sock_recv(self._events, 100)).decode()

    async def events(self, count: int) -> list[str]:
        return [await self.event() for _ in range(count)]

    def processes(self, name: str) -> list[ProcessState]:
        """What the stack's state says of that program."""
        written = state.read(self.folder.state)
        assert written is not None
        return [process for process in written.processes if process.name == name]

    async def running(self, name: str, restarts: int) -> ProcessState:
        """That program, when it runs alone and was restarted so often."""
        while True:
            match self.processes(name):
                case [process] if (process.state, process.restarts) == ("running", restarts):
                    return process
            await asyncio.sleep(POLL_PAUSE_S)

    async def both(self, name: str) -> tuple[ProcessState, ProcessState]:
        """That program and its replacement, when there are two."""
        while True:
            match self.processes(name):
                case [old, new]:
                    return old, new
            await asyncio.sleep(POLL_PAUSE_S)

    def pid(self, name: str) -> int:
        pid = self.processes(name)[0].pid
        assert pid is not None
        return pid

    def _report(self, sentence: str) -> None:
        self.reports.append(sentence)
        self._reported.set()

    async def close(self) -> None:
        if self._serving and not self._serving.done():
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)
            await self._serving
        self._events.close()


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


@pytest.fixture
def locked_folder(folder: DataFolder) -> Iterator[DataFolder]:
    with folder.locked():
        yield folder


@pytest.fixture
async def stand_ins(locked_folder: DataFolder) -> AsyncIterator[StandIns]:
    stand_ins = StandIns(locked_folder)
    yield stand_ins
    await stand_ins.close()
