"""The shop that is measured: the whole stack as `tigerfans up` runs it, in a folder of its own.

It listens on free ports, keeps its data in a temporary folder and starts PostgreSQL, Redis and the
ledger itself, whatever the environment says of other ones: nobody's shop is ever measured by
mistake. Of the environment only TIGERBEETLE_BIN and the PATH count.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import ProxyHandler, build_opener

import psutil

from bench.config import Config
from bench.errors import BenchError
from bench.machine import ROOT
from tigerfans.settings.folder import state_file
from tigerfans.settings.settings import Settings
from tigerfans.stack import state
from tigerfans.stack.ports import free_port
from tigerfans.stack.programs import launch_command

HOST: Final = "127.0.0.1"
START_SECONDS_MAX: Final = 90.0
STOP_SECONDS_MAX: Final = 20.0
ANSWER_SECONDS_MAX: Final = 10.0
# Where the shop's data goes: beside its own, because /tmp is often not a disk.
DATA_PARENT: Final = ROOT / "data"

_OTHER_SETTINGS: Final = ("DATABASE_URL", "REDIS_URL", "MOCK_WEBHOOK_URL", "NOTIFY_SOCKET")
# Loads speak of its classes.
OFFER_FILE: Final = Path(__file__).with_name("offer.toml")
_UP: Final = (sys.executable, "-P", "-m", "tigerfans", "up")
# To our own processes, whatever proxy the environment names.
_opener = build_opener(ProxyHandler({}))


class StackError(BenchError):
    """The shop does not run (any more)."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A running shop."""

    process: "subprocess.Popen[bytes]"
    log: Path
    data: Path
    port: int
    metrics_port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def check(self) -> None:
        """Raises `StackError` where it has ended."""
        if self.process.poll() is not None:
            raise StackError(f"The shop has ended: {_last_words(self.log)}")

    def cpu_seconds(self) -> dict[str, float]:
        """What each process has used so far, those it has started included."""
        running = state.read_running(state_file(self.data))
        if running is None:
            raise StackError(f"The shop has ended: {_last_words(self.log)}")
        try:
            return {
                p.name: process_cpu_seconds(p.pid) for p in running.processes if p.pid is not None
            }
        except psutil.NoSuchProcess as error:
            raise StackError(f"A process of the shop has ended: {error}.") from None

    def sequencer_status(self) -> dict[str, Any]:
        """The sequencer's `/status`."""
        return get_json(f"http://{HOST}:{self.metrics_port}/status")

    def sold(self) -> int:
        """Tickets sold so far, of all classes."""
        return sum(stock["sold"] for stock in get_json(f"{self.url}/api/inventory").values())


@contextmanager
def running(config: Config, *, embedded: bool = False) -> Iterator[Stack]:
    """Starts a shop and stops it in the end; raises `StackError` where it does not start.

    With `embedded` it sells on the embedded ledger even where TigerBeetle is found.
    """
    with data_folder() as data, running_in(data, config, embedded=embedded) as stack:
        yield stack


@contextmanager
def data_folder() -> Iterator[Path]:
    """A folder for a shop's data, which is gone in the end."""
    DATA_PARENT.mkdir(exist_ok=True)
    data = Path(tempfile.mkdtemp(prefix="bench-", dir=DATA_PARENT))
    try:
        yield data
    finally:
        shutil.rmtree(data, ignore_errors=True)


@contextmanager
def running_in(data: Path, config: Config, *, embedded: bool = False) -> Iterator[Stack]:
    """As `running`, for the shop whose data is in a folder that stays."""
    port, metrics_port = free_port(HOST), free_port(HOST)
    environment = clean_environment() | {
        **config.variables,
        "TIGERFANS_HOST": HOST,
        "TIGERFANS_PORT": str(port),
        "TIGERFANS_METRICS_ADDRESS": f"{HOST}:{metrics_port}",
        "TIGERFANS_DATA": str(data),
        "TIGERFANS_BENCH": "1",
    }
    if embedded:
        environment["TIGERFANS_LEDGER"] = f"embedded:{data / 'ledger'}"
    with (data / "up.log").open("wb") as log, _ReadySocket() as ready:
        process = subprocess.Popen(
            # It ends with us, even where we are killed.
            launch_command(_UP, None, signal.SIGTERM),
            env=environment | {"NOTIFY_SOCKET": str(ready.path)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C is for us: we stop it when we have read what we need.
            process_group=0,
        )
        stack = Stack(process, data / "up.log", data, port, metrics_port)
        try:
            ready.wait(stack)
            yield stack
        finally:
            stop_process(process)


class _ReadySocket:
    """Where `tigerfans up` says that every process serves, as systemd would be told."""

    def __enter__(self) -> "_ReadySocket":
        self._folder = tempfile.TemporaryDirectory(prefix="tigerfans-bench-")
        self.path = Path(self._folder.name, "ready")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.settimeout(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._folder.cleanup()

    def wait(self, stack: Stack) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            stack.check()
            try:
                if b"READY=1" in self._socket.recv(4096).splitlines():
                    return
            except TimeoutError:
                continue
        raise StackError(f"The shop did not start within {START_SECONDS_MAX:.0f} s.")


def clean_environment() -> dict[str, str]:
    """Our environment, less every setting of a shop, but with what the benchmarks sell."""
    known = {*Settings().to_environment(), *_OTHER_SETTINGS}
    others = {
        name: value
        for name, value in os.environ.items()
        if name not in known and not name.startswith("TIGERFANS_")
    }
    return others | {"TIGERFANS_OFFER": str(OFFER_FILE)}


def stop_process(process: "subprocess.Popen[bytes]") -> None:
    """Asks it to stop, and ends it where it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            # The kernel ends what it has started.
            process.kill()
            process.wait()


def process_cpu_seconds(pid: int) -> float:
    """Of one process, its children (PostgreSQL has one for each connection) and theirs."""
    process = psutil.Process(pid)
    times = [process.cpu_times()]
    for child in process.children(recursive=True):
        try:
            times.append(child.cpu_times())
        except psutil.NoSuchProcess:
            continue  # Its parent's figures hold it from now on.
    return float(sum(t.user + t.system + t.children_user + t.children_system for t in times))


def get_json(url: str) -> dict[str, Any]:
    """What a shop answers; raises `StackError` where that is no JSON."""
    try:
        with _opener.open(url, timeout=ANSWER_SECONDS_MAX) as response:
            answer: dict[str, Any] = json.load(response)
    except (OSError, ValueError) as error:
        raise StackError(f"The shop does not answer {url}: {error}.") from None
    return answer


def _last_words(log: Path) -> str:
    """The last line that says why; that it stopped says nothing."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    telling = [line for line in lines if line not in ("", "Stopped.")]
    return telling[-1] if telling else "it printed nothing."
