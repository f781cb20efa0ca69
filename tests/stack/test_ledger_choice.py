from pathlib import Path

import pytest

from tests.stack import fake_tigerbeetle
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.settings import SettingsError
from tigerfans.stack import ledger_choice
from tigerfans.stack.ledger_choice import LedgerChoice

NOWHERE = {"PATH": "/nowhere"}


@pytest.fixture
def with_tigerbeetle(tmp_path: Path) -> dict[str, str]:
    """An environment in which a TigerBeetle server is found."""
    return {"TIGERBEETLE_BIN": str(fake_tigerbeetle.write(tmp_path / "tb" / "tigerbeetle"))}


@pytest.fixture(autouse=True)
def _away_from_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def choose_and_record(
    configured: str | None, folder: DataFolder, environ: dict[str, str]
) -> LedgerChoice:
    choice = ledger_choice.choose(configured, folder, environ)
    ledger_choice.record(choice, folder)
    return choice


def test_a_new_shop_without_tigerbeetle_is_embedded_and_learns_how_to_get_it(
    folder: DataFolder,
) -> None:
    choice = ledger_choice.choose(None, folder, NOWHERE)
    assert choice.url == f"embedded:{folder.root / 'ledger'}"
    assert choice.program is None
    assert choice.advice is not None
    assert "make tigerbeetle" in choice.advice


def test_a_new_shop_with_tigerbeetle_is_on_it(
    folder: DataFolder, with_tigerbeetle: dict[str, str]
) -> None:
    choice = ledger_choice.choose(None, folder, with_tigerbeetle)
    assert choice.url.startswith("tigerbeetle://127.0.0.1:")
    assert choice.program is not None
    assert choice.program.argv[-1] == str(folder.tigerbeetle_file)
    assert choice.advice is None


def test_a_shop_keeps_its_cluster_over_a_restart(
    folder: DataFolder, with_tigerbeetle: dict[str, str]
) -> None:
    first = choose_and_record(None, folder, with_tigerbeetle)
    second = choose_and_record(None, folder, with_tigerbeetle)
    assert second.identity == first.identity


def test_a_choice_that_cannot_be_written_is_told_and_the_one_before_stays(
    folder: DataFolder, with_tigerbeetle: dict[str, str]
) -> None:
    folder.ledger_choice.with_name("ledger.txt.new").mkdir()
    choice = ledger_choice.choose(None, folder, NOWHERE)
    with pytest.raises(SettingsError, match="TIGERFANS_DATA cannot be used"):
        ledger_choice.record(choice, folder)
    assert not folder.ledger_choice.exists()
    folder.ledger_choice.write_text(f"{choice.identity}\n")
    # There is nothing to write any more.
    ledger_choice.record(choice, folder)
    with pytest.raises(SettingsError, match="TIGERFANS_DATA cannot be used"):
        ledger_choice.record(
            ledger_choice.choose("tigerbeetle://a/7", DataFolder(Path("b")), {}), folder
        )
    assert folder.ledger_choice.read_text() == f"{choice.identity}\n"


def test_a_shop_on_the_embedded_ledger_stays_there_when_tigerbeetle_comes(
    folder: DataFolder, with_tigerbeetle: dict[str, str]
) -> None:
    first = choose_and_record(None, folder, NOWHERE)
    second = choose_and_record(None, folder, with_tigerbeetle)
    assert second.url == first.url
    assert second.advice is not None
    assert "new TIGERFANS_DATA" in second.advice


def test_a_shop_on_tigerbeetle_does_not_start_without_it(
    folder: DataFolder, with_tigerbeetle: dict[str, str]
) -> None:
    choose_and_record(None, folder, with_tigerbeetle)
    with pytest.raises(SettingsError, match=r"are on the ledger tigerbeetle:.*TIGERBEETLE_BIN"):
        ledger_choice.choose(None, folder, NOWHERE)


def test_a_shop_does_not_start_on_another_tigerbeetle_file(
    folder: DataFolder, with_tigerbeetle: dict[str, str]
) -> None:
    choose_and_record(None, folder, with_tigerbeetle)
    folder.tigerbeetle_file.unlink()
    with pytest.raises(SettingsError, match="which is not here"):
        ledger_choice.choose(None, folder, with_tigerbeetle)
    folder.tigerbeetle_file.write_text("abc 0.17.9\n")
    with pytest.raises(SettingsError, match="not on tigerbeetle:2748"):
        ledger_choice.choose(None, folder, with_tigerbeetle)


def test_a_configured_ledger_is_used_as_it_is(
    folder: DataFolder, with_tigerbeetle: dict[str, str]
) -> None:
    choice = ledger_choice.choose("tigerbeetle://10.0.0.1:3000,10.0.0.2:3000/7", folder, {})
    assert choice.url == "tigerbeetle://10.0.0.1:3000,10.0.0.2:3000/7"
    assert choice.program is None
    embedded = ledger_choice.choose("embedded:elsewhere", folder, with_tigerbeetle)
    assert embedded.url == f"embedded:{Path.cwd() / 'elsewhere'}"


def test_a_configured_ledger_may_move_to_another_address_but_not_to_another_cluster(
    folder: DataFolder,
) -> None:
    choose_and_record("tigerbeetle://10.0.0.1:3000/7", folder, {})
    choose_and_record("tigerbeetle://10.0.0.2:4000/7", folder, {})
    for other in ("tigerbeetle://10.0.0.1:3000/8", "embedded:elsewhere"):
        with pytest.raises(SettingsError, match="are on the ledger tigerbeetle:7"):
            ledger_choice.choose(other, folder, {})
    with pytest.raises(SettingsError, match=r"which is not here: .*TIGERFANS_LEDGER"):
        ledger_choice.choose(None, folder, NOWHERE)


def test_a_data_folder_may_be_moved_with_its_embedded_ledger(
    folder: DataFolder, tmp_path: Path
) -> None:
    choose_and_record(None, folder, NOWHERE)
    folder.root.rename(tmp_path / "moved")
    moved = DataFolder(tmp_path / "moved")
    assert ledger_choice.choose(None, moved, NOWHERE).url == f"embedded:{tmp_path}/moved/ledger"


def test_a_shop_that_never_opened_is_free_to_choose_again(
    folder: DataFolder, with_tigerbeetle: dict[str, str]
) -> None:
    ledger_choice.choose(None, folder, with_tigerbeetle)
    assert ledger_choice.choose(None, folder, NOWHERE).url.startswith("embedded:")
