"""Copies of the ledger for whoever asks over the socket, where the ledger can be copied.

The embedded ledger can: only its owner knows when its file holds still, so its owner has the copy
made. TigerBeetle keeps its own copies, one on each replica.
"""

import asyncio
import logging
from pathlib import Path
from typing import Protocol, runtime_checkable

from tigerfans.ipc.frames import Status, encode, encode_sentence
from tigerfans.ipc.statuses import status_of
from tigerfans.ledger.base import Ledger, LedgerError
from tigerfans.sequencer.lane import Peer

logger = logging.getLogger(__name__)


@runtime_checkable
class Copyable(Protocol):
    """A ledger that can be copied while it goes on."""

    async def backup(self) -> Path:
        """The copy's path; raises `LedgerError`."""


class Backups:
    """The copies of one ledger that are being made."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, peer: Peer, correlation: int) -> None:
        """Makes a copy, and answers with its path when it is there."""
        task = asyncio.create_task(self._answer(peer, correlation), name="backup of the ledger")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Gives up those that are being made; nobody is answered."""
        for task in self._tasks:
            task.cancel()

    async def _answer(self, peer: Peer, correlation: int) -> None:
        peer.replies.append(await self._reply(correlation))
        peer.send_soon()

    async def _reply(self, correlation: int) -> bytes:
        if not isinstance(self._ledger, Copyable):
            sentence = f"The ledger {self._ledger.kind} is not copied from here."
            return encode_sentence(correlation, Status.INVALID, sentence)
        try:
            copy = await self._ledger.backup()
        except LedgerError as error:
            return encode_sentence(correlation, status_of(error), str(error))
        except Exception as error:
            # A bug: whoever asked hears of it, and the ledger goes on.
            logger.exception("the ledger cannot be copied")
            return encode_sentence(correlation, Status.UNAVAILABLE, repr(error))
        logger.info("copied the ledger to %s", copy)
        return encode(correlation, Status.OK, str(copy).encode())
