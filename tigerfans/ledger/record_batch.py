"""The part of the embedded ledger's rules that accounts and transfers share: chains and results.

Records are applied in order. A linked chain is applied as a whole or not at all, which a batch
does by undoing what its journal holds since the chain began.

The rules and their precedence are those of TigerBeetle 0.17.9.
"""

from typing import Final

from tigerfans.ledger.entries import FLAGS, TIMESTAMP, Fields
from tigerfans.ledger.wire import RESULT, RESULT_SIZE, TRANSFER, TRANSFER_SIZE, TransferStatus

# Both kinds of record share these numbers. They are plain integers, here and in the batches,
# because combining enum members costs many times what combining integers costs.
LINKED: Final = 1
CREATED: Final = int(TransferStatus.CREATED)
_LINKED_EVENT_FAILED: Final = int(TransferStatus.LINKED_EVENT_FAILED)
_LINKED_EVENT_CHAIN_OPEN: Final = int(TransferStatus.LINKED_EVENT_CHAIN_OPEN)
_TIMESTAMP_MUST_BE_ZERO: Final = int(TransferStatus.TIMESTAMP_MUST_BE_ZERO)

_STATUS_OFFSET: Final = 8

# A status, and the timestamp that goes with it.
Outcome = tuple[int, int]


class RecordBatch:
    """Applies records of one kind; what a record does is up to the subclass.

    Accounts and transfers have the same size and keep id, flags and timestamp at the same place,
    so one loop reads both.
    """

    def apply(self, records: bytes, first_timestamp: int) -> bytes:
        """One 16-byte result for each record; timestamps count up by one from the first."""
        count = len(records) // TRANSFER_SIZE
        results = bytearray(count * RESULT_SIZE)
        chain: int | None = None
        mark = 0
        broken = False
        for index, record in enumerate(TRANSFER.iter_unpack(records)):
            timestamp = first_timestamp + index
            linked = record[FLAGS] & LINKED
            if linked and chain is None:
                chain, mark = index, self._mark()
            if linked and index == count - 1:
                status = _LINKED_EVENT_CHAIN_OPEN
            elif broken:
                status = _LINKED_EVENT_FAILED
            elif record[TIMESTAMP]:
                status = _TIMESTAMP_MUST_BE_ZERO
            else:
                status, timestamp = self._create(record, timestamp)
            RESULT.pack_into(results, index * RESULT_SIZE, timestamp, status, 0)
            if status != CREATED:
                if chain is not None and not broken:
                    broken = True
                    self._undo(mark)
                    _fail(results, chain, index)
                self._refused(record, status)
            if not linked:
                chain, broken = None, False
        return bytes(results)

    def undo(self) -> None:
        """Takes back everything the batch did to the accounts."""
        self._undo(0)

    def _create(self, record: Fields, timestamp: int) -> Outcome:
        """Applies one record."""
        raise NotImplementedError

    def _refused(self, record: Fields, status: int) -> None:
        """Hears of every record that created nothing."""

    def _mark(self) -> int:
        """The length of the journal."""
        raise NotImplementedError

    def _undo(self, mark: int) -> None:
        """Takes back what the journal holds from `mark` on."""
        raise NotImplementedError


def _fail(results: bytearray, first: int, end: int) -> None:
    for index in range(first, end):
        offset = index * RESULT_SIZE + _STATUS_OFFSET
        results[offset : offset + 4] = _LINKED_EVENT_FAILED.to_bytes(4, "little")


def first_difference(
    table: tuple[tuple[int, int], ...], record: Fields, existing: Fields
) -> int | None:
    """The status of the first field in `table` (place, status) that differs; None if all agree."""
    for place, status in table:
        if record[place] != existing[place]:
            return status
    return None
