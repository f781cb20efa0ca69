"""What a running stack says of itself, in a file that `tigerfans ps` and `tigerfans reload` read.

The stack replaces the file as a whole on every change. A reader trusts none of it without the
process table; a later stack uses it to end what a killed one may have left behind.
"""

import os
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import orjson

from tigerfans.stack.process_table import is_running

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


def write(path: Path, state: StackState) -> None:
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.write_bytes(orjson.dumps(asdict(state), option=orjson.OPT_INDENT_2))
    unfinished.replace(path)


def read(path: Path) -> StackState | None:
    """The state that was written last; None where there is none that can be read."""
    try:
        fields = orjson.loads(path.read_bytes())
        processes = tuple(ProcessState(**process) for process in fields.pop("processes"))
        return StackState(processes=processes, **fields)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
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
