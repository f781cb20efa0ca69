import math
import os
from pathlib import Path

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.clock import Clock
from tests.ipc.peers import Peer, until
from tests.sequencer.gated_ledger import GatedLedger
from tests.sequencer.records import transfer
from tigerfans import presence
from tigerfans.ipc.client import SequencerClient
from tigerfans.ipc.frames import STATS, encode
from tigerfans.ipc.stats import Family, Stats, encode_stats
from tigerfans.ledger.base import (
    InvalidRecordsError,
    LedgerTimeoutError,
    LedgerUnavailableError,
)
from tigerfans.ledger.wire import Operation
from tigerfans.presence import SETTLE_SECONDS
from tigerfans.sequencer.metrics import Exporter
from tigerfans.sequencer.sequencer import Sequencer
from tigerfans.telemetry.histogram import Histogram

CREATE = Operation.CREATE_TRANSFERS
CREATES = {"operation": "create_transfers"}


@pytest.fixture
async def exporter(sequencer: Sequencer) -> Exporter:
    return Exporter(sequencer)


def value(exporter: Exporter, name: str, labels: dict[str, str] | None = None) -> float:
    """The one sample of that name and those labels in the Prometheus text."""
    families = text_string_to_metric_families(exporter.metrics().decode())
    samples = [sample for family in families for sample in family.samples]
    (found,) = (s.value for s in samples if s.name == name and s.labels == (labels or {}))
    return float(found)


def requests_family(count: int) -> Family:
    return {
        "name": "tigerfans_http_requests_total",
        "type": "counter",
        "help": "Requests.",
        "labels": ["route"],
        "samples": [{"labels": ["/api/checkout"], "value": count}],
    }


SECONDS: Family = {
    "name": "tigerfans_http_request_seconds",
    "type": "histogram",
    "help": "Latency.",
    "labels": ["route"],
    "bounds": [0.01, 0.1],
    "samples": [{"labels": ["/api/checkout"], "buckets": [5, 2, 1], "sum": 0.75}],
}


async def send_stats(sequencer: Sequencer, path: Path, name: str, stats: Stats) -> Peer:
    """A worker that has sent its counters."""
    known = set(sequencer.connections)
    peer = await Peer.connect(path, name)
    peer.send(encode(0, STATS, encode_stats(stats)))
    await until(lambda: any(c.stats for c in sequencer.connections - known))
    return peer


async def test_batches_and_what_they_held_are_counted(
    clients: tuple[SequencerClient, SequencerClient], ledger: GatedLedger, exporter: Exporter
) -> None:
    await clients[0].submit(CREATE, transfer(1))
    await clients[0].submit(CREATE, transfer(2) + transfer(3) + transfer(4))
    assert value(exporter, "tigerfans_sequencer_batches_total", CREATES) == 2
    assert value(exporter, "tigerfans_sequencer_requests_total", CREATES) == 2
    assert value(exporter, "tigerfans_sequencer_events_total", CREATES) == 4
    assert value(exporter, "tigerfans_sequencer_batches_merged_total", CREATES) == 0
    bucket = "tigerfans_sequencer_batch_events_bucket"
    assert value(exporter, bucket, {**CREATES, "le": "1.0"}) == 1
    assert value(exporter, bucket, {**CREATES, "le": "4.0"}) == 2
    assert value(exporter, bucket, {**CREATES, "le": "+Inf"}) == 2
    assert value(exporter, "tigerfans_sequencer_batch_events_sum", CREATES) == 4
    assert value(exporter, "tigerfans_sequencer_ledger_seconds_count", CREATES) == 2
    assert value(exporter, "tigerfans_sequencer_workers") == 2


async def test_the_queue_and_the_refusals_are_counted(
    clients: tuple[SequencerClient, SequencerClient],
    ledger: GatedLedger,
    sequencer: Sequencer,
    exporter: Exporter,
) -> None:
    ledger.hold()
    ledger.error = LedgerUnavailableError()
    replies = [clients[0].submit(CREATE, transfer(1))]
    await ledger.arrival()
    replies.append(clients[0].submit(CREATE, transfer(2)))
    await until(lambda: sequencer.lanes[CREATE].queued_records == 1)
    assert value(exporter, "tigerfans_sequencer_queued_events", CREATES) == 1
    ledger.release()
    for reply in replies:
        with pytest.raises(LedgerUnavailableError):
            await reply
    refused = "tigerfans_sequencer_rejections_total"
    assert value(exporter, refused, {"status": "unavailable"}) == 2
    assert value(exporter, refused, {"status": "busy"}) == 0


