"""Carries out the faults of a plan on a shop that runs.

Everything is done from outside, to real processes: signals, a file that takes all the room on the
disk of the data folder, other prices for the workers that come, and connections that are taken over
for a moment (`pidfd_getfd`), to leave half a frame on them and hang up. What lasts for a while
overlaps with the faults that follow. A fault that finds nothing to strike, because an earlier one
has not healed yet, waits for that.

Where the data folder cannot have a disk of its own, a limit on the size of files stands in for the
full disk, and only for the embedded ledger's process: PostgreSQL takes that limit for a bug.
"""

import asyncio
import ctypes
import os
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from resource import RLIM_INFINITY, RLIMIT_FSIZE, prlimit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.faults.mailbox import Mailbox
from tests.faults.owner import Owner
from tests.faults.pace import Pace
from tests.faults.plan import Fault, FaultKind, RunPlan
from tests.faults.provider import Provider, Undo
from tests.faults.stack import FaultyShop, StackError
from tests.stack.running_shop import family
from tigerfans.ipc.frames import ABOUT_THE_CONNECTION, Status, encode

# The system call's number, on every architecture.
PIDFD_GETFD = 438
# Less than any file has that a ledger writes to, so that no write fits.
FULL_DISK_BYTES = 4096
REDIS_SECONDS_MAX = 2.0
# For an earlier fault to heal; in seconds that is more than the stack's own patience.
ATTEMPTS_MAX = 400
ATTEMPT_PAUSE_SECONDS = 0.25
WORKERS = ("worker-1", "worker-2")

# Frames of 100 bytes, cut in the middle of their payload. Should a byte that follows still
# complete one, either end refuses it.
NO_OPERATION = 255
HALF_A_REQUEST = encode(1, NO_OPERATION, bytes(100))[:40]
HALF_A_REPLY = encode(ABOUT_THE_CONNECTION, Status.INVALID, bytes(100))[:40]


class Injector:
    """Deals all of a plan's faults, at a pace it shares with the buyers, and counts them."""

    def __init__(
        self,
        plan: RunPlan,
        shop: FaultyShop,
        provider: Provider,
        mailbox: Mailbox,
        owner: Owner,
        pace: Pace,
    ) -> None:
        self._plan = plan
        self._shop = shop
        self._provider = provider
        self._mailbox = mailbox
        self._owner = owner
        self._pace = pace
        self._chance = Random(f"{plan.seed} injector")
        self._lasting = asyncio.TaskGroup()
        self.struck: Counter[FaultKind] = Counter()
        self.log: list[str] = []

    async def run(self) -> None:
        """Returns once they have struck and everything that lasts for a while is over.

        Raises `StackError` where one never finds anything to strike.
        """
        async with asyncio.TaskGroup() as lasting:
            self._lasting = lasting
            for pause_s, fault in self._plan.faults():
                await asyncio.sleep(pause_s)
                await self._pace.fault()
                undo = await self._strike_once_possible(fault)
                await self._pace.struck()
                if undo is not None:
                    lasting.create_task(_undo_later(fault.seconds, undo), name=str(fault))

    async def _strike_once_possible(self, fault: Fault) -> Undo | None:
        """Carries out one fault, when there is something to strike; how to undo it, if it lasts."""
        for _ in range(ATTEMPTS_MAX):
            self._shop.remember()
            try:
                undo = await self._strike(fault)
            except (ProcessLookupError, LookupError, OSError, RedisError, TimeoutError) as error:
                self.log.append(f"{fault}: nothing to strike ({error!r})")
                await asyncio.sleep(ATTEMPT_PAUSE_SECONDS)
            else:
                self.struck[fault.kind] += 1
                self.log.append(str(fault))
                return undo
        raise StackError(f"{fault}: after {ATTEMPTS_MAX} attempts there was nothing to strike.")

    async def _strike(self, fault: Fault) -> Undo | None:
        match fault.kind:
            case FaultKind.KILL_ALL:
                await self._kill_all()
                await self._shop.start()
            case FaultKind.LOSE_LEDGER:
                await self._kill_all()
                await self._shop.start_without_ledger()
                await self._shop.start()
            case FaultKind.FLUSH:
                await self._flush()
            case FaultKind.CUT:
                self._cut(fault.target)
            case FaultKind.RELOAD:
                os.kill(self._shop.running.pid, signal.SIGHUP)
            case FaultKind.REPRICE:
                self._shop.prices.set(fault.prices)
                os.kill(self._shop.running.pid, signal.SIGHUP)
            case FaultKind.KILL:
                os.kill(self._shop.pid_of(fault.target), signal.SIGKILL)
            case FaultKind.KILL_BACKEND:
                os.kill(self._backend(), signal.SIGKILL)
            case FaultKind.STOP:
                return _stand_still(self._shop.pid_of(fault.target))
            case FaultKind.FULL_DISK:
                return self._fill_disk()
            case FaultKind.REFUND:
                self._lasting.create_task(self._owner.refund(self._owner.pick()), name="refund")
            case FaultKind.RESTOCK:
                self._lasting.create_task(self._owner.restock(), name="restock")
            case FaultKind.CLOSE:
                self._lasting.create_task(self._owner.close(fault.seconds), name="close")
            case FaultKind.MAIL_AWAY:
                return await self._mailbox.go_away()
            case _:
                return await self._provider.strike(fault)
        return None

    async def _kill_all(self) -> None:
        await self._shop.kill_all()
        # Without any room the shop refuses to start, which is no fault of it.
        self._make_room()

    def _fill_disk(self) -> Callable[[], None]:
        """Takes all the room; see `RunPlan.without_disk`."""
        if self._shop.disk is not None:
            self._shop.disk.fill()
            return self._make_room
        return _limit_files(self._shop.pid_of("sequencer"))

    def _make_room(self) -> None:
        if self._shop.disk is not None:
            self._shop.disk.make_room()

    async def _flush(self) -> None:
        async with (
            asyncio.timeout(REDIS_SECONDS_MAX),
            Redis.from_url(self._shop.redis_url) as redis,
        ):
            await redis.flushall()

    def _cut(self, target: str) -> None:
        worker = self._shop.pid_of(self._chance.choice(WORKERS))
        match target:
            case "sequencer" if self._chance.random() < 0.5:
                cut(worker, self._shop.sequencer_socket, HALF_A_REQUEST)
            case "sequencer":
                sequencer = self._shop.pid_of("sequencer")
                cut(sequencer, self._shop.sequencer_socket, HALF_A_REPLY, is_server=True)
            case "redis":
                cut(worker, self._shop.redis_socket)
            case _:
                cut(worker, self._shop.postgres_socket)

    def _backend(self) -> int:
        """One of the server processes of PostgreSQL that serve a worker."""
        children = family(self._shop.pid_of("postgres"))
        return self._chance.choice(
            [child.pid for child in children if b"postgres: tigerfans" in _command(child.pid)]
        )


