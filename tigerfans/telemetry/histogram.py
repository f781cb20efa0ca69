"""A histogram that costs a bisection to keep: what workers and the sequencer count latencies in.

Exporting is not its business: `ipc.stats` has the form in which histograms travel.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

# Upper bounds of what takes one round trip or a few, in seconds.
SECONDS_BOUNDS: Final = (
    *(0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032),
    *(0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096),
)


class Histogram:
    """Counts observations by upper bound; the last bucket is for those beyond every bound."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.sum = 0.0

    @property
    def count(self) -> int:
        return sum(self.buckets)

    def observe(self, value: float) -> None:
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.sum += value
