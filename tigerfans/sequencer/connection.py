"""One worker's connection to the sequencer: frames in, and each tick's replies out in one write.
A clerk's is the same.

Whatever a worker does wrong costs a bounded amount and ends, at worst, its own connection: a
frame that breaks the protocol, a hello that does not come, replies that are not read. Relies on
`frames` for the protocol and on the lanes for everything that concerns the ledger.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Mapping
from struct import Struct
from typing import Final, Protocol, cast

from tigerfans.ipc.frames import (
    ABOUT_THE_CONNECTION,
    BACKUP,
    HELLO_SECONDS_MAX,
    REQUESTS_IN_FLIGHT_MAX,
    STATS,
    Frame,
    FrameDecoder,
    FrameError,
    Hello,
    Status,
    decode_hello,
    encode_hello,
    encode_sentence,
)
from tigerfans.ipc.stats import Stats, StatsError, decode_stats
from tigerfans.sequencer.backups import Backups
from tigerfans.sequencer.counters import Rejections
from tigerfans.sequencer.lane import Lane
from tigerfans.settings.settings import is_clerk

# Every worker has one, and every clerk; the rest is room for restarts and benchmarks.
CONNECTIONS_MAX: Final = 128

_TOO_MANY_IN_FLIGHT: Final = f"The worker has {REQUESTS_IN_FLIGHT_MAX} requests in flight."
# Linux's struct ucred: pid, uid, gid.
_UCRED: Final = Struct("iII")

logger = logging.getLogger(__name__)


class Hub(Protocol):
    """What all connections share."""

    lanes: Mapping[int, Lane]
    connections: set["Connection"]
    rejections: Rejections
    backups: Backups
    # Whose processes may connect.
    uids: frozenset[int]

    def hello(self) -> Hello: ...


class Connection(asyncio.Protocol):
    """A worker's connection, to the event loop a protocol, to the lanes a `Peer`."""

    def __init__(self, hub: Hub) -> None:
        self.worker = ""
        self.pid = 0
        self.connected_at = time.time()
        self.requests = 0
        # Requests whose reply was not handed to the socket yet.
        self.in_flight = 0
        # The worker's counters as it sent them last.
        self.stats: Stats = []
        self.replies: list[bytes] = []
        self._hub = hub
        self._lanes = hub.lanes
        self._loop = asyncio.get_running_loop()
        self._decoder = FrameDecoder()
        self._transport: asyncio.Transport
        self._hello_timer: asyncio.TimerHandle | None = None
        # Set when the transport is gone.
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._send_scheduled = False
        self._refused = False
        self._stopped = False

    def __repr__(self) -> str:
        name = self.worker or "nobody yet"
        return f"<Connection of {name}: {self.requests} requests, {self.in_flight} in flight>"

    @property
    def is_clerk(self) -> bool:
        """Whether it is a clerk that called itself so."""
        return is_clerk(self.worker)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.pid, uid = peer_credentials(transport.get_extra_info("socket"))
        if uid is not None and uid not in self._hub.uids:
            self._hang_up(f"User {uid} may not use this socket.")
        elif len(self._hub.connections) >= CONNECTIONS_MAX:
            self._hang_up(f"The sequencer takes {CONNECTIONS_MAX} connections, not more.")
        else:
            self._hub.connections.add(self)
            self._transport.write(encode_hello(self._hub.hello()))
            self._hello_timer = self._loop.call_later(
                HELLO_SECONDS_MAX, self._hang_up, f"No hello within {HELLO_SECONDS_MAX:g} s."
            )

    def connection_lost(self, error: Exception | None) -> None:
        self._hub.connections.discard(self)
        self.lost.set_result(None)
        if self._hello_timer:
            self._hello_timer.cancel()
        if self.worker:
            logger.info("%s is gone: %s", self.worker, error or "the connection was closed")

    def pause_writing(self) -> None:
        """The worker does not read its replies; what it asks next can wait."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        if not self._stopped:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        try:
            frames = self._decoder.feed(data)
            if frames and not self.worker:
                self._greet(frames.pop(0))
            if frames:
                self._on_frames(frames)
        except FrameError as error:
            self._hang_up(str(error))

    def send_soon(self) -> None:
        """Sends `replies` at the end of this tick, with all that this tick adds to them."""
        if not self._send_scheduled:
            self._send_scheduled = True
            self._loop.call_soon(self._send)

    def stop_reading(self) -> None:
        """Takes no more requests; those in flight are still answered."""
        self._stopped = True
        self._transport.pause_reading()

    def close(self) -> None:
        """Hangs up when the replies there are have left."""
        self._send()
        self._transport.close()

    def abort(self) -> None:
        """Hangs up at once."""
        self._transport.abort()

    def _greet(self, frame: Frame) -> None:
        self.worker = decode_hello(frame).name
        if self._hello_timer:
            self._hello_timer.cancel()
        logger.info("%s is connected, pid %d", self.worker, self.pid)

    def _on_frames(self, frames: list[Frame]) -> None:
        # Refusals that have not left yet count as well, so it may be full and more.
        room = max(0, REQUESTS_IN_FLIGHT_MAX - self.in_flight)
        self.requests += len(frames)
        self.in_flight += len(frames)
        for correlation, code, payload in frames[:room]:
            lane = self._lanes.get(code)
            if lane is not None:
                lane.accept(self, correlation, payload)
            elif code == STATS:
                self._on_stats(payload)
            elif code == BACKUP:
                self._hub.backups.begin(self, correlation)
            else:
                raise FrameError(f"There is no operation {code}.")
        for correlation, _, _ in frames[room:]:
            self._hub.rejections.count(Status.BUSY)
            self.replies.append(encode_sentence(correlation, Status.BUSY, _TOO_MANY_IN_FLIGHT))
            self.send_soon()

    def _on_stats(self, payload: bytes) -> None:
        # It gets no reply.
        self.requests -= 1
        self.in_flight -= 1
        try:
            self.stats = decode_stats(payload)
        except StatsError as error:
            logger.warning("the counters of %s cannot be read: %s", self.worker, error)

    def _send(self) -> None:
        self._send_scheduled = False
        self.in_flight -= len(self.replies)
        if not self._transport.is_closing():
            # One write, for uvloop makes a system call of each: the sequencer's CPU for a transfer
            # fell from 6.1 to 3.4 µs, with 64 in flight on each of four connections.
            self._transport.write(b"".join(self.replies))
        self.replies.clear()

    def _hang_up(self, sentence: str) -> None:
        """Ends this connection with the reason, which a worker that does not read misses."""
        self._refused = True
        self._hub.rejections.count(Status.INVALID)
        logger.warning("hung up on %s, pid %d: %s", self.worker or "a stranger", self.pid, sentence)
        if self._transport.is_closing() or self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.write(encode_sentence(ABOUT_THE_CONNECTION, Status.INVALID, sentence))
            self._transport.close()


def peer_credentials(peer: socket.socket) -> tuple[int, int | None]:
    """The pid and user of the process at the other end; (0, None) where the system hides them.

    There the socket file's mode is what keeps strangers out.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return 0, None
    pid, uid, _ = _UCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return pid, uid
