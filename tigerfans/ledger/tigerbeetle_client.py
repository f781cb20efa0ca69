"""One native TigerBeetle client, from its start to its loss: packets out, replies back.

The native client works on a thread of its own and knows no deadlines: without a server, a packet
waits in it for ever, and its buffer has to stay alive all that time. Here each packet has a future
and a deadline; its reply is copied on the native thread and handed to the event loop.

A client is used until it is lost: a packet passed its deadline, or the server refused the session.
What is in flight at that moment has no known outcome, and nothing more may be submitted; closing
the client then drops what it has not sent, so that nothing stale is done later in bulk.

Relies on `tigerbeetle.bindings`, whose import loads a shared library. A client belongs to the event
loop and the process it was made in: a forked child has no native thread.
"""

import asyncio
import ctypes
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import tigerbeetle
from tigerbeetle import bindings
from tigerbeetle.bindings import ClientStatus, CPacket, InitStatus, PacketStatus

from tigerfans.ledger.base import (
    SESSIONS_MAX,
    LedgerBusyError,
    LedgerError,
    LedgerOpenError,
    LedgerTimeoutError,
    LedgerUnavailableError,
    TooManyRecordsError,
)
from tigerfans.ledger.wire import U128_MAX, Operation, u128

# Packets without an answer. The sequencer has one in flight for each operation.
OUTSTANDING_MAX: Final = 64

# `tb_client_init`, or `tb_client_init_echo`, whose client answers with what it was sent.
InitFunction = Callable[..., InitStatus]

# The native thread calls into these, so they must not be collected before they are closed.
_open_clients: set["TigerBeetleClient"] = set()


class _Submission(NamedTuple):
    """What has to stay alive until the native client is done with a packet."""

    packet: CPacket
    records: ctypes.c_char_p
    future: asyncio.Future[bytes]
    deadline: asyncio.TimerHandle


