import os
import socket
import stat
from pathlib import Path

import pytest

from tigerfans.sequencer.listener import bound_socket
from tigerfans.settings.settings import SettingsError


def bind(path: Path) -> None:
    with bound_socket(path):
        pass


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_the_socket_and_its_folder_are_for_their_owner_only(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "run" / "sequencer.sock"
    path.parent.mkdir(0o700)
    before = os.umask(umask)
    try:
        with bound_socket(path):
            assert mode(path) == 0o600
    finally:
        os.umask(before)


def test_a_missing_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "run" / "sequencer.sock"
    with bound_socket(path):
        assert mode(path.parent) == 0o700


def test_in_the_end_the_socket_is_removed(socket_path: Path) -> None:
    with bound_socket(socket_path):
        assert socket_path.is_socket()
    assert not socket_path.exists()


def test_nobody_connects_before_it_listens(socket_path: Path) -> None:
    with (
        bound_socket(socket_path),
        socket.socket(socket.AF_UNIX) as early,
        pytest.raises(ConnectionRefusedError),
    ):
        early.connect(str(socket_path))


def test_what_a_dead_sequencer_left_is_replaced(socket_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(socket_path))
    with bound_socket(socket_path) as bound:
        bound.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(socket_path))


def test_a_living_sequencer_is_left_alone_even_before_it_listens(socket_path: Path) -> None:
    with bound_socket(socket_path):
        with pytest.raises(SettingsError, match=r"^Another sequencer listens on .*\.sock\.$"):
            bind(socket_path)
        assert socket_path.is_socket()


def test_another_program_that_listens_there_is_left_alone(socket_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(socket_path))
        other.listen()
        with pytest.raises(SettingsError, match=r"^Another process listens on"):
            bind(socket_path)
        assert socket_path.is_socket()


def test_a_file_that_is_not_a_socket_is_left_alone(socket_path: Path) -> None:
    socket_path.write_text("precious")
    with pytest.raises(SettingsError, match="a file that is not a socket"):
        bind(socket_path)
    assert socket_path.read_text() == "precious"


def test_a_successors_socket_is_not_removed(socket_path: Path) -> None:
    with bound_socket(socket_path):
        socket_path.unlink()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(socket_path))
            inode = socket_path.stat().st_ino
    assert socket_path.stat().st_ino == inode


def test_a_socket_that_somebody_removed_is_no_trouble_in_the_end(socket_path: Path) -> None:
    with bound_socket(socket_path):
        socket_path.unlink()


def test_a_path_that_is_too_long_is_told_with_its_variable(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TIGERFANS_SEQUENCER_SOCKET must have at most 107"):
        bind(tmp_path / ("x" * 107))


def test_a_folder_that_cannot_be_made_is_told_with_its_variable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"TIGERFANS_SEQUENCER_SOCKET=.*: (Not a|File)"):
        bind(tmp_path / "file" / "sequencer.sock")
