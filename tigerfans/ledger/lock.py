"""One process for each ledger's folder: a lock on the folder itself, beside SQLite's on its file.

SQLite's lock is one of fcntl's, and a process loses all of those on a file as soon as it closes
any descriptor of it, whoever opened it and why. This one belongs to the descriptor it was taken
on: nothing that is done to the files in the folder touches it, and the kernel drops it with the
process, however that ends.
"""

import fcntl
import os
from pathlib import Path

from tigerfans.ledger.base import LedgerOpenError


class FolderLock:
    """Holds the folder of a ledger's file until it is released; raises `LedgerOpenError`."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(self._descriptor)
                raise
        except BlockingIOError as error:
            raise LedgerOpenError(f"{path} is in use by another process.") from error
        except OSError as error:
            raise LedgerOpenError(f"{path} cannot be locked: {error.strerror}.") from error

    def release(self) -> None:
        os.close(self._descriptor)
