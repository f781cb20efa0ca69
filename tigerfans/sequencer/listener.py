"""The sequencer's socket file: one sequencer for each path, and for this user only.

A lock file beside the socket tells a living sequencer from the remains of a dead one: the kernel
drops the lock with the process, however it died. The socket gets mode 0600 before it listens, so
that no umask opens it to others even for a moment.
"""

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tigerfans.settings.settings import SettingsError

BACKLOG: Final = 128
# The size of Linux's sun_path, less its closing zero byte.
PATH_SIZE_MAX: Final = 107
PROBE_SECONDS: Final = 1.0
_VARIABLE: Final = "TIGERFANS_SEQUENCER_SOCKET"


@contextmanager
def bound_socket(path: Path) -> Iterator[socket.socket]:
    """A socket bound to `path`, not listening yet; in the end the file is removed.

    Raises `SettingsError` if the path cannot be used, or if another process listens there.
    """
    if len(os.fsencode(path)) > PATH_SIZE_MAX:
        raise SettingsError(f"{_VARIABLE} must have at most {PATH_SIZE_MAX} bytes: {path}.")
    with _usable(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with _usable(path):
            _lock(lock, path)
            _remove_remains(path)
            bound = _bind(path)
        inode = path.stat().st_ino
        try:
            yield bound
        finally:
            bound.close()
            # Somebody may have cleaned up behind us, and even started anew.
            with suppress(FileNotFoundError):
                if path.stat().st_ino == inode:
                    path.unlink()
    finally:
        os.close(lock)


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(f"{_VARIABLE}={path} cannot be used: {error.strerror}.") from error


def _lock(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SettingsError(f"Another sequencer listens on {_VARIABLE}={path}.") from None


def _remove_remains(path: Path) -> None:
    """Removes the socket of a dead process; one that answers is not ours, lock or no lock."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SettingsError(f"{_VARIABLE}={path} is a file that is not a socket.")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise SettingsError(f"Another process listens on {_VARIABLE}={path}.")


def _bind(path: Path) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        bound.setblocking(False)
        bound.bind(str(path))
        path.chmod(0o600)
    except BaseException:
        bound.close()
        raise
    return bound
