"""How the box office finds orders: by id, email, ticket codes and status, in pages or all of them.

One text is enough to search by: it finds what it may mean, and where it may mean several things, it
finds each of them. Orders are listed as they were recorded, the latest first. A page begins behind
the last order of the page before, so that the thousandth page costs what the first does. Relies on
the indexes of `schema`. A part of an email address is looked for in every order there is, for no
index finds it that PostgreSQL has by itself and that costs an order's writing little: 270 ms of its
CPU for a million orders.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

import asyncpg

from tigerfans.booking.email_address import folded
from tigerfans.booking.ids import ORDER_ID_HEX_DIGITS, OrderId
from tigerfans.booking.moments import MICROSECONDS_DIGITS_MAX, microseconds_of, moment_at
from tigerfans.booking.scan_texts import signed_order
from tigerfans.errors import InvalidRequestError, UnavailableError
from tigerfans.stores.database import Database
from tigerfans.stores.orders import COLUMNS, FOLDED_EMAIL, Order, OrderStatus, read_order

TEXT_CHARACTERS_MAX: Final = 254
# The first digits of an id are its time, so fewer than these would find whole days of orders.
ID_DIGITS_MIN: Final = 8
# Further than this is not counted: it says "more than".
COUNT_MAX: Final = 10_000
# What many orders have is found among so many, and the others are not read for it.
NEWEST: Final = 20_000
# Less than the box office's page waits.
PAGE_SECONDS_MAX: Final = 7.0

EXPORT_ROWS: Final = 200
EXPORT_SECONDS_MAX: Final = 600.0
# An export of a million orders is read in a fraction of this.
EXPORT_TURN_SECONDS_MAX: Final = 60.0

# Fewer than what is not printable: that depends on the version of Python.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# What ids and codes are written with, in whichever place, and what sentences put behind them.
_BETWEEN: Final = re.compile(r"[\s\-‐‑–.…,;:()\[\]<>\"']")
# Anywhere: in what the door's scanner types of a ticket, and in the address of an order's page.
_WHOLE_ID: Final = re.compile(rf"(?<![0-9a-f])[0-9a-f]{{{ORDER_ID_HEX_DIGITS - 2}}}00(?![0-9a-f])")
_ID: Final = re.compile(rf"[0-9a-f]{{{ID_DIGITS_MIN},{ORDER_ID_HEX_DIGITS}}}")
# A whole one may stand alone.
_CODE: Final = re.compile(r"TF([0-9A-Z]{1,12})|([0-9A-Z]{12})")
_WHOLE_CODE: Final = re.compile(r"TF[0-9A-Z]{12}")
_CODE_GROUP: Final = re.compile(r".{1,4}")
CODE_CHARACTERS: Final = len("TF-7K3M-92QX-HD4W")
# Letters that are not on tickets, read as those that are.
_MISREAD: Final = str.maketrans("OIL", "011")
# Comes last where bytes are compared; Unicode keeps it from being a letter of any text.
_LAST_CHARACTER: Final = "\U0010ffff"

_HAS_CODE: Final = """
    ticket_code COLLATE "C" = {}::text OR more_ticket_codes @> ARRAY[{}::text]
"""
# Only of first tickets there is an index for that; but then, an email is looked for as well. A
# query of its own over the others would cost every order there is, those of one ticket too.
_HAS_CODE_THAT_BEGINS: Final = """
    ticket_code COLLATE "C" BETWEEN {}::text AND {}::text
    OR strpos(' ' || array_to_string(more_ticket_codes, ' '), ' ' || {}::text) > 0
"""

_CURSOR: Final = re.compile(
    rf"([0-9]{{1,{MICROSECONDS_DIGITS_MAX}}})-([0-9a-f]{{{ORDER_ID_HEX_DIGITS}}})"
)

_ROW: Final = f"{COLUMNS}, recorded_at, earlier_status, earlier_at"


class Kind(StrEnum):
    """The stored orders one may look for, by what became of them."""

    PAID = "PAID"
    REFUND_DUE = "REFUND_DUE"
    REFUNDED = "REFUNDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


# In words of the schema's partial indexes: PostgreSQL has to see that they cover the question.
_KINDS: Final = {
    Kind.PAID: "status = 'PAID'",
    Kind.REFUND_DUE: "status = 'PAID_UNFULFILLED' AND refunded_at IS NULL",
    Kind.REFUNDED: (
        "(status = 'REFUNDED' OR status = 'PAID_UNFULFILLED' AND refunded_at IS NOT NULL)"
    ),
    Kind.FAILED: "status = 'FAILED'",
    Kind.CANCELED: "status = 'CANCELED'",
}


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: an order's id or the first digits of it, a ticket's code or the beginning
    of one, what its QR code says, or any part of an email address; and of which kind. Nothing given
    finds every order.
    """

    text: str = ""
    kind: Kind | None = None

    @property
    def order_id(self) -> OrderId | None:
        """The order whose whole id is in the text, wherever it stands."""
        text = self.text.lower()
        found = _WHOLE_ID.search(text) or _WHOLE_ID.search(_BETWEEN.sub("", text))
        return OrderId.parse(found[0]) if found else signed_order(text)


