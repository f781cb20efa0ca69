"""How long somebody waited, and nobody was served: the pause that a fault makes.

It begins when the first one asks after the last one was served, and ends with the next one who is
served; while nobody asks, nobody waits. Who got no answer, or a 503, still waits.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Pulse:
    """`now` is a clock in seconds that never goes back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._asking = 0
        self._since: float | None = None
        self._longest = 0.0
        self.served = 0

    @contextmanager
    def asked(self) -> Iterator[Callable[[], None]]:
        """One request; what it gives is called once it is answered."""
        self._asking += 1
        if self._since is None:
            self._since = self._now()
        try:
            yield self._answered
        finally:
            self._asking -= 1

    def take(self) -> float:
        """The longest pause since the last call, in seconds, one that has not ended among them."""
        lasting = 0.0 if self._since is None else self._now() - self._since
        longest, self._longest = max(self._longest, lasting), 0.0
        return longest

    def _answered(self) -> None:
        now = self._now()
        if self._since is not None:
            self._longest = max(self._longest, now - self._since)
        self.served += 1
        # The one who is served is still among those who ask.
        self._since = now if self._asking > 1 else None
