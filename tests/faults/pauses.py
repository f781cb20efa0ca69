"""How long whoever got no answer waits before asking again."""

from collections.abc import Iterator

PAUSE_SECONDS_MIN = 0.05
PAUSE_SECONDS_MAX = 1.0


def pauses() -> Iterator[float]:
    """Pauses between attempts, in seconds: growing, and without end."""
    pause_s = PAUSE_SECONDS_MIN
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, PAUSE_SECONDS_MAX)
