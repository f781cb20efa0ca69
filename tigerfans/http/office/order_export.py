"""Orders as a CSV file for a spreadsheet, streamed while they are read.

A spreadsheet takes a cell that begins with `=` for a formula, and an email address may begin with
it: such a cell gets an apostrophe in front, which spreadsheets read as "this is text". The rows go
out as they come from PostgreSQL, a few hundred at a time, and wait for a reader that is slow.
"""

import asyncio
import csv
import io
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final

from litestar.types import Receive, Send

from tigerfans.http.reading import until_gone
from tigerfans.office.order_search import OrderSearch, Search, Stored

FILE_NAME: Final = "tigerfans-orders.csv"
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
)


async def send_orders(search: OrderSearch, wanted: Search, receive: Receive, send: Send) -> None:
    """Answers with all orders found. Raises what `search` raises, before anything is sent.

    Where reading fails later, the answer breaks off without its end, so that nobody takes it for
    the whole.
    """
    gone = asyncio.create_task(until_gone(receive), name="departure from an export")
    try:
        async with aclosing(search.export(wanted)) as batches:
            first: list[Stored] = await anext(batches, [])
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await _send_body(send, csv_lines([COLUMNS]) + csv_lines(map(order_cells, first)))
            async for stored in batches:
                if gone.done():
                    return
                await _send_body(send, csv_lines(map(order_cells, stored)))
        await _send_body(send, "", more_body=False)
    finally:
        gone.cancel()


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
    )


def _iso(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


async def _send_body(send: Send, text: str, *, more_body: bool = True) -> None:
    message: Any = {
        "type": "http.response.body",
        "body": text.encode(),
        "more_body": more_body,
    }
    await send(message)
