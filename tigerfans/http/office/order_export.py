"""Orders as a CSV file for a spreadsheet, streamed while they are read.

A spreadsheet takes a cell that begins with `=` for a formula, and an email address may begin with
it: such a cell gets an apostrophe in front, which spreadsheets read as "this is text". They take
the file for UTF-8 only where it begins with a byte order mark.

All rows are read from PostgreSQL into a file of this machine, a few hundred at a time, and go out
from there: however slow a reader is, nobody waits for it, and none gets half of the orders.
"""

import asyncio
import csv
import io
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from typing import IO, Any, Final

from litestar.types import Receive, Send

from tigerfans.errors import UnavailableError
from tigerfans.http.reading import until_gone
from tigerfans.office.order_search import OrderSearch, Search, Stored

FILE_NAME: Final = "tigerfans-orders.csv"
BYTE_ORDER_MARK: Final = "\ufeff"
# Of one worker, each with a file.
EXPORTS_MAX: Final = 16
PIECE_BYTES: Final = 64 * 1024
# A million orders at 2 Mbit/s.
SENDING_SECONDS_MAX: Final = 600.0
HEADERS: Final = (
    (b"content-type", b"text/csv; charset=utf-8"),
    (b"content-disposition", f'attachment; filename="{FILE_NAME}"'.encode()),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)

# What begins a formula, or is passed over before one; full-width forms are taken for the same.
_FORMULA_STARTS: Final = frozenset("=+-@\t\r\n＝＋－＠")

COLUMNS: Final = (
    "order_id",
    "status",
    "cls",
    "amount_cents",
    "currency",
    "email",
    "ticket_code",
    "got_goodie",
    "created_at",
    "paid_at",
    "recorded_at",
    "refunded_at",
    "qty",
    "more_ticket_codes",
    "tickets_refunded",
)


class OrderExports:
    """Sends orders as files; one that stands still keeps nothing but its own file."""

    def __init__(self, search: OrderSearch) -> None:
        self._search = search
        self._under_way = 0

    async def send(self, wanted: Search, receive: Receive, send: Send) -> None:
        """Answers with all orders found. Raises what the search raises, before anything is sent."""
        if self._under_way >= EXPORTS_MAX:
            raise UnavailableError("So many exports are under way; please wait for one to end.")
        gone = asyncio.create_task(until_gone(receive), name="departure from an export")
        self._under_way += 1
        try:
            # Without a buffer, closing it writes nothing, which a full disk would refuse again.
            with tempfile.TemporaryFile(buffering=0) as file:
                size = await self._read_into(file, wanted, gone)
                # Whoever takes longer hears from the length that it is not the whole.
                with suppress(TimeoutError):
                    async with asyncio.timeout(SENDING_SECONDS_MAX):
                        await _send_file(file, size, send, gone)
        finally:
            self._under_way -= 1
            gone.cancel()

    async def _read_into(self, file: IO[bytes], wanted: Search, gone: asyncio.Task[None]) -> int:
        """Writes the orders into a file, and says how many bytes those are."""
        await _append(file, BYTE_ORDER_MARK + csv_lines([COLUMNS]))
        async with aclosing(self._search.export(wanted)) as batches:
            async for stored in batches:
                if gone.done():
                    break
                await _append(file, csv_lines(map(order_cells, stored)))
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


async def _send_file(file: IO[bytes], size: int, send: Send, gone: asyncio.Task[None]) -> None:
    headers = (*HEADERS, (b"content-length", str(size).encode()))
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
    return f"'{cell}" if cell[:1] in _FORMULA_STARTS else cell


def order_cells(stored: Stored) -> tuple[str, ...]:
    """One order under `COLUMNS`; times in ISO 8601."""
    order = stored.order
    return (
        order.id.hex_digits,
        order.status,
        order.cls,
        str(order.amount_cents),
        order.currency,
        order.email,
        order.ticket_code or "",
        "yes" if order.got_goodie else "no",
        _iso(order.created_at),
        _iso(order.paid_at),
        _iso(stored.recorded_at),
        _iso(order.refunded_at),
        str(order.qty),
        " ".join(order.more_ticket_codes),
        str(sum(at is not None for at in order.tickets_refunded_at)),
    )


def _iso(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""
