"""A real TigerBeetle for tests, wherever its server is found: one replica over a file of its own.

Tests can kill it, stop it for a while and start it again. It ends with the test run, also when
that is killed.
"""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.needs import NO_TIGERBEETLE, TIGERBEETLE
from tests.harness.patience import PATIENCE_SECONDS
from tests.harness.ports import free_port
from tigerfans.stack import tigerbeetle
from tigerfans.stack.programs import launch_command

# The id that TigerBeetle reserves for tests.
CLUSTER_ID = 0
PAUSE_SECONDS = 0.02

# Starts in half a second and takes small batches; in production it zeroes gigabytes of memory.
DEVELOPMENT = ("--development",)
PRODUCTION = ("--cache-grid=128MiB",)


class TigerBeetleServer:
    """One server over the data file in `folder`, always on the same port."""

    def __init__(self, binary: Path, folder: Path, options: tuple[str, ...]) -> None:
        self.port = free_port()
        self._file = folder / "0_0.tigerbeetle"
        self._log = folder / "tigerbeetle.log"
        self._argv = tigerbeetle.program(binary, self._file, self.port).argv
        self._argv = (*self._argv[:-1], *options, self._argv[-1])
        self._process: subprocess.Popen[bytes] | None = None
        format_options = [f"--cluster={CLUSTER_ID}", "--replica=0", "--replica-count=1"]
        subprocess.run(
            [binary, "format", *format_options, self._file], check=True, capture_output=True
        )

    @property
    def addresses(self) -> str:
        return f"{tigerbeetle.HOST}:{self.port}"

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                launch_command(self._argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"TigerBeetle did not start:\n{self._log.read_text()}")
            time.sleep(PAUSE_SECONDS)

    def stop(self) -> None:
        """It stands still, until `go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """As `kill -9` does; it can be started again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ensure_running(self) -> None:
        """As it was after `start`, whatever a test did to it."""
        if self._process is None:
            self.start()
        self.go_on()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((tigerbeetle.HOST, self.port)) == 0


@contextmanager
def running_tigerbeetle(options: tuple[str, ...]) -> Iterator[TigerBeetleServer]:
    """A new server until the block ends; skips the test where none is found."""
    if TIGERBEETLE is None:
        pytest.skip(NO_TIGERBEETLE)
    # Not in pytest's folders, which outlive the run: a data file takes a gigabyte.
    folder = Path(tempfile.mkdtemp(prefix="tigerfans-tigerbeetle-"))
    try:
        server = TigerBeetleServer(TIGERBEETLE, folder, options)
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder)
