"""The worker's end of the socket: a `Ledger` that lives in the sequencer's process.

`submit` only queues a frame and gives a future; the frames of one tick leave in one write. The
connection keeps itself: when it is lost, it is opened again, and every request without an answer
is sent again with the same bytes. That is safe, because ids are derived: what was done already
answers `exists`. A request lives until its deadline, connected or not. Then it raises
`LedgerUnavailableError` if no byte of it ever left (nothing was done), and `LedgerTimeoutError`
if it did (the outcome is unknown).

A client may be gated: whoever comes back may have another ledger. Then a new connection carries
nothing, neither what is new nor what is sent again, until a check has passed on that very
connection (`admit`).

Relies on `link` for one connection and on `frames` for the protocol. Everything happens on the
event loop it was made on; nothing here is thread-safe.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Final, Self

import msgspec

from tigerfans.ipc.frames import (
    ABOUT_THE_CONNECTION,
    CORRELATION_MAX,
    NAME_SIZE_MAX,
    STATS,
    Frame,
    FrameError,
    Hello,
    Status,
    decode_sentence,
    encode,
)
from tigerfans.ipc.link import Link, open_link
from tigerfans.ipc.stats import Stats, StatsError, encode_stats
from tigerfans.ipc.statuses import error_of
from tigerfans.ledger.base import (
    RECORDS_MAX,
    LedgerBusyError,
    LedgerError,
    LedgerTimeoutError,
    LedgerUnavailableError,
    Submit,
    count_records,
)
from tigerfans.ledger.wire import ACCOUNT_SIZE, CREATES, RESULT_SIZE, Operation
from tigerfans.presence import Presence

# Requests without an answer yet; one more is "busy". Half of the connections that a worker takes
# (TIGERFANS_CONNECTIONS): where the ledger stalls, a buyer too many is told so at once, instead of
# waiting for the deadline like the others. Measured: a 503 after 1 to 11 ms, not after 4 s.
IN_FLIGHT_MAX: Final = 2048
DEADLINE_SECONDS: Final = 4.0
# An expired deadline is noticed at most this much later.
SWEEP_SECONDS: Final = 0.1
STATS_SECONDS: Final = 1.0
# The pause before the next attempt to connect doubles from the first to the second.
PAUSE_SECONDS_MIN: Final = 0.01
PAUSE_SECONDS_MAX: Final = 0.5

logger = logging.getLogger(__name__)


class _Pending(msgspec.Struct, frozen=True):
    """A request without an answer yet; `deadline` is in the loop's time."""

    future: asyncio.Future[bytes]
    frame: bytes
    deadline: float
    # The one size a reply can have, or None for a lookup, which leaves out what is missing.
    reply_size: int | None


