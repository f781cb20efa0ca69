"""What happened when, and during what."""

import time

import pytest

from bench.purchase import WHOLE, Wish
from bench.timeline import Timeline, Window

CALM = "calm"
WISH = Wish("A", "fan@example.org", "succeeded")


def a_timeline(*began: float) -> Timeline:
    """With purchases that began then, the first one long after all."""
    timeline = Timeline()
    for at in began:
        timeline.observe(WHOLE, timeline.origin + at)
    return timeline


def test_what_began_in_a_window_is_told_apart_from_the_rest() -> None:
    timeline = a_timeline(0.5, 1.0, 1.9, 2.0)
    found = timeline.by_window(WHOLE, [Window("backup", 1.0, 2.0)], CALM)
    assert {name: len(seconds) for name, seconds in found.items()} == {CALM: 2, "backup": 2}


def test_a_window_in_which_nothing_began_is_empty() -> None:
    found = a_timeline(0.5).by_window(WHOLE, [Window("backup", 1.0, 2.0)], CALM)
    assert not found["backup"]


def test_each_second_has_what_began_in_it_the_fastest_first() -> None:
    timeline = a_timeline(0.2, 0.1, 2.5)
    seconds = dict(timeline.by_second(WHOLE))
    assert {second: len(found) for second, found in seconds.items()} == {0: 2, 2: 1}
    assert seconds[0] == sorted(seconds[0])


def test_what_did_not_end_as_it_should_is_kept_with_its_time() -> None:
    timeline = Timeline()
    timeline.count("PAID", WISH)
    timeline.count("busy", WISH)
    ((at, outcome),) = timeline.troubles
    assert outcome == "busy"
    assert 0 <= at <= time.perf_counter() - timeline.origin
    assert (timeline.total, timeline.fulfilled) == (2, 1)


def test_a_latency_is_that_of_the_record_as_well() -> None:
    timeline = a_timeline(-1.0)
    assert timeline.seconds[WHOLE][0] == pytest.approx(1.0, abs=0.5)
