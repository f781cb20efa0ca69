"""Asks the sequencer for a copy of its ledger: one connection, one request, one answer."""

import asyncio
from pathlib import Path
from typing import Any, Final

from tigerfans.ipc.frames import BACKUP, Frame, Status, encode
from tigerfans.ipc.link import open_link
from tigerfans.ipc.statuses import error_of
from tigerfans.ledger.base import LedgerTimeoutError

# A large ledger on a slow disk; whoever asks may leave earlier.
SECONDS_MAX: Final = 3600.0

_CORRELATION: Final = 1


async def request_backup(socket_path: Path) -> Path:
    """The path of a copy of the ledger as it is now, made on the sequencer's machine.

    Raises `OSError` or `FrameError` where no sequencer can be talked to, and a `LedgerError` where
    the copy was not made.
    """
    answered: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()

    def on_frames(frames: list[Frame]) -> None:
        if not answered.done():
            answered.set_result(frames[0])

    link = await open_link(socket_path, "backup", on_frames)
    try:
        link.write(encode(_CORRELATION, BACKUP))
        ends: set[asyncio.Future[Any]] = {answered, link.lost}
        await asyncio.wait(ends, timeout=SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            raise LedgerTimeoutError("The sequencer did not say whether the copy was made.")
        _, code, payload = answered.result()
        if code != Status.OK:
            raise error_of(Status(code), payload)
        return Path(payload.decode())
    finally:
        link.abort()