def cut(pid: int, path: Path, last_words: bytes = b"", *, is_server: bool = False) -> None:
    """Says something on one of a process's connections to `path`, and ends it for both sides.

    Raises `LookupError` where it has none. `is_server` is for the process that listens there.
    """
    for connection in connections(pid):
        with suppress(OSError):
            peer, own = connection.getpeername(), connection.getsockname()
            if str(path) == (own if is_server else peer):
                with suppress(BlockingIOError):
                    connection.send(last_words, socket.MSG_DONTWAIT)
                connection.shutdown(socket.SHUT_RDWR)
                return
    raise LookupError(f"process {pid} has no connection to {path}")


def connections(pid: int) -> Iterator[socket.socket]:
    """Copies of a process's sockets, each closed before the next."""
    getfd = ctypes.CDLL(None, use_errno=True).syscall
    pidfd = os.pidfd_open(pid)
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                if str(entry.readlink()).startswith("socket:"):
                    copy = getfd(PIDFD_GETFD, pidfd, int(entry.name), 0)
                    if copy >= 0:
                        with socket.socket(fileno=copy) as connection:
                            yield connection
    finally:
        os.close(pidfd)


def _stand_still(pid: int) -> Callable[[], None]:
    """Stops a process and all it started."""
    stopped = family(pid)
    for process in stopped:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGSTOP)

    def go_on() -> None:
        for process in stopped:
            with suppress(ProcessLookupError):
                if process.is_running:
                    os.kill(process.pid, signal.SIGCONT)

    return go_on


def _limit_files(pid: int) -> Callable[[], None]:
    """Lets every write of a process fail that would make a file longer, or touch its far end."""
    prlimit(pid, RLIMIT_FSIZE, (FULL_DISK_BYTES, RLIM_INFINITY))

    def make_room() -> None:
        with suppress(ProcessLookupError):
            prlimit(pid, RLIMIT_FSIZE, (RLIM_INFINITY, RLIM_INFINITY))

    return make_room


async def _undo_later(seconds: float, undo: Undo) -> None:
    try:
        await asyncio.sleep(seconds)
    finally:
        if undone := undo():
            await undone


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
