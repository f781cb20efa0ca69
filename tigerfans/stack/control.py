"""What one asks of a stack that runs in another process: `tigerfans ps` and `tigerfans reload`."""

import os
import signal
import sys
import time
from dataclasses import replace
from typing import Final

import orjson

from tigerfans.settings.folder import state_file
from tigerfans.settings.settings import Settings
from tigerfans.stack import state
from tigerfans.stack.process import START_TIMEOUT_S
from tigerfans.stack.service import REPLACED_STOP_TIMEOUT_S
from tigerfans.stack.state import ProcessState, StackState

RELOAD_PAUSE_S: Final = 0.05


def ps(settings: Settings) -> int:
    """Prints each process as a line of JSON; 1 if no stack is running."""
    running = _running(settings)
    if running is None:
        return 1
    for process in running.processes:
        print(_describe(process))
    return 0


def reload(settings: Settings) -> int:
    """Has workers and clerk replaced, and waits for it; 1 if that failed or no stack is running."""
    before = _running(settings)
    if before is None:
        return 1
    # One after the other: the workers, and the clerk.
    patience_s = (settings.http.workers + 1) * (START_TIMEOUT_S + REPLACED_STOP_TIMEOUT_S)
    deadline = time.monotonic() + patience_s
    os.kill(before.pid, signal.SIGHUP)
    while time.monotonic() < deadline:
        time.sleep(RELOAD_PAUSE_S)
        now = _running(settings)
        if now is None:
            return 1
        if now.reloads > before.reloads:
            return _print_outcome(now.reload_error)
    print(f"The reload has not finished within {patience_s:.0f} s.", file=sys.stderr)
    return 1


def _print_outcome(error: str | None) -> int:
    if error:
        print(error, file=sys.stderr)
        return 1
    print("All workers and the clerk were replaced.")
    return 0


def _running(settings: Settings) -> StackState | None:
    running = state.read_running(state_file(settings.data))
    if running is None:
        print(f"No shop is running in TIGERFANS_DATA={settings.data}.", file=sys.stderr)
    return running


def _describe(process: ProcessState) -> str:
    # It may have died after the file was written.
    if process.pid is not None and not process.is_alive:
        process = replace(process, pid=None, state="stopped")
    fields = {
        "name": process.name,
        "pid": process.pid,
        "state": process.state,
        "restarts": process.restarts,
    }
    return orjson.dumps(fields).decode()
