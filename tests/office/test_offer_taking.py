"""`tigerfans offer take`: all of a file, or nothing of it."""

from pathlib import Path

import pytest

from tests.offers import OFFER_FILE
from tigerfans.cli import main
from tigerfans.offer.taken import find_taken, taken_file

NOBODY = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "offer.toml"
    file.write_text(OFFER_FILE.read_text())
    monkeypatch.setenv("TIGERFANS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TIGERFANS_OFFER", str(file))
    monkeypatch.setenv("DATABASE_URL", NOBODY)
    return file


def test_a_file_is_taken_over_once(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["offer", "take"]) == 0
    assert f"{file} was taken over" in capsys.readouterr().out
    # Also by somebody whose shell does not name it.
    monkeypatch.delenv("TIGERFANS_OFFER")
    assert main(["offer", "take"]) == 0
    assert f"{file} is what the shop sells already" in capsys.readouterr().out


def test_a_file_with_mistakes_changes_nothing_and_each_is_named(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["offer", "take"])
    before = find_taken(file.parent / "data")
    file.write_text(file.read_text().replace('"EUR"', '"EURO"').replace("number = 2", "number = 1"))
    capsys.readouterr()
    assert main(["offer", "take"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{file}:10: currency:")
    assert second.endswith("number: 1 is taken, in line 20.")
    assert find_taken(file.parent / "data") == before


def test_a_change_is_not_taken_over_while_nobody_says_what_was_sold(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["offer", "take"])
    before = find_taken(file.parent / "data")
    file.write_text(file.read_text().replace("Whales", "Wales"))
    assert main(["offer", "take"]) == 1
    assert "nobody says what was sold" in capsys.readouterr().err
    assert find_taken(file.parent / "data") == before


def test_a_shop_without_a_file_sells_the_demonstration(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIGERFANS_OFFER")
    assert main(["offer", "take"]) == 0
    assert "the demonstration" in capsys.readouterr().out
    assert not taken_file(file.parent / "data").exists()