class SequencerClient:
    """A worker's connection to the sequencer, as a `Ledger`; `connect` makes one.

    `stats` gives this worker's counters; they are sent about once a second while connected. Where
    it `is_gated`, a connection carries requests only after `admit` has passed on it.
    """

    def __init__(
        self,
        socket_path: Path,
        *,
        name: str,
        deadline_seconds: float = DEADLINE_SECONDS,
        stats: Callable[[], Stats] | None = None,
        is_gated: bool = False,
    ) -> None:
        if not name.isprintable() or not 1 <= len(name.encode()) <= NAME_SIZE_MAX:
            raise ValueError(f"a worker's name has 1 to {NAME_SIZE_MAX} printable bytes")
        self._socket_path = socket_path
        self._name = name
        self._deadline_seconds = deadline_seconds
        self._stats = stats
        self._is_gated = is_gated
        self._loop = asyncio.get_running_loop()
        self._sequencer = Hello("unknown", RECORDS_MAX)
        self.presence = Presence("sequencer", "The sequencer")
        self._link: Link | None = None
        # Whether requests leave on it.
        self._is_open = False
        # What a check has sent on it, past what is held back, and is not answered yet.
        self._ahead: set[int] = set()
        # By correlation, oldest first: what a new connection has to send again.
        self._pending: dict[int, _Pending] = {}
        # The frames of this tick.
        self._outbox: list[bytes] = []
        # The last correlation that was given to a request, and the last one handed to a socket.
        self._correlation = 0
        self._sent_through = 0
        # When this connection was last heard of.
        self._heard_at = 0.0
        # What this connection sent again: an attempt on an earlier one has no known outcome.
        self._sent_again: frozenset[int] = frozenset()
        self._closed = False
        self._attempted = asyncio.Event()
        # A connection was made that nobody has taken note of yet (`new_connection`).
        self._connected_anew = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"sequencer client of {name}")
        self._task.add_done_callback(self._on_stopped)

    @classmethod
    async def connect(
        cls,
        socket_path: Path,
        *,
        name: str,
        deadline_seconds: float = DEADLINE_SECONDS,
        stats: Callable[[], Stats] | None = None,
        is_gated: bool = False,
    ) -> Self:
        """A client that has tried to connect once, and goes on trying until it is closed."""
        client = cls(
            socket_path,
            name=name,
            deadline_seconds=deadline_seconds,
            stats=stats,
            is_gated=is_gated,
        )
        await client._attempted.wait()
        return client

    def __repr__(self) -> str:
        state = "connected" if self.connected else "closed" if self._closed else "disconnected"
        return f"<SequencerClient {self._name}: {len(self._pending)} in flight, {state}>"

    @property
    def kind(self) -> str:
        """`embedded` or `tigerbeetle`, as the sequencer said last; `unknown` before it did."""
        return self._sequencer.name

    @property
    def records_max(self) -> int:
        """The most records one submission may carry, as the sequencer said on connecting."""
        return self._sequencer.records_max

    @property
    def connected(self) -> bool:
        """Whether the sequencer is there; what is behind it, only a submission can tell."""
        return self._link is not None

    @property
    def in_flight(self) -> int:
        """How many requests have no answer yet."""
        return len(self._pending)

    def submit(self, operation: Operation, records: bytes) -> asyncio.Future[bytes]:
        """The future reply; see `Ledger`. What can be refused here raises at once."""
        count = count_records(operation, records, self._sequencer.records_max)
        if self._closed:
            raise LedgerUnavailableError("The connection to the sequencer is closed.")
        if len(self._pending) >= IN_FLIGHT_MAX:
            raise LedgerBusyError(f"{len(self._pending)} requests wait for the sequencer.")
        self._correlation = correlation = self._correlation % CORRELATION_MAX + 1
        frame = encode(correlation, operation, records)
        future: asyncio.Future[bytes] = self._loop.create_future()
        reply_size = count * RESULT_SIZE if operation in CREATES else None
        deadline = self._loop.time() + self._deadline_seconds
        self._pending[correlation] = _Pending(future, frame, deadline, reply_size)
        if self._is_open:
            if not self._outbox:
                self._loop.call_soon(self._flush)
            self._outbox.append(frame)
        return future

    async def new_connection(self) -> None:
        """Waits for a connection that was made since the last call; at first, for any."""
        await self._connected_anew.wait()
        self._connected_anew.clear()

    async def admit(self, check: Callable[[Submit], Awaitable[None]]) -> None:
        """Lets requests through on the connection of now, once `check` has passed on it.

        What `check` submits leaves at once, on this connection and on no other. Raises what
        `check` raises, and `LedgerUnavailableError` where there is no connection, or not the same
        any more.
        """
        link = self._link
        if link is None:
            raise LedgerUnavailableError("There is no connection to the sequencer.")
        await check(partial(self._submit_ahead, link))
        self._require(link)
        if not self._is_open:
            self._let_through()

    def _submit_ahead(
        self, link: Link, operation: Operation, records: bytes
    ) -> asyncio.Future[bytes]:
        """As `submit`, on this link or not at all, and past the bound: it is what all wait for."""
        count = count_records(operation, records, self._sequencer.records_max)
        self._require(link)
        self._correlation = correlation = self._correlation % CORRELATION_MAX + 1
        frame = encode(correlation, operation, records)
        future: asyncio.Future[bytes] = self._loop.create_future()
        reply_size = count * RESULT_SIZE if operation in CREATES else None
        deadline = self._loop.time() + self._deadline_seconds
        self._pending[correlation] = _Pending(future, frame, deadline, reply_size)
        self._ahead.add(correlation)
        future.add_done_callback(lambda _: self._ahead.discard(correlation))
        link.write(frame)
        return future

    def _require(self, link: Link) -> None:
        if self._link is not link:
            raise LedgerUnavailableError("That connection to the sequencer is lost.")

    async def watch(self) -> None:
        """Runs until the client is closed; raises if its background task dies before that."""
        try:
            await asyncio.shield(self._task)
        except asyncio.CancelledError:
            if not self._task.cancelled():
                raise

    async def close(self) -> None:
        """Disconnects; requests that are still in flight fail as they would at their deadline."""
        self._closed = True
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_connected(), name=f"connection of {self._name}")
                tasks.create_task(self._keep_time(), name=f"deadlines of {self._name}")
        finally:
            self._closed = True
            self._attempted.set()
            self._fail(list(self._pending), "The connection to the sequencer is closed")

    def _on_stopped(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            logger.critical("the client of the sequencer died", exc_info=error)

    async def _keep_connected(self) -> None:
        pause = PAUSE_SECONDS_MIN
        refusal_told = ""
        while True:
            refusal = ""
            try:
                link = await open_link(self._socket_path, self._name, self._on_frames)
            except OSError as error:
                reason = str(error) or type(error).__name__
            except FrameError as error:
                reason = refusal = str(error)
            else:
                opened = self._loop.time()
                reason = await self._use(link)
                if self._loop.time() - opened > PAUSE_SECONDS_MAX:
                    pause = PAUSE_SECONDS_MIN
            self._attempted.set()
            if refusal and not self.presence.is_up and refusal != refusal_told:
                # It went for another reason, a restart say, and this is why it does not come back.
                logger.warning("the sequencer lets us in no more: %s", refusal)
            refusal_told = refusal
            self.presence.failed(f"{self._socket_path}: {reason}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_SECONDS_MAX)

    async def _use(self, link: Link) -> str:
        """Sends what waits where no check comes first; the reason when the connection is lost."""
        hello, before = link.greeted.result(), self._sequencer
        self._sequencer = hello
        self._link = link
        self._heard_at = self._loop.time()
        self._attempted.set()
        self._connected_anew.set()
        if hello != before:
            logger.info(
                "the sequencer's ledger is %s, %d events at once", hello.name, hello.records_max
            )
        if not self._is_gated:
            self._let_through()
        try:
            return await link.lost
        finally:
            self._link = None
            self._is_open = False
            self._outbox.clear()
            self._fail(
                [key for key in self._pending if key in self._ahead],
                "The connection to the sequencer was lost",
            )
            self._ahead.clear()
            link.abort()

    def _let_through(self) -> None:
        """Sends what waits, again what was sent on an earlier connection."""
        self._is_open = True
        for correlation in [key for key, entry in self._pending.items() if entry.future.done()]:
            del self._pending[correlation]
        waiting = {key: entry for key, entry in self._pending.items() if key not in self._ahead}
        self._sent_again = frozenset(filter(self._was_sent, waiting))
        self._outbox = [entry.frame for entry in waiting.values()]
        self._flush()

    def _flush(self) -> None:
        if self._outbox and self._link is not None:
            # One write, for uvloop makes a system call of each: with 64 requests in flight, the
            # client's CPU for a request fell from 9.4 to 5.5 µs.
            self._link.write(b"".join(self._outbox))
            self._outbox.clear()
            self._sent_through = self._correlation

    def _on_frames(self, frames: list[Frame]) -> None:
        self._heard_at = self._loop.time()
        for correlation, code, payload in frames:
            pending = self._pending.get(correlation)
            if pending is None:
                if correlation == ABOUT_THE_CONNECTION:
                    raise FrameError(decode_sentence(payload))
                continue  # It came after its deadline.
            if code == Status.OK:
                _check_size(pending, payload)
                del self._pending[correlation]
                if not pending.future.done():
                    pending.future.set_result(payload)
            else:
                error = _read_error(code, payload)
                if correlation in self._sent_again:
                    # This attempt did nothing, but the one before it may have.
                    error = LedgerTimeoutError(f"{error} An earlier attempt has no known outcome.")
                del self._pending[correlation]
                if not pending.future.done():
                    pending.future.set_exception(error)

    async def _keep_time(self) -> None:
        stats_due = self._loop.time()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = self._loop.time()
            self._expire(now)
            if now >= stats_due:
                if self._link is not None:
                    self.presence.answered()
                self._send_stats()
                stats_due = now + STATS_SECONDS

    def _expire(self, now: float) -> None:
        overdue = [
            correlation
            for correlation, _ in takewhile(
                lambda item: item[1].deadline <= now, self._pending.items()
            )
        ]
        # Where all is held back, nothing was asked that it could be silent about.
        is_asked = self._is_open or not self._ahead.isdisjoint(overdue)
        self._fail(overdue, f"The sequencer did not answer within {self._deadline_seconds:g} s")
        # Whoever is silent does not read either. What it would have to read grows without end, and
        # most of it is for nobody: a new connection gets only what somebody still waits for.
        if overdue and is_asked and self._link is not None and self._is_silent(now):
            self._link.abort()

    def _is_silent(self, now: float) -> bool:
        return now - self._heard_at >= self._deadline_seconds

    def _send_stats(self) -> None:
        if self._stats is None or self._link is None:
            return
        try:
            payload = encode_stats(self._stats())
        except StatsError as error:
            logger.warning("this worker's counters are not sent any more: %s", error)
            self._stats = None
            return
        self._link.write(encode(ABOUT_THE_CONNECTION, STATS, payload))

    def _was_sent(self, correlation: int) -> bool:
        if correlation in self._ahead:
            return True
        # Serial number arithmetic, because correlations start again after the last one.
        return (self._sent_through - correlation) % CORRELATION_MAX < CORRELATION_MAX // 2

    def _fail(self, correlations: list[int], sentence: str) -> None:
        for correlation in correlations:
            future = self._pending.pop(correlation).future
            if future.done():
                continue
            if self._was_sent(correlation):
                future.set_exception(LedgerTimeoutError(f"{sentence}; the outcome is unknown."))
            else:
                future.set_exception(LedgerUnavailableError(f"{sentence}; nothing was done."))


def _check_size(pending: _Pending, payload: bytes) -> None:
    expected = pending.reply_size
    if len(payload) != expected and (expected is not None or len(payload) % ACCOUNT_SIZE):
        raise FrameError(f"The sequencer sent a reply of {len(payload)} bytes, not {expected}.")


def _read_error(code: int, payload: bytes) -> LedgerError:
    try:
        return error_of(Status(code), payload)
    except ValueError:
        raise FrameError(f"The sequencer sent a reply with the unknown code {code}.") from None
