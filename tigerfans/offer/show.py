"""The show that the tickets are for."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from babel.dates import format_date

# Of days and months: British, for `18 June`.
LOCALE: Final = "en_GB"

_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Show:
    """What the tickets are for; both times are in the venue's own zone, `time_zone`.

    `organiser` is who invites, at the head of each page. The `headline` is what the landing page
    shouts, the `description` what it says below; either may be empty.
    """

    name: str
    venue: str
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    organiser: str
    headline: str = ""
    description: str = ""

    @property
    def day(self) -> str:
        """Such as `Friday 18 June 2027`."""
        return day_of(self.starts_at)

    @property
    def time(self) -> str:
        """When it begins, such as `10:00 CEST`: where the show is, wherever the reader is."""
        return time_of(self.starts_at)

    @property
    def short_day(self) -> str:
        """Such as `18 Jun`."""
        return format_date(self.starts_at.date(), "dd MMM", LOCALE)

    @property
    def headline_sentences(self) -> list[str]:
        """The headline, a sentence each; the show's name where there is none."""
        return _SENTENCE_END.split(self.headline or self.name)


def day_of(moment: datetime) -> str:
    """Such as `Friday 18 June 2027`."""
    return format_date(moment.date(), "EEEE d MMMM y", LOCALE)


def time_of(moment: datetime) -> str:
    """Such as `10:00 CEST`, or `10:00 UTC−03:00` in a zone that has no letters."""
    name = moment.tzname() or ""
    return f"{moment:%H:%M} {name if name.isalpha() else _offset_name(moment)}"


def moment_words(moment: datetime) -> str:
    """Such as `Friday 18 June 2027, 10:00 CEST`."""
    return f"{day_of(moment)}, {time_of(moment)}"


def _offset_name(moment: datetime) -> str:
    offset = moment.utcoffset() or timedelta()
    minutes = abs(offset) // timedelta(minutes=1)
    # A minus, for a line may end behind a hyphen.
    sign = "\N{MINUS SIGN}" if offset < timedelta() else "+"
    return f"UTC{sign}{minutes // 60:02}:{minutes % 60:02}"
