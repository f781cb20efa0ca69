import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.harness.needs import needs_root
from tests.servers import run, running
from tests.stack.running_shop import until
from tigerfans.settings import located
from tigerfans.settings.settings import SettingsError
from tigerfans.stack import postgres
from tigerfans.stack.programs import launch_command


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everyone can enter, as those of pytest are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_without_the_extra_a_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is not set.*tigerfans\[embedded\]"):
        postgres.binaries()


def test_an_ordinary_user_runs_the_server_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert postgres.choose_user(tmp_path / "data", tmp_path / "pg") is None


def test_root_runs_the_server_as_someone_unprivileged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    user = postgres.choose_user(tmp_path / "data", tmp_path / "pg")
    assert user is not None
    assert user.uid != 0


@needs_root
def test_root_runs_the_server_as_the_owner_of_the_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 65534, 65534)
    user = postgres.choose_user(data, tmp_path / "pg")
    assert user is not None
    assert user.uid == 65534


@needs_root
def test_a_user_passes_permissions_only_where_it_has_to(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "binaries", lambda: Path("/bin"))
    monkeypatch.setattr(postgres, "SERVER", "sh")
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    for folder, passes in ((open_folder, False), (closed, True)):
        for data, sockets in ((folder, open_folder), (open_folder, folder)):
            user = postgres.choose_user(data / "postgres", sockets / "pg")
            assert user is not None
            assert user.passes_permissions == passes


def test_an_unfinished_cluster_is_made_again_and_a_finished_one_is_kept(tmp_path: Path) -> None:
    data, sockets = tmp_path / "postgres", tmp_path / "pg"
    user = postgres.choose_user(data, sockets)
    unfinished = tmp_path / "postgres.new"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18")
    postgres.initialise(data, user)
    assert not unfinished.exists()
    inode = (data / "PG_VERSION").stat().st_ino
    postgres.initialise(data, user)
    assert (data / "PG_VERSION").stat().st_ino == inode


def test_the_server_is_durable_and_has_the_shops_database(tmp_path: Path) -> None:
    folder = tmp_path / "a b,c'\"%40?#"
    folder.mkdir(mode=0o700)
    data, sockets = folder / "postgres", tmp_path / "pg"
    user = postgres.choose_user(data, sockets)
    postgres.initialise(data, user)
    postgres.own_folder(sockets, user)
    program = postgres.program(data, sockets, user, connections_max=7)
    with running(program, folder / "log"):
        shown = run(show(located.database_url(sockets)))
    assert shown == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "listen_addresses": "",
        "max_connections": "7",
    }


async def show(url: str) -> dict[str, str]:
    names = ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses")
    connection = await asyncpg.connect(url)
    try:
        return {
            name: await connection.fetchval(f"SHOW {name}") for name in (*names, "max_connections")
        }
    finally:
        await connection.close()


def test_a_lock_is_removed_only_where_its_process_is_another_program(tmp_path: Path) -> None:
    lock = tmp_path / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{tmp_path}\n")
    postgres.remove_stale_lock(tmp_path)
    assert not lock.exists()
    # PostgreSQL itself decides on these.
    shutil.copy("/bin/cat", tmp_path / postgres.SERVER)
    with subprocess.Popen(
        [tmp_path / postgres.SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as server:
        assert server.stdin
        assert server.stdout
        server.stdin.write(b"running\n")
        server.stdout.readline()
        for content in (f"{server.pid}\n", "", "no number"):
            lock.write_text(content)
            postgres.remove_stale_lock(tmp_path)
            assert lock.exists()


def test_the_locks_of_a_killed_server_stop_no_other_whoever_has_its_process_id_now(
    tmp_path: Path,
) -> None:
    data, sockets = tmp_path / "postgres", tmp_path / "pg"
    user = postgres.choose_user(data, sockets)
    postgres.initialise(data, user)
    postgres.own_folder(sockets, user)
    # Of the server's user, which may ask whether it is alive.
    with subprocess.Popen(launch_command(["/bin/cat"], user), stdin=subprocess.PIPE) as someone:
        until(lambda: Path(f"/proc/{someone.pid}/comm").read_text() == "cat\n")
        remains = (data / "postmaster.pid", sockets / ".s.PGSQL.5432.lock")
        for lock in remains:
            lock.write_text(f"{someone.pid}\n{data}\n1795857303\n5432\n{sockets}\n\n")
        postgres.remove_stale_locks(data, sockets)
        program = postgres.program(data, sockets, user, connections_max=7)
        with running(program, tmp_path / "log"):
            assert run(show(located.database_url(sockets)))["fsync"] == "on"


def test_of_all_that_initdb_prints_the_line_that_says_why_is_told() -> None:
    printed = """creating configuration files ... ok
running bootstrap script ... 2026-11-28 10:00:00 UTC [1] PANIC:  could not write: No space left
child process exited with exit code 1
initdb: removing data directory "data/postgres.new"
"""
    assert postgres.complaint(printed).endswith("PANIC:  could not write: No space left")
    assert postgres.complaint("It does not like it here.\n") == "It does not like it here."
    assert postgres.complaint("") == "initdb says nothing."


@pytest.mark.parametrize(("memory_mb", "buffers_mb"), [(32, 16), (1_024, 256), (16_384, 512)])
def test_postgresql_keeps_a_quarter_of_the_memory_for_its_buffers_and_no_more_than_it_needs(
    memory_mb: int, buffers_mb: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    amounts = {"SC_PAGE_SIZE": 4_096, "SC_PHYS_PAGES": memory_mb * 256}
    monkeypatch.setattr(os, "sysconf", amounts.__getitem__)
    program = postgres.program(tmp_path, tmp_path, None, connections_max=20)
    assert f"shared_buffers={buffers_mb}MB" in program.argv
