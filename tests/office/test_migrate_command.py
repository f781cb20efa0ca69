"""`tigerfans migrate`, and what workers say where nobody ran it."""

import asyncio
from pathlib import Path

from tests.stack.running_shop import environment, tigerfans
from tigerfans.stack.ports import free_port
from tigerfans.stores.migration import Transaction
from tigerfans.stores.schema import MIGRATIONS, migrate


def test_it_says_what_it_did_and_that_there_is_nothing_left_to_do(
    tmp_path: Path, empty_database_url: str
) -> None:
    environ = environment(tmp_path / "data", {"DATABASE_URL": empty_database_url})
    for before in (0, len(MIGRATIONS)):
        migrated = tigerfans("migrate", environ=environ, cwd=tmp_path)
        assert migrated.returncode == 0, migrated.stderr
        assert migrated.stdout == (
            f"The database had schema version {before} and has {len(MIGRATIONS)}.\n"
        )


async def test_a_newer_release_that_this_one_works_beside_is_left_as_it_is(
    tmp_path: Path, database_url: str
) -> None:
    newer = (*MIGRATIONS, Transaction("CREATE TABLE notes (note text)"))
    await migrate(database_url, newer, works_with=len(MIGRATIONS))
    environ = environment(tmp_path / "data", {"DATABASE_URL": database_url})
    migrated = await asyncio.to_thread(tigerfans, "migrate", environ=environ, cwd=tmp_path)
    assert migrated.returncode == 0, migrated.stderr
    assert migrated.stdout == (
        f"The database has schema version {len(newer)}, on which this version works as well.\n"
    )


def test_without_a_database_it_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    nowhere = f"postgresql://nobody@127.0.0.1:{free_port('127.0.0.1')}/tests"
    environ = environment(tmp_path / "data", {"DATABASE_URL": nowhere})
    migrated = tigerfans("migrate", environ=environ, cwd=tmp_path)
    assert (migrated.returncode, migrated.stdout) == (1, "")
    assert migrated.stderr.startswith("The database cannot be migrated: ConnectionRefusedError")
    assert migrated.stderr.count("\n") == 1


def test_a_worker_that_nobody_migrated_for_is_one_sentence_and_exit_code_2(
    tmp_path: Path, empty_database_url: str, redis_url: str
) -> None:
    stores = {"DATABASE_URL": empty_database_url, "REDIS_URL": redis_url}
    environ = environment(tmp_path / "data", stores)
    refused = tigerfans("worker", "--number", "1", environ=environ, cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.endswith("run `tigerfans migrate`.\n")
    assert refused.stderr.count("\n") == 1
