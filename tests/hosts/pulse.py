"""How long somebody waited, and nobody was served: the pause that a fault makes.

It begins when the first one waits after the last one was served, and ends with the next one who is
served. Who got no answer, or a 503, still waits; who is told that all is sold out has left.
"""

import time
from collections.abc import Callable


class Pulse:
    """`now` is a clock in seconds that never goes back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._waiting: set[bytes] = set()
        self._since: float | None = None
        self._longest = 0.0

    def ask(self, who: bytes) -> None:
        self._waiting.add(who)
        if self._since is None:
            self._since = self._now()

    def serve(self, who: bytes) -> None:
        now = self._now()
        if self._since is not None:
            self._longest = max(self._longest, now - self._since)
        self._waiting.discard(who)
        self._since = now if self._waiting else None

    def leave(self, who: bytes) -> None:
        """They were refused, and wait no more: that is no pause."""
        self._waiting.discard(who)
        if not self._waiting:
            self._since = None

    def take(self) -> float:
        """The longest pause since the last call, in seconds, one that has not ended among them."""
        lasting = 0.0 if self._since is None else self._now() - self._since
        longest, self._longest = max(self._longest, lasting), 0.0
        return longest
