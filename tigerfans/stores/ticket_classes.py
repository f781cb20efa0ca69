"""Which ticket classes the shop has ever opened with: the code of each, its number on the ledger,
and the currency of its prices.

A row stands as long as the shop does, so a class that the offer has dropped is still known. What
may change of it says `shop.classes`.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from tigerfans.stores.database import Database

_FIND: Final = "SELECT code, ledger, currency FROM ticket_classes ORDER BY code"
# Whoever opens the shop last has the word; a number that no class has any more becomes free.
_FREE: Final = "DELETE FROM ticket_classes WHERE ledger = ANY($1::int[])"
_KEEP: Final = """
    INSERT INTO ticket_classes (code, ledger, currency)
    SELECT * FROM unnest($1::text[], $2::int[], $3::text[])
    ON CONFLICT (code) DO UPDATE SET ledger = EXCLUDED.ledger, currency = EXCLUDED.currency
"""


class KnownClass(NamedTuple):
    code: str
    ledger: int
    currency: str


async def find_classes(database: Database) -> list[KnownClass]:
    """All there are; raises `UnavailableError` where PostgreSQL gives no answer."""
    async with database.connection() as connection:
        return [KnownClass(*row) for row in await connection.fetch(_FIND)]


async def keep_classes(database: Database, classes: Sequence[KnownClass]) -> None:
    """Keeps these, beside those that there are; raises as `find_classes`."""
    codes, ledgers, currencies = map(list, zip(*classes, strict=True))
    async with database.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE ticket_classes")
        await connection.execute(_FREE, ledgers)
        await connection.execute(_KEEP, codes, ledgers, currencies)
