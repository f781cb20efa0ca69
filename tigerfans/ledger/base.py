"""What every ledger is: bytes in, bytes out, in TigerBeetle's own format.

Three things implement `Ledger`: the TigerBeetle adapter, the embedded ledger, and a worker's
connection to the sequencer. One contract suite (tests/ledger) runs over all of them, and the
shop never knows which one it talks to.

    LedgerError
    ├── LedgerOpenError         the ledger cannot be opened; the message is a sentence that says why
    ├── InvalidEventsError      the caller's bytes are not whole records; nothing was done
    ├── TooManyEventsError      more events than one submission may carry; nothing was done
    ├── LedgerBusyError         a bounded queue is full; nothing was done
    ├── LedgerUnavailableError  the ledger is away; nothing was done
    └── LedgerTimeoutError      no answer in time; it may still be done: the outcome is unknown
"""

from collections.abc import Awaitable
from typing import Final, Protocol

from tigerfans.ledger.wire import EVENT_SIZE, Operation

# TigerBeetle's production limit; what a given ledger takes is `Ledger.events_max`.
EVENTS_MAX: Final = 8189


class LedgerError(Exception):
    """The ledger could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class LedgerOpenError(LedgerError):
    """The ledger cannot be opened."""


class InvalidEventsError(LedgerError):
    """The events are not a positive number of whole records."""


class TooManyEventsError(LedgerError):
    """More events were submitted at once than the ledger takes."""


class LedgerBusyError(LedgerError):
    """The ledger's queue is full."""


class LedgerUnavailableError(LedgerError):
    """The ledger is away."""


class LedgerTimeoutError(LedgerError):
    """The ledger did not answer in time; whether it did what was asked is unknown."""


class Ledger(Protocol):
    """A ledger of accounts and transfers.

    `submit` takes a concatenation of whole records for one operation and gives a concatenation of
    records back: for creates one 16-byte result for each event, in order; for lookups the
    128-byte records that were found, in the order asked, the missing left out; for
    get_account_transfers, whose one event is a filter, the 128-byte transfers that pass it. A
    submission is applied as a whole or not at all known: it raises a `LedgerError` in place of a
    partial answer.
    """

    @property
    def kind(self) -> str:
        """`embedded` or `tigerbeetle`."""

    @property
    def events_max(self) -> int:
        """The most events one submission may carry."""

    def submit(self, operation: Operation, events: bytes) -> Awaitable[bytes]: ...

    async def close(self) -> None: ...


def count_events(operation: Operation, events: bytes, events_max: int) -> int:
    """How many records `events` holds; raises unless it is 1 to `events_max` whole ones."""
    count, rest = divmod(len(events), EVENT_SIZE[operation])
    if rest or not count:
        raise InvalidEventsError(
            f"{operation.name.lower()} takes whole records of {EVENT_SIZE[operation]} bytes,"
            f" got {len(events)} bytes"
        )
    if operation is Operation.GET_ACCOUNT_TRANSFERS:
        events_max = 1
    if count > events_max:
        raise TooManyEventsError(f"{count} events, this ledger takes {events_max} at once")
    return count