async def test_the_ledgers_going_and_coming_are_a_line_each_and_metrics(
    clients: tuple[SequencerClient, SequencerClient],
    ledger: GatedLedger,
    sequencer: Sequencer,
    exporter: Exporter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = sequencer.presence._clock = Clock()
    up, outages = "tigerfans_store_up", "tigerfans_store_outages_total"
    labels = {"store": "ledger"}
    await clients[0].submit(CREATE, transfer(1))
    assert (value(exporter, up, labels), value(exporter, outages, labels)) == (1, 0)
    for error in (LedgerTimeoutError("no answer"), LedgerUnavailableError("away")):
        ledger.error = error
        with pytest.raises(type(error)):
            await clients[1].submit(CREATE, transfer(2))
    assert (value(exporter, up, labels), value(exporter, outages, labels)) == (0, 1)
    ledger.error = None
    clock.seconds += SETTLE_SECONDS
    await sequencer.ask_ledger()
    await clients[0].submit(CREATE, transfer(3))
    assert (value(exporter, up, labels), value(exporter, outages, labels)) == (1, 1)
    assert [r.getMessage() for r in caplog.records if r.name == presence.__name__] == [
        "The ledger is away: LedgerTimeoutError: no answer",
        "The ledger answers again.",
    ]


async def test_a_ledger_that_refuses_what_it_cannot_read_is_not_away(
    clients: tuple[SequencerClient, SequencerClient], ledger: GatedLedger, sequencer: Sequencer
) -> None:
    ledger.error = InvalidRecordsError()
    with pytest.raises(InvalidRecordsError):
        await clients[0].submit(CREATE, transfer(1))
    assert sequencer.presence.is_up


async def test_the_process_itself_is_measured(exporter: Exporter) -> None:
    assert value(exporter, "process_resident_memory_bytes") > 1e6
    assert value(exporter, "process_cpu_seconds_total") > 0


async def test_each_workers_counters_get_its_name_as_a_label(
    sequencer: Sequencer, exporter: Exporter, socket_path: Path
) -> None:
    first = await send_stats(sequencer, socket_path, "worker-1", [requests_family(3), SECONDS])
    second = await send_stats(sequencer, socket_path, "worker-2", [requests_family(4)])
    name, labels = "tigerfans_http_requests_total", {"route": "/api/checkout"}
    assert value(exporter, name, {**labels, "worker": "worker-1"}) == 3
    assert value(exporter, name, {**labels, "worker": "worker-2"}) == 4
    bucket, labels = "tigerfans_http_request_seconds_bucket", {**labels, "worker": "worker-1"}
    assert value(exporter, bucket, {**labels, "le": "0.1"}) == 7
    assert value(exporter, bucket, {**labels, "le": "+Inf"}) == 8
    assert value(exporter, "tigerfans_http_request_seconds_sum", labels) == 0.75
    assert exporter.metrics().count(b"# TYPE tigerfans_http_requests_total counter") == 1
    first.cut()
    second.cut()


async def test_of_a_workers_two_connections_the_younger_counts(
    sequencer: Sequencer, exporter: Exporter, socket_path: Path
) -> None:
    old = await send_stats(sequencer, socket_path, "worker-1", [requests_family(100)])
    new = await send_stats(sequencer, socket_path, "worker-1", [requests_family(1)])
    labels = {"route": "/api/checkout", "worker": "worker-1"}
    assert value(exporter, "tigerfans_http_requests_total", labels) == 1
    old.cut()
    new.cut()


async def test_counters_that_disagree_about_their_type_are_left_out(
    sequencer: Sequencer, exporter: Exporter, socket_path: Path
) -> None:
    gauge: Family = {**SECONDS, "type": "gauge", "samples": [{"labels": ["/"], "value": 1}]}
    del gauge["bounds"]
    first = await send_stats(sequencer, socket_path, "worker-1", [SECONDS])
    second = await send_stats(sequencer, socket_path, "worker-2", [gauge])
    assert b"tigerfans_http_request_seconds_sum" in exporter.metrics()
    assert b"worker-2" not in exporter.metrics()
    first.cut()
    second.cut()


async def test_the_status_is_the_same_as_json_workers_included(
    clients: tuple[SequencerClient, SequencerClient], exporter: Exporter
) -> None:
    await clients[1].submit(CREATE, transfer(1) + transfer(2))
    status = orjson.loads(exporter.status())
    assert status["pid"] == os.getpid()
    assert status["ledger"] == {"kind": "embedded", "records_max": 8189}
    creates = status["operations"]["create_transfers"]
    assert (creates["batches"], creates["requests"], creates["events"]) == (1, 1, 2)
    assert creates["batch_events"]["average"] == 2
    assert status["operations"]["lookup_accounts"]["batch_events"]["average"] is None
    assert set(status["rejections"]) == {
        "busy",
        "invalid",
        "too_large",
        "unavailable",
        "outcome_unknown",
    }
    workers = {worker["name"]: worker for worker in status["workers"]}
    assert list(workers) == ["worker-1", "worker-2"]
    assert workers["worker-2"]["pid"] == os.getpid()
    assert (workers["worker-2"]["requests"], workers["worker-2"]["in_flight"]) == (1, 0)
    assert math.isclose(workers["worker-2"]["connected_at"], status["started_at"], abs_tol=60)


async def test_a_clerk_is_told_apart_from_the_workers_and_its_counters_stand_beside_theirs(
    sequencer: Sequencer, exporter: Exporter, socket_path: Path
) -> None:
    worker = await send_stats(sequencer, socket_path, "worker-1", [requests_family(3)])
    clerk = await send_stats(sequencer, socket_path, "clerk-1", [requests_family(4)])
    status = orjson.loads(exporter.status())
    assert [each["name"] for each in status["workers"]] == ["worker-1"]
    assert [each["name"] for each in status["clerks"]] == ["clerk-1"]
    assert value(exporter, "tigerfans_sequencer_workers") == 1
    assert value(exporter, "tigerfans_sequencer_clerks") == 1
    labels = {"route": "/api/checkout", "worker": "clerk-1"}
    assert value(exporter, "tigerfans_http_requests_total", labels) == 4
    worker.cut()
    clerk.cut()


def test_a_histogram_counts_up_to_each_bound_and_beyond() -> None:
    histogram = Histogram((1, 2, 4))
    for observed in (0, 1, 1.5, 4, 5):
        histogram.observe(observed)
    assert (histogram.buckets, histogram.sum, histogram.count) == ([2, 1, 1, 1], 11.5, 5)
