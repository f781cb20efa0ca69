"""Room on the disk of the data folder: how much a shop wants to start with, and if it is there.

While it is not, a program that ends may not come to serve again, however often it is started.
People have to make room, and the shop has to be there when they have.
"""

import os
from typing import Final

from tigerfans.settings.folder import DataFolder, usable, write_whole
from tigerfans.settings.settings import SettingsError

# PostgreSQL makes its log in files of 16 MiB, and has the next one made before it leaves the last.
ROOM_BYTES_MIN: Final = 32 << 20
_PROBE_BYTES: Final = 64 << 10


def has_room(folder: DataFolder) -> bool:
    return _free_bytes(folder) >= ROOM_BYTES_MIN


def check(folder: DataFolder) -> None:
    """Raises `SettingsError` where nothing could be written into the folder, or too little."""
    free_bytes = _free_bytes(folder)
    if free_bytes < ROOM_BYTES_MIN:
        raise SettingsError(
            f"TIGERFANS_DATA={folder.root} has no room: {free_bytes >> 20} MiB are free there,"
            f" and a shop needs {ROOM_BYTES_MIN >> 20} MiB to start."
        )
    with usable():
        write_whole(folder.probe, bytes(_PROBE_BYTES))
        folder.probe.unlink()


def _free_bytes(folder: DataFolder) -> int:
    """What is free on the disk that has least of it, of those that the folder's data is on."""
    statuses = [os.statvfs(place) for place in folder.places() if place.exists()]
    return min(status.f_bavail * status.f_frsize for status in statuses)
