"""One operation's way through the sequencer: gather, submit as one buffer, route back.

Requests are plain tuples in a list, and never tasks or futures: tens of thousands pass here each
second. Relies on `Batcher` for the one rule (gather while a batch is in flight) and on `routing`
to cut a reply.
"""

from time import perf_counter
from typing import Final, Protocol

from tigerfans.batching import Batcher, ClosedError, QueueFullError
from tigerfans.ipc.frames import Status, encode, encode_sentence
from tigerfans.ipc.statuses import status_of
from tigerfans.ledger.base import (
    InvalidRecordsError,
    Ledger,
    LedgerError,
    LedgerTimeoutError,
    LedgerUnavailableError,
    TooManyRecordsError,
    count_records,
)
from tigerfans.ledger.wire import (
    CREATES,
    FLAGS_OFFSET,
    RECORD_SIZE,
    TRANSFER_SIZE,
    Operation,
    TransferFlags,
)
from tigerfans.presence import Presence
from tigerfans.sequencer.counters import LaneCounters, Rejections
from tigerfans.sequencer.routing import cut_records, cut_results, uncut

# Four of TigerBeetle's largest batches; as transfers that is 4 MiB.
QUEUED_RECORDS_MAX: Final = 4 * 8192

_CUT: Final = {
    Operation.CREATE_ACCOUNTS: cut_results,
    Operation.CREATE_TRANSFERS: cut_results,
    Operation.LOOKUP_ACCOUNTS: cut_records,
    Operation.LOOKUP_TRANSFERS: cut_records,
    Operation.GET_ACCOUNT_TRANSFERS: uncut,
}
# Where a request's last account or transfer keeps its flags, from the end.
_LAST_FLAGS: Final = FLAGS_OFFSET - TRANSFER_SIZE
# A plain integer: `&` with an enumeration's member cost 0.8 µs of the 2.0 a request took.
_LINKED: Final = int(TransferFlags.LINKED)


class Peer(Protocol):
    """Who asked: replies gather in a list, and leave together some time in this tick."""

    replies: list[bytes]

    def send_soon(self) -> None: ...


# Who asked, the correlation, whole records.
Request = tuple[Peer, int, bytes]


class Lane:
    """The requests of one operation, from all workers."""

    def __init__(
        self, operation: Operation, ledger: Ledger, rejections: Rejections, presence: Presence
    ) -> None:
        self.operation = operation
        self.counters = LaneCounters()
        self._ledger = ledger
        self._rejections = rejections
        self._presence = presence
        self._creates = operation in CREATES
        self._merges = operation is not Operation.GET_ACCOUNT_TRANSFERS
        self._cut = _CUT[operation]
        record_size = RECORD_SIZE[operation]
        self._batcher = Batcher[Request](
            operation.name.lower(),
            self._send,
            batch_max=self._batch_max(),
            queue_max=QUEUED_RECORDS_MAX,
            weigh=lambda request: len(request[2]) // record_size,
        )

    def __repr__(self) -> str:
        return f"<Lane {self._batcher!r}>"

    @property
    def queued_records(self) -> int:
        """How many records wait for the next batch."""
        return self._batcher.queued

    def _batch_max(self) -> int:
        # A filter's answer is as long as it likes, so filters cannot share a submission.
        return self._ledger.records_max if self._merges else 1

    def accept(self, peer: Peer, correlation: int, payload: bytes) -> None:
        """Queues one request, or answers at once why not; nothing at all if this lane is closed."""
        try:
            count_records(self.operation, payload, self._batcher.batch_max)
            if self._creates and payload[_LAST_FLAGS] & _LINKED:
                raise InvalidRecordsError("The last record of a request must not be linked.")
            self._batcher.put((peer, correlation, payload))
        except QueueFullError:
            self.refuse(peer, correlation, Status.BUSY, "The sequencer's queue is full.")
        except ClosedError:
            # Every connection ends in a moment; then the worker sends this to our successor.
            pass
        except LedgerError as error:
            self.refuse(peer, correlation, status_of(error), str(error))

    def refuse(self, peer: Peer, correlation: int, status: Status, sentence: str) -> None:
        """Answers a request with the reason why it was not done."""
        self._rejections.count(status)
        peer.replies.append(encode_sentence(correlation, status, sentence))
        peer.send_soon()

    async def close(self) -> None:
        """Takes no more requests, and waits until those it has are answered."""
        await self._batcher.close()

    async def _send(self, requests: list[Request]) -> None:
        self._batcher.batch_max = self._batch_max()
        payloads = [payload for _, _, payload in requests]
        started = perf_counter()
        try:
            records = b"".join(payloads)
            reply = await self._ledger.submit(self.operation, records)
            parts = self._cut(payloads, reply)
        except TooManyRecordsError as error:
            await self._send_halves(requests, error)
        except LedgerError as error:
            if isinstance(error, LedgerUnavailableError | LedgerTimeoutError):
                self._presence.failed(error)
            self._fail(requests, error)
        except Exception as error:
            self._fail(requests, error)
            raise
        else:
            seconds = perf_counter() - started
            self._presence.answered()
            for (peer, correlation, _), part in zip(requests, parts, strict=True):
                peer.replies.append(encode(correlation, Status.OK, part))
            peers = {peer for peer, _, _ in requests}
            for peer in peers:
                peer.send_soon()
            self.counters.count_batch(
                requests=len(requests),
                records=len(records) // RECORD_SIZE[self.operation],
                workers=len(peers),
                seconds=seconds,
            )

    async def _send_halves(self, requests: list[Request], error: TooManyRecordsError) -> None:
        """The ledger takes less at once than was known when this batch was taken."""
        if len(requests) == 1:
            self._fail(requests, error)
            return
        middle = len(requests) // 2
        await self._send(requests[:middle])
        await self._send(requests[middle:])

    def _fail(self, requests: list[Request], error: Exception) -> None:
        for peer, correlation, _ in requests:
            self.refuse(peer, correlation, status_of(error), str(error))
