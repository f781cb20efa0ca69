"""What the ledger and Redis count since the epoch, as moments."""

from datetime import UTC, datetime, timedelta
from typing import Final

# Of a number that a client sends back: up to the year 5138, where ours go up to 9999.
MICROSECONDS_DIGITS_MAX: Final = 17

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def moment_at(microseconds: int) -> datetime:
    """The moment so many microseconds after the epoch."""
    return _EPOCH + timedelta(microseconds=microseconds)


def microseconds_of(moment: datetime) -> int:
    """How many microseconds after the epoch it is."""
    return (moment - _EPOCH) // _MICROSECOND
