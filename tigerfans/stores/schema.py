"""The versioned schema of the order store.

`tigerfans migrate` applies it, before workers start; they only look whether it was. A migration,
once released, is never edited: append another. An index on a table that there is already is a
`ConcurrentIndex`, so that it is built while the shop sells.
"""

from collections.abc import Sequence
from typing import Final

import asyncpg

from tigerfans.settings.settings import SettingsError
from tigerfans.stores.folded_emails import FoldedEmails
from tigerfans.stores.migration import (
    ConcurrentIndex,
    Migration,
    SchemaVersion,
    Transaction,
    apply,
    migrating,
    read_version,
)

MIGRATIONS: Final[tuple[Migration, ...]] = (
    Transaction("""
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
    """),
    # What the box office searches by. The two indexes over text cost the writing of an order 3 µs
    # of PostgreSQL's CPU, of 10; they compare bytes, whatever the database's own order of letters.
    Transaction("""
    DROP INDEX orders_recorded_at;
    CREATE INDEX orders_listed ON orders (recorded_at, id);
    CREATE INDEX orders_not_paid ON orders (recorded_at, id) WHERE status <> 'PAID';
    CREATE INDEX orders_email ON orders (lower(email) COLLATE "C");
    CREATE INDEX orders_ticket_code ON orders (ticket_code COLLATE "C")
        WHERE ticket_code IS NOT NULL;
    CREATE INDEX mockpay_webhooks_order_id ON mockpay_webhooks (order_id);

    -- The outcome that a payment which succeeded after all has replaced.
    ALTER TABLE orders ADD COLUMN earlier_status text, ADD COLUMN earlier_at timestamptz;
    """),
    Transaction("""
    -- Who the shop is (`identity`); there can be no second row.
    CREATE TABLE shop (
        is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
        id uuid NOT NULL,
        ticket_secret_digest bytea NOT NULL,
        funded_at timestamptz,
        is_on_ledger boolean NOT NULL DEFAULT true
    );
    """),
    Transaction("""
    -- Payments that fit no order. The ids are digests of what was told, as hex digits.
    CREATE TABLE unmatched_payments (
        id text PRIMARY KEY,
        reason text NOT NULL,
        amount_cents bigint,
        currency text NOT NULL,
        order_id text NOT NULL,
        session_id text NOT NULL,
        email text NOT NULL,
        body bytea,
        received_at timestamptz NOT NULL DEFAULT now(),
        resolution text CHECK (resolution IN ('REFUNDED', 'DISMISSED')),
        resolved_at timestamptz,
        resolved_by text NOT NULL DEFAULT '',
        CHECK ((resolution IS NULL) = (resolved_at IS NULL))
    );
    CREATE INDEX unmatched_payments_waiting ON unmatched_payments (received_at, id)
        WHERE resolution IS NULL;
    CREATE INDEX unmatched_payments_resolved ON unmatched_payments (resolved_at, id)
        WHERE resolution IS NOT NULL;
    CREATE INDEX unmatched_payments_order_id ON unmatched_payments (order_id);
    """),
    Transaction("""
    -- What was decided at MockPay's page, for who asks it.
    CREATE TABLE mockpay_payments (
        order_id text PRIMARY KEY,
        type text NOT NULL,
        body bytea NOT NULL,
        decided_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX mockpay_payments_decided_at ON mockpay_payments (decided_at);
    """),
    Transaction("""
    -- Until then one worker resolves it.
    ALTER TABLE unmatched_payments ADD COLUMN claimed_until timestamptz;
    """),
    Transaction("""
    -- An email address in the form in which it is compared, where that takes more than small
    -- letters of ASCII. It is looked for anywhere in an address, which the index is of no use for.
    ALTER TABLE orders ADD COLUMN email_folded text;
    DROP INDEX orders_email;
    """),
    FoldedEmails(),
    Transaction("""
    -- A shop that there is already has orders whose ids have no digest in them.
    ALTER TABLE shop ADD COLUMN are_ids_checked boolean NOT NULL DEFAULT false;
    """),
    Transaction("""
    -- Each class that was ever on offer: what orders call it, and where it is on the ledger.
    CREATE TABLE ticket_classes (
        code text PRIMARY KEY,
        ledger int NOT NULL UNIQUE,
        currency text NOT NULL
    );
    -- Before offers came from a file, every shop had these two.
    INSERT INTO ticket_classes
    SELECT code, ledger, 'eur' FROM (VALUES ('A', 1), ('B', 2)) AS both_of (code, ledger)
    WHERE EXISTS (SELECT FROM shop WHERE funded_at IS NOT NULL);
    """),
    Transaction("""
    -- How many tickets an order has, and their codes behind the first.
    ALTER TABLE orders ADD COLUMN qty smallint NOT NULL DEFAULT 1,
                       ADD COLUMN more_ticket_codes text[];
    """),
    ConcurrentIndex(
        "orders_more_ticket_codes",
        "ON orders USING gin (more_ticket_codes) WHERE more_ticket_codes IS NOT NULL",
    ),
    Transaction("""
    -- Mails to buyers, each queued by the statement that stores what it tells of.
    CREATE TABLE mails (
        order_id uuid NOT NULL,
        kind text NOT NULL,
        number smallint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now(),
        next_attempt_at timestamptz NOT NULL DEFAULT now(),
        attempts integer NOT NULL DEFAULT 0,
        failing_since timestamptz,
        last_error text NOT NULL DEFAULT '',
        sent_at timestamptz,
        sent_to text NOT NULL DEFAULT '',
        gave_up_at timestamptz,
        PRIMARY KEY (order_id, kind, number)
    );
    CREATE INDEX mails_due ON mails (next_attempt_at) WHERE sent_at IS NULL AND gave_up_at IS NULL;
    CREATE INDEX mails_undelivered ON mails (created_at) WHERE sent_at IS NULL AND attempts > 0;

    -- Who has asked for their tickets again: an address as `folded` gives it.
    CREATE TABLE mail_requests (
        email_folded text PRIMARY KEY,
        asked_at timestamptz NOT NULL DEFAULT now()
    );

    -- Workers of before queue none: what they sell from here on is found by its time.
    ALTER TABLE shop ADD COLUMN mails_since timestamptz NOT NULL DEFAULT now();
    """),
    Transaction("""
    -- Who may enter the box office, beside the owner that the settings name.
    CREATE TABLE people (
        name text PRIMARY KEY,
        role text NOT NULL CHECK (role IN ('owner', 'office', 'door')),
        password_hash text NOT NULL,
        added_at timestamptz NOT NULL DEFAULT now()
    );
    -- Who did what, and when.
    CREATE TABLE audit (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at timestamptz NOT NULL DEFAULT now(),
        by text NOT NULL,
        what text NOT NULL,
        order_id uuid,
        detail text NOT NULL
    );
    CREATE INDEX audit_order_id ON audit (order_id) WHERE order_id IS NOT NULL;
    """),
    Transaction("""
    -- Since when the offer has a class no more, of which no ticket was sold or on hold then.
    ALTER TABLE ticket_classes ADD COLUMN dropped_at timestamptz;
    """),
    Transaction("""
    -- Tickets whose money was asked back (`ticket_refunds`); a group's have the same `first`.
    CREATE TABLE ticket_refunds (
        order_id uuid NOT NULL,
        ticket smallint NOT NULL,
        first smallint NOT NULL,
        amount_cents integer NOT NULL,
        asked_at timestamptz NOT NULL DEFAULT now(),
        asked_by text NOT NULL,
        taken_back_at timestamptz,
        given_back_at timestamptz,
        next_attempt_at timestamptz NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        last_error text NOT NULL DEFAULT '',
        forgotten_at timestamptz,
        PRIMARY KEY (order_id, ticket)
    );
    CREATE INDEX ticket_refunds_open ON ticket_refunds (next_attempt_at)
        WHERE given_back_at IS NULL;
    CREATE INDEX ticket_refunds_given_back ON ticket_refunds (given_back_at)
        WHERE given_back_at IS NOT NULL;
    CREATE INDEX ticket_refunds_forgettable ON ticket_refunds (given_back_at)
        WHERE given_back_at IS NOT NULL AND forgotten_at IS NULL;

    -- By its tickets' numbers, when each came back; NULL where none did.
    ALTER TABLE orders ADD COLUMN tickets_refunded_at timestamptz[];
    -- All rows there are conform, for they did to the one before.
    ALTER TABLE orders DROP CONSTRAINT orders_status_check, ADD CONSTRAINT orders_status_check
        CHECK (status IN ('PAID', 'PAID_UNFULFILLED', 'FAILED', 'CANCELED', 'REFUNDED')) NOT VALID;

    -- That the show is canceled; there can be no second row. The refunds of the orders up to
    -- (`asked_until`, `asked_id`) are asked for, in the order in which they were recorded.
    CREATE TABLE show_cancellation (
        is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
        canceled_at timestamptz NOT NULL DEFAULT now(),
        canceled_by text NOT NULL,
        asked_until timestamptz NOT NULL DEFAULT '-infinity',
        asked_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
    );
    """),
    Transaction("""
    -- What the provider calls the payment; NULL where it did not tell.
    ALTER TABLE orders ADD COLUMN payment_reference text;
    ALTER TABLE unmatched_payments ADD COLUMN reference text;

    -- Where an order is paid at a provider that has sessions of its own: stored before its buyer is
    -- sent there, so that nobody pays at one of which the shop knows nothing.
    CREATE TABLE provider_sessions (
        order_id uuid PRIMARY KEY,
        session_id text NOT NULL,
        url text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        -- When it was known that nobody paid there and nobody can any more.
        ended_at timestamptz
    );
    """),
    Transaction("""
    -- When it was known that its buyer has agreed to a payment whose money takes days.
    ALTER TABLE provider_sessions ADD COLUMN submitted_at timestamptz;
    """),
    Transaction("""
    -- What gates are called whose numbers stand in the ledger's admissions.
    CREATE TABLE door_gates (
        number bigint PRIMARY KEY,
        name text NOT NULL UNIQUE
    );
    -- Scans of tickets at the door (`door_scans`); `attempt` is NULL where nobody was let in.
    CREATE TABLE door_scans (
        scan_id uuid PRIMARY KEY,
        order_id uuid NOT NULL,
        ticket smallint NOT NULL,
        cls text NOT NULL,
        gate bigint NOT NULL,
        device text NOT NULL,
        who text NOT NULL,
        scanned_at timestamptz NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(),
        changed_at timestamptz NOT NULL DEFAULT now(),
        offline boolean NOT NULL,
        result text NOT NULL,
        attempt smallint,
        admitted_at timestamptz,
        other_gate bigint,
        other_at timestamptz,
        is_incident boolean NOT NULL,
        undone_at timestamptz,
        undone_by text NOT NULL DEFAULT ''
    );
    CREATE INDEX door_scans_ticket ON door_scans (order_id, ticket, scan_id);
    CREATE INDEX door_scans_changed ON door_scans (changed_at, order_id, ticket)
        WHERE attempt IS NOT NULL;
    CREATE INDEX door_scans_admitted ON door_scans (admitted_at) WHERE attempt IS NOT NULL;
    CREATE INDEX door_scans_incidents ON door_scans (received_at) WHERE is_incident;
    """),
    ConcurrentIndex(
        "ticket_refunds_taken_back",
        "ON ticket_refunds (taken_back_at, order_id, ticket) WHERE taken_back_at IS NOT NULL",
    ),
    Transaction("""
    -- That somebody has seen to an incident at the door.
    ALTER TABLE door_scans ADD COLUMN seen_at timestamptz,
        ADD COLUMN seen_by text NOT NULL DEFAULT '';
    """),
    # The box office's lists of what happened at the door.
    ConcurrentIndex("door_scans_device", "ON door_scans (device, received_at)"),
    ConcurrentIndex("door_scans_undone", "ON door_scans (undone_at) WHERE undone_at IS NOT NULL"),
    ConcurrentIndex(
        "door_scans_unseen",
        "ON door_scans (received_at, scan_id) WHERE is_incident AND seen_at IS NULL",
    ),
)

