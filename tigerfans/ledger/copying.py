"""Copies a file that holds still for the moment, durably, and all of it or none."""

import os
from pathlib import Path
from threading import Event
from typing import Final

CHUNK_BYTES: Final = 8 << 20


class CopyStoppedError(OSError):
    """The copy was given up, because the file does not hold still any more."""


def copy_file(source: Path, destination: Path, stopped: Event) -> None:
    """Replaces `destination` by a copy of `source`, for its owner alone, once that is on the disk.

    Raises `CopyStoppedError` if `stopped` is set before the last byte was read, and `OSError`.
    """
    unfinished = destination.with_name(f"{destination.name}.new")
    try:
        with source.open("rb") as reader, open(unfinished, "wb", opener=_open_private) as writer:
            while chunk := reader.read(CHUNK_BYTES):
                writer.write(chunk)
                if stopped.is_set():
                    raise CopyStoppedError
            writer.flush()
            os.fsync(writer.fileno())
        unfinished.replace(destination)
    finally:
        unfinished.unlink(missing_ok=True)
    folder = os.open(destination.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
