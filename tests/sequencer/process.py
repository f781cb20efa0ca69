"""A real sequencer in a process of its own, started and stopped the way a supervisor does."""

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.harness.patience import PATIENCE_SECONDS
from tests.harness.ports import free_port
from tigerfans.sequencer.main import run
from tigerfans.settings.settings import SequencerSettings, Settings, SettingsError

_spawning = multiprocessing.get_context("spawn")


def settings_in(folder: Path) -> Settings:
    """A sequencer over an embedded ledger, everything in one folder."""
    return Settings(
        sequencer=SequencerSettings(
            socket=folder / "run" / "sequencer.sock", metrics_port=free_port()
        ),
        ledger=f"embedded:{folder / 'ledger'}",
    )


class SequencerProcess:
    """Starts when it is made; `wait_ready` or `wait_exit` says what became of it."""

    def __init__(self, settings: Settings, notify_path: Path, stderr_path: Path) -> None:
        self._stderr_path = stderr_path
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notified.settimeout(PATIENCE_SECONDS)
        self._notified.bind(str(notify_path))
        self._process = _spawning.Process(
            target=_serve, args=(settings, str(notify_path), str(stderr_path)), daemon=True
        )
        self._process.start()

    def wait_ready(self) -> None:
        assert self._notified.recv(64) == b"READY=1"

    def wait_exit(self) -> int:
        self._process.join(PATIENCE_SECONDS)
        assert self._process.exitcode is not None
        return self._process.exitcode

    def send(self, number: signal.Signals) -> None:
        assert self._process.pid
        os.kill(self._process.pid, number)

    @property
    def stderr(self) -> str:
        return self._stderr_path.read_text()

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self._notified.close()


@contextmanager
def sequencer_process(settings: Settings) -> Iterator[SequencerProcess]:
    """A sequencer process that is gone at the end of the block."""
    with TemporaryDirectory(prefix="tigerfans-") as folder:
        process = SequencerProcess(settings, Path(folder, "notify"), Path(folder, "stderr"))
        try:
            yield process
        finally:
            process.close()


def _serve(settings: Settings, notify_path: str, stderr_path: str) -> None:
    os.environ["NOTIFY_SOCKET"] = notify_path
    sys.stderr = Path(stderr_path).open("w")  # noqa: SIM115
    try:
        sys.exit(run(settings))
    except SettingsError as error:
        print(error, file=sys.stderr, flush=True)
        sys.exit(2)
