from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tigerfans.ipc.frames import STATS_SIZE_MAX
from tigerfans.ipc.stats import Stats, StatsError, decode_stats, encode_stats

STATS: Stats = [
    {
        "name": "tigerfans_http_requests_total",
        "type": "counter",
        "help": "Requests.",
        "labels": ["route", "status"],
        "samples": [{"labels": ["/api/checkout", "200"], "value": 12}],
    },
    {
        "name": "tigerfans_http_request_seconds",
        "type": "histogram",
        "help": "Latency.",
        "labels": ["route"],
        "bounds": [0.01, 0.1],
        "samples": [{"labels": ["/api/checkout"], "buckets": [10, 2, 0], "sum": 0.25}],
    },
]


def changed(**fields: Any) -> bytes:
    return orjson.dumps([{**STATS[0], **fields}])


def test_counters_are_read_back() -> None:
    assert decode_stats(encode_stats(STATS)) == STATS


@pytest.mark.parametrize(
    "payload",
    [
        b"not JSON",
        b"{}",
        b"[1]",
        changed(name="http_requests_total"),
        changed(name="tigerfans_http requests_total"),
        changed(name="tigerfans_http_requests"),
        changed(type="summary"),
        changed(labels=["route", "worker"]),
        changed(labels=["route", 1]),
        changed(bounds=[1, 2]),
        changed(samples=[{"labels": ["too few"], "value": 1}]),
        changed(samples=[{"labels": ["/", "200"], "value": "12"}]),
        changed(samples=[{"labels": ["/", 200], "value": 12}]),
        changed(samples=[{"labels": ["/", "200"], "buckets": [1], "sum": 1}]),
        orjson.dumps([{**STATS[1], "bounds": ["0.1"]}]),
        orjson.dumps([{**STATS[1], "bounds": [0.1]}]),
    ],
)
def test_anything_else_is_refused_as_a_whole(payload: bytes) -> None:
    with pytest.raises(StatsError):
        decode_stats(payload)


@given(st.binary(max_size=200))
def test_garbage_is_refused(garbage: bytes) -> None:
    if garbage.strip() != b"[]":
        with pytest.raises(StatsError):
            decode_stats(garbage)


def test_too_many_counters_are_refused_on_either_end() -> None:
    samples = [{"labels": [str(number), "200"], "value": 1} for number in range(STATS_SIZE_MAX)]
    with pytest.raises(StatsError, match="at most 65536 are sent"):
        encode_stats([{**STATS[0], "samples": samples}])  # type: ignore[typeddict-item]
    with pytest.raises(StatsError, match="at most 65536 are taken"):
        decode_stats(b" " * (STATS_SIZE_MAX + 1))
