"""A small file system for one folder, which a test can fill and empty again.

An ext4 in a sparse file, which syncs as a disk does; where a file cannot be mounted, a tmpfs. Only
who may mount has either: where this process may not, `NoDiskError` says why.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.harness.needs import NO_MOUNT

UNMOUNT_SECONDS_MAX = 5.0
PAUSE_SECONDS = 0.05
# The sizes by which the room is taken: the last ones are those of single writes.
PIECES = (16 << 20, 1 << 20, 64 << 10, 4 << 10, 1)


class NoDiskError(Exception):
    """No file system can be mounted here."""


class SmallDisk:
    """A file system mounted at `folder`; its file is beside it."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self.folder = folder
        self._image = folder.with_name(f"{folder.name}.image")
        self._ballast = folder / "ballast"
        folder.mkdir(exist_ok=True)
        try:
            self._mount_file(size_bytes)
        except NoDiskError:
            _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder))

    def fill(self) -> None:
        """Takes all the room that is left."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in PIECES:
                with suppress(OSError):
                    while True:
                        os.posix_fallocate(ballast.fileno(), ballast.seek(0, os.SEEK_END), size)
            with suppress(OSError):
                while True:
                    ballast.write(b"1")

    def make_room(self) -> None:
        """Gives back what `fill` took, if it did."""
        self._ballast.unlink(missing_ok=True)

    def make_read_only(self) -> None:
        _run("mount", "-o", "remount,ro", str(self.folder))

    def close(self) -> None:
        """Unmounts it; what was on it is lost."""
        deadline = time.monotonic() + UNMOUNT_SECONDS_MAX
        while True:
            try:
                _run("umount", str(self.folder))
            except NoDiskError:
                # Who used it may not be quite gone.
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_SECONDS)
            else:
                break
        self._image.unlink(missing_ok=True)

    def _mount_file(self, size_bytes: int) -> None:
        with self._image.open("wb") as image:
            image.truncate(size_bytes)
        try:
            _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
            _run("mount", "-o", "loop", str(self._image), str(self.folder))
        except NoDiskError:
            self._image.unlink()
            raise


def _run(program: str, *arguments: str) -> None:
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        raise NoDiskError(f"no file system can be mounted here: there is no {program}")
    command: Sequence[str] = (path, *arguments)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise NoDiskError(f"no file system can be mounted here: {done.stderr.strip()}")


@contextmanager
def disk_or_skip(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """A disk for one test, which is skipped where there can be none."""
    try:
        disk = SmallDisk(folder, size_bytes)
    except NoDiskError:
        pytest.skip(NO_MOUNT)
    yield disk
    disk.close()
