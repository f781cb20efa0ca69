"""What a worker counts: its requests by route and status, and where their time goes.

Plain numbers that are cheap to keep; `Counters.stats` gives them in the form in which they travel
to the sequencer's `/metrics`. All of it costs a request 1.6 to 2.5 µs
(docs/performance-notebook.md).
"""

from collections import Counter
from collections.abc import Awaitable, Mapping
from enum import StrEnum
from time import perf_counter
from typing import Final, TypeVar

from tigerfans import __version__
from tigerfans.ipc.stats import ORDER_STEPS_TOTAL, Family, Stats, WorkerInfo
from tigerfans.presence import Presence
from tigerfans.telemetry.histogram import SECONDS_BOUNDS, Histogram
from tigerfans.telemetry.mails import MailCounters
from tigerfans.telemetry.steps import Step
from tigerfans.telemetry.stores import store_families

Output = TypeVar("Output")

STAGE_SECONDS: Final = "tigerfans_stage_seconds"


class RoundEnd(StrEnum):
    """How a round of one of a clerk's duties ended."""

    DONE = "done"
    # A store did not answer.
    AWAY = "away"
    # By a mistake, which is in the log.
    FAILED = "failed"


class Counters:
    """One worker's numbers since it started.

    `stages` are the seconds from asking a store to its answer or failure: `ledger` is the
    sequencer with what is behind it, `session` is Redis, `order` is PostgreSQL. Waiting for a
    batch is part of each. `shop` is what the shop is known by in Redis, `offer` the digest of what
    is sold. `steps` are those that orders took by this worker, `presences` the stores that it talks
    to. `rounds` are a clerk's, by its duty and by how they ended. `scans` are the door's that were
    answered, by what they came to and whether that is an incident, told again or not.
    """

    def __init__(self, shop: str = "", offer: str = "") -> None:
        self.info: Final = WorkerInfo(__version__, shop, offer)
        self.presences: list[Presence] = []
        self.ledger = Histogram(SECONDS_BOUNDS)
        self.session = Histogram(SECONDS_BOUNDS)
        self.order = Histogram(SECONDS_BOUNDS)
        self.stages = {"ledger": self.ledger, "session": self.session, "order": self.order}
        self.requests: dict[tuple[str, int], int] = {}
        self.seconds: dict[str, Histogram] = {}
        self.steps = dict.fromkeys(Step, 0)
        self.rounds: Counter[tuple[str, RoundEnd]] = Counter()
        self.scans: Counter[tuple[str, bool]] = Counter()
        # Of a process that sends mails.
        self.mails: MailCounters | None = None

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """One request that came to its end; a route is a path's template, so they are few."""
        key = route, status
        self.requests[key] = self.requests.get(key, 0) + 1
        histogram = self.seconds.get(route)
        if histogram is None:
            histogram = self.seconds[route] = Histogram(SECONDS_BOUNDS)
        histogram.observe(seconds)

    def stats(self) -> Stats:
        """All of it, for `SequencerClient`."""
        return [
            Family(
                name="tigerfans_http_requests_total",
                type="counter",
                help="Requests that came to their end.",
                labels=["route", "status"],
                samples=[
                    {"labels": [route, str(status)], "value": count}
                    for (route, status), count in self.requests.items()
                ],
            ),
            Family(
                name=ORDER_STEPS_TOTAL,
                type="counter",
                help="Orders that were held, paid and so on, and events that fit none.",
                labels=["step"],
                samples=[{"labels": [s], "value": n} for s, n in self.steps.items()],
            ),
            Family(
                name="tigerfans_door_scans_total",
                type="counter",
                help="Scans of tickets at the door that were answered, those told again included.",
                labels=["result", "incident"],
                samples=[
                    {"labels": [result, "yes" if is_incident else "no"], "value": count}
                    for (result, is_incident), count in self.scans.items()
                ],
            ),
            _histograms(
                "tigerfans_http_request_seconds",
                "Time from a request's headers to the end of its answer.",
                "route",
                self.seconds,
            ),
            _histograms(
                STAGE_SECONDS,
                "Time that requests waited for the ledger, Redis (session) or PostgreSQL (order).",
                "stage",
                self.stages,
            ),
            *(self.mails.families() if self.mails else ()),
            *store_families(self.presences),
            Family(
                name="tigerfans_clerk_rounds_total",
                type="counter",
                help="Rounds of a clerk's duties, by how they ended.",
                labels=["duty", "end"],
                samples=[
                    {"labels": [duty, end], "value": count}
                    for (duty, end), count in self.rounds.items()
                ],
            ),
            self.info.family(),
        ]


async def timed(stage: Histogram, answer: Awaitable[Output]) -> Output:
    """The answer, once `stage` has observed how long it took."""
    started = perf_counter()
    try:
        return await answer
    finally:
        stage.observe(perf_counter() - started)


def _histograms(name: str, text: str, label: str, by_label: Mapping[str, Histogram]) -> Family:
    return Family(
        name=name,
        type="histogram",
        help=text,
        labels=[label],
        bounds=list(SECONDS_BOUNDS),
        samples=[
            {"labels": [value], "buckets": histogram.buckets, "sum": histogram.sum}
            for value, histogram in by_label.items()
        ],
    )
