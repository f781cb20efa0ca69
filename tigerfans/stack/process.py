"""One process of the stack, from its start to its end.

It runs in a session of its own, so that Ctrl-C reaches the stack alone and the stack stops it in
its turn.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from signal import SIGKILL, Signals
from typing import Final

from tigerfans.process.runtime import let_others_finish
from tigerfans.settings.folder import DataFolder
from tigerfans.stack.log import Log
from tigerfans.stack.process_table import start_time
from tigerfans.stack.programs import Program, launch_command
from tigerfans.stack.readiness import Asking, NotifySocket, Readiness

# PostgreSQL may have to recover, and TigerBeetle prepares gigabytes of memory first.
START_TIMEOUT_S: Final = 60.0
# Between a program's own last signal and SIGKILL.
END_TIMEOUT_S: Final = 0.5
# Of a program that the system did not let us start.
EXIT_NOT_STARTED: Final = 127


class NotReadyError(Exception):
    """A process ended, or took too long, before it was ready.

    `exit_code` is None where it took too long.
    """

    def __init__(self, message: str, exit_code: int | None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Process:
    """A running process.

    `exited` is the task that waits for its end. It gives the exit code; a negative one is the
    number of the signal that ended it.
    """

    def __init__(
        self,
        program: Program,
        child: asyncio.subprocess.Process,
        log: Log,
        readiness: Readiness,
    ) -> None:
        self.program = program
        self.pid = child.pid
        self.start_time = start_time(child.pid)
        self.exited = asyncio.create_task(child.wait(), name=f"wait for {program.name}")
        self._log = log
        self._readiness = readiness

    @classmethod
    async def start(
        cls, program: Program, folder: DataFolder, environ: Mapping[str, str]
    ) -> "Process":
        """Starts it, without waiting until it is ready; raises `NotReadyError`."""
        try:
            return await cls._start(program, folder, environ)
        except OSError as error:
            message = f"{program.name} cannot be started: {error}."
            raise NotReadyError(message, EXIT_NOT_STARTED) from error

    @classmethod
    async def _start(
        cls, program: Program, folder: DataFolder, environ: Mapping[str, str]
    ) -> "Process":
        environment = {**environ, **program.environment}
        readiness: Readiness
        if program.probe is None:
            readiness = NotifySocket(folder.notify_socket(program.name))
            environment["NOTIFY_SOCKET"] = str(readiness.path)
        else:
            readiness = Asking(program.probe)
        listener = program.listener
        log = Log(folder.log(program.name))
        try:
            with log.start_run() as output:
                child = await asyncio.create_subprocess_exec(
                    *launch_command(program.argv, program.user, program.end_signal, listener),
                    env=environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    pass_fds=() if listener is None else (listener,),
                )
        except BaseException:
            readiness.close()
            raise
        if program.lets_others_finish:
            let_others_finish(child.pid)
        return cls(program, child, log, readiness)

    async def ready(self) -> None:
        """Waits until it serves; raises `NotReadyError`."""
        ready = asyncio.create_task(
            self._readiness.wait(), name=f"readiness of {self.program.name}"
        )
        try:
            await asyncio.wait(
                {ready, self.exited},
                timeout=START_TIMEOUT_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if self.exited.done():
                raise NotReadyError(self.describe_end(), self.exited.result())
            if not ready.done():
                reason = f"was not ready within {START_TIMEOUT_S:.0f} s."
                raise NotReadyError(f"{self.program.name} {reason}{self._hint()}", None)
            ready.result()
        finally:
            ready.cancel()
            try:
                await asyncio.wait({ready})
            # Whoever stops the stack may cancel this here once more.
            finally:
                self._readiness.close()

    async def finished(self) -> int:
        """Waits for its end, where it does something and ends by itself; the exit code."""
        try:
            return await asyncio.shield(self.exited)
        finally:
            self._readiness.close()

    async def stop(self, timeout_s: float) -> None:
        """Asks it to stop, then ends it; returns when it is gone."""
        for stop_signal, patience_s in (
            (self.program.stop_signal, timeout_s),
            (self.program.end_signal, END_TIMEOUT_S),
        ):
            self._send(stop_signal)
            await asyncio.wait({self.exited}, timeout=patience_s)
            if self.exited.done():
                break
        await self.kill()

    async def kill(self) -> None:
        """Kills it and what it started, at once; returns when it is gone."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, SIGKILL)
        await asyncio.wait({self.exited})

    def describe_end(self) -> str:
        """How it ended, in a sentence, and on further lines what it printed last."""
        exit_code = self.exited.result()
        if exit_code < 0:
            return f"{self.program.name} was ended by {Signals(-exit_code).name}."
        return f"{self.program.name} ended with exit code {exit_code}.{self._hint()}"

    def last_words(self) -> str:
        """The last line it printed."""
        return next(iter(self._log.tail()[::-1]), "")

    def _hint(self) -> str:
        lines = [f"  {self._log.path} ends so:", *(f"    {line}" for line in self._log.tail())]
        return "\n" + "\n".join(lines)

    def _send(self, number: Signals) -> None:
        # Once it was waited for, its id may be another process.
        if not self.exited.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