# The oldest version whose shop goes on working on the newest one, so that two releases sell side by
# side while one takes the other's place, and each of their workers may start again. A migration
# that such a shop does not survive raises it; one that only adds what may be left out does not.
WORKS_WITH: Final = 9


class SchemaTooNewError(SettingsError):
    """The database was set up by a newer version of the shop."""


class SchemaTooOldError(SettingsError):
    """The database was not brought to this version of the shop."""


async def migrate(
    url: str, migrations: Sequence[Migration] = MIGRATIONS, works_with: int = WORKS_WITH
) -> int:
    """Brings a database to this version's schema, whoever else tries; gives the version it had.

    A newer one that this version works on is left as it is. Raises `SchemaTooNewError` for others,
    and `UnavailableError` where PostgreSQL does not answer.
    """
    async with migrating(url) as connection:
        version = await read_version(connection)
        if version.number > len(migrations):
            _check_newer(version, len(migrations))
        else:
            await apply(connection, migrations, version.number, works_with)
    return version.number


async def check_version(connection: asyncpg.Connection) -> None:
    """Raises `SchemaTooOldError` or `SchemaTooNewError` unless this version works on the schema."""
    version = await read_version(connection)
    if version.number < len(MIGRATIONS):
        raise SchemaTooOldError(
            f"DATABASE_URL names a database with schema version {version.number or 'none'}; this"
            f" version of the shop needs {len(MIGRATIONS)}: run `tigerfans migrate`."
        )
    _check_newer(version, len(MIGRATIONS))


def _check_newer(version: SchemaVersion, known: int) -> None:
    if not version.suits(known):
        raise SchemaTooNewError(
            f"DATABASE_URL names a database with schema version {version.number};"
            f" this version of the shop knows up to {known}."
        )
