"""The books for an accountant: one line a payment and one a refund, in the order of their time.

A payment is an order that was charged, with all of its tickets; a refund is what was given back at
once, of an order or of some of its tickets. A payment that fitted no order and was given back has
both lines; one that waits for the operator, or was dismissed, has none, for it is no sale.

Prices include VAT. What of a line is VAT follows from its gross amount alone, rounded to the
currency's smallest unit, halves up: so a whole refund is the payment's line with a minus, and the
refunds of single tickets may differ from it by a unit each.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from tigerfans.offer.money import decimal_text
from tigerfans.office.order_search import OrderSearch
from tigerfans.stores.orders import IS_CHARGED

COLUMNS: Final = (
    "date",
    "kind",
    "order_id",
    "payment_session",
    "cls",
    "qty",
    "gross",
    "vat_percent",
    "vat",
    "net",
    "currency",
    "payment_reference",
)

# Of all there may be, as far as a day can be put into every zone.
FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(9998, 12, 31)

_HEX: Final = "replace({}::text, '-', '')"
_LINES: Final = f"""
    SELECT at, kind, order_id, session_id, cls, qty, amount, currency,
           reference
    FROM (
        SELECT paid_at, 'payment', {_HEX.format("id")}, NULL::text, cls, qty::bigint,
               amount_cents::bigint, currency, payment_reference
        FROM orders WHERE {IS_CHARGED}
        UNION ALL
        SELECT refunded_at, 'refund', {_HEX.format("id")}, NULL, cls, qty, -amount_cents, currency,
               payment_reference
        FROM orders WHERE status = 'PAID_UNFULFILLED' AND refunded_at IS NOT NULL
        UNION ALL
        SELECT max(given_back_at), 'refund', {_HEX.format("order_id")}, NULL, cls, count(*),
               -sum(ticket_refunds.amount_cents), currency, payment_reference
        FROM ticket_refunds JOIN orders ON orders.id = order_id
        WHERE given_back_at IS NOT NULL
        GROUP BY order_id, first, cls, currency, payment_reference
        UNION ALL
        SELECT received_at, 'payment', order_id, session_id, '', NULL, amount_cents, currency,
               reference
        FROM unmatched_payments WHERE resolution = 'REFUNDED'
        UNION ALL
        SELECT resolved_at, 'refund', order_id, session_id, '', NULL, -amount_cents, currency,
               reference
        FROM unmatched_payments WHERE resolution = 'REFUNDED'
    ) AS lines (at, kind, order_id, session_id, cls, qty, amount, currency, reference)
    WHERE at >= $1 AND at < $2
    ORDER BY at, order_id, kind
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Days:
    """From the begin of a day to the end of another one, at the venue; None for all of time."""

    first: date | None = None
    last: date | None = None

    def moments(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """From then, and before then."""
        first = max(self.first or FIRST_DAY, FIRST_DAY)
        after = min(self.last or LAST_DAY, LAST_DAY) + timedelta(days=1)
        return datetime.combine(first, time.min, zone), datetime.combine(after, time.min, zone)


class Accounts:
    """Reads the lines; `session_id` is the provider's of an order."""

    def __init__(
        self,
        search: OrderSearch,
        session_id: Callable[[str], str],
        time_zone: str,
        vat_percent: Decimal | None,
    ) -> None:
        self._search = search
        self._session_id = session_id
        self._zone = ZoneInfo(time_zone)
        self._vat_percent = vat_percent

    async def export(self, days: Days) -> AsyncGenerator[list[tuple[str, ...]], None]:
        """The lines of some days, a few hundred at a time, as `OrderSearch.rows` reads them."""
        async with aclosing(self._search.rows(_LINES, days.moments(self._zone))) as batches:
            async for rows in batches:
                yield [self._cells(row) for row in rows]

    def _cells(self, row: Any) -> tuple[str, ...]:
        gross, currency = row["amount"], row["currency"]
        # Of what is no sale there is no VAT.
        percent = self._vat_percent if row["cls"] else None
        vat = None if percent is None else vat_included(gross, percent)
        return (
            row["at"].astimezone(self._zone).isoformat(timespec="seconds"),
            row["kind"],
            row["order_id"],
            row["session_id"] or self._session_id(row["order_id"]),
            row["cls"],
            "" if row["qty"] is None else str(row["qty"]),
            decimal_text(gross, currency),
            "" if percent is None else str(percent),
            "" if vat is None else decimal_text(vat, currency),
            decimal_text(gross - (vat or 0), currency),
            currency.upper(),
            row["reference"] or "",
        )


def vat_included(gross: int, percent: Decimal) -> int:
    """What of a gross amount is VAT, in its smallest unit, halves up; of a refund it is below 0."""
    share = Decimal(abs(gross)) * percent / (100 + percent)
    vat = int(share.quantize(Decimal(1), ROUND_HALF_UP))
    return vat if gross >= 0 else -vat