@dataclass(frozen=True, slots=True)
class Stored:
    """An order as it is stored, with the outcome that it replaced, if it did."""

    order: Order
    recorded_at: datetime
    earlier_status: OrderStatus | None
    earlier_at: datetime | None


class Cursor(NamedTuple):
    """The place behind one order of a list."""

    recorded_at: datetime
    order_id: OrderId

    @classmethod
    def behind(cls, stored: Stored) -> "Cursor":
        return cls(stored.recorded_at, stored.order.id)

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Raises `InvalidRequestError` unless `text` is what `str` gave."""
        match = _CURSOR.fullmatch(text)
        order_id = OrderId.parse(match[2]) if match else None
        if match is None or order_id is None:
            raise InvalidRequestError("There is no such page of orders.")
        return cls(moment_at(int(match[1])), order_id)

    def __str__(self) -> str:
        microseconds = microseconds_of(self.recorded_at)
        return f"{microseconds}-{self.order_id.hex_digits}"


@dataclass(frozen=True, slots=True)
class Page:
    """Some orders, and where the next page begins; None where there is none."""

    orders: Sequence[Stored]
    next: Cursor | None


class OrderSearch:
    """Reads orders; every method raises `UnavailableError` where PostgreSQL gives no answer, and
    `InvalidRequestError` where a text cannot be searched for.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._export_turn = asyncio.Lock()

    async def page(self, search: Search, after: Cursor | None, limit: int) -> Page:
        """Up to `limit` orders, the latest first."""
        query, values = page_query(search, after, limit)
        async with self._database.connection(PAGE_SECONDS_MAX) as connection:
            rows = []
            if search.text.strip():
                newest, newest_values = page_query(search, after, limit, among=NEWEST)
                rows = await connection.fetch(newest, *newest_values)
            if len(rows) <= limit:
                rows = await connection.fetch(query, *values)
        stored = list(map(_stored, rows))
        shown = stored[:limit]
        return Page(shown, Cursor.behind(shown[-1]) if len(stored) > limit else None)

    async def count(self, search: Search) -> int:
        """How many orders there are, up to one more than `COUNT_MAX`."""
        condition, values = _condition(search)
        query = f"""
            SELECT count(*)
            FROM (SELECT FROM orders WHERE {condition} LIMIT {COUNT_MAX + 1}) AS found
        """  # noqa: S608
        async with self._database.connection(PAGE_SECONDS_MAX) as connection:
            count: int = await connection.fetchval(query, *values)
        return count

    async def find(self, order_id: OrderId) -> Stored | None:
        """One order by its id."""
        query = f"SELECT {_ROW} FROM orders WHERE id = $1"  # noqa: S608
        async with self._database.connection() as connection:
            row = await connection.fetchrow(query, order_id.hex_digits)
        return row and _stored(row)

    async def export(self, search: Search) -> AsyncGenerator[list[Stored], None]:
        """All orders as they are at one moment, the oldest first, a few hundred at a time.

        To be read without a pause, and closed by whoever stops early: it keeps a connection, and
        whoever wants one too waits for its end.
        """
        condition, values = _condition(search)
        query = f"SELECT {_ROW} FROM orders WHERE {condition} ORDER BY recorded_at, id"  # noqa: S608
        async with aclosing(self.rows(query, values)) as batches:
            async for rows in batches:
                yield [_stored(row) for row in rows]

    async def rows(
        self, query: str, values: Sequence[Any]
    ) -> AsyncGenerator[list[asyncpg.Record], None]:
        """All rows of a query as they are at one moment, as `export` does it."""
        await self._take_export_turn()
        try:
            async with self._database.snapshot(EXPORT_SECONDS_MAX) as connection:
                cursor = await connection.cursor(query, *values)
                while rows := await cursor.fetch(EXPORT_ROWS):
                    yield rows
        finally:
            self._export_turn.release()

    async def _take_export_turn(self) -> None:
        try:
            async with asyncio.timeout(EXPORT_TURN_SECONDS_MAX):
                await self._export_turn.acquire()
        except TimeoutError:
            raise UnavailableError(
                "Another export is under way; please wait for its end."
            ) from None


