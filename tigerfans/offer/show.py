"""The show that the tickets are for."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final


@dataclass(frozen=True, slots=True)
class Show:
    """What the tickets are for; both times are in the venue's own zone, which has a name."""

    name: str
    venue: str
    starts_at: datetime
    ends_at: datetime

    @property
    def day(self) -> str:
        """Such as `Friday 18 June 2027`."""
        return f"{self.starts_at:%A} {self.starts_at.day} {self.starts_at:%B %Y}"

    @property
    def time(self) -> str:
        """When it begins, such as `10:00 CEST`: where the show is, wherever the reader is."""
        return f"{self.starts_at:%H:%M %Z}"


_HAMBURG_SUMMER: Final = timezone(timedelta(hours=2), "CEST")

SHOW: Final = Show(
    name="TigerFans 2027",
    venue="Tiger Hall, Hamburg",
    starts_at=datetime(2027, 6, 18, 10, tzinfo=_HAMBURG_SUMMER),
    ends_at=datetime(2027, 6, 18, 23, tzinfo=_HAMBURG_SUMMER),
)
