"""TigerBeetle, where its server is found: one replica over one file, in its production setting.

The client in use and the server must be of one version, and so must the file: it is asked for
with the server's own `inspect` before it is started.
"""

import asyncio
import re
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import X_OK, access
from pathlib import Path
from typing import Final

from tigerfans.settings.settings import SettingsError
from tigerfans.stack.programs import TIGERBEETLE_STOP_TIMEOUT_S, Program, launch_command

VERSION: Final = "0.17.9"
HOST: Final = "127.0.0.1"
COMMAND_TIMEOUT_S: Final = 60

_VERSION_PATTERN: Final = re.compile(r"^TigerBeetle version (\d+\.\d+\.\d+)", re.MULTILINE)
_RELEASE_PATTERN: Final = re.compile(r" vsr_state\.checkpoint\.release=([\d.]+)$", re.MULTILINE)
_CLUSTER_PATTERN: Final = re.compile(r" cluster=0x([0-9a-f]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class DataFile:
    """What a data file says of itself."""

    cluster: int
    release: str


def find_binary(environ: Mapping[str, str], folder: Path) -> Path | None:
    """The server: TIGERBEETLE_BIN, else `bin/` in `folder`, else the PATH."""
    if configured := environ.get("TIGERBEETLE_BIN"):
        binary = Path(configured)
        if not (binary.is_file() and access(binary, X_OK)):
            raise SettingsError(f"TIGERBEETLE_BIN names no program: {configured}.")
        return binary.absolute()
    path = f"{folder / 'bin'}:{environ.get('PATH', '')}"
    found = shutil.which("tigerbeetle", path=path)
    return Path(found).absolute() if found else None


def check_version(binary: Path) -> None:
    """Raises `SettingsError` unless the server is of the version we speak."""
    printed = _VERSION_PATTERN.search(_run([str(binary), "version"]).stdout)
    version = printed[1] if printed else "an unknown version"
    if version != VERSION:
        raise SettingsError(
            f"{binary} is TigerBeetle {version}, and this shop needs {VERSION}:"
            " get it with `tigerfans tigerbeetle`, or name it in TIGERBEETLE_BIN."
        )


def inspect(binary: Path, file: Path) -> DataFile:
    """Reads a data file's superblock; raises `SettingsError` for a file that is not ours."""
    printed = _run([str(binary), "inspect", "superblock", str(file)]).stdout
    cluster, release = _CLUSTER_PATTERN.search(printed), _RELEASE_PATTERN.search(printed)
    if cluster is None or release is None:
        raise SettingsError(f"{file} (below TIGERFANS_DATA) is not a TigerBeetle data file.")
    if release[1] != VERSION:
        raise SettingsError(
            f"{file} (below TIGERFANS_DATA) was written by TigerBeetle {release[1]},"
            f" and this shop needs {VERSION}."
        )
    return DataFile(cluster=int(cluster[1], 16), release=release[1])


def initialise(binary: Path, file: Path) -> None:
    """Formats a data file for a new cluster with an id of its own, unless there is one."""
    if file.exists():
        return
    unfinished = file.with_name(f"{file.name}.new")
    unfinished.unlink(missing_ok=True)
    # 0 is for tests.
    cluster = secrets.randbelow(2**128 - 1) + 1
    options = [f"--cluster={cluster}", "--replica=0", "--replica-count=1"]
    formatted = _run([str(binary), "format", *options, str(unfinished)])
    if formatted.returncode != 0:
        reason = formatted.stdout.strip().rpartition("\n")[2]
        raise SettingsError(f"TigerBeetle cannot keep its data in TIGERFANS_DATA: {reason}")
    unfinished.rename(file)


def program(binary: Path, file: Path, port: int) -> Program:
    """The server over a formatted `file`."""
    return Program(
        name="tigerbeetle",
        argv=(str(binary), "start", f"--addresses={HOST}:{port}", str(file)),
        stop_timeout_s=TIGERBEETLE_STOP_TIMEOUT_S,
        probe=lambda: answers(port),
        lets_others_finish=True,
    )


def ledger_url(port: int, cluster: int) -> str:
    """The value of TIGERFANS_LEDGER for a server on this machine."""
    return f"tigerbeetle://{HOST}:{port}/{cluster}"


async def answers(port: int) -> bool:
    """Whether the server takes connections."""
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


def _run(argv: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            launch_command(argv),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_TIMEOUT_S,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        raise SettingsError(f"{argv[0]} {argv[1]} did not end in {COMMAND_TIMEOUT_S} s.") from None
