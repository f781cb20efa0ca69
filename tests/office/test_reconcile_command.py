"""`tigerfans reconcile`, as a process beside those that serve."""

from pathlib import Path

import pytest

from tigerfans.office import reconcile_command
from tigerfans.settings.settings import Settings, SettingsError


def test_it_gives_way_to_whoever_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gave_way: list[bool] = []
    monkeypatch.setattr(reconcile_command, "give_way", lambda: gave_way.append(True))
    with pytest.raises(SettingsError, match="is it running"):
        reconcile_command.run(Settings(data=tmp_path), as_json=True, repair=False)
    assert gave_way == [True]
