"""What is read of refunds, where there are more than anybody looks at."""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from tigerfans.stores import ticket_refunds
from tigerfans.stores.database import Database

# So many that PostgreSQL plans as for half a million.
REFUNDS: Final = 20_000


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url)
    yield database
    await database.close()


async def plan(database: Database, query: str, *values: object) -> str:
    """How PostgreSQL reads the refunds of a canceled show, half of which are done and forgotten;
    nothing of them stays.
    """
    async with database.connection(writes=True) as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute(f"""
                INSERT INTO ticket_refunds (order_id, ticket, first, amount_cents, asked_by,
                                            taken_back_at, given_back_at, next_attempt_at,
                                            forgotten_at)
                SELECT md5(i::text)::uuid, 0, 0, 6500, 'owner', now(), done, now(), done
                FROM generate_series(1, {REFUNDS}) AS i,
                LATERAL (SELECT CASE WHEN i % 2 = 0 THEN now() - interval '1 hour' END) AS of (done)
            """)  # noqa: S608
            await connection.execute("ANALYZE ticket_refunds")
            rows = await connection.fetch(f"EXPLAIN {query}", *values)
        finally:
            await transaction.rollback()
    return "\n".join(row[0] for row in rows)


async def test_a_few_orders_are_leased_without_a_look_at_all_that_are_open(
    database: Database,
) -> None:
    read = await plan(database, ticket_refunds._LEASE, ticket_refunds.LEASE_SECONDS, 40)
    assert "ticket_refunds_open" in read
    assert "Sort" not in read
    assert "Anti Join" not in read


async def test_what_is_to_be_forgotten_is_found_without_a_look_at_all_that_was(
    database: Database,
) -> None:
    read = await plan(database, ticket_refunds._FORGETTABLE, 60, 5)
    assert "ticket_refunds_forgettable" in read
