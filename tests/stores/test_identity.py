"""The row of a shop's identity, in a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from tigerfans.settings.settings import SettingsError
from tigerfans.stores.database import Database
from tigerfans.stores.identity import IdentityRow, ShopId

SECRET = "a secret of our own"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url)
    yield database
    await database.close()


async def test_whoever_claims_it_first_makes_the_one_row(database: Database) -> None:
    rows = await asyncio.gather(*(IdentityRow.claim(database, SECRET) for _ in range(8)))
    assert len({row.id for row in rows}) == 1
    assert (await IdentityRow.find(database, SECRET)).id == rows[0].id
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM shop") == 1
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("INSERT INTO shop SELECT true, gen_random_uuid(), 'x'")
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("INSERT INTO shop SELECT false, gen_random_uuid(), 'x'")


async def test_the_row_shows_the_digits_that_its_keys_begin_with(database: Database) -> None:
    row = await IdentityRow.claim(database, SECRET)
    async with database.connection() as connection:
        shown = await connection.fetchval("SELECT replace(id::text, '-', '') FROM shop")
    assert shown == row.id.hex_digits
    assert row.id.key_prefix == shown[:8]


@pytest.mark.parametrize("find", [IdentityRow.claim, IdentityRow.find], ids=["claim", "find"])
async def test_another_ticket_secret_is_refused_in_a_sentence_without_either(
    database: Database, find: Callable[[Database, str], Awaitable[IdentityRow]]
) -> None:
    await IdentityRow.claim(database, SECRET)
    with pytest.raises(SettingsError, match=r"^TIGERFANS_TICKET_SECRET is not .*: set") as raised:
        await find(database, "another one")
    assert "\n" not in str(raised.value)
    assert SECRET not in str(raised.value)
    assert "another one" not in str(raised.value)


async def test_a_look_at_a_database_without_a_shop_is_refused_and_leaves_it_so(
    database: Database,
) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL names a database without a shop"):
        await IdentityRow.find(database, SECRET)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM shop") == 0


async def test_the_first_to_say_funded_is_right_and_the_time_stays(database: Database) -> None:
    row = await IdentityRow.claim(database, SECRET)
    await row.mark_funded(is_on_ledger=False)
    funded = await row.read()
    await row.mark_funded(is_on_ledger=True)
    assert funded == await row.read()
    assert funded.funded_at is not None
    assert not funded.is_on_ledger


async def test_a_row_that_was_replaced_meanwhile_is_not_taken_for_the_same(
    database: Database,
) -> None:
    row = await IdentityRow.claim(database, SECRET)
    async with database.connection() as connection:
        await connection.execute("DELETE FROM shop")
    await IdentityRow.claim(database, SECRET)
    with pytest.raises(SettingsError, match="shop was replaced"):
        await row.read()


def test_no_two_shops_are_alike() -> None:
    ids = {ShopId.new() for _ in range(100)}
    assert len(ids) == 100
    assert {len(shop_id) for shop_id in ids} == {16}


async def test_what_a_funded_row_says_is_known_also_while_postgresql_is_away(
    database: Database,
) -> None:
    row = await IdentityRow.claim(database, "secret")
    assert (await row.read()).funded_at is None
    await row.mark_funded(is_on_ledger=True)
    said = await row.read()
    assert said.funded_at is not None
    await database.close()
    assert await row.read() == said


async def test_ids_are_checked_from_the_first_order_on_or_never(database: Database) -> None:
    assert (await IdentityRow.claim(database, SECRET)).are_ids_checked
    async with database.connection() as connection:
        await connection.execute(
            "DELETE FROM shop; INSERT INTO orders (id, status, cls, amount_cents, currency, email,"
            " created_at, got_goodie)"
            " VALUES (gen_random_uuid(), 'FAILED', 'A', 1, 'eur', 'x', now(), false)"
        )
    assert not (await IdentityRow.claim(database, SECRET)).are_ids_checked
    assert not (await IdentityRow.find(database, SECRET)).are_ids_checked
