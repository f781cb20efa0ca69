"""What the sequencer counts, as plain numbers that cost nothing to keep.

Counting is on the path of every batch, exporting is not: `metrics` reads these when it is asked.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from tigerfans.ipc.frames import Status

# Upper bounds: events in a batch (the last is TigerBeetle's limit), and seconds at the ledger.
BATCH_EVENTS_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8189)
LEDGER_SECONDS_BOUNDS: Final = (
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


class LaneCounters:
    """One operation's batches that the ledger answered."""

    def __init__(self) -> None:
        self.batches = 0
        # Of these, the ones that carried requests of more than one worker.
        self.batches_merged = 0
        self.requests = 0
        self.events = 0
        self.batch_events = Histogram(BATCH_EVENTS_BOUNDS)
        self.ledger_seconds = Histogram(LEDGER_SECONDS_BOUNDS)

    def count_batch(self, *, requests: int, events: int, workers: int, seconds: float) -> None:
        self.batches += 1
        self.batches_merged += workers > 1
        self.requests += requests
        self.events += events
        self.batch_events.observe(events)
        self.ledger_seconds.observe(seconds)


class Rejections(dict[Status, int]):
    """How many requests were answered with each status but OK."""

    def __init__(self) -> None:
        super().__init__((status, 0) for status in Status if status is not Status.OK)

    def count(self, status: Status) -> None:
        self[status] += 1
