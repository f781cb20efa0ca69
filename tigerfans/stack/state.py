"""What a running stack says of itself, in a file that `tigerfans ps` and `tigerfans reload` read.

The stack replaces the file as a whole on every change. A reader trusts none of it without the
process table; a later stack uses it to end what a killed one may have left behind. Where the disk
has no room for it the stack goes on all the same, and writes it as soon as there is some.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import msgspec
import orjson

from tigerfans.settings.folder import write_whole
from tigerfans.stack.process_table import is_running

# Between two attempts to write a state that could not be written.
RETRY_PAUSE_S: Final = 0.5
LEFTOVER_TIMEOUT_S: Final = 5.0
LEFTOVER_PAUSE_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One process: starting, running, waiting for its next start, stopping, or stopped."""

    name: str
    pid: int | None
    started: str | None
    state: str
    restarts: int
    end_signal: int

    @property
    def is_alive(self) -> bool:
        return self.pid is not None and is_running(self.pid, self.started)


@dataclass(frozen=True, slots=True)
class StackState:
    """The stack; `reloads` counts the finished ones, `reload_error` is why the last failed."""

    pid: int
    started: str | None
    processes: tuple[ProcessState, ...]
    reloads: int = 0
    reload_error: str | None = None

    @property
    def is_alive(self) -> bool:
        return is_running(self.pid, self.started)


class StateFile:
    """The file of a running stack; `report` is told, in a sentence, what a person should know."""

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        self._path = path
        self._report = report
        # The latest state, where it is not in the file yet, and what will write it.
        self._unwritten: StackState | None = None
        self._retry: asyncio.TimerHandle | None = None

    def write(self, state: StackState) -> None:
        """Writes the state now, or else as soon as that is possible."""
        try:
            write(self._path, state)
        except OSError as error:
            if self._unwritten is None:
                reason = f"cannot be written: {error.strerror}. All goes on, and it is tried again."
                self._report(f"{self._path} {reason}")
            self._unwritten = state
            if self._retry is None:
                loop = asyncio.get_running_loop()
                self._retry = loop.call_later(RETRY_PAUSE_S, self._write_again)
        else:
            if self._unwritten is not None:
                self._report(f"{self._path} can be written again.")
            self._stop_retrying()

    def remove(self) -> None:
        """Nothing runs any more."""
        self._stop_retrying()
        # Left where it is, it says the same: none of its processes is alive.
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _write_again(self) -> None:
        self._retry = None
        if self._unwritten is not None:
            self.write(self._unwritten)

    def _stop_retrying(self) -> None:
        self._unwritten = None
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None


def write(path: Path, state: StackState) -> None:
    """Raises `OSError`; the file is as it was, then."""
    write_whole(path, orjson.dumps(asdict(state), option=orjson.OPT_INDENT_2))


def read(path: Path) -> StackState | None:
    """The state that was written last; None where there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=StackState)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError):
        return None


def read_running(path: Path) -> StackState | None:
    """The state of a stack that is running."""
    state = read(path)
    return state if state is not None and state.is_alive else None


def end_leftovers(path: Path) -> list[str]:
    """Ends the processes of a stack that was killed; gives the names of those it found.

    Where the kernel ends a child with its parent there are none, or they are on their way out.
    """
    state = read(path)
    left = [process for process in state.processes if process.is_alive] if state else []
    for number in (None, signal.SIGKILL):
        for process in left:
            _signal_group(process, number or process.end_signal)
        deadline = time.monotonic() + LEFTOVER_TIMEOUT_S
        while any(process.is_alive for process in left) and time.monotonic() < deadline:
            time.sleep(LEFTOVER_PAUSE_S)
    return [process.name for process in left]


def _signal_group(process: ProcessState, number: int) -> None:
    if process.pid is not None and process.is_alive:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
