"""CSV files for a spreadsheet, streamed while their rows are read.

A spreadsheet takes a cell that begins with `=` for a formula, and an email address may begin with
it: such a cell gets an apostrophe in front, which spreadsheets read as "this is text". They take
the file for UTF-8 only where it begins with a byte order mark.

All rows are read from PostgreSQL into a file of this machine, a few hundred at a time, and go out
from there: however slow a reader is, nobody waits for it, and none gets half of the rows.
"""

import asyncio
import csv
import io
import re
import tempfile
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing, suppress
from typing import IO, Any, Final

from litestar.types import Receive, Send

from tigerfans.errors import UnavailableError
from tigerfans.http.reading import until_gone

BYTE_ORDER_MARK: Final = "\ufeff"
# Of one worker and one kind, each with a file.
EXPORTS_MAX: Final = 16
PIECE_BYTES: Final = 64 * 1024
# A million orders at 2 Mbit/s.
SENDING_SECONDS_MAX: Final = 600.0

# What begins a formula, or is passed over before one; full-width forms are taken for the same.
_FORMULA_STARTS: Final = frozenset("=+-@\t\r\n＝＋－＠")
# Money that went back is a number below 0, and no formula.
_NUMBER: Final = re.compile(r"-\d+(\.\d+)?")

Headers = Sequence[tuple[bytes, bytes]]
Rows = AsyncGenerator[Sequence[Sequence[str]], None]


def headers_of(file_name: str) -> Headers:
    """What an answer says of a file of that name."""
    return (
        (b"content-type", b"text/csv; charset=utf-8"),
        (b"content-disposition", f'attachment; filename="{file_name}"'.encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    )


class CsvFiles:
    """Sends rows as files; one that stands still keeps nothing but its own file."""

    def __init__(self, headers: Headers, columns: Sequence[str]) -> None:
        self._headers = headers
        self._columns = columns
        self._under_way = 0

    async def send(self, batches: Rows, receive: Receive, send: Send) -> None:
        """Answers with all rows. Raises what reading them raises, before anything is sent."""
        if self._under_way >= EXPORTS_MAX:
            raise UnavailableError("So many exports are under way; please wait for one to end.")
        gone = asyncio.create_task(until_gone(receive), name="departure from an export")
        self._under_way += 1
        try:
            # Without a buffer, closing it writes nothing, which a full disk would refuse again.
            with tempfile.TemporaryFile(buffering=0) as file:
                size = await self._read_into(file, batches, gone)
                # Whoever takes longer hears from the length that it is not the whole.
                with suppress(TimeoutError):
                    async with asyncio.timeout(SENDING_SECONDS_MAX):
                        headers = (*self._headers, (b"content-length", str(size).encode()))
                        await _send_file(file, size, headers, send, gone)
        finally:
            self._under_way -= 1
            gone.cancel()

    async def _read_into(self, file: IO[bytes], batches: Rows, gone: asyncio.Task[None]) -> int:
        """Writes the rows into a file, and says how many bytes those are."""
        await _append(file, BYTE_ORDER_MARK + csv_lines([self._columns]))
        async with aclosing(batches):
            async for rows in batches:
                if gone.done():
                    break
                await _append(file, csv_lines(rows))
        return file.tell()


async def _append(file: IO[bytes], text: str) -> None:
    def append() -> None:
        rest = memoryview(text.encode())
        while rest:
            rest = rest[file.write(rest) :]

    try:
        # The disk may be slow, and whoever buys meanwhile is not to wait for it.
        await asyncio.to_thread(append)
    except OSError as error:
        raise UnavailableError("The disk has no room for the export.") from error


async def _send_file(
    file: IO[bytes], size: int, headers: Headers, send: Send, gone: asyncio.Task[None]
) -> None:
    file.seek(0)
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    sent = 0
    while sent < size and not gone.done():
        piece = await asyncio.to_thread(file.read, PIECE_BYTES)
        sent += len(piece)
        message: Any = {"type": "http.response.body", "body": piece, "more_body": sent < size}
        await send(message)


def csv_lines(rows: Iterable[Sequence[str]]) -> str:
    """Rows as CSV; no cell of them is a formula."""
    lines = io.StringIO()
    csv.writer(lines).writerows([_as_text(cell) for cell in row] for row in rows)
    return lines.getvalue()


def _as_text(cell: str) -> str:
    is_formula = cell[:1] in _FORMULA_STARTS and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell
