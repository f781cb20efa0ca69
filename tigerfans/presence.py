"""Whether a store answers, told once when it goes and once when it is back.

Whoever talks to a store says of each batch whether it was answered. A rush makes thousands of
failures of one outage, on several connections, and some of them come when others work again; or it
is only writes that fail, because a disk is full, and reads between them do not. So a store counts
as back when it answers and nothing has failed for a while.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from tigerfans.errors import UnavailableError

# Longer than any deadline of a store: what was asked before it came back has failed by then.
SETTLE_SECONDS: Final = 5.0
# A store that nobody needs right now is asked as well: an outage at night is noticed at night.
WATCH_SECONDS: Final = 1.0

Ask = Callable[[], Awaitable[object]]
Clock = Callable[[], float]

logger = logging.getLogger(__name__)


class Presence:
    """One store, as one process sees it: by `key` in metrics, by `name` in sentences.

    `outages` counts how often it went.
    """

    def __init__(self, key: str, name: str, clock: Clock = time.monotonic) -> None:
        self.key = key
        self.name = name
        self.is_up = True
        self.outages = 0
        self._clock = clock
        self._failed_at = 0.0

    def __repr__(self) -> str:
        state = "up" if self.is_up else "away"
        return f"<Presence of {self.key}: {state}, {self.outages} outages>"

    def answered(self) -> None:
        """Something that the store was asked got its answer."""
        if not self.is_up and self._clock() - self._failed_at >= SETTLE_SECONDS:
            self.is_up = True
            logger.warning("%s answers again.", self.name)

    def failed(self, reason: object) -> None:
        """It did not answer, or could not do what it was asked."""
        self._failed_at = self._clock()
        if self.is_up:
            self.is_up = False
            self.outages += 1
            logger.error("%s is away: %s", self.name, _sentence(reason))


async def watch(presence: Presence, ask: Ask) -> None:
    """Asks a store for a sign of life again and again.

    An `UnavailableError` of `ask` says no more than `presence` was told already, if it was.
    """
    while True:
        try:
            await ask()
        except UnavailableError:
            pass
        except Exception as error:
            presence.failed(error)
        else:
            presence.answered()
        await asyncio.sleep(WATCH_SECONDS)


def _sentence(reason: object) -> str:
    """The first line of a reason: what follows in PostgreSQL's words may be a row."""
    if not isinstance(reason, BaseException):
        return str(reason)
    first, _, _ = str(reason).partition("\n")
    return f"{type(reason).__name__}: {first}".removesuffix(": ")
