"""A cluster of TigerBeetle replicas on this machine, for what several shops share."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.measurement import REPLICA
from bench.stack import DATA_PARENT, HOST, START_SECONDS_MAX, StackError, process_cpu_seconds
from tigerfans.stack import tigerbeetle
from tigerfans.stack.ports import free_port
from tigerfans.stack.programs import launch_command

# Memory that each replica takes at its start and keeps; a benchmark's stock needs no more.
CACHE_GRID: Final = "256MiB"
# TigerBeetle reserves 0 for tests.
CLUSTER_ID: Final = 7
POLL_SECONDS: Final = 0.05


class Replica:
    """One replica over its own file; it runs from `start` to `stop`."""

    def __init__(self, binary: Path, addresses: str, file: Path) -> None:
        self.file = file
        self._start = (
            str(binary),
            "start",
            f"--addresses={addresses}",
            f"--cache-grid={CACHE_GRID}",
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise StackError(f"The replica over {self.file} does not run.")
        return self._process

    def start(self) -> None:
        """Starts it; it serves some time later."""
        with self.file.with_suffix(".log").open("ab") as log:
            self._process = subprocess.Popen(
                launch_command((*self._start, str(self.file))),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def stop(self) -> None:
        """Stops it at once, as it is built for."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """Replicas that run, and `url`, the TIGERFANS_LEDGER of the shops on them."""

    url: str
    replicas: tuple[Replica, ...]

    def cpu_seconds(self) -> dict[str, float]:
        """What each replica has used so far."""
        return {
            f"{REPLICA}{number}": process_cpu_seconds(replica.process.pid)
            for number, replica in enumerate(self.replicas, 1)
        }


@contextmanager
def running_cluster(binary: Path, count: int) -> Iterator[Cluster]:
    """Formats and starts `count` replicas, which are gone in the end; raises `StackError`."""
    ports = [free_port(HOST) for _ in range(count)]
    addresses = ",".join(f"{HOST}:{port}" for port in ports)
    with ExitStack() as stack:
        DATA_PARENT.mkdir(exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix="bench-cluster-", dir=DATA_PARENT)
        data = Path(stack.enter_context(folder))
        files = [data / f"{CLUSTER_ID}_{number}.tigerbeetle" for number in range(count)]
        for number, file in enumerate(files):
            _format(binary, number, count, file)
        replicas = tuple(Replica(binary, addresses, file) for file in files)
        for replica in replicas:
            replica.start()
            stack.callback(replica.stop)
        for replica, port in zip(replicas, ports, strict=True):
            _wait_for(replica.process, port, data)
        yield Cluster(f"tigerbeetle://{addresses}/{CLUSTER_ID}", replicas)


def find_binary(environ: Mapping[str, str], folder: Path) -> Path:
    """The server; raises `StackError` where there is none."""
    binary = tigerbeetle.find_binary(environ, folder)
    if binary is None:
        raise StackError("There is no TigerBeetle server: name it in TIGERBEETLE_BIN.")
    return binary


def _format(binary: Path, number: int, count: int, file: Path) -> None:
    place = [f"--cluster={CLUSTER_ID}", f"--replica={number}", f"--replica-count={count}"]
    formatted = subprocess.run(
        [binary, "format", *place, file], check=False, capture_output=True, text=True
    )
    if formatted.returncode != 0:
        raise StackError(f"TigerBeetle formats no file: {formatted.stderr.strip()}")


def _wait_for(replica: "subprocess.Popen[bytes]", port: int, data: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        if replica.poll() is not None:
            logs = "".join(log.read_text() for log in sorted(data.glob("*.log")))
            raise StackError(f"A replica has ended: {logs.strip()}")
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(POLL_SECONDS)
    raise StackError(f"A replica did not listen within {START_SECONDS_MAX:.0f} s.")
