"""Which stores answer, in the form in which metrics travel.

Workers say it of the sequencer, Redis and PostgreSQL, the sequencer of the ledger. What a worker
says of the sequencer arrives only while that is there, so its outages are what is worth reading.
"""

from collections.abc import Iterable

from tigerfans.ipc.stats import Family, Stats
from tigerfans.presence import Presence


def store_families(presences: Iterable[Presence]) -> Stats:
    """A gauge of who is there, and a counter of how often each went."""
    by_key = {presence.key: presence for presence in presences}
    return [
        Family(
            name="tigerfans_store_up",
            type="gauge",
            help="Whether the store answers: 1, or 0 while it is away.",
            labels=["store"],
            samples=[{"labels": [key], "value": int(p.is_up)} for key, p in by_key.items()],
        ),
        Family(
            name="tigerfans_store_outages_total",
            type="counter",
            help="How often the store went.",
            labels=["store"],
            samples=[{"labels": [key], "value": p.outages} for key, p in by_key.items()],
        ),
    ]
