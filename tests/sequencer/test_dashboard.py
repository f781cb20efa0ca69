"""Dashboard and docs/operations.md name only metrics and labels that `/metrics` has."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.ipc.peers import until
from tests.sequencer.records import transfer
from tigerfans.ipc.client import SequencerClient
from tigerfans.ledger.wire import Operation
from tigerfans.sequencer.metrics import Exporter
from tigerfans.sequencer.sequencer import Sequencer
from tigerfans.stores.mails import MailCounts
from tigerfans.telemetry.counters import Counters, RoundEnd
from tigerfans.telemetry.mails import MailCounters

ROOT = Path(__file__).parent.parent.parent
FILE = ROOT / "ops" / "grafana-dashboard.json"
OPERATIONS = ROOT / "docs" / "operations.md"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

METRIC = re.compile(r"\b((?:tigerfans|process)_\w+)")
SELECTOR = re.compile(r"\b((?:tigerfans|process)_\w+)\{([^}]*)\}")
GROUPING = re.compile(r"by \(([^)]*)\)")


@pytest.fixture
async def series(sequencer: Sequencer, socket_path: Path) -> dict[str, set[str]]:
    """The labels of each series of a sequencer with one worker that is a clerk too, by name."""
    counters = Counters()
    counters.count_request("/api/checkout", 200, 0.01)
    counters.rounds["deliveries", RoundEnd.DONE] += 1
    counters.scans["admitted", False] += 1
    counters.mails = MailCounters()
    counters.mails.outbox = MailCounts(waiting=1, failing=0, given_up=0)
    client = await SequencerClient.connect(socket_path, name="worker-1", stats=counters.stats)
    await client.submit(Operation.CREATE_TRANSFERS, transfer(1))
    await until(lambda: any(connection.stats for connection in sequencer.connections))
    text = Exporter(sequencer).metrics().decode()
    await client.close()
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_every_panel_shows_what_is_measured(series: dict[str, set[str]]) -> None:
    queries = [(target["expr"], target["legendFormat"]) for p in PANELS for target in p["targets"]]
    for query, legend in queries:
        names = METRIC.findall(query)
        assert names, query
        assert set(names) <= series.keys(), query
        for name, selector in SELECTOR.findall(query):
            assert set(re.findall(r"(\w+)=", selector)) <= series[name], query
        grouped = {label for group in GROUPING.findall(query) for label in group.split(", ")}
        assert grouped <= set().union(*(series[name] for name in names)), query
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= grouped, query


async def test_what_an_operator_is_to_watch_is_measured(series: dict[str, set[str]]) -> None:
    rows = [line for line in OPERATIONS.read_text().splitlines() if line.startswith("| `")]
    queries = [query for row in rows for query in [row.split("`")[1]] if METRIC.search(query)]
    assert len(queries) > 5
    for query in queries:
        assert set(METRIC.findall(query)) <= series.keys(), query
        for name, selector in SELECTOR.findall(query):
            assert set(re.findall(r"(\w+)=", selector)) <= series[name], query


def test_no_panel_hides_behind_another() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
