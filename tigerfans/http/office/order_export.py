"""Orders as a CSV file: one line each, as they are stored."""

from contextlib import aclosing
from datetime import datetime
from typing import Final

from litestar.types import Receive, Send

from tigerfans.http.office.csv_files import CsvFiles, Rows, headers_of
from tigerfans.office.order_search import OrderSearch, Search, Stored

FILE_NAME: Final = "tigerfans-orders.csv"
HEADERS: Final = headers_of(FILE_NAME)

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
    "payment_reference",
)


class OrderExports:
    """Sends orders as files."""

    def __init__(self, search: OrderSearch) -> None:
        self._search = search
        self._files = CsvFiles(HEADERS, COLUMNS)

    async def send(self, wanted: Search, receive: Receive, send: Send) -> None:
        """Answers with all orders found; raises as `CsvFiles.send`."""
        await self._files.send(self._rows(wanted), receive, send)

    async def _rows(self, wanted: Search) -> Rows:
        async with aclosing(self._search.export(wanted)) as batches:
            async for stored in batches:
                yield [order_cells(each) for each in stored]


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
        order.payment_reference or "",
    )


def _iso(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""
