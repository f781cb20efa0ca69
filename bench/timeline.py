"""When each purchase happened, beside how long it took: what a stretch of time did to those in it.

Times are in seconds; moments count from `origin`, the moment the record was made.
"""

import time
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.purchase import Record, Wish


class Trouble(NamedTuple):
    """A purchase that did not end as it should."""

    at: float
    outcome: str


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time with a name."""

    name: str
    began: float
    ended: float

    def holds(self, at: float) -> bool:
        return self.began <= at < self.ended


class Timeline(Record):
    """A record that keeps when each latency began, and what went wrong when."""

    def __init__(self) -> None:
        super().__init__()
        self.origin = time.perf_counter()
        self.began: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
        self.troubles: list[Trouble] = []

    @property
    def now(self) -> float:
        return time.perf_counter() - self.origin

    def observe(self, step: str, started: float) -> None:
        super().observe(step, started)
        self.began[step].append(started - self.origin)

    def count(self, outcome: str, wish: Wish) -> None:
        super().count(outcome, wish)
        if outcome != wish.fulfilled:
            self.troubles.append(Trouble(self.now, outcome))

    def by_window(
        self, step: str, windows: Sequence[Window], otherwise: str
    ) -> dict[str, "array[float]"]:
        """The latencies of a step by the window in which each began, `otherwise` where in none.

        Windows do not overlap.
        """
        found = {name: array("d") for name in (otherwise, *(w.name for w in windows))}
        for at, seconds in zip(self.began[step], self.seconds[step], strict=True):
            name = next((w.name for w in windows if w.holds(at)), otherwise)
            found[name].append(seconds)
        return found

    def by_second(self, step: str) -> Iterator[tuple[int, list[float]]]:
        """The latencies of a step, ordered, for each second in which some began."""
        pairs = sorted(zip(self.began[step], self.seconds[step], strict=True))
        moments = [at for at, _ in pairs]
        start = 0
        while start < len(pairs):
            second = int(moments[start])
            end = bisect_left(moments, second + 1, start)
            yield second, sorted(seconds for _, seconds in pairs[start:end])
            start = end
