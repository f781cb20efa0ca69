"""The embedded ledger: TigerBeetle's accounting inside this process, for want of a TigerBeetle.

The same bytes in, the same bytes out, durable before it answers. All the work is done on one
thread of its own, so the event loop never waits for the disk. Submissions are applied one at a
time, in the order they came; one whose waiter is cancelled before its turn is not applied. Where
many holds are due, the thread gives them back step by step, between the submissions.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tigerfans.ledger.base import (
    RECORDS_MAX,
    LedgerBusyError,
    LedgerError,
    LedgerOpenError,
    LedgerTimeoutError,
    LedgerUnavailableError,
    count_records,
)
from tigerfans.ledger.books import Books
from tigerfans.ledger.copying import copy_file, remove_unfinished
from tigerfans.ledger.store import FILE_NAME, Store
from tigerfans.ledger.wire import Operation

BACKUP_NAME: Final = "ledger-backup.sqlite"

# The bits of SQLite's error codes that say what kind of error it is.
_PRIMARY: Final = 0xFF

# Submissions that may wait for the thread. The sequencer never has more than one in flight.
SUBMISSIONS_MAX: Final = 1024


class EmbeddedLedger:
    """A `Ledger` in a folder of this machine, or in memory."""

    kind: Final = "embedded"
    records_max: Final = RECORDS_MAX

    def __init__(self, books: Books, thread: ThreadPoolExecutor, path: Path | None) -> None:
        self._books = books
        self._thread = thread
        self._path = path
        self._submissions = 0
        self._closed = False
        self._copying: asyncio.Task[None] | None = None
        self._expiring: asyncio.Task[None] | None = None
        self._expire_if_behind()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<EmbeddedLedger {state}: {self._submissions} submissions>"

    async def submit(self, operation: Operation, records: bytes) -> bytes:
        count_records(operation, records, self.records_max)
        if self._closed:
            raise LedgerUnavailableError("The embedded ledger is closed.")
        if self._submissions >= SUBMISSIONS_MAX:
            raise LedgerBusyError
        self._submissions += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, self._books.execute, operation, records
            )
        except sqlite3.Error as error:
            raise _explain(error) from error
        finally:
            self._submissions -= 1
            self._expire_if_behind()

    async def backup(self) -> Path:
        """Writes a copy of the ledger as it is now, beside its file; gives the copy's path.

        The ledger goes on meanwhile. Raises `LedgerBusyError` while another copy is being written,
        and `LedgerUnavailableError` where this one cannot be.
        """
        if self._path is None or self._closed:
            raise LedgerUnavailableError("There is no file to copy.")
        if self._copying:
            raise LedgerBusyError("Another backup is under way.")
        copy = self._path.with_name(BACKUP_NAME)
        copying = asyncio.create_task(self._copy(self._path, copy), name="copy of the ledger")
        self._copying = copying
        try:
            await asyncio.wait([copying])
            if copying.cancelled():
                raise LedgerUnavailableError("The ledger was closed before it was copied.")
            copying.result()
        except sqlite3.Error as error:
            raise _explain(error) from error
        except OSError as error:
            raise LedgerUnavailableError(f"The ledger cannot be copied: {error}.") from error
        finally:
            await self._stop_copying()
        return copy

    async def close(self) -> None:
        """Closes the file behind the submissions that wait; later ones are refused."""
        if not self._closed:
            self._closed = True
            # The file does not hold still any more.
            await self._stop_copying()
            if self._expiring:
                self._expiring.cancel()
                await asyncio.wait([self._expiring])
            await self._on_thread(self._books.close)
            self._thread.shutdown()

    def _expire_if_behind(self) -> None:
        if self._books.is_behind and not (self._expiring or self._closed):
            self._expiring = asyncio.create_task(self._expire(), name="expiry of holds")

    async def _expire(self) -> None:
        """Gives back all that is due; each step waits for its turn on the thread."""
        try:
            while self._books.is_behind:
                await self._on_thread(self._books.expire)
        except sqlite3.Error:
            # The next submission tries again, and tells why not.
            pass
        finally:
            self._expiring = None

    async def _copy(self, source: Path, copy: Path) -> None:
        try:
            await self._on_thread(self._books.freeze)
            await copy_file(source, copy)
        finally:
            await self._on_thread(self._books.thaw)

    async def _stop_copying(self) -> None:
        copying, self._copying = self._copying, None
        if copying and not copying.done():
            copying.cancel()
            await asyncio.wait([copying])

    def _on_thread(self, work: Callable[[], None]) -> Awaitable[None]:
        return asyncio.get_running_loop().run_in_executor(self._thread, work)


async def open_embedded(directory: Path) -> EmbeddedLedger:
    """Opens the ledger in `directory`, making both where they do not exist.

    Raises `LedgerOpenError` where the directory cannot be used, or its ledger is held by another
    process or is of another version, and `LedgerUnavailableError` where the disk fails or is full.
    """
    try:
        await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerOpenError(f"{directory} cannot hold a ledger: {error.strerror}.") from error
    return await _open(directory / FILE_NAME)


async def open_in_memory() -> EmbeddedLedger:
    """An empty ledger that is gone when it is closed."""
    return await _open(None)


async def _open(path: Path | None) -> EmbeddedLedger:
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedded-ledger")
    try:
        books = await asyncio.get_running_loop().run_in_executor(thread, _open_books, path)
    except BaseException:
        thread.shutdown(wait=False)
        raise
    return EmbeddedLedger(books, thread, path)


def _open_books(path: Path | None) -> Books:
    try:
        store = Store(path)
        try:
            if path is not None:
                remove_unfinished(path.with_name(BACKUP_NAME))
            return Books(store)
        except BaseException:
            store.close()
            raise
    except sqlite3.Error as error:
        match error.sqlite_errorcode & _PRIMARY:
            case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
                # It is no matter of settings, and may be better in a moment.
                raise LedgerUnavailableError(f"{path} cannot be opened: {error}.") from error
            case sqlite3.SQLITE_BUSY:
                reason = "is in use by another process"
            case sqlite3.SQLITE_NOTADB:
                reason = "is no ledger"
            case _:
                reason = f"cannot be opened: {error}"
        raise LedgerOpenError(f"{path} {reason}.") from error


def _explain(error: sqlite3.Error) -> LedgerError:
    # Where the log was written but could not be synced, a crash may still bring the batch back.
    if error.sqlite_errorcode == sqlite3.SQLITE_IOERR_FSYNC:
        return LedgerTimeoutError(f"The embedded ledger's disk failed: {error}.")
    return LedgerUnavailableError(f"The embedded ledger cannot use its file: {error}.")
