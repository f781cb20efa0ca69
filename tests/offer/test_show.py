"""What the tickets are for."""

from dataclasses import replace
from datetime import UTC, datetime

from tigerfans.offer.show import SHOW


def test_the_shows_day_reads_as_people_write_it() -> None:
    starts_at = datetime(2027, 6, 3, tzinfo=UTC)
    assert replace(SHOW, starts_at=starts_at).day == "Thursday 3 June 2027"
