"""The shop's last minutes, a sample a second: what the box office draws.

Only the sequencer sees every worker, and it outlives them, so it is the one that remembers. What
its own lanes counted and what the workers sent last (`ipc.stats`) become rates; a worker's first
counters are where its own begin. Of other hosts it adds the second they told of last
(`sequencer.reporting`), so that what it remembers is the shop's. All of it stays in memory: for
days there is Prometheus.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from tigerfans.hosts.report import Sample, summed
from tigerfans.ipc.stats import ORDER_STEPS_TOTAL, Stats
from tigerfans.ledger.wire import Operation
from tigerfans.sequencer.connection import Connection
from tigerfans.sequencer.sequencer import Sequencer

SAMPLE_SECONDS: Final = 1.0
SAMPLES_MAX: Final = 300
# Of what is shown, so that five minutes take 20 KB.
DECIMALS: Final = 3


class _Counted(NamedTuple):
    """What was counted in all; `at` in seconds of the monotonic clock."""

    at: float
    batches: int
    transfers: int
    ledger_seconds: float


class History:
    """The last `SAMPLES_MAX` samples of one sequencer; `run` takes them."""

    def __init__(self, sequencer: Sequencer) -> None:
        self._sequencer = sequencer
        self._lane = sequencer.lanes[Operation.CREATE_TRANSFERS]
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self._counted = self._count()
        # This sequencer's own last second.
        self.own = Sample()
        # The last seconds of the other hosts that sell.
        self.others: Sequence[Sample] = ()
        # The steps of orders each worker had counted, by connection.
        self._steps: dict[Connection, Mapping[str, int]] = {}

    async def run(self) -> None:
        """Takes a sample every `SAMPLE_SECONDS`, until cancelled."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            self.sample()

    def sample(self) -> None:
        """Remembers what happened since the last sample."""
        before, self._counted = self._counted, self._count()
        seconds = self._counted.at - before.at
        batches = self._counted.batches - before.batches
        transfers = self._counted.transfers - before.transfers
        ledger_seconds = self._counted.ledger_seconds - before.ledger_seconds
        steps = self._new_steps()
        self.own = Sample(
            time=time.time(),
            held_per_second=steps["held"] / seconds,
            paid_per_second=steps["paid"] / seconds,
            transfers_per_second=transfers / seconds,
            batch_transfers=transfers / batches if batches else None,
            ledger_milliseconds=1_000 * ledger_seconds / batches if batches else None,
            queued_events=sum(lane.queued_records for lane in self._sequencer.lanes.values()),
            workers=sum(bool(c.stats) and not c.is_clerk for c in self._sequencer.connections),
            clerks=sum(bool(c.stats) and c.is_clerk for c in self._sequencer.connections),
        )
        self._samples.append(summed([self.own, *self.others]))

    def page(self) -> bytes:
        """All samples as JSON, the oldest first: one list for each field of `Sample`."""
        columns = {
            name: [_rounded(getattr(sample, name)) for sample in self._samples]
            for name in Sample.__struct_fields__
        }
        return orjson.dumps({"sample_seconds": SAMPLE_SECONDS, **columns})

    def _count(self) -> _Counted:
        counters = self._lane.counters
        return _Counted(
            at=time.perf_counter(),
            batches=counters.batches,
            transfers=counters.records,
            ledger_seconds=counters.ledger_seconds.sum,
        )

    def _new_steps(self) -> "Counter[str]":
        """How many orders took each step since the last sample, by all workers."""
        before, self._steps = self._steps, {}
        new: Counter[str] = Counter()
        for connection in self._sequencer.connections:
            steps = self._steps[connection] = _steps(connection.stats)
            known = before.get(connection, steps)
            for step, count in steps.items():
                new[step] += count - known.get(step, count)
        return new


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)


def _steps(stats: Stats) -> Mapping[str, int]:
    """The count of each step in a worker's counters."""
    for family in stats:
        if family["name"] == ORDER_STEPS_TOTAL and family["type"] == "counter":
            return {s["labels"][0]: int(s["value"]) for s in family["samples"] if s["labels"]}
    return {}
