"""When something is on sale: from a moment on, until another one."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SaleState(StrEnum):
    NOT_YET = "not_yet"
    OPEN = "open"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Window:
    """From `opens_at` on, and before `closes_at`; None is without an end on that side."""

    opens_at: datetime | None = None
    closes_at: datetime | None = None

    @property
    def seconds(self) -> tuple[float, float]:
        """Both in seconds since the epoch."""
        opens = -math.inf if self.opens_at is None else self.opens_at.timestamp()
        closes = math.inf if self.closes_at is None else self.closes_at.timestamp()
        return opens, closes
