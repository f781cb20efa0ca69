"""What every ledger is: bytes in, bytes out, in TigerBeetle's own format.

Three things implement `Ledger`: the TigerBeetle adapter, the embedded ledger, and a worker's
connection to the sequencer. One contract suite (tests/ledger) runs over all of them, and the
shop never knows which one it talks to.

    LedgerError
    ├── LedgerOpenError         the ledger cannot be opened; the message is a sentence that says why
    ├── InvalidRecordsError     the caller's bytes are not whole records; nothing was done
    ├── TooManyRecordsError     more records than one submission may carry; nothing was done
    ├── LedgerBusyError         a bounded queue is full; nothing was done
    ├── LedgerUnavailableError  the ledger is away; nothing was done
    └── LedgerTimeoutError      no answer in time; it may still be done: the outcome is unknown
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from tigerfans.ledger.wire import RECORD_SIZE, Operation

# TigerBeetle's production limit; what a given ledger takes is `Ledger.records_max`.
RECORDS_MAX: Final = 8189
# Of a TigerBeetle cluster, for all that are connected to it; whoever comes next takes the place of
# the one that has been quiet for the longest.
SESSIONS_MAX: Final = 64


class LedgerError(Exception):
    """The ledger could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class LedgerOpenError(LedgerError):
    """The ledger cannot be opened."""


class InvalidRecordsError(LedgerError):
    """The bytes are not a positive number of whole records."""


class TooManyRecordsError(LedgerError):
    """More records were submitted at once than the ledger takes."""


class LedgerBusyError(LedgerError):
    """The ledger's queue is full."""


class LedgerUnavailableError(LedgerError):
    """The ledger is away."""


class LedgerTimeoutError(LedgerError):
    """The ledger did not answer in time; whether it did what was asked is unknown."""


# These pass, and asking again is harmless. Every other one is a bug of whoever asked.
LEDGER_AWAY: Final = (LedgerBusyError, LedgerUnavailableError, LedgerTimeoutError)


# Submits as `Ledger` does.
Submit = Callable[[Operation, bytes], Awaitable[bytes]]


class Ledger(Protocol):
    """A ledger of accounts and transfers.

    `submit` takes a concatenation of whole records for one operation and gives a concatenation of
    records back: for creates one 16-byte result for each record, in order; for lookups the
    128-byte records that were found, in the order asked, the missing left out; for
    get_account_transfers, whose one record is a filter, the 128-byte transfers that pass it. A
    submission is applied as a whole or not at all known: it raises a `LedgerError` in place of a
    partial answer.
    """

    @property
    def kind(self) -> str:
        """`embedded` or `tigerbeetle`."""

    @property
    def records_max(self) -> int:
        """The most records one submission may carry."""

    def submit(self, operation: Operation, records: bytes) -> Awaitable[bytes]: ...

    async def close(self) -> None: ...


def count_records(operation: Operation, records: bytes, records_max: int) -> int:
    """How many records `records` holds; raises unless it is 1 to `records_max` whole ones."""
    count, rest = divmod(len(records), RECORD_SIZE[operation])
    if rest or not count:
        raise InvalidRecordsError(
            f"{operation.name.lower()} takes whole records of {RECORD_SIZE[operation]} bytes,"
            f" got {len(records)} bytes"
        )
    if operation is Operation.GET_ACCOUNT_TRANSFERS:
        records_max = 1
    if count > records_max:
        raise TooManyRecordsError(f"{count} records, this ledger takes {records_max} at once")
    return count
