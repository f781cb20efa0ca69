import stat
from contextlib import suppress
from pathlib import Path

import pytest

from tests.ledger.test_embedded_books import no_file_grows_beyond
from tigerfans.settings import folder as folders
from tigerfans.settings.folder import DataFolder, write_whole
from tigerfans.settings.settings import SettingsError


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


def test_a_data_folder_is_made_where_there_is_none(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "new" / "data")
    assert folder.run.is_dir()
    assert stat.S_IMODE(folder.logs.stat().st_mode) == 0o700


def test_a_second_shop_in_the_same_folder_is_refused(folder: DataFolder) -> None:
    with (
        folder.locked(),
        pytest.raises(SettingsError, match=r"TIGERFANS_DATA=.* is in use by another shop"),
        DataFolder(folder.root).locked(),
    ):
        pass


def test_a_folder_is_free_again_after_its_shop(folder: DataFolder) -> None:
    with folder.locked():
        pass
    with folder.locked():
        pass


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(SettingsError, match="TIGERFANS_DATA cannot be used"):
        DataFolder(tmp_path / "data")


def test_sockets_are_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folders, "SOCKET_PATH_BYTES_MAX", 1000)
    assert DataFolder(Path("data")).sockets == tmp_path / "data" / "run"


def test_sockets_move_to_a_short_path_of_the_folders_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    one, two = (DataFolder(tmp_path / ("x" * 100) / name).sockets for name in ("one", "two"))
    assert one != two
    assert one.parent == two.parent == tmp_path
    assert DataFolder(tmp_path / ("x" * 100) / "one").sockets == one


def test_sockets_move_away_from_a_path_that_is_not_plain(tmp_path: Path) -> None:
    for name in ("a,b", "a b", "ä", "50%"):
        assert DataFolder(tmp_path / name).sockets.parent != tmp_path / name


def test_the_short_path_is_there_only_while_the_shop_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = DataFolder(tmp_path / ("long" * 30))
    assert not folder.sockets.exists()
    with folder.locked():
        (folder.sockets / "pg").mkdir()
    assert not folder.sockets.exists()
    with suppress(SettingsError), folder.locked():
        raise SettingsError
    assert not folder.sockets.exists()


def test_a_short_path_that_others_can_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = DataFolder(tmp_path / ("x" * 100))
    folder.sockets.mkdir()
    folder.sockets.chmod(0o777)
    with pytest.raises(SettingsError, match="not ours alone"), folder.locked():
        pass


def test_what_a_killed_stack_left_is_removed_and_nothing_else(folder: DataFolder) -> None:
    kept = [folder.ledger_choice, folder.log("worker-1"), folder.sockets / "redis.sock"]
    left = [
        folder.state,
        folder.state.with_name("state.json.new"),
        folder.ledger_choice.with_name("ledger.txt.new"),
        folder.notify_socket("worker-7"),
        folder.probe,
    ]
    with folder.locked():
        for path in (*kept, *left):
            path.write_text("")
        folder.remove_remains()
        assert [path.exists() for path in kept] == [True] * len(kept)
        assert [path.exists() for path in left] == [False] * len(left)


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    with no_file_grows_beyond(4), pytest.raises(OSError, match="File too large"):
        write_whole(path, b"newer")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    write_whole(path, b"newer", durably=True)
    assert path.read_bytes() == b"newer"
