"""The embedded ledger's time. It has two, because the machine's clock may be set at any moment.

*Timestamps* name what happened, and put it in order: the machine's clock, in nanoseconds since the
epoch, but each later than the one before. Where the clock was set back they count on from the
last one, one by one, until it has caught up.

*Steady time* says how long something lasted, and holds expire by it: it goes on as time passes, no
matter what the clock is set to. While the ledger is closed, only the clock can tell how much
passed: what it says it is since the last moment that was stored, or nothing where it was set back.
As long as nobody sets the clock, both are the same.
"""

import time
from typing import NamedTuple, Protocol


class Clock(Protocol):
    """Where time comes from, in nanoseconds."""

    def wall(self) -> int:
        """Since the epoch; may jump either way."""

    def steady(self) -> int:
        """Since any moment in the past; goes on, also while the machine sleeps."""


class MachineClock:
    """This machine's."""

    # Linux leaves sleep out of the clock that others call monotonic.
    _STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def wall(self) -> int:
        return time.time_ns()

    def steady(self) -> int:
        return time.clock_gettime_ns(self._STEADY)


class Moment(NamedTuple):
    """One moment in both times."""

    timestamp: int
    steady: int

    @property
    def ahead(self) -> int:
        """How much later the moment is as a timestamp than in steady time."""
        return self.timestamp - self.steady

    def later(self, nanoseconds: int) -> "Moment":
        return Moment(self.timestamp + nanoseconds, self.steady + nanoseconds)


class LedgerClock:
    """Goes on from `last`, the last moment that was used; whoever uses a later one sets it."""

    def __init__(self, clock: Clock, last: Moment) -> None:
        self.last = last
        self._clock = clock
        passed = max(0, clock.wall() - last.timestamp)
        self._start = last.steady + passed - clock.steady()

    def now(self) -> Moment:
        """Never before `last`."""
        return self._read(self.last)

    def next(self) -> Moment:
        """Now, and later than `last`."""
        return self._read(self.last.later(1))

    def _read(self, earliest: Moment) -> Moment:
        return Moment(
            max(self._clock.wall(), earliest.timestamp),
            max(self._clock.steady() + self._start, earliest.steady),
        )
