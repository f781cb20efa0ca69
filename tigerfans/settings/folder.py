"""The data folder (TIGERFANS_DATA): what lies where, and that only one shop uses it at a time.

postgres/  redis/  ledger/  tigerbeetle/    the data, each its server's own
ledger.txt     which ledger the shop's sales are on
offer.json     what the shop sells, as it was taken over from the event's file
mail/          mails, where no mail server takes them
log/           what each process prints
run/           sockets and the stack's state: of no use once it has stopped
lock           held by the running stack
"""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tigerfans.offer.taken import TakenOffer, taken_file
from tigerfans.settings.settings import SettingsError

# The kernel's limit for the path of a Unix socket is 107 bytes on Linux and 103 on macOS.
SOCKET_PATH_BYTES_MAX: Final = 103
# Longer than any name the stack puts below its folder for sockets, `pg/.s.PGSQL.5432` among them.
SOCKET_NAME_BYTES_MAX: Final = 32
# Others may pass through, as PostgreSQL's user has to; each socket keeps them out itself.
SOCKET_FOLDER_MODE: Final = 0o711

# Below the data folder, made by whoever writes the first mail.
MAIL_FOLDER: Final = "mail"

_NOTIFY_SUFFIX: Final = ".notify"

# What may stand in a database's URL: a comma, for one, would be the start of a second host.
_PLAIN_PATH: Final = re.compile(r"[\w/.+-]+", re.ASCII)


class DataFolder:
    """The places in a data folder. All exist but the servers' own, and `sockets` while locked."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.run = self.root / "run"
        self.logs = self.root / "log"
        self.postgres = self.root / "postgres"
        self.redis = self.root / "redis"
        self.embedded_ledger = self.root / "ledger"
        self.tigerbeetle_file = self.root / "tigerbeetle" / "ledger.tigerbeetle"
        self.ledger_choice = self.root / "ledger.txt"
        self.offer = taken_file(self.root)
        self.state = state_file(self.root)
        # Written and removed at each start, to see whether that is possible.
        self.probe = self.run / "probe"
        with usable():
            self.root.mkdir(parents=True, exist_ok=True)
            self.run.mkdir(mode=SOCKET_FOLDER_MODE, exist_ok=True)
            for folder in (self.logs, self.redis, self.tigerbeetle_file.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
        self.sockets = self._socket_folder()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder; raises `SettingsError` where another shop does."""
        # Not inherited by the programs we start: the lock ends with this process.
        with usable():
            descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._lock(descriptor)
            with self._made_sockets():
                yield
        finally:
            os.close(descriptor)

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def notify_socket(self, name: str) -> Path:
        """Where a program says that it is ready."""
        return self.sockets / f"{name}{_NOTIFY_SUFFIX}"

    def keep_offer(self, taken: TakenOffer | None) -> None:
        """From now on, processes that start sell this one; None is the demonstration."""
        with usable():
            if taken is None:
                self.offer.unlink(missing_ok=True)
            else:
                write_whole(self.offer, taken.pack(), durably=True)

    def remove_remains(self) -> None:
        """Removes what a stack that was killed left in the folder, once its processes have ended.

        What its servers left, each of them removes itself, or is helped where it is started.
        """
        unfinished = map(_unfinished, (self.state, self.probe, self.ledger_choice, self.offer))
        sockets = self.sockets.glob(f"*{_NOTIFY_SUFFIX}")
        with usable():
            for path in (self.state, self.probe, *unfinished, *sockets):
                path.unlink(missing_ok=True)

    def places(self) -> Iterator[Path]:
        """The folders that are written to, each of which may be on a disk of its own."""
        yield self.root
        yield from (self.postgres, self.redis, self.embedded_ledger, self.tigerbeetle_file.parent)
        yield from (self.logs, self.run)

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"TIGERFANS_DATA={self.root} is in use by another shop that is running."
            ) from None

    @contextmanager
    def _made_sockets(self) -> Iterator[None]:
        with usable():
            self.sockets.mkdir(mode=SOCKET_FOLDER_MODE, exist_ok=True)
        status = self.sockets.lstat()
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise SettingsError(
                f"TIGERFANS_DATA needs {self.sockets} for its sockets, which is not ours alone."
            )
        try:
            yield
        finally:
            if self.sockets != self.run:
                # Nobody but the stack that ran would ever look for it.
                shutil.rmtree(self.sockets, ignore_errors=True)

    def _socket_folder(self) -> Path:
        """`run`, or a folder with a plainer path that belongs to this data folder."""
        fits = len(os.fsencode(self.run)) + 1 + SOCKET_NAME_BYTES_MAX <= SOCKET_PATH_BYTES_MAX
        if fits and _PLAIN_PATH.fullmatch(str(self.run)):
            return self.run
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"tigerfans-{digest}"


@contextmanager
def usable() -> Iterator[None]:
    """Turns what the system does not let us do in the folder into a `SettingsError`."""
    try:
        yield
    except OSError as error:
        raise SettingsError(f"TIGERFANS_DATA cannot be used: {error}.") from error


def write_whole(path: Path, content: bytes, *, durably: bool = False) -> None:
    """Replaces a file by one with `content`, all of it or none; raises `OSError`."""
    unfinished = _unfinished(path)
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            if durably:
                os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def state_file(root: Path) -> Path:
    """Where a running stack keeps its state, in a folder that may not be there."""
    return root / "run" / "state.json"
