"""Copies a file that holds still for the moment, durably, and all of it or none.

A child process reads it: a process that opens and closes SQLite's file beside SQLite loses the
locks by which others are kept from it. The child only writes what it reads to its stdout, which is
the copy; what makes that a copy in its place is done here, so one that outlives us does no harm.

    copying.py SOURCE       writes SOURCE to stdout
"""

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Final

CHUNK_BYTES: Final = 8 << 20


async def copy_file(source: Path, destination: Path) -> None:
    """Replaces `destination` by a copy of `source`, for its owner alone, once that is on the disk.

    Cancelled, it leaves everything as it was. Raises `OSError`.
    """
    remove_unfinished(destination)
    unfinished = _unfinished(destination)
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            await _read_into(descriptor, source)
        finally:
            os.close(descriptor)
        await asyncio.to_thread(_put_in_place, unfinished, destination)
    finally:
        unfinished.unlink(missing_ok=True)


def remove_unfinished(destination: Path) -> None:
    """Removes what a copy that was killed left; its child writes on to a file without a name."""
    _unfinished(destination).unlink(missing_ok=True)


def _unfinished(destination: Path) -> Path:
    return destination.with_name(f"{destination.name}.new")


async def _read_into(descriptor: int, source: Path) -> None:
    """Has a child write and sync what `source` holds; however this ends, the child is gone."""
    command = [sys.executable, "-I", "-S", __file__, str(source)]
    child = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=descriptor, stderr=PIPE
    )
    try:
        _, complaint = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        lines = complaint.decode(errors="replace").splitlines()
        raise OSError(lines[-1] if lines else f"its copier ended with {child.returncode}")


def _put_in_place(unfinished: Path, destination: Path) -> None:
    unfinished.replace(destination)
    descriptor = os.open(destination.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main(source: str) -> int:
    try:
        with open(source, "rb") as reader:  # noqa: PTH123
            shutil.copyfileobj(reader, sys.stdout.buffer, CHUNK_BYTES)
            sys.stdout.buffer.flush()
        os.fsync(sys.stdout.fileno())
    except OSError as error:
        print(error.strerror, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
