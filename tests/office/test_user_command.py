"""`tigerfans user`, in this process: what it does, asks, prints and refuses."""

import getpass
import io
import re
import sys
from collections.abc import Callable
from typing import Final

import asyncpg
import pytest

from tests.servers import run
from tigerfans.cli import main
from tigerfans.office.passwords import HASHER
from tigerfans.stack.ports import free_port
from tigerfans.stores import people
from tigerfans.stores.audit import system_user

PASSWORD = "of ada, and long"
Rows = Callable[[str], list[asyncpg.Record]]


@pytest.fixture
def rows(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Rows:
    """Reads the database that the command changes."""
    monkeypatch.setenv("DATABASE_URL", database_url)

    async def read(query: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(database_url)
        try:
            found: list[asyncpg.Record] = await connection.fetch(query)
            return found
        finally:
            await connection.close()

    return lambda query: run(read(query))


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def types(monkeypatch: pytest.MonkeyPatch, *typed: str) -> list[str]:
    """Somebody at a terminal; what they are asked."""
    asked: list[str] = []
    answers = iter(typed)

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return next(answers)

    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    monkeypatch.setattr(getpass, "getpass", ask)
    return asked


def test_somebody_comes_changes_and_goes_and_all_of_it_is_written_down(
    rows: Rows, pipe: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(f"{PASSWORD}\n")
    assert main(["user", "add", "ada", "--role", "office"]) == 0
    [row] = rows("SELECT * FROM people")
    assert (row["name"], row["role"]) == ("ada", "office")
    assert HASHER.verify(row["password_hash"], PASSWORD)
    assert main(["user", "role", "ada", "owner"]) == 0
    assert main(["user", "passwd", "ada", "--generate"]) == 0
    out = capsys.readouterr().out
    [made] = re.findall(r"shown this once: (\S+)\n", out)
    assert PASSWORD not in out
    [row] = rows("SELECT * FROM people")
    assert row["role"] == "owner"
    assert HASHER.verify(row["password_hash"], made)
    assert main(["user", "ls"]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"admin +. owner +. as ADMIN_USERNAME says", listed)
    assert re.search(r"ada +. owner +. \d{4}-\d\d-\d\d", listed)
    assert main(["user", "rm", "ada"]) == 0
    assert rows("SELECT * FROM people") == []
    deeds = rows("SELECT by, what, detail FROM audit ORDER BY id")
    assert [(each["what"], each["detail"]) for each in deeds] == [
        ("Person added", "ada, office"),
        ("Role changed", "ada is owner now"),
        ("Password changed", "ada"),
        ("Person removed", "ada"),
    ]
    assert {each["by"] for each in deeds} == {system_user()}


def test_at_a_terminal_the_password_is_asked_for_twice(
    rows: Rows, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = types(monkeypatch, PASSWORD, "another one, as long")
    assert main(["user", "add", "ada", "--role", "door"]) == 2
    assert capsys.readouterr().err == "The two passwords are not the same.\n"
    assert rows("SELECT * FROM people") == []
    types(monkeypatch, PASSWORD, PASSWORD)
    assert main(["user", "add", "ada", "--role", "door"]) == 0
    assert asked == ["Password of ada: ", "Once more: "]
    assert len(rows("SELECT * FROM people")) == 1


REFUSED: Final = [
    (["add", "ada", "--role", "boss"], "There is no role 'boss': it is owner, office, door.\n"),
    (["add", "a:b", "--role", "door"], "A name has 1 to 64 characters"),
    (["add", "admin", "--role", "door"], "admin is the owner that ADMIN_USERNAME names"),
    (["add", "bob", "--role", "door"], "There is somebody called bob already.\n"),
    (["role", "ada", "door"], "There is nobody called ada.\n"),
    (["passwd", "ada"], "There is nobody called ada.\n"),
    (["rm", "ada"], "There is nobody called ada.\n"),
    (["rm", "Bob"], "There is nobody called Bob.\n"),
]


def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(
    rows: Rows, pipe: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["user", "add", "bob", "--role", "door", "--generate"]) == 0
    before = rows("SELECT * FROM people")
    for arguments, sentence in REFUSED:
        pipe(f"{PASSWORD}\n")
        assert main(["user", *arguments]) == 2
        err = capsys.readouterr().err
        assert err.startswith(sentence)
        assert err.count("\n") == 1
    assert rows("SELECT * FROM people") == before
    assert len(rows("SELECT * FROM audit")) == 1


def test_a_password_that_is_none_is_refused(
    rows: Rows, pipe: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    for typed in ("", "\n", "short\n"):
        pipe(typed)
        assert main(["user", "add", "ada", "--role", "door"]) == 2
        assert capsys.readouterr().err == "A password has 10 to 256 characters.\n"
    assert rows("SELECT * FROM people") == []


def test_there_are_no_more_people_than_there_may_be(
    rows: Rows, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(people, "PEOPLE_MAX", 1)
    assert main(["user", "add", "ada", "--role", "door", "--generate"]) == 0
    assert main(["user", "add", "bob", "--role", "door", "--generate"]) == 2
    assert "There are 1 people already" in capsys.readouterr().err
    assert len(rows("SELECT * FROM people")) == 1


def test_without_a_database_it_is_one_sentence_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port("127.0.0.1")
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody@127.0.0.1:{port}/tests")
    assert main(["user", "ls"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
