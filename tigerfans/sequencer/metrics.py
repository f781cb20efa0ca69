"""The sequencer's numbers for others to read: as Prometheus text and as JSON, built when asked.

The sequencer's own numbers take the form in which workers send theirs (`ipc.stats`), so that one
function exports both; a worker's get the label `worker`, and a clerk's too. Of two connections with
one name (the old and the new one of a restart) the younger counts.
"""

import os
import time
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any, Final, Literal

import orjson
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from tigerfans.ipc.stats import WORKER_LABEL, Family, Sample
from tigerfans.sequencer.connection import Connection
from tigerfans.sequencer.lane import Lane
from tigerfans.sequencer.sequencer import Sequencer
from tigerfans.telemetry.histogram import Histogram
from tigerfans.telemetry.stores import store_families


class Exporter:
    """Reads one sequencer's numbers."""

    def __init__(self, sequencer: Sequencer) -> None:
        self._sequencer = sequencer
        self._started_at = time.time()
        self._registry = CollectorRegistry()
        self._registry.register(_SequencerCollector(sequencer))
        ProcessCollector(registry=self._registry)

    def metrics(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def status(self) -> bytes:
        """The same as JSON, each worker and clerk on its own; moments are in Unix seconds."""
        sequencer = self._sequencer
        ledger = {"kind": sequencer.ledger.kind, "records_max": sequencer.ledger.records_max}
        lanes = sequencer.lanes.values()
        return orjson.dumps(
            {
                "pid": os.getpid(),
                "started_at": self._started_at,
                "cpu_seconds": time.process_time(),
                "ledger": ledger,
                "operations": {_name(lane): _lane_status(lane) for lane in lanes},
                "rejections": {
                    status.name.lower(): count for status, count in sequencer.rejections.items()
                },
                "workers": [_client_status(worker) for worker in _workers(sequencer)],
                "clerks": [_client_status(clerk) for clerk in _clerks(sequencer)],
            }
        )


def _lane_status(lane: Lane) -> dict[str, Any]:
    counters = lane.counters
    return {
        "batches": counters.batches,
        "batches_merged": counters.batches_merged,
        "requests": counters.requests,
        "events": counters.records,
        "queued_events": lane.queued_records,
        "batch_events": _histogram_status(counters.batch_records),
        "ledger_seconds": _histogram_status(counters.ledger_seconds),
    }


def _histogram_status(histogram: Histogram) -> dict[str, Any]:
    count = histogram.count
    return {
        "average": histogram.sum / count if count else None,
        "sum": histogram.sum,
        "bounds": histogram.bounds,
        "buckets": histogram.buckets,
    }


def _client_status(connection: Connection) -> dict[str, Any]:
    return {
        "name": connection.worker,
        "pid": connection.pid,
        "connected_at": connection.connected_at,
        "requests": connection.requests,
        "in_flight": connection.in_flight,
        "stats": connection.stats,
    }


def _clients(sequencer: Sequencer) -> list[Connection]:
    """The connections that said hello, oldest first."""
    greeted = [connection for connection in sequencer.connections if connection.worker]
    return sorted(greeted, key=lambda connection: connection.connected_at)


def _workers(sequencer: Sequencer) -> list[Connection]:
    return [client for client in _clients(sequencer) if not client.is_clerk]


def _clerks(sequencer: Sequencer) -> list[Connection]:
    return [client for client in _clients(sequencer) if client.is_clerk]


def _name(lane: Lane) -> str:
    return lane.operation.name.lower()


class _SequencerCollector(Collector):
    """Builds all metrics afresh from the plain numbers, each time the registry asks."""

    def __init__(self, sequencer: Sequencer) -> None:
        self._sequencer = sequencer

    def collect(self) -> Iterable[Metric]:
        metrics: dict[str, Metric] = {}
        for family in _sequencer_families(self._sequencer):
            _add(metrics, family, {})
        by_name = {connection.worker: connection for connection in _clients(self._sequencer)}
        for name, connection in by_name.items():
            for family in connection.stats:
                _add(metrics, family, {WORKER_LABEL: name})
        return metrics.values()


def _add(metrics: dict[str, Metric], family: Family, extra_labels: dict[str, str]) -> None:
    """Adds a family's samples to the metric of its name, unless that is of another type."""
    name = family["name"].removesuffix("_total")
    metric = metrics.setdefault(name, Metric(name, family["help"], family["type"]))
    if metric.type != family["type"]:
        return
    for sample in family["samples"]:
        labels = dict(zip(family["labels"], sample["labels"], strict=True)) | extra_labels
        if "buckets" in sample:
            bounds = [*map(floatToGoString, family["bounds"]), "+Inf"]
            counts = list(accumulate(sample["buckets"]))
            for bound, count in zip(bounds, counts, strict=True):
                metric.add_sample(f"{name}_bucket", {**labels, "le": bound}, count)
            metric.add_sample(f"{name}_count", labels, counts[-1])
            metric.add_sample(f"{name}_sum", labels, sample["sum"])
        else:
            metric.add_sample(family["name"], labels, sample["value"])


def _sequencer_families(sequencer: Sequencer) -> Iterable[Family]:
    yield from store_families([sequencer.presence])
    lanes = sequencer.lanes.values()
    for name, kind, text, value_of in _LANE_VALUES:
        values: list[Sample] = [
            {"labels": [_name(lane)], "value": value_of(lane)} for lane in lanes
        ]
        yield Family(name=name, type=kind, help=text, labels=["operation"], samples=values)
    for name, text, histogram_of in _LANE_HISTOGRAMS:
        histograms = {_name(lane): histogram_of(lane) for lane in lanes}
        yield Family(
            name=name,
            type="histogram",
            help=text,
            labels=["operation"],
            bounds=list(next(iter(histograms.values())).bounds),
            samples=[
                {"labels": [operation], "buckets": histogram.buckets, "sum": histogram.sum}
                for operation, histogram in histograms.items()
            ],
        )
    yield Family(
        name="tigerfans_sequencer_rejections_total",
        type="counter",
        help="Requests and connections that were refused.",
        labels=["status"],
        samples=[
            {"labels": [status.name.lower()], "value": count}
            for status, count in sequencer.rejections.items()
        ],
    )
    for clients, text, value in (
        ("workers", "Workers that are connected.", len(_workers(sequencer))),
        ("clerks", "Clerks that are connected.", len(_clerks(sequencer))),
    ):
        yield Family(
            name=f"tigerfans_sequencer_{clients}",
            type="gauge",
            help=text,
            labels=[],
            samples=[{"labels": [], "value": value}],
        )


_LANE_VALUES: Final[
    tuple[tuple[str, Literal["counter", "gauge"], str, Callable[[Lane], float]], ...]
] = (
    (
        "tigerfans_sequencer_batches_total",
        "counter",
        "Batches the ledger answered.",
        lambda lane: lane.counters.batches,
    ),
    (
        "tigerfans_sequencer_batches_merged_total",
        "counter",
        "Of these, batches with requests of more than one worker.",
        lambda lane: lane.counters.batches_merged,
    ),
    (
        "tigerfans_sequencer_requests_total",
        "counter",
        "Requests the ledger answered.",
        lambda lane: lane.counters.requests,
    ),
    (
        "tigerfans_sequencer_events_total",
        "counter",
        "Accounts, transfers or ids in these requests.",
        lambda lane: lane.counters.records,
    ),
    (
        "tigerfans_sequencer_queued_events",
        "gauge",
        "Events that wait for the next batch.",
        lambda lane: lane.queued_records,
    ),
)

_LANE_HISTOGRAMS: Final[tuple[tuple[str, str, Callable[[Lane], Histogram]], ...]] = (
    (
        "tigerfans_sequencer_batch_events",
        "Events in a batch.",
        lambda lane: lane.counters.batch_records,
    ),
    (
        "tigerfans_sequencer_ledger_seconds",
        "Time a batch spent at the ledger.",
        lambda lane: lane.counters.ledger_seconds,
    ),
)
