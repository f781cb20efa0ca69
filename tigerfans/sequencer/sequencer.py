"""The sequencer itself: one ledger, a lane for each operation, any number of connections.

Relies on `Ledger` for the deadlines of submissions: each one is answered or fails in time.
"""

import asyncio
import os
from collections.abc import Mapping
from typing import Final

from tigerfans.ipc.frames import Hello
from tigerfans.ledger.base import Ledger
from tigerfans.ledger.wire import ID_SIZE, Operation
from tigerfans.presence import Presence
from tigerfans.sequencer.backups import Backups
from tigerfans.sequencer.connection import Connection
from tigerfans.sequencer.counters import Rejections
from tigerfans.sequencer.lane import Lane

# How long workers may take to read their last replies before the connection is cut.
HANG_UP_SECONDS_MAX: Final = 1.0
ROOT_UID: Final = 0


class Sequencer:
    """Owns `ledger`, but does not close it; `connect` is the factory for a listening socket.

    `uids` are the users whose processes may connect; by default ours and root.
    """

    def __init__(self, ledger: Ledger, *, uids: frozenset[int] | None = None) -> None:
        self.ledger = ledger
        self.presence = Presence("ledger", "The ledger")
        self.rejections = Rejections()
        self.lanes: Mapping[int, Lane] = {
            operation.value: Lane(operation, ledger, self.rejections, self.presence)
            for operation in Operation
        }
        self.backups = Backups(ledger)
        self.connections: set[Connection] = set()
        self.uids = uids or frozenset((os.getuid(), ROOT_UID))

    def __repr__(self) -> str:
        queued = sum(lane.queued_records for lane in self.lanes.values())
        return f"<Sequencer {len(self.connections)} connections, {queued} records queued>"

    def hello(self) -> Hello:
        """What the ledger is, as far as it is known by now."""
        return Hello(self.ledger.kind, self.ledger.records_max)

    async def ask_ledger(self) -> None:
        """Asks the ledger for an account that there is not; raises a `LedgerError`."""
        await self.ledger.submit(Operation.LOOKUP_ACCOUNTS, bytes(ID_SIZE))

    def connect(self) -> Connection:
        """The protocol for a connection that was just accepted."""
        return Connection(self)

    async def drain(self, seconds_max: float) -> bool:
        """Reads no more requests and answers those it has; whether all were, in time."""
        for connection in self.connections:
            connection.stop_reading()
        self.backups.stop()
        lanes = [asyncio.create_task(lane.close(), name=repr(lane)) for lane in self.lanes.values()]
        _, late = await asyncio.wait(lanes, timeout=seconds_max)
        for task in late:
            task.cancel()
        return not late

    async def hang_up(self) -> None:
        """Ends all connections, once the replies there are have been read."""
        connections = list(self.connections)
        for connection in connections:
            connection.close()
        if connections:
            lost = [connection.lost for connection in connections]
            await asyncio.wait(lost, timeout=HANG_UP_SECONDS_MAX)
        for connection in self.connections:
            connection.abort()
