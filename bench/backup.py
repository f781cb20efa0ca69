"""`ops/backup.sh` for a shop that is measured: the very script, with other paths in it.

On a host it finds settings, programs and TigerBeetle's file where they are installed, and has
systemd stop the replica. Here they lie in a folder, and whoever started the replica stops it.
"""

import os
import shlex
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bench.cluster import Replica
from bench.errors import BenchError
from bench.machine import ROOT
from bench.stack import Stack
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.located import database_url, postgres_sockets
from tigerfans.stack import postgres

SCRIPT: Final = ROOT / "ops" / "backup.sh"
# Of a host: its settings, its programs, its replica's file, and the way to be the shop's user.
PATHS: Final = (
    "/etc/tigerfans/tigerfans.env",
    "/opt/tigerfans/ops/",
    "/var/lib/tigerbeetle/0_0.tigerbeetle",
    "runuser -u tigerfans --",
)


@contextmanager
def prepared_backup(
    folder: Path, stack: Stack, ledger: str, replica: Replica | None
) -> Iterator[tuple[str, ...]]:
    """The command that makes a backup of a shop on `ledger` into `folder`, again and again.

    `replica` is the one of TigerBeetle's whose file is copied.
    """
    settings = {
        "DATABASE_URL": database_url(postgres_sockets(DataFolder(stack.data))),
        "TIGERFANS_DATA": str(stack.data),
        "TIGERFANS_LEDGER": ledger,
    }
    environment = folder / "tigerfans.env"
    environment.write_text("".join(f"{n}={shlex.quote(v)}\n" for n, v in settings.items()))
    python = f"exec {shlex.quote(sys.executable)} -P"
    data = f"TIGERFANS_DATA={shlex.quote(str(stack.data))}"
    _write_program(folder / "shop", f'{data} {python} -m tigerfans "$@"')
    _write_program(folder / "with-orders", f'{python} {ROOT}/ops/with-orders "$@"')
    ask, told = folder / "ask", folder / "told"
    _write_program(folder / "systemctl", f'echo "$1" >{ask} && read -r _ <{told}')
    file = str(replica.file) if replica else os.devnull
    others = (str(environment), f"{folder}/", file, "env")
    script = with_other_paths(dict(zip(PATHS, others, strict=True)))
    (folder / "backup.sh").write_text(script)
    path = f"PATH={folder}:{postgres.binaries()}:{os.environ['PATH']}"
    with _systemd(ask, told, replica):
        yield ("env", path, "sh", str(folder / "backup.sh"), str(folder / "backups"))


def with_other_paths(others: Mapping[str, str]) -> str:
    """The script, with other paths in it; raises `BenchError` where it has one of them no more."""
    script = SCRIPT.read_text()
    for path, other in others.items():
        if path not in script:
            raise BenchError(f"{SCRIPT} says nothing of {path} any more.")
        script = script.replace(path, other)
    return script


def _write_program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o700)


@contextmanager
def _systemd(ask: Path, told: Path, replica: Replica | None) -> Iterator[None]:
    """Stops and starts the replica for whoever writes so into `ask`, and says when it is done."""
    os.mkfifo(ask)
    os.mkfifo(told)

    def serve() -> None:
        while word := ask.read_text().strip():
            if replica is not None:
                {"stop": replica.stop, "start": replica.start}[word]()
            told.write_text("done\n")

    thread = threading.Thread(target=serve, name="systemd", daemon=True)
    thread.start()
    try:
        yield
    finally:
        # Nobody asks any more, and who waits for that reads nothing and ends.
        with suppress(OSError):
            os.close(os.open(ask, os.O_WRONLY | os.O_NONBLOCK))
