"""The reference design, as it is measured beside this shop: its own server, on stores of this run.

It is a checkout of github.com/renerocksai/tigerfans with what it pins installed beside it:

    git clone https://github.com/renerocksai/tigerfans reference
    python3.11 -m venv reference/.venv
    reference/.venv/bin/pip install -r reference/requirements.txt

Nothing of it is changed. Its server is started as its own Makefile does, with the settings that its
author measured with, on the stores that it is given. It finds stock on the ledger or makes it.
"""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Final

from bench.errors import BenchError
from bench.stack import (
    HOST,
    START_SECONDS_MAX,
    StackError,
    clean_environment,
    get_json,
    process_cpu_seconds,
    stop_process,
)
from tigerfans.settings.settings import DEFAULT_WEBHOOK_SECRET
from tigerfans.stack.ports import free_port
from tigerfans.stack.programs import launch_command

POLL_SECONDS: Final = 0.1
# What its author has set for what he measured: load_tests/db010/ in his repository.
POOL: Final = {
    "REDIS_MAX_CONN": "512",
    "DB_POOL_SIZE": "10",
    "DB_MAX_OVERFLOW": "10",
    "DB_POOL_TIMEOUT": "30",
}
# PostgreSQL connections that one of its workers may open, by that.
CONNECTIONS_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Reference:
    """A server of the reference that runs."""

    process: "subprocess.Popen[bytes]"
    log: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def check(self) -> None:
        """Raises `BenchError` where it has ended."""
        if self.process.poll() is not None:
            lines = self.log.read_text(errors="replace").strip().splitlines()
            raise BenchError(f"The reference has ended: {lines[-1] if lines else 'no word of it'}")

    def sold(self) -> int:
        """Tickets sold so far, of both classes, by all servers on its ledger."""
        return sum(stock["sold"] for stock in get_json(f"{self.url}/api/inventory").values())

    def cpu_seconds(self) -> float:
        """Of all its processes."""
        return process_cpu_seconds(self.process.pid)


@contextmanager
def running_reference(
    checkout: Path, workers: int, stores: Mapping[str, str], folder: Path
) -> Iterator[Reference]:
    """Starts it with so many workers, its log in `folder`; raises `BenchError` where it does not.

    `stores` are its DATABASE_URL, REDIS_URL, TB_ADDRESS and TB_CLUSTER_ID.
    """
    python = checkout.absolute() / ".venv" / "bin" / "python"
    if not (checkout / "tigerfans" / "server.py").is_file() or not python.exists():
        raise BenchError(f"{checkout} is no checkout of the reference with a .venv in it.")
    port = free_port(HOST)
    served = ("--host", HOST, "--port", str(port), "--workers", str(workers), "--no-access-log")
    command = (str(python), "-m", "uvicorn", "tigerfans.server:app", *served)
    log = folder / f"reference-{workers}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            launch_command(command, None, SIGTERM),
            cwd=checkout,
            env=clean_environment()
            | POOL
            | {"ACCT_BACKEND": "tb", "PAYSESSION_BACKEND": "redis"}
            | {"MOCK_SECRET": DEFAULT_WEBHOOK_SECRET}
            | {"MOCK_WEBHOOK_URL": f"http://{HOST}:{port}/payments/webhook"}
            | dict(stores),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )
    reference = Reference(process, log, port)
    try:
        _wait_for(reference)
        yield reference
    finally:
        stop_process(process)
        # Workers whose parent had to be killed.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, SIGKILL)


def _wait_for(reference: Reference) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        reference.check()
        try:
            reference.sold()
        except StackError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(POLL_SECONDS)
        else:
            return
