"""What the shop took in and gave back: by class and currency, today and since the beginning.

Whole numbers of the currency's smallest unit, from the orders and their refunds, by what was agreed
and never by today's prices. Today is the venue's day. All of it is one statement; a million orders
take it 0.8 s of PostgreSQL's CPU, so it is read at most every few seconds, whoever asks.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any, Final
from zoneinfo import ZoneInfo

import asyncpg

from tigerfans.caching import Cached
from tigerfans.offer.catalog import ClassCode
from tigerfans.stores.database import Database
from tigerfans.stores.orders import IS_CHARGED

CACHED_SECONDS: Final = 10.0
# Less than the box office's page waits.
READ_SECONDS_MAX: Final = 7.0

# Orders that are charged, whatever became of them; each refund there was or is to be. Orders are
# summed up in a statement of their own, whose rows PostgreSQL shares among processes: of a union
# it hands on every row.
_REVENUE: Final = f"""
    SELECT cls, currency, 'paid' AS kind, paid_at >= $1 AS is_today, count(*) AS payments,
           sum(qty) AS tickets, sum(amount_cents) AS amount_cents
    FROM orders WHERE {IS_CHARGED}
    GROUP BY cls, currency, is_today
    UNION ALL
    SELECT cls, currency, kind, at >= $1 AS is_today, count(*),
           sum(tickets)::bigint, sum(amount_cents)::bigint
    FROM (
        SELECT cls, currency, CASE WHEN refunded_at IS NULL THEN 'due' ELSE 'refunded' END,
               refunded_at, qty, amount_cents
        FROM orders WHERE status = 'PAID_UNFULFILLED'
        UNION ALL
        SELECT orders.cls, orders.currency,
               CASE WHEN given_back_at IS NULL THEN 'due' ELSE 'refunded' END,
               given_back_at, 1, ticket_refunds.amount_cents
        FROM ticket_refunds JOIN orders ON orders.id = ticket_refunds.order_id
    ) AS moved (cls, currency, kind, at, tickets, amount_cents)
    GROUP BY cls, currency, kind, is_today
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Sum:
    """Some payments or refunds: of how many tickets, and how much, in cents."""

    tickets: int = 0
    amount_cents: int = 0

    def __add__(self, other: "Sum") -> "Sum":
        return Sum(self.tickets + other.tickets, self.amount_cents + other.amount_cents)


@dataclass(frozen=True, slots=True)
class Figures:
    """What came in, and what went back of it or of before."""

    paid: Sum = field(default_factory=Sum)
    refunded: Sum = field(default_factory=Sum)

    @property
    def left_cents(self) -> int:
        """May be below 0: today more may have gone back than came in."""
        return self.paid.amount_cents - self.refunded.amount_cents

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(self.paid + other.paid, self.refunded + other.refunded)


@dataclass(frozen=True, slots=True)
class Row:
    """Those of one class, or of all classes, in one currency; `due` is what is to go back still."""

    currency: str
    today: Figures = field(default_factory=Figures)
    total: Figures = field(default_factory=Figures)
    due: Sum = field(default_factory=Sum)
    cls: ClassCode | None = None

    def __add__(self, other: "Row") -> "Row":
        return Row(
            self.currency,
            self.today + other.today,
            self.total + other.total,
            self.due + other.due,
        )


@dataclass(frozen=True, slots=True)
class Revenue:
    """Of each class, and of all of them by currency; `day` is the venue's."""

    day: date
    classes: Sequence[Row]
    totals: Sequence[Row]


class Revenues:
    """Reads the revenue; `time_zone` is the venue's, `classes` the offer's, which come first."""

    def __init__(
        self, database: Database, time_zone: str, currency: str, classes: Iterable[ClassCode]
    ) -> None:
        self._database = database
        self._zone = ZoneInfo(time_zone)
        self._known = [(cls, currency) for cls in classes]
        self._cached = Cached(self.read, CACHED_SECONDS)

    async def get(self) -> Revenue:
        """At most `CACHED_SECONDS` old; raises `UnavailableError`."""
        return await self._cached.get()

    async def read(self) -> Revenue:
        day = datetime.now(self._zone).date()
        midnight = datetime.combine(day, time.min, self._zone)
        async with self._database.connection(READ_SECONDS_MAX) as connection:
            rows = await connection.fetch(_REVENUE, midnight)
        return revenue_of(day, rows, self._known)


def revenue_of(
    day: date,
    rows: Sequence[asyncpg.Record | Mapping[str, Any]],
    known: Sequence[tuple[ClassCode, str]],
) -> Revenue:
    """The revenue in what PostgreSQL has summed up; a class that sold nothing is there as well."""
    sums: dict[tuple[ClassCode, str], dict[str, Sum]] = {each: defaultdict(Sum) for each in known}
    for row in rows:
        of_class = sums.setdefault((row["cls"], row["currency"]), defaultdict(Sum))
        kind, summed = row["kind"], Sum(row["tickets"], row["amount_cents"])
        of_class[kind] += summed
        if row["is_today"]:
            of_class[f"{kind} today"] += summed
    classes = [
        Row(
            currency,
            Figures(of_class["paid today"], of_class["refunded today"]),
            Figures(of_class["paid"], of_class["refunded"]),
            of_class["due"],
            cls,
        )
        for (cls, currency), of_class in sums.items()
    ]
    totals: dict[str, Row] = {}
    for each in classes:
        totals[each.currency] = totals.get(each.currency, Row(each.currency)) + each
    return Revenue(day, classes, list(totals.values()))
