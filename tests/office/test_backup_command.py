"""`tigerfans ledger backup` beside a sequencer in a process of its own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sequencer.process import sequencer_process, settings_in
from tigerfans.office import backup_command
from tigerfans.settings.settings import Settings, SettingsError


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Settings]:
    """A sequencer as systemd starts it: its socket is not in the data folder."""
    settings = replace(settings_in(tmp_path), data=tmp_path / "data")
    settings.data.mkdir()
    with sequencer_process(settings) as process:
        process.wait_ready()
        yield settings


def test_a_copy_is_checked_and_put_where_it_was_asked_for(
    deployed: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.sqlite"
    assert backup_command.run(deployed, copy) == 0
    assert "0 transfers" in capsys.readouterr().err
    with pytest.raises(SettingsError, match="does not replace another one"):
        backup_command.run(deployed, copy)
    assert [path.name for path in (tmp_path / "ledger").glob("*backup*")] == []


def test_the_data_folder_of_a_deployment_is_left_as_it_is(
    deployed: Settings, tmp_path: Path
) -> None:
    backup_command.run(deployed, tmp_path / "copy.sqlite")
    assert list(deployed.data.iterdir()) == []
