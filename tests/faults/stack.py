"""The shop under test: `tigerfans up` in a process of its own, on data that outlives its ends.

It knows which processes run, where the stores are, and every process it ever saw, so that in the
end each of them can be shown to be gone.
"""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.disk import NoDiskError, SmallDisk
from tests.faults.exchange import Answer, NoAnswerError, exchange
from tests.faults.prices import Prices
from tests.stack.running_shop import Identity, RunningShop, free_addresses, tigerfans
from tigerfans.settings import located
from tigerfans.settings.folder import DataFolder
from tigerfans.stack import state
from tigerfans.stack.service import EXIT_SETTINGS
from tigerfans.stack.state import ProcessState
from tigerfans.telemetry import steps

START_SECONDS_MAX = 90.0
READY_SECONDS_MAX = 60.0
GONE_SECONDS_MAX = 10.0
POLL_SECONDS = 0.05
LOG_LINES = 15
# In every line about a step of an order.
STEP = f" {steps.LOGGER}: "


class StackError(Exception):
    """The shop did not come up, come back, or go away."""


class FaultyShop:
    """One shop in a folder of its own; `close` ends it and removes the folder.

    With `disk_bytes` its data is on a file system of that size, which can be filled; where none can
    be mounted, `no_disk` says why. What its tickets cost, `prices` say.
    """

    def __init__(
        self, settings: Mapping[str, str], disk_bytes: int = 0, tickets_per_order: int = 1
    ) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="tigerfans-faults-"))
        self.disk: SmallDisk | None = None
        self.no_disk = ""
        if disk_bytes:
            try:
                self.disk = SmallDisk(self.data, disk_bytes)
            except NoDiskError as error:
                self.no_disk = str(error)
        self.prices = Prices(self._root / "offer.toml", tickets_per_order)
        self._settings = free_addresses() | self.prices.environment | dict(settings)
        self._seen: set[Identity] = set()
        self._shop: RunningShop | None = None
        self.port = int(self._settings["TIGERFANS_PORT"])

    @property
    def running(self) -> RunningShop:
        if self._shop is None:
            raise StackError("The shop was not started.")
        return self._shop

    @property
    def data(self) -> Path:
        return self._root / "data"

    @property
    def sockets(self) -> Path:
        return DataFolder(self.data).sockets

    @property
    def sequencer_socket(self) -> Path:
        return self.sockets / "sequencer.sock"

    @property
    def redis_socket(self) -> Path:
        return self.sockets / "redis.sock"

    @property
    def redis_url(self) -> str:
        return located.redis_url(self.redis_socket)

    @property
    def postgres_socket(self) -> Path:
        return self.sockets / "pg" / ".s.PGSQL.5432"

    @property
    def database_url(self) -> str:
        return located.database_url(self.sockets / "pg")

    async def start(self) -> None:
        """Opens the shop, for the first time or again on the same data."""
        self._shop = RunningShop(self._root, self._settings)
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                await asyncio.to_thread(self._shop.wait_until_open)
        except (TimeoutError, RuntimeError):
            raise StackError(f"The shop did not open.\n{self.tell()}") from None
        self.remember()

    async def start_without_ledger(self) -> None:
        """Starts the shop, which does not run, while its ledger is away; it has to refuse."""
        folder = DataFolder(self.data)
        ledgers = (folder.embedded_ledger, folder.tigerbeetle_file)
        [ledger] = [path for path in ledgers if path.exists()]
        aside = ledger.rename(ledger.with_name("ledger-aside"))
        refused = await asyncio.to_thread(
            tigerfans, "up", environ=self.running.environ, cwd=self._root
        )
        if ledger.is_dir():
            shutil.rmtree(ledger)
        aside.rename(ledger)
        if refused.returncode != EXIT_SETTINGS:
            raise StackError(f"The shop did not refuse a lost ledger.\n{refused.stderr}")

    async def kill_all(self) -> None:
        """Kills the supervisor, which takes all other processes with it."""
        self.remember()
        await asyncio.to_thread(self.running.kill)
        self.running.close()

    async def stop(self) -> int:
        """Asks the shop to stop, as Ctrl-C does; the exit code. Raises if it takes too long."""
        self.remember()
        return await asyncio.to_thread(self.running.stop)

    def close(self) -> None:
        """Ends whatever is left, and removes the data."""
        if self._shop is not None:
            self.remember()
            self._shop.close()
            deadline = time.monotonic() + GONE_SECONDS_MAX
            while any(p.is_running for p in self._seen) and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
        if self.disk is not None:
            self.disk.close()
        shutil.rmtree(self._root)

    def process(self, name: str) -> ProcessState | None:
        """The process of that name, where it runs."""
        stack = state.read(self.running.data / "run" / "state.json")
        alive = [p for p in stack.processes if p.name == name and p.is_alive] if stack else []
        return alive[0] if alive else None

    def pid_of(self, name: str) -> int:
        """The process of that name; raises `ProcessLookupError` where it does not run."""
        process = self.process(name)
        if process is None or process.pid is None:
            raise ProcessLookupError(name)
        return process.pid

    def memory_kib(self, name: str) -> int:
        """What a process has in memory."""
        status = Path(f"/proc/{self.pid_of(name)}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    @contextmanager
    def standing_still(self, name: str) -> Iterator[None]:
        """Stops a process, until the block ends."""
        pid = self.pid_of(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def remember(self) -> None:
        """Notes every process there is now."""
        self._seen |= self.running.family()

    async def left_over(self) -> list[int]:
        """The processes ever seen that do not end, by their ids."""
        for _ in range(int(GONE_SECONDS_MAX / POLL_SECONDS)):
            if not any(process.is_running for process in self._seen):
                return []
            await asyncio.sleep(POLL_SECONDS)
        return [process.pid for process in self._seen if process.is_running]

    async def until_ready(self) -> None:
        """Waits until every worker is ready, one after the other and each more than once."""
        ready = 0
        try:
            async with asyncio.timeout(READY_SECONDS_MAX):
                # The kernel chooses the worker, so one answer says nothing about the others.
                while ready < 2 * int(self._settings["TIGERFANS_WORKERS"]) + 4:
                    ready = ready + 1 if await self._is_ready() else 0
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise StackError(f"The shop did not become ready again.\n{self.tell()}") from None

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return await exchange(self.port, "GET", path, headers=headers)

    def logs(self) -> list[Path]:
        """What the supervisor and every process print into."""
        return [self._root / "stderr", *sorted((self.data / "log").glob("*.log*"))]

    def tell(self) -> str:
        """What the stack and each of its processes said last."""
        parts = []
        for file in self.logs():
            lines = file.read_text(errors="replace").splitlines()
            telling = [line for line in lines if STEP not in line]
            parts += [f"--- {file.name}", *telling[-LOG_LINES:]]
        return "\n".join(parts)

    async def _is_ready(self) -> bool:
        try:
            return (await self.get("/readyz")).is_success
        except NoAnswerError:
            return False
