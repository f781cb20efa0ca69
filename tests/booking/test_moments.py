"""Counts since the epoch, and the moments they are."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from tigerfans.booking.moments import microseconds_of, moment_at


def test_a_count_is_a_moment_in_utc() -> None:
    assert moment_at(1_795_348_800_000_001) == datetime(2026, 11, 22, 12, 0, 0, 1, tzinfo=UTC)


def test_a_moment_with_another_offset_has_the_same_count() -> None:
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert microseconds_of(noon.astimezone(timezone(timedelta(hours=2)))) == microseconds_of(noon)


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))
def test_a_count_and_its_moment_are_the_same_to_the_microsecond(moment: datetime) -> None:
    assert moment_at(microseconds_of(moment)) == moment
