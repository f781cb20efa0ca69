"""A whole shop for a test: `tigerfans up` in a process of its own, in a folder of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.harness.patience import PATIENCE_SECONDS
from tests.harness.ports import HOST, free_port
from tests.offers import OFFER, OFFER_FILE
from tigerfans.booking.inventory import Inventory
from tigerfans.booking.transfers import Booking
from tigerfans.ipc.client import SequencerClient
from tigerfans.ledger.wire import Operation
from tigerfans.offer.catalog import Catalog
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.settings import Settings
from tigerfans.stack.process_table import start_time

POLL_PAUSE_S = 0.05

_OURS = (
    "TIGERFANS_",
    "TIGERBEETLE_",
    "MOCK_",
    "ADMIN_",
    "DATABASE_URL",
    "REDIS_URL",
    "SMTP_",
    "STRIPE_",
)


@dataclass(frozen=True)
class Identity:
    """A process, told from a later one with the same id."""

    pid: int
    started: str | None

    @classmethod
    def of(cls, pid: int) -> "Identity":
        return cls(pid, start_time(pid))

    @property
    def is_running(self) -> bool:
        return self.started is not None and start_time(self.pid) == self.started


class RunningShop:
    """A shop that is open; its working folder is its own, so no TigerBeetle is found in `./bin`."""

    def __init__(self, root: Path, settings: Mapping[str, str]) -> None:
        self.data = root / "data"
        self.url = f"http://{HOST}:{settings['TIGERFANS_PORT']}"
        self.metrics_url = f"http://{settings['TIGERFANS_METRICS_ADDRESS']}"
        self.environ = environment(self.data, settings)
        self._root = root
        with (root / "stderr").open("w") as stderr:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "tigerfans", "up"],
                cwd=root,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )
        self.pid = self._child.pid

    def wait_until_open(self) -> str:
        """Waits for the banner and returns it."""
        assert self._child.stdout
        lines: list[str] = []
        for line in self._child.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                return "".join(lines)
        raise RuntimeError((self._root / "stderr").read_text())

    def tigerfans(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return tigerfans(*arguments, environ=self.environ, cwd=self._root)

    def ps(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.tigerfans("ps").stdout.splitlines()]

    def pid_of(self, name: str) -> int:
        pids: list[int] = [row["pid"] for row in self.ps() if row["name"] == name]
        return pids[0]

    def family(self) -> set[Identity]:
        """The stack's process and all that descend from it."""
        return family(self.pid)

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    async def held(self) -> int:
        """How many tickets of class A are held, on the ledger itself.

        What a worker says of it may be a moment old.
        """
        ids = Booking(Catalog.build(OFFER), Settings().hold_seconds).stock_accounts()
        socket = DataFolder(self.data).sockets / "sequencer.sock"
        client = await SequencerClient.connect(socket, name="test")
        try:
            accounts = await client.submit(Operation.LOOKUP_ACCOUNTS, ids)
        finally:
            await client.close()
        return next(iter(Inventory.by_ledger(accounts).values())).held

    def stop(self) -> int:
        self._child.terminate()
        return self._child.wait(PATIENCE_SECONDS)

    def wait(self) -> int:
        """Waits until it ends by itself; the exit code."""
        return self._child.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()

    def close(self) -> None:
        """Stops it in order, where it has not ended: killed, PostgreSQL leaves shared memory."""
        self._child.terminate()
        try:
            self._child.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        assert self._child.stdout
        self._child.stdout.close()


def family(pid: int) -> set[Identity]:
    """A process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found, queue = set(), [pid]
    while queue:
        pid = queue.pop()
        found.add(Identity.of(pid))
        queue += parents.get(pid, [])
    return found


def environment(data: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with these settings and no others, and the tests' own show."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    ours = {"PATH": "/nowhere", "TIGERFANS_DATA": str(data), "TIGERFANS_OFFER": str(OFFER_FILE)}
    return inherited | ours | dict(settings)


def free_addresses() -> dict[str, str]:
    """Settings for a shop that is in nobody's way."""
    metrics = f"{HOST}:{free_port()}"
    return {"TIGERFANS_PORT": str(free_port()), "TIGERFANS_METRICS_ADDRESS": metrics}


@contextmanager
def open_shop(root: Path, **settings: str) -> Iterator[RunningShop]:
    """A shop with its data in `root`/data."""
    shop = RunningShop(root, free_addresses() | settings)
    try:
        shop.wait_until_open()
        yield shop
    finally:
        shop.close()


def tigerfans(
    *arguments: str, environ: Mapping[str, str], cwd: Path
) -> "subprocess.CompletedProcess[str]":
    """Runs a command of ours to its end."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "tigerfans", *arguments],
        env=environ,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def until(condition: Callable[[], bool]) -> None:
    """Waits for something that other processes bring about."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(POLL_PAUSE_S)
