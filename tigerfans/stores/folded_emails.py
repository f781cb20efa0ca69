"""Emails of orders that were stored before there was one form to store them in.

They were kept as they were typed, and are found as those of today are only in a form that
PostgreSQL cannot give them: where its collation is `C`, it knows no letter beyond ASCII.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from tigerfans.booking.email_address import folded
from tigerfans.stores.migration import RECORD

# So many rows are locked at a time, while an order that is one of them waits.
ROWS_MAX: Final = 1_000

# What small letters of ASCII do not make comparable; what was filled in before is passed over.
_FIND: Final = r"""
    SELECT id, email FROM orders
    WHERE id > $1 AND email_folded IS NULL
      AND (octet_length(email) > char_length(email) OR strpos(lower(email), 'xn--') > 0)
    ORDER BY id LIMIT $2
"""
# Locked in the order in which the shop's own batches are.
_FILL_IN: Final = """
    WITH found AS (
        SELECT orders.id, form FROM unnest($1::uuid[], $2::text[]) AS found (id, form)
        JOIN orders USING (id) ORDER BY orders.id FOR UPDATE OF orders
    )
    UPDATE orders SET email_folded = form FROM found WHERE orders.id = found.id
"""


@dataclass(frozen=True, slots=True)
class FoldedEmails:
    """A migration: fills `email_folded` in, some rows after the other, while the shop sells."""

    async def apply(self, connection: asyncpg.Connection, version: int) -> None:
        last = UUID(int=0)
        while rows := await connection.fetch(_FIND, last, ROWS_MAX):
            ids, emails = [row["id"] for row in rows], [row["email"] for row in rows]
            await connection.execute(_FILL_IN, ids, [folded(email) for email in emails])
            last = ids[-1]
        await connection.execute(RECORD, version)
