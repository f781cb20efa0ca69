"""Which ticket classes the shop has ever opened with: the code of each, its number on the ledger,
the currency of its prices, and whether the offer has dropped it.

A row stands as long as the shop does, so a class that the offer has dropped is still known. What
may change of it says `shop.classes`.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from tigerfans.stores.database import Database

_FIND: Final = """
    SELECT code, ledger, currency, dropped_at IS NOT NULL FROM ticket_classes ORDER BY code
"""
# Whoever opens the shop last has the word; a number that no class has any more becomes free.
_FREE: Final = "DELETE FROM ticket_classes WHERE ledger = ANY($1::int[])"
_KEEP: Final = """
    INSERT INTO ticket_classes (code, ledger, currency)
    SELECT * FROM unnest($1::text[], $2::int[], $3::text[])
    ON CONFLICT (code) DO UPDATE
    SET ledger = EXCLUDED.ledger, currency = EXCLUDED.currency, dropped_at = NULL
"""
_DROP: Final = """
    UPDATE ticket_classes SET dropped_at = now()
    WHERE dropped_at IS NULL AND NOT code = ANY($1::text[])
"""


class KnownClass(NamedTuple):
    code: str
    ledger: int
    currency: str
    is_dropped: bool = False


async def find_classes(database: Database) -> list[KnownClass]:
    """All there are; raises `UnavailableError` where PostgreSQL gives no answer."""
    async with database.connection() as connection:
        return [KnownClass(*row) for row in await connection.fetch(_FIND)]


async def keep_classes(database: Database, classes: Sequence[KnownClass]) -> None:
    """Keeps these as the offer's; the others are dropped. Raises as `find_classes`."""
    codes, ledgers, currencies, _ = map(list, zip(*classes, strict=True))
    async with database.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE ticket_classes")
        await connection.execute(_FREE, ledgers)
        await connection.execute(_KEEP, codes, ledgers, currencies)
        await connection.execute(_DROP, codes)


async def drop_classes(database: Database, kept: Sequence[str]) -> None:
    """The offer has only the classes with these codes any more; raises as `find_classes`."""
    async with database.connection() as connection:
        await connection.execute(_DROP, list(kept))
