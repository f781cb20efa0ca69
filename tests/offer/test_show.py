"""What the tickets are for."""

from dataclasses import replace
from datetime import UTC, datetime

from tests.offers import SHOW


def test_the_shows_day_reads_as_people_write_it() -> None:
    starts_at = datetime(2027, 6, 3, tzinfo=UTC)
    assert replace(SHOW, starts_at=starts_at).day == "Thursday 3 June 2027"


def test_the_shows_time_names_the_zone_of_the_venue() -> None:
    assert SHOW.time == "20:00 CEST"
    assert all(at.tzname() == "CEST" for at in (SHOW.starts_at, SHOW.ends_at))
