"""A shop's identity: one row in PostgreSQL, made once, by which its other parts are known.

The row holds 128 random bits, which the ledger's accounts carry too and by which the keys in Redis
begin; a keyed digest of the ticket secret; and when the ledger was funded. What follows from it
when a shop is opened stands in `shop.identity`.
"""

import asyncio
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from tigerfans.settings.settings import SettingsError
from tigerfans.stores.database import Database
from tigerfans.stores.postgresql_primary import Primary
from tigerfans.stores.ticket_classes import KnownClass, find_classes, keep_classes

SHOP_ID_BYTES: Final = 16
KEY_PREFIX_HEX_DIGITS: Final = 8

# What the digest is made of never changes: it has to be the same for as long as a shop lives.
_DIGESTED: Final = b"The ticket secret of a TigerFans shop"

_FIND: Final = "SELECT id, ticket_secret_digest, funded_at, is_on_ledger, are_ids_checked FROM shop"
# Whoever comes first makes the row. Where somebody was charged before there was one, the stock was
# put on a ledger before shops had an identity: no other may take that one's place.
_INSERT: Final = """
    INSERT INTO shop (id, ticket_secret_digest, funded_at, is_on_ledger, are_ids_checked)
    SELECT $1, $2, CASE WHEN has_charged THEN now() END, NOT has_charged, NOT has_orders
    FROM (
        SELECT EXISTS (SELECT FROM orders WHERE status IN ('PAID', 'PAID_UNFULFILLED'))
            AS has_charged, EXISTS (SELECT FROM orders) AS has_orders
    ) AS before
    WHERE NOT EXISTS (SELECT FROM shop)
    ON CONFLICT DO NOTHING
"""
_MARK_FUNDED: Final = """
    UPDATE shop SET funded_at = now(), is_on_ledger = $1 WHERE funded_at IS NULL
"""


class ShopId(bytes):
    """16 random bytes, little-endian as all that goes to the ledger."""

    @classmethod
    def new(cls) -> "ShopId":
        return cls(os.urandom(SHOP_ID_BYTES))

    @property
    def hex_digits(self) -> str:
        return self[::-1].hex()

    @property
    def key_prefix(self) -> str:
        """What the shop's keys in Redis begin with."""
        return self.hex_digits[:KEY_PREFIX_HEX_DIGITS]


@dataclass(frozen=True, slots=True)
class Identity:
    """What the row says.

    `funded_at` is None until the stock is on the ledger. `is_on_ledger` is False where that was
    done before shops had an identity: the accounts carry none. A row that is made in a database
    with orders that were paid for says so from the start.
    """

    id: ShopId
    ticket_secret_digest: bytes
    funded_at: datetime | None
    is_on_ledger: bool
    # Whether every order's id has the digest by which it is known (`booking.ids.OrderIds`).
    are_ids_checked: bool = True

    def has_secret(self, ticket_secret: str) -> bool:
        """Whether the shop was opened with this ticket secret."""
        return hmac.compare_digest(self.ticket_secret_digest, secret_digest(ticket_secret))


class IdentityRow:
    """The row of one shop, which has the id `id` for ever, and those of its ticket classes; what
    they say is read when it is asked for.

    Every method raises `UnavailableError` where PostgreSQL gives no answer.
    """

    def __init__(self, database: Database, identity: Identity) -> None:
        self._database = database
        self.id: Final = identity.id
        self.are_ids_checked: Final = identity.are_ids_checked
        # Once the stock is on the ledger nothing of the row changes any more.
        self._funded: Identity | None = None

    @classmethod
    async def claim(cls, database: Database, ticket_secret: str) -> "IdentityRow":
        """The database's shop, which is a new one where there was none.

        Raises `SettingsError` where it was opened with another ticket secret.
        """
        async with database.connection() as connection:
            new_id = UUID(bytes=ShopId.new())
            await connection.execute(_INSERT, new_id, secret_digest(ticket_secret))
        return await cls.find(database, ticket_secret)

    @classmethod
    async def find(cls, database: Database, ticket_secret: str) -> "IdentityRow":
        """The database's shop; raises `SettingsError` where there is none, and as `claim`."""
        async with database.connection() as connection:
            identity = await find_identity(connection)
        if identity is None:
            raise SettingsError(
                "DATABASE_URL names a database without a shop: its first worker opens one."
            )
        if not identity.has_secret(ticket_secret):
            raise SettingsError(
                "TIGERFANS_TICKET_SECRET is not the one that this shop was opened with: set that"
                " again, for the codes of its tickets derive from it."
            )
        return cls(database, identity)

    async def read(self) -> Identity:
        if self._funded is not None:
            return self._funded
        async with self._database.connection() as connection:
            identity = await find_identity(connection)
        if identity is None or identity.id != self.id:
            raise SettingsError(
                "DATABASE_URL names a database whose shop was replaced: start this process again."
            )
        if identity.funded_at is not None:
            self._funded = identity
        return identity

    async def classes(self) -> list[KnownClass]:
        """The ticket classes that the shop has ever opened with."""
        return await find_classes(self._database)

    async def keep_classes(self, classes: Sequence[KnownClass]) -> None:
        """From now on these are the shop's, and the others are dropped."""
        await keep_classes(self._database, classes)

    async def mark_funded(self, *, is_on_ledger: bool) -> None:
        """The stock is on the ledger now; nothing changes where it was so before."""
        async with self._database.connection() as connection:
            await connection.execute(_MARK_FUNDED, is_on_ledger)


async def read_identity(database_url: str, seconds_max: float) -> Identity | None:
    """The shop of a database that was perhaps never migrated; for a look, with a connection of its
    own. Raises `OSError` (a timeout is one) or what asyncpg raises where it cannot be asked.
    """
    async with asyncio.timeout(seconds_max):
        connection = await Primary(database_url).connect()
        try:
            has_table = await connection.fetchval("SELECT to_regclass('shop')")
            return await find_identity(connection) if has_table else None
        finally:
            await connection.close(timeout=seconds_max)


async def find_identity(connection: asyncpg.Connection) -> Identity | None:
    """What the row says; None where there is none yet."""
    row = await connection.fetchrow(_FIND)
    if row is None:
        return None
    shop_id = ShopId(row["id"].bytes[::-1])
    _, *rest = row
    return Identity(shop_id, *rest)


def secret_digest(ticket_secret: str) -> bytes:
    """What the row knows of the secret: enough to tell another one, not to make a code."""
    return hmac.digest(ticket_secret.encode(), _DIGESTED, "sha256")
