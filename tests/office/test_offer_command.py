"""`tigerfans offer init` and `tigerfans offer check`."""

from pathlib import Path

import pytest

from tigerfans.office.offer_command import check, init


def test_a_new_file_is_one_that_a_shop_can_sell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "offer.toml"
    assert init(file) == 0
    assert f"TIGERFANS_OFFER={file} tigerfans up" in capsys.readouterr().out
    assert check(file) == 0
    first, *classes, goodie = capsys.readouterr().out.splitlines()
    assert first == "TigerFans 2027, Friday 18 June 2027, 10:00 CEST, Tiger Hall, Hamburg."
    assert [line.split(",")[0] for line in classes] == ["A", "B"]
    assert goodie == "Tiger pin: for the first 100 paid orders."


def test_how_many_tickets_an_order_may_have_is_said_where_it_is_more_than_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "offer.toml"
    init(file)
    file.write_text(file.read_text().replace("tickets_per_order = 1", "tickets_per_order = 4"))
    assert check(file) == 0
    assert "An order has up to 4 tickets." in capsys.readouterr().out.splitlines()


def test_a_file_that_is_there_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "offer.toml"
    file.write_text("mine")
    assert init(file) == 2
    assert file.read_text() == "mine"
    assert "is there already" in capsys.readouterr().err
    assert init(tmp_path / "nowhere" / "offer.toml") == 2
    assert "cannot be written" in capsys.readouterr().err


def test_every_mistake_is_printed_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "offer.toml"
    init(file)
    file.write_text(file.read_text().replace('"EUR"', '"EURO"').replace("number = 2", "number = 3"))
    capsys.readouterr()
    assert check(file) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = captured.err.splitlines()
    assert first.startswith(f"{file}:15: currency: nobody pays in 'EURO'")
    assert second.endswith(": number: 3 is the goodies’ own.")
