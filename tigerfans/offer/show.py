"""The show that the tickets are for."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final


@dataclass(frozen=True, slots=True)
class Show:
    """What the tickets are for; both times carry the venue's own offset."""

    name: str
    venue: str
    starts_at: datetime
    ends_at: datetime

    @property
    def day(self) -> str:
        """Such as `Friday 18 June 2027`."""
        return f"{self.starts_at:%A} {self.starts_at.day} {self.starts_at:%B %Y}"


_HAMBURG_SUMMER: Final = timezone(timedelta(hours=2))

SHOW: Final = Show(
    name="TigerFans 2027",
    venue="Tiger Hall, Hamburg",
    starts_at=datetime(2027, 6, 18, 10, tzinfo=_HAMBURG_SUMMER),
    ends_at=datetime(2027, 6, 18, 23, tzinfo=_HAMBURG_SUMMER),
)
