"""Whether there is room on the disk, and what a person is told where there is none."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disk import SmallDisk, disk_or_skip
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.settings import SettingsError
from tigerfans.stack import room

DISK_BYTES = 64 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with disk_or_skip(tmp_path / "disk", DISK_BYTES) as disk:
        yield disk


def test_a_disk_has_room_until_it_is_full_and_again_when_it_is_not(disk: SmallDisk) -> None:
    folder = DataFolder(disk.folder)
    room.check(folder)
    assert room.has_room(folder)
    disk.fill()
    assert not room.has_room(folder)
    with pytest.raises(SettingsError) as refused:
        room.check(folder)
    assert str(refused.value) == (
        f"TIGERFANS_DATA={folder.root} has no room: 0 MiB are free there,"
        " and a shop needs 32 MiB to start."
    )
    disk.make_room()
    assert room.has_room(folder)


def test_the_disk_that_only_a_part_of_the_data_is_on_counts(
    disk: SmallDisk, tmp_path: Path
) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.embedded_ledger.symlink_to(disk.folder)
    assert room.has_room(folder)
    disk.fill()
    assert not room.has_room(folder)


def test_a_folder_that_takes_no_file_is_refused_although_its_disk_has_room(
    folder: DataFolder,
) -> None:
    room.check(folder)
    shutil.rmtree(folder.run)
    with pytest.raises(SettingsError, match=r"^TIGERFANS_DATA cannot be used: \[Errno 2\]"):
        room.check(folder)
