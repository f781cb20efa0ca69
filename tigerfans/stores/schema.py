"""The versioned schema of the order store.

Every worker applies it when it starts; an advisory lock lets one of them do the work while the
others wait and then find it done. A migration, once released, is never edited: append another.
"""

from typing import Final

import asyncpg

from tigerfans.settings.settings import SettingsError

# Any fixed number; it only has to be ours within the database.
ADVISORY_LOCK: Final = 0x7167_6572

MIGRATIONS: Final = (
    """
    CREATE TABLE orders (
        id uuid PRIMARY KEY,
        status text NOT NULL
            CHECK (status IN ('PAID', 'PAID_UNFULFILLED', 'FAILED', 'CANCELED')),
        cls text NOT NULL,
        amount_cents integer NOT NULL,
        currency text NOT NULL,
        email text NOT NULL,
        created_at timestamptz NOT NULL,
        paid_at timestamptz,
        ticket_code text,
        got_goodie boolean NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT now(),
        refunded_at timestamptz
    );
    CREATE INDEX orders_recorded_at ON orders (recorded_at);
    CREATE INDEX orders_refund_due ON orders (recorded_at)
        WHERE status = 'PAID_UNFULFILLED' AND refunded_at IS NULL;

    -- MockPay's webhooks that nobody has confirmed yet.
    CREATE TABLE mockpay_webhooks (
        id uuid PRIMARY KEY,
        order_id text NOT NULL,
        type text NOT NULL,
        body bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        next_attempt_at timestamptz NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        last_error text NOT NULL DEFAULT ''
    );
    CREATE INDEX mockpay_webhooks_next_attempt_at ON mockpay_webhooks (next_attempt_at);
    """,
    # What the box office searches by. The two indexes over text cost the writing of an order 3 µs
    # of PostgreSQL's CPU, of 10; they compare bytes, whatever the database's own order of letters.
    """
    DROP INDEX orders_recorded_at;
    CREATE INDEX orders_listed ON orders (recorded_at, id);
    CREATE INDEX orders_not_paid ON orders (recorded_at, id) WHERE status <> 'PAID';
    CREATE INDEX orders_email ON orders (lower(email) COLLATE "C");
    CREATE INDEX orders_ticket_code ON orders (ticket_code COLLATE "C")
        WHERE ticket_code IS NOT NULL;
    CREATE INDEX mockpay_webhooks_order_id ON mockpay_webhooks (order_id);

    -- The outcome that a payment which succeeded after all has replaced.
    ALTER TABLE orders ADD COLUMN earlier_status text, ADD COLUMN earlier_at timestamptz;
    """,
    # Who the shop is (`identity`); there can be no second row.
    """
    CREATE TABLE shop (
        is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
        id uuid NOT NULL,
        ticket_secret_digest bytea NOT NULL,
        funded_at timestamptz,
        is_on_ledger boolean NOT NULL DEFAULT true
    );
    """,
)


class SchemaTooNewError(SettingsError):
    """The database was set up by a newer version of the shop."""


class SchemaTooOldError(SettingsError):
    """The database was not set up yet, or by an older version of the shop."""


_VERSION: Final = "SELECT max(version) FROM schema_version"


async def migrate(connection: asyncpg.Connection) -> None:
    """Brings the database to this version's schema, whoever else tries at the same time."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", ADVISORY_LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)"
        )
        version = await connection.fetchval(_VERSION) or 0
        _refuse_newer(version)
        for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
            await connection.execute(statements)
            await connection.execute("INSERT INTO schema_version VALUES ($1)", number)


async def check_schema(connection: asyncpg.Connection) -> None:
    """Raises `SettingsError` unless the database has this version's schema; changes nothing."""
    is_there = await connection.fetchval("SELECT to_regclass('schema_version')")
    version = (is_there and await connection.fetchval(_VERSION)) or 0
    _refuse_newer(version)
    if version < len(MIGRATIONS):
        raise SchemaTooOldError(
            f"DATABASE_URL names a database with schema version {version}, which becomes"
            f" {len(MIGRATIONS)} when a worker of this version of the shop starts."
        )


def _refuse_newer(version: int) -> None:
    if version > len(MIGRATIONS):
        raise SchemaTooNewError(
            f"DATABASE_URL names a database with schema version {version};"
            f" this version of the shop knows up to {len(MIGRATIONS)}."
        )
