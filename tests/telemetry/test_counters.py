import pytest

from tigerfans.ipc.stats import Family, decode_stats, encode_stats
from tigerfans.presence import Presence
from tigerfans.telemetry.counters import Counters, timed
from tigerfans.telemetry.histogram import Histogram


def family(counters: Counters, name: str) -> Family:
    """As the sequencer reads it."""
    sent = decode_stats(encode_stats(counters.stats()))
    (found,) = (family for family in sent if family["name"] == name)
    return found


def test_an_observation_is_counted_in_the_first_bucket_that_is_large_enough() -> None:
    histogram = Histogram([1, 2])
    for value in (0, 1, 1.5, 2, 3):
        histogram.observe(value)
    assert (histogram.buckets, histogram.count, histogram.sum) == ([2, 2, 1], 5, 7.5)


def test_requests_are_counted_by_route_and_status() -> None:
    counters = Counters()
    for route, status in [("/api/checkout", 200), ("/api/checkout", 409), ("/api/checkout", 200)]:
        counters.count_request(route, status, 0.001)
    assert family(counters, "tigerfans_http_requests_total")["samples"] == [
        {"labels": ["/api/checkout", "200"], "value": 2},
        {"labels": ["/api/checkout", "409"], "value": 1},
    ]


def test_each_route_has_its_latencies() -> None:
    counters = Counters()
    counters.count_request("/", 200, 100.0)
    (sample,) = family(counters, "tigerfans_http_request_seconds")["samples"]
    assert sample["labels"] == ["/"]
    assert (sample["buckets"][-1], sample["sum"]) == (1, 100.0)


def test_counters_of_a_worker_without_requests_are_valid() -> None:
    samples = family(Counters(), "tigerfans_stage_seconds")["samples"]
    assert [sample["labels"] for sample in samples] == [["ledger"], ["session"], ["order"]]


def test_the_stores_a_worker_talks_to_are_up_or_away() -> None:
    counters = Counters()
    counters.presences = [Presence("redis", "Redis"), Presence("postgresql", "PostgreSQL")]
    counters.presences[1].failed("hung up")
    assert family(counters, "tigerfans_store_up")["samples"] == [
        {"labels": ["redis"], "value": 1},
        {"labels": ["postgresql"], "value": 0},
    ]
    assert family(counters, "tigerfans_store_outages_total")["samples"] == [
        {"labels": ["redis"], "value": 0},
        {"labels": ["postgresql"], "value": 1},
    ]


async def answer() -> str:
    return "answer"


async def fail() -> str:
    raise ValueError


async def test_an_answer_is_timed_and_given() -> None:
    counters = Counters()
    assert await timed(counters.order, answer()) == "answer"
    assert counters.order.count == 1


async def test_a_failure_is_timed_and_raised() -> None:
    counters = Counters()
    with pytest.raises(ValueError):  # noqa: PT011
        await timed(counters.ledger, fail())
    assert counters.ledger.count == 1
