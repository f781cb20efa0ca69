from pathlib import Path

import pytest

from tests.harness.needs import TIGERBEETLE, needs_tigerbeetle
from tests.harness.ports import free_port
from tests.servers import run, running
from tests.stack import fake_tigerbeetle
from tigerfans.settings.settings import SettingsError
from tigerfans.stack import tigerbeetle


def test_the_server_is_looked_for_in_the_variable_then_in_bin_then_on_the_path(
    tmp_path: Path,
) -> None:
    configured, in_bin, on_path = (
        fake_tigerbeetle.write(tmp_path / place / "tigerbeetle")
        for place in ("configured", "bin", "path")
    )
    path = {"PATH": str(on_path.parent)}
    assert tigerbeetle.find_binary({"TIGERBEETLE_BIN": str(configured)}, tmp_path) == configured
    assert tigerbeetle.find_binary(path, tmp_path) == in_bin
    in_bin.unlink()
    assert tigerbeetle.find_binary(path, tmp_path) == on_path
    on_path.chmod(0o644)
    assert tigerbeetle.find_binary(path, tmp_path) is None
    assert tigerbeetle.find_binary({}, tmp_path) is None


def test_a_variable_that_names_no_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^TIGERBEETLE_BIN names no program"):
        tigerbeetle.find_binary({"TIGERBEETLE_BIN": str(tmp_path / "none")}, tmp_path)


def test_a_server_of_another_version_is_refused(tmp_path: Path) -> None:
    tigerbeetle.check_version(fake_tigerbeetle.write(tmp_path / "good"))
    with pytest.raises(SettingsError, match=r"is TigerBeetle 0\.16\.60, and this shop needs"):
        tigerbeetle.check_version(fake_tigerbeetle.write(tmp_path / "old", version="0.16.60"))


def test_a_program_that_is_no_tigerbeetle_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"an unknown version"):
        tigerbeetle.check_version(Path("/bin/true"))


def test_a_data_file_of_another_version_is_refused(tmp_path: Path) -> None:
    binary = fake_tigerbeetle.write(tmp_path / "bin", release="0.16.60")
    tigerbeetle.initialise(binary, tmp_path / "data")
    with pytest.raises(SettingsError, match=r"was written by TigerBeetle 0\.16\.60"):
        tigerbeetle.inspect(binary, tmp_path / "data")


def test_a_format_that_fails_leaves_no_file(tmp_path: Path) -> None:
    binary = fake_tigerbeetle.write(tmp_path / "bin", disk_full=True)
    with pytest.raises(SettingsError, match="no space left"):
        tigerbeetle.initialise(binary, tmp_path / "data")
    assert not (tmp_path / "data").exists()


@needs_tigerbeetle
def test_a_file_of_the_real_server_is_formatted_once_inspected_and_served(tmp_path: Path) -> None:
    assert TIGERBEETLE is not None
    file = tmp_path / "data"
    tigerbeetle.check_version(TIGERBEETLE)
    tigerbeetle.initialise(TIGERBEETLE, file)
    first = tigerbeetle.inspect(TIGERBEETLE, file)
    assert first.cluster > 0
    tigerbeetle.initialise(TIGERBEETLE, file)
    assert tigerbeetle.inspect(TIGERBEETLE, file) == first
    port = free_port()
    with running(tigerbeetle.program(TIGERBEETLE, file, port), tmp_path / "log"):
        assert run(tigerbeetle.answers(port))
    assert not run(tigerbeetle.answers(port))


@needs_tigerbeetle
def test_a_file_that_is_no_data_file_is_refused_by_the_real_server(tmp_path: Path) -> None:
    assert TIGERBEETLE is not None
    (tmp_path / "data").write_text("not a data file")
    with pytest.raises(SettingsError, match="is not a TigerBeetle data file"):
        tigerbeetle.inspect(TIGERBEETLE, tmp_path / "data")
