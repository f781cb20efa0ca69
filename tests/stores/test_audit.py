"""The audit: what is written down, in which order, and with what else."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tigerfans.booking.ids import OrderId
from tigerfans.stores import audit as audit_module
from tigerfans.stores.audit import WORDS_CHARACTERS_MAX, Audit, note, system_user
from tigerfans.stores.database import Database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url)
    yield database
    await database.close()


async def test_deeds_are_listed_from_the_newest_on_a_page_at_a_time(database: Database) -> None:
    audit = Audit(database)
    for what in ("first", "second", "third"):
        await audit.note("ada", what)
    page = await audit.page(None, 2)
    assert [(deed.by, deed.what, deed.order_id) for deed in page] == [
        ("ada", "third", None),
        ("ada", "second", None),
    ]
    assert [deed.what for deed in await audit.page(page[-1].number, 2)] == ["first"]


async def test_what_was_done_to_an_order_is_found_by_it(database: Database) -> None:
    audit, order_id = Audit(database), OrderId.new()
    await audit.note("ada", "Mail sent again", order_id, "to ada@example.org")
    await audit.note("ada", "Mail sent again", OrderId.new())
    [deed] = await audit.of_order(order_id)
    assert (deed.order_id, deed.detail) == (order_id, "to ada@example.org")


async def test_a_deed_that_is_rolled_back_was_none(database: Database) -> None:
    async def fail() -> None:
        async with database.connection(writes=True) as connection, connection.transaction():
            await note(connection, "ada", "Stock changed")
            await connection.fetchval("SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await fail()
    assert await Audit(database).page(None, 1) == []


async def test_words_of_any_length_are_written_down_and_cut(database: Database) -> None:
    audit = Audit(database)
    await audit.note("ada", "Noted", detail="\0" + "x" * 2 * WORDS_CHARACTERS_MAX)
    [deed] = await audit.page(None, 1)
    assert deed.detail == "x" * (WORDS_CHARACTERS_MAX - 1) + "…"


@pytest.mark.parametrize(
    ("logged_in", "number"),
    [(str(2**31 - 7), 2**31 - 7), (str(2**32 - 1), 2**31 - 8), ("", 2**31 - 8), (None, 2**31 - 8)],
)
def test_at_the_command_line_it_is_who_logged_in_whomever_they_became(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, logged_in: str | None, number: int
) -> None:
    told = tmp_path / "loginuid"
    if logged_in is not None:
        told.write_text(logged_in)
    monkeypatch.setattr(audit_module, "LOGGED_IN", told)
    monkeypatch.setattr(os, "geteuid", lambda: 2**31 - 8)
    # The system has a name for neither.
    assert system_user() == str(number)
