"""From many latencies to the few figures that are read."""

import math
from collections.abc import Sequence
from typing import Final

PERCENTILES: Final = (50, 90, 99, 100)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` % of an ordered, non-empty sequence do not exceed."""
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[max(0, rank - 1)]


def summarise(seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles in milliseconds, `p50` to `p100`; empty where there is nothing to summarise."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    return {f"p{percent}": percentile(ordered, percent) * 1e3 for percent in PERCENTILES}