def page_query(
    search: Search, after: Cursor | None, limit: int, among: int | None = None
) -> tuple[str, list[Any]]:
    """A page and one order more in SQL, and the values of its parameters; `among` so many orders
    that come first in the list, or all.
    """
    condition, values = _condition(search)
    behind = "true"
    if after is not None:
        values += after.recorded_at, after.order_id.hex_digits
        behind = f"(recorded_at, id) < (${len(values) - 1}, ${len(values)}::uuid)"
    if among is not None:
        newest = f"""
            SELECT {_ROW} FROM (
                SELECT * FROM orders WHERE {behind}
                ORDER BY recorded_at DESC, id DESC LIMIT {among:d}
            ) AS orders
            WHERE {condition} ORDER BY recorded_at DESC, id DESC LIMIT {limit + 1:d}
        """  # noqa: S608
        return newest, values
    # PostgreSQL takes a text for one that a third of all orders have, and would look for it along
    # the list's index: where few have it, that takes ten times as long as to read all and sort.
    listed = "recorded_at + interval '0'" if search.text.strip() else "recorded_at"
    query = f"""
        SELECT {_ROW} FROM orders WHERE {condition} AND {behind}
        ORDER BY {listed} DESC, id DESC LIMIT {limit + 1:d}
    """  # noqa: S608
    return query, values


def _condition(search: Search) -> tuple[str, list[Any]]:
    """The search in SQL, and the values of its parameters."""
    kind = "true" if search.kind is None else _KINDS[search.kind]
    text = search.text.strip()
    if not text:
        return kind, []
    if _CONTROL.search(text) or len(text) > TEXT_CHARACTERS_MAX:
        raise InvalidRequestError(
            f"Please search for at most {TEXT_CHARACTERS_MAX} printable characters."
        )
    values: list[Any] = []
    conditions = []
    for sql, several in _meanings(search):
        numbers = range(len(values) + 1, len(values) + len(several) + 1)
        conditions.append(sql.format(*(f"${number}" for number in numbers)))
        values += several
    # What nobody sees means nothing, and finds nothing.
    return f"{kind} AND ({' OR '.join(conditions) or 'false'})", values


def _meanings(search: Search) -> Iterator[tuple[str, Sequence[str]]]:
    """All that a text may mean: each as SQL with a place for each of its values."""
    text = search.text.strip()
    compact = _BETWEEN.sub("", text).lower()
    if search.order_id:
        yield "id = {}::uuid", [search.order_id.hex_digits]
    elif _ID.fullmatch(compact):
        lowest, highest = (compact.ljust(ORDER_ID_HEX_DIGITS, digit) for digit in "0f")
        yield "id BETWEEN {}::uuid AND {}::uuid", [lowest, highest]
    if code := _CODE.fullmatch(compact.upper()):
        begins = _code((code[1] or code[2]).translate(_MISREAD))
        if len(begins) == CODE_CHARACTERS:
            yield _HAS_CODE, [begins, begins]
        else:
            yield _HAS_CODE_THAT_BEGINS, [begins, begins + _LAST_CHARACTER, begins]
    # These are found by their indexes, and hardly ever a part of somebody's address.
    is_whole = search.order_id is not None or _WHOLE_CODE.fullmatch(compact.upper()) is not None
    if not is_whole or "@" in text:
        # Before there was one form to store it in, an address was stored as it was typed. And every
        # address would have a part that is empty.
        for part in sorted({folded(text), text.lower()} - {""}):
            yield f"strpos({FOLDED_EMAIL}, {{}}::text) > 0", [part]


def _code(characters: str) -> str:
    """The code, or the beginning of one, as tickets show it."""
    return "-".join(["TF", *_CODE_GROUP.findall(characters)])


def _stored(row: asyncpg.Record) -> Stored:
    earlier = row["earlier_status"]
    return Stored(
        order=read_order(row),
        recorded_at=row["recorded_at"],
        earlier_status=earlier and OrderStatus(earlier),
        earlier_at=row["earlier_at"],
    )
