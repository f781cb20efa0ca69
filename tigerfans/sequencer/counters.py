"""What the sequencer counts, as plain numbers that cost nothing to keep.

Counting is on the path of every batch, exporting is not: `metrics` reads these when it is asked.
"""

from typing import Final

from tigerfans.ipc.frames import Status
from tigerfans.telemetry.histogram import SECONDS_BOUNDS, Histogram

# Upper bounds of the records in a batch; the last is TigerBeetle's limit.
BATCH_RECORDS_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8189)


class LaneCounters:
    """One operation's batches that the ledger answered."""

    def __init__(self) -> None:
        self.batches = 0
        # Of these, the ones that carried requests of more than one worker.
        self.batches_merged = 0
        self.requests = 0
        self.records = 0
        self.batch_records = Histogram(BATCH_RECORDS_BOUNDS)
        self.ledger_seconds = Histogram(SECONDS_BOUNDS)

    def count_batch(self, *, requests: int, records: int, workers: int, seconds: float) -> None:
        self.batches += 1
        self.batches_merged += workers > 1
        self.requests += requests
        self.records += records
        self.batch_records.observe(records)
        self.ledger_seconds.observe(seconds)


class Rejections(dict[Status, int]):
    """How many requests were answered with each status but OK."""

    def __init__(self) -> None:
        super().__init__((status, 0) for status in Status if status is not Status.OK)

    def count(self, status: Status) -> None:
        self[status] += 1
