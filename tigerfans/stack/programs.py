"""What the stack can start, as plain data: the command, its user, when it is ready, how it stops.

Nothing here starts anything. The servers describe themselves in their own modules (`postgres`,
`redis`, `tigerbeetle`); the shop's own programs are described here.
"""

import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Final

from tigerfans.settings.settings import Settings, clerk_name, worker_name

# How long each gets to stop by itself before it is killed. Workers and clerk stop together, the
# others one after the other: with PostgreSQL's END_TIMEOUT_S on top, that is under 10 s.
WORKER_STOP_TIMEOUT_S: Final = 3.5
CLERK_STOP_TIMEOUT_S: Final = 3.5
SEQUENCER_STOP_TIMEOUT_S: Final = 1.5
MIGRATE_STOP_TIMEOUT_S: Final = 0.5
TAKE_STOP_TIMEOUT_S: Final = 0.5
TIGERBEETLE_STOP_TIMEOUT_S: Final = 0.5
REDIS_STOP_TIMEOUT_S: Final = 1.0
POSTGRES_STOP_TIMEOUT_S: Final = 2.5

_LAUNCHER: Final = Path(__file__).with_name("launch.py")

# Says whether a server answers; never raises because it does not.
Probe = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class User:
    """Who a program runs as; see `launch.py` for what `passes_permissions` is good for."""

    uid: int
    gid: int
    passes_permissions: bool

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}" + (":pass" if self.passes_permissions else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One long-running command.

    It is ready when `probe` says so; without a probe, when it sends READY=1 to the socket that
    NOTIFY_SOCKET names. `stop_signal` asks it to stop; `end_signal` ends it at once, together with
    processes of its own. `listener` is the descriptor of a socket that already listens; it stays
    open here, so that connections wait while the program is replaced or started again. One that has
    run once and is not `is_needed` is started again for ever: the shop sells without it. The shop's
    own programs say themselves that they let others finish (`process.runtime`).
    """

    name: str
    argv: tuple[str, ...]
    stop_timeout_s: float
    environment: Mapping[str, str] = field(default_factory=dict)
    user: User | None = None
    probe: Probe | None = None
    stop_signal: Signals = SIGTERM
    end_signal: Signals = SIGKILL
    listener: int | None = None
    is_needed: bool = True
    lets_others_finish: bool = False


def launch_command(
    argv: Sequence[str],
    user: User | None = None,
    end_signal: Signals = SIGKILL,
    listener: int | None = None,
) -> list[str]:
    """The command that starts `argv` as a child of this process and does not outlive it."""
    launcher = [sys.executable, "-I", "-S", str(_LAUNCHER)]
    socket = "" if listener is None else str(listener)
    return [*launcher, str(os.getpid()), str(int(end_signal)), str(user or ""), socket, *argv]


def sequencer(settings: Settings) -> Program:
    return _shop_program("sequencer", ["sequencer"], settings, SEQUENCER_STOP_TIMEOUT_S)


def migration(settings: Settings) -> Program:
    """Brings the database to the workers' schema, and ends."""
    return _shop_program("migrate", ["migrate"], settings, MIGRATE_STOP_TIMEOUT_S)


def taking(settings: Settings) -> Program:
    """Has the workers that start from then on sell what the event's file says, and ends."""
    return _shop_program("offer", ["offer", "take"], settings, TAKE_STOP_TIMEOUT_S)


def worker(settings: Settings, number: int, listener: int) -> Program:
    """Worker `number`, counted from 1."""
    name = worker_name(number)
    arguments = ["worker", "--number", str(number)]
    return _shop_program(name, arguments, settings, WORKER_STOP_TIMEOUT_S, listener)


def clerk(settings: Settings, number: int) -> Program:
    """Clerk `number`, counted from 1."""
    name = clerk_name(number)
    arguments = ["clerk", "--number", str(number)]
    program = _shop_program(name, arguments, settings, CLERK_STOP_TIMEOUT_S)
    return replace(program, is_needed=False)


def _shop_program(
    name: str,
    arguments: Sequence[str],
    settings: Settings,
    stop_timeout_s: float,
    listener: int | None = None,
) -> Program:
    return Program(
        name=name,
        # -P: the installed package, whatever lies in the current folder.
        argv=(sys.executable, "-P", "-m", "tigerfans", *arguments),
        # What it prints is in its log when it dies.
        environment={**settings.to_environment(), "PYTHONUNBUFFERED": "1"},
        stop_timeout_s=stop_timeout_s,
        listener=listener,
    )
