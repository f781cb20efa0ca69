"""Ledger errors as statuses on the socket: the sequencer sends them, a worker raises them again.

Relies on the error tree of `ledger.base`, where each error says whether anything was done.
"""

from typing import Final

from tigerfans.ipc.frames import Status, decode_sentence
from tigerfans.ledger.base import (
    InvalidRecordsError,
    LedgerBusyError,
    LedgerError,
    LedgerTimeoutError,
    LedgerUnavailableError,
    TooManyRecordsError,
)

ERROR_OF_STATUS: Final[dict[Status, type[LedgerError]]] = {
    Status.BUSY: LedgerBusyError,
    Status.INVALID: InvalidRecordsError,
    Status.TOO_LARGE: TooManyRecordsError,
    Status.UNAVAILABLE: LedgerUnavailableError,
    Status.OUTCOME_UNKNOWN: LedgerTimeoutError,
}


def status_of(error: Exception) -> Status:
    """The status for a failed submission; for an error nobody foresaw the outcome is unknown."""
    for status, kind in ERROR_OF_STATUS.items():
        if isinstance(error, kind):
            return status
    return Status.OUTCOME_UNKNOWN


def error_of(status: Status, payload: bytes) -> LedgerError:
    """The error for a reply that is not OK, with the sentence it carried."""
    return ERROR_OF_STATUS[status](decode_sentence(payload) or None)
