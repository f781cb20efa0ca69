"""Keeps one program running: starts it again when it dies, and replaces it without a gap.

A process that dies is started again after a pause that grows with every restart of the last
minute; past a limit the service gives up, and the stack with it. There is no limit while the disk
has no room, since somebody has to make room first, nor for a program that the shop sells without.
At most one of start, restart and replacement is under way at a time.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from tigerfans.stack.process import NotReadyError, Process
from tigerfans.stack.programs import Program
from tigerfans.stack.state import ProcessState

# A program whose first start fails this often is not started again: it has never worked.
FIRST_STARTS_MAX: Final = 3
RESTARTS_MAX: Final = 20
RESTARTS_WINDOW_S: Final = 60.0
RESTART_PAUSE_MIN_S: Final = 0.1
RESTART_PAUSE_MAX_S: Final = 2.0
# A replaced process finishes what it accepted; its own deadlines are shorter than this.
REPLACED_STOP_TIMEOUT_S: Final = 30.0

# A program that ends so has refused its settings; starting it again would change nothing.
EXIT_SETTINGS: Final = 2


class ServiceError(Exception):
    """A program cannot be kept running; the message says why."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class RestartBudget:
    """How long to pause before the next restart, and when to give up."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: deque[float] = deque()

    def take(self) -> float | None:
        """The pause before this restart, in seconds; None when there were too many."""
        now = self._clock()
        while self._times and self._times[0] <= now - RESTARTS_WINDOW_S:
            self._times.popleft()
        if len(self._times) >= RESTARTS_MAX:
            return None
        pause_s: float = RESTART_PAUSE_MIN_S * 2 ** len(self._times)
        self._times.append(now)
        return min(pause_s, RESTART_PAUSE_MAX_S)


class Service:
    """One program that is kept running.

    `launch` starts a process of it; `report` is told, in a sentence, what a person should know;
    `changed` is called whenever `states` would give something new; `has_room` says whether there is
    room on the disk.
    """

    def __init__(
        self,
        program: Program,
        launch: Callable[[Program], Awaitable[Process]],
        report: Callable[[str], None],
        changed: Callable[[], None],
        has_room: Callable[[], bool],
    ) -> None:
        self.program = program
        self._launch = launch
        self._report = report
        self._changed = changed
        self._has_room = has_room
        self._budget = RestartBudget()
        self._restarts = 0
        self._current: Process | None = None
        self._replacement: Process | None = None
        self._retiring: Process | None = None
        self._state = "stopped"
        self._busy = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Service {self.program.name}: {self._state}, {self._restarts} restarts>"

    def states(self) -> list[ProcessState]:
        """The process; during a replacement also the one that comes or goes."""
        states = [self._describe(self._current, self._state)]
        if self._replacement:
            states.append(self._describe(self._replacement, "starting"))
        if self._retiring:
            states.append(self._describe(self._retiring, "stopping"))
        return states

    async def start(self) -> None:
        """Starts it for the first time and waits until it serves; raises `ServiceError`."""
        for attempt in range(1, FIRST_STARTS_MAX + 1):
            try:
                async with self._busy:
                    await self._start_once()
                return
            except NotReadyError as error:
                if error.exit_code == EXIT_SETTINGS and self._current:
                    raise ServiceError(self._current.last_words(), EXIT_SETTINGS) from error
                if error.exit_code is None or attempt == FIRST_STARTS_MAX:
                    raise ServiceError(str(error)) from error
                await asyncio.sleep(RESTART_PAUSE_MIN_S * 2**attempt)

    async def keep_running(self) -> None:
        """Starts it again whenever it ends, for as long as that helps; raises `ServiceError`."""
        while True:
            process = self._current
            if process is None:
                raise RuntimeError(f"{self.program.name} was never started")
            await asyncio.wait({process.exited})
            async with self._busy:
                # A process that was replaced has ended as it should.
                if self._current is process:
                    await self._restart(process)

    async def replace(self) -> None:
        """Starts a second process, and stops the first once that serves.

        Raises `ServiceError`, with the first still running, if the second does not come to serve.
        """
        async with self._busy:
            try:
                replacement = await self._start_replacement()
            except NotReadyError as error:
                raise ServiceError(str(error)) from error
            self._retiring, self._current = self._current, replacement
            self._replacement = None
            self._set_state("running")
        if self._retiring:
            await self._retiring.stop(REPLACED_STOP_TIMEOUT_S)
        self._retiring = None
        self._changed()

    async def stop(self) -> None:
        """Stops it, within the program's own time; returns when it is gone."""
        await asyncio.gather(
            *(process.stop(self.program.stop_timeout_s) for process in self._processes())
        )
        self._set_state("stopped")

    async def kill(self) -> None:
        """Kills it; returns when it is gone."""
        await asyncio.gather(*(process.kill() for process in self._processes()))

    def _processes(self) -> list[Process]:
        candidates = (self._current, self._replacement, self._retiring)
        return [process for process in candidates if process and not process.exited.done()]

    async def _start_replacement(self) -> Process:
        replacement = self._replacement = await self._launch(self.program)
        self._changed()
        try:
            await replacement.ready()
        except NotReadyError:
            await replacement.kill()
            self._replacement = None
            self._changed()
            raise
        return replacement

    async def _restart(self, ended: Process) -> None:
        reason = ended.describe_end()
        if ended.exited.result() == EXIT_SETTINGS and self.program.is_needed:
            raise ServiceError(ended.last_words(), EXIT_SETTINGS)
        await ended.kill()
        while (pause_s := self._next_pause()) is not None:
            self._report(_insert(f" It starts again in {pause_s:.1f} s.", reason))
            self._set_state("waiting")
            await asyncio.sleep(pause_s)
            self._restarts += 1
            try:
                return await self._start_once()
            except NotReadyError as error:
                reason = str(error)
        often = f" That was restart {RESTARTS_MAX} within {RESTARTS_WINDOW_S:.0f} s: giving up."
        raise ServiceError(_insert(often, reason))

    def _next_pause(self) -> float | None:
        """How long to wait before the next restart, in seconds; None to give up."""
        if not self._has_room():
            return RESTART_PAUSE_MAX_S
        pause_s = self._budget.take()
        return pause_s if self.program.is_needed else pause_s or RESTART_PAUSE_MAX_S

    async def _start_once(self) -> None:
        self._current = await self._launch(self.program)
        self._set_state("starting")
        try:
            await self._current.ready()
        except NotReadyError:
            await self._current.kill()
            raise
        self._set_state("running")

    def _set_state(self, state: str) -> None:
        self._state = state
        self._changed()

    def _describe(self, process: Process | None, state: str) -> ProcessState:
        running = process if process and not process.exited.done() else None
        return ProcessState(
            name=self.program.name,
            pid=running.pid if running else None,
            started=running.start_time if running else None,
            state=state if running or state == "waiting" else "stopped",
            restarts=self._restarts,
            end_signal=int(self.program.end_signal),
        )


async def run_to_its_end(program: Program, launch: Callable[[Program], Awaitable[Process]]) -> None:
    """Runs a program that does something and ends, again where it fails; raises `ServiceError`.

    It has all the time it takes.
    """
    for attempt in range(1, FIRST_STARTS_MAX + 1):
        process = await launch(program)
        try:
            exit_code = await process.finished()
        finally:
            await process.kill()
        if exit_code == 0:
            return
        if exit_code == EXIT_SETTINGS:
            raise ServiceError(process.last_words(), EXIT_SETTINGS)
        if attempt == FIRST_STARTS_MAX:
            raise ServiceError(process.describe_end())
        await asyncio.sleep(RESTART_PAUSE_MIN_S * 2**attempt)


def _insert(sentence: str, reason: str) -> str:
    """Puts a sentence after the first line of a reason, before what the log says."""
    first, newline, log = reason.partition("\n")
    return f"{first}{sentence}{newline}{log}"