class TigerBeetleClient:
    """One session with the cluster at `addresses`; it registers by itself.

    `lost` is done, with the reason as a clause, once the client is of no use any more; whoever
    made the client closes it then.
    """

    def __init__(
        self,
        addresses: str,
        cluster_id: int,
        *,
        init: InitFunction = bindings.tb_client_init,
    ) -> None:
        """Starts the native client; raises `LedgerOpenError` where that cannot be done."""
        if not 0 <= cluster_id <= U128_MAX:
            raise LedgerOpenError(f"A TigerBeetle cluster's id has 128 bits, unlike {cluster_id}.")
        _quieten_native_log()
        self.addresses = addresses
        self.cluster_id = cluster_id
        # Whether it was lost because nothing came.
        self.is_silent = False
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        # By the address of the packet.
        self._outstanding: dict[int, _Submission] = {}
        self._native = bindings.CClient()
        self._on_completion = bindings.OnCompletion(self._complete)
        cluster = (ctypes.c_uint8 * 16).from_buffer_copy(u128(cluster_id))
        encoded = addresses.encode()
        status = init(
            ctypes.byref(self._native),
            ctypes.byref(cluster),
            encoded,
            len(encoded),
            None,
            self._on_completion,
        )
        if status != InitStatus.SUCCESS:
            raise LedgerOpenError(_explain_init(InitStatus(status), addresses))
        _open_clients.add(self)

    def __repr__(self) -> str:
        state = "lost" if self.lost.done() else "in use"
        return f"<TigerBeetleClient {self.addresses} {state}: {self.outstanding} outstanding>"

    @property
    def server(self) -> str:
        """Whom it talks to, as the subject of a sentence."""
        return f"TigerBeetle at {self.addresses}"

    @property
    def outstanding(self) -> int:
        """How many packets the native client still has."""
        return len(self._outstanding)

    def submit(
        self, operation: Operation, records: bytes, deadline_seconds: float
    ) -> asyncio.Future[bytes]:
        """Sends one packet; the future has its reply, or a `LedgerError`.

        `records` has passed `count_records`: over some wrong sizes the native client ends the whole
        process. A waiter that goes away, or gets `LedgerTimeoutError`, leaves its packet
        outstanding. What can be refused here raises at once.
        """
        if self.lost.done():
            raise LedgerUnavailableError(f"{self.server} {self.lost.result()}.")
        if len(self._outstanding) >= OUTSTANDING_MAX:
            raise LedgerBusyError(f"TigerBeetle has {len(self._outstanding)} submissions already.")
        data = ctypes.c_char_p(records)
        packet = CPacket(
            data=ctypes.cast(data, ctypes.c_void_p), data_size=len(records), operation=operation
        )
        address = ctypes.addressof(packet)
        future: asyncio.Future[bytes] = self._loop.create_future()
        deadline = self._loop.call_later(deadline_seconds, self._expire, deadline_seconds)
        self._outstanding[address] = _Submission(packet, data, future, deadline)
        status = bindings.tb_client_submit(ctypes.byref(self._native), ctypes.byref(packet))
        if status != ClientStatus.OK:
            del self._outstanding[address]
            deadline.cancel()
            self._lose("has ended this session")
            raise LedgerUnavailableError(f"{self.server} has ended this session.")
        return future

    async def close(self) -> None:
        """Ends the session; what is in flight fails with `LedgerTimeoutError`. Call it once."""
        self._lose("was disconnected")
        # It joins the native thread, which took 0.7 s at times while the server was away.
        await asyncio.to_thread(self._close_native)

    def _close_native(self) -> None:
        # Completes all packets before it returns; a client the server evicted is closed already.
        bindings.tb_client_deinit(ctypes.byref(self._native))
        _open_clients.discard(self)

    def _complete(
        self, _context: object, packet: Any, _timestamp: int, data: int, size: int
    ) -> None:
        """Runs on the native thread, where what `packet` and `data` point to is still alive."""
        reply = ctypes.string_at(data, size) if size else b""
        address = ctypes.addressof(packet.contents)
        # A closed event loop has nobody left who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._deliver, address, packet.contents.status, reply)

    def _deliver(self, address: int, status: int, reply: bytes) -> None:
        submission = self._outstanding.pop(address)
        submission.deadline.cancel()
        future = submission.future
        if status == PacketStatus.OK:
            if not future.done():
                future.set_result(reply)
        elif status == PacketStatus.TOO_MUCH_DATA:
            _fail(future, TooManyRecordsError("TigerBeetle takes fewer records at once."))
        elif status == PacketStatus.CLIENT_RELEASE_TOO_LOW:
            _fail(future, LedgerOpenError(f"{self.server} is too new for {_client_name()}."))
            self._lose("is too new for its client")
        elif status == PacketStatus.CLIENT_RELEASE_TOO_HIGH:
            _fail(future, LedgerOpenError(f"{self.server} is too old for {_client_name()}."))
            self._lose("is too old for its client")
        else:
            # An evicted request may have been done by an earlier attempt, whose reply was lost.
            reason = _explain_packet(PacketStatus(status))
            _fail(future, self._unknown(reason))
            self._lose(reason)

    def _expire(self, deadline_seconds: float) -> None:
        self.is_silent = not self.lost.done()
        self._lose(f"did not answer within {deadline_seconds:g} s")

    def _lose(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
            for submission in self._outstanding.values():
                _fail(submission.future, self._unknown(reason))

    def _unknown(self, reason: str) -> LedgerTimeoutError:
        return LedgerTimeoutError(f"{self.server} {reason}; the outcome is unknown.")


def _fail(future: asyncio.Future[bytes], error: LedgerError) -> None:
    if not future.done():
        future.set_exception(error)


def _client_name() -> str:
    return f"this client, which speaks {version('tigerbeetle')}"


def _explain_packet(status: PacketStatus) -> str:
    if status == PacketStatus.CLIENT_EVICTED:
        return f"evicted this client: a cluster has {SESSIONS_MAX} sessions, and more want one"
    return f"gave up a submission ({status.name.lower()})"


def _explain_init(status: InitStatus, addresses: str) -> str:
    if status == InitStatus.ADDRESS_INVALID:
        return (
            "TigerBeetle is reached at IP addresses with ports, such as 127.0.0.1:3000,"
            f" not at {addresses!r}."
        )
    if status == InitStatus.ADDRESS_LIMIT_EXCEEDED:
        return f"A TigerBeetle cluster has fewer replicas than {addresses!r} names."
    reason = status.name.lower().replace("_", " ")
    return f"TigerBeetle's client cannot start on this machine: {reason}."


@cache
def _quieten_native_log() -> None:
    """Debug lines that nobody reads cost 120 µs CPU a submission; other lines stay."""
    debug = logging.getLogger("tigerbeetle").isEnabledFor(logging.DEBUG)
    tigerbeetle.configure_logging(debug=debug)
