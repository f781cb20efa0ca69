"""A worker's counters on their way to the sequencer's `/metrics`: families of samples, as JSON.

A worker keeps plain numbers and hands over a `Stats` about once a second; the sequencer shows
what it got last, with the worker's name as one more label. The form is Prometheus' own model, so
that a new counter in a worker needs no change in the sequencer. A payload that is not in this
form is refused as a whole with `StatsError`.
"""

import re
from typing import Any, Final, Literal, NamedTuple, NotRequired, TypedDict, cast

import orjson

from tigerfans.ipc.frames import STATS_SIZE_MAX

WORKER_LABEL: Final = "worker"
# The two families that the sequencer reads itself: orders by the step they took, and who the worker
# is, a value of 1 with all that is told in its labels.
ORDER_STEPS_TOTAL: Final = "tigerfans_order_steps_total"
WORKER_INFO: Final = "tigerfans_worker_info"
_NAME: Final = re.compile(r"tigerfans_[a-z0-9_]{1,100}")
_LABEL: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")


class Sample(TypedDict):
    """One series of a family: a value, or a histogram's buckets and the sum of its observations.

    `buckets` counts the observations up to each bound of the family, each bucket its own (not
    cumulative), with one more at the end for those beyond the last bound.
    """

    labels: list[str]
    value: NotRequired[float]
    buckets: NotRequired[list[int]]
    sum: NotRequired[float]


class Family(TypedDict):
    """One metric: its full name (a counter's ends in `_total`), and its series by label values."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: list[str]
    bounds: NotRequired[list[float]]
    samples: list[Sample]


Stats = list[Family]


class WorkerInfo(NamedTuple):
    """A worker's `version`, the digits by which its `shop` is known in Redis, and the digest of the
    `offer` that it sells.
    """

    version: str
    shop: str
    offer: str = ""

    def family(self) -> Family:
        return Family(
            name=WORKER_INFO,
            type="gauge",
            help="The worker's version, its shop's digits in Redis, and a digest of what it sells.",
            labels=list(self._fields),
            samples=[{"labels": list(self), "value": 1}],
        )

    @classmethod
    def of(cls, stats: Stats) -> "WorkerInfo | None":
        """None of a worker of an earlier release, which does not say."""
        for family in stats:
            if family["name"] == WORKER_INFO and family["samples"]:
                told = dict(zip(family["labels"], family["samples"][0]["labels"], strict=True))
                return cls(*(told.get(label, "") for label in cls._fields))
        return None


class StatsError(Exception):
    """The counters are not in the form of `Stats`."""


def encode_stats(stats: Stats) -> bytes:
    """The payload of a STATS frame; raises `StatsError` if it is too large."""
    payload = orjson.dumps(stats)
    if len(payload) > STATS_SIZE_MAX:
        raise StatsError(f"{len(payload)} bytes of counters, at most {STATS_SIZE_MAX} are sent")
    return payload


def decode_stats(payload: bytes) -> Stats:
    """Reads the payload of a STATS frame and checks it as a whole; raises `StatsError`."""
    if len(payload) > STATS_SIZE_MAX:
        raise StatsError(f"{len(payload)} bytes of counters, at most {STATS_SIZE_MAX} are taken")
    try:
        families = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise StatsError(f"the counters are not JSON: {error}") from None
    if not isinstance(families, list) or not all(_is_family(family) for family in families):
        raise StatsError("the counters are not families of samples")
    return cast(Stats, families)


def _is_family(family: Any) -> bool:
    match family:
        case {
            "name": str(name),
            "type": "counter" | "gauge" | "histogram" as kind,
            "help": str(),
            "labels": list(labels),
            "samples": list(samples),
        }:
            bounds = family.get("bounds", [])
            buckets_count = len(bounds) + 1 if kind == "histogram" else None
            return (
                _NAME.fullmatch(name) is not None
                and (kind == "counter") == name.endswith("_total")
                and WORKER_LABEL not in labels
                and all(isinstance(label, str) and _LABEL.fullmatch(label) for label in labels)
                and _are_numbers(bounds)
                and (kind == "histogram") == bool(bounds)
                and all(_is_sample(sample, len(labels), buckets_count) for sample in samples)
            )
    return False


def _is_sample(sample: Any, labels_count: int, buckets_count: int | None) -> bool:
    """`buckets_count` is None for a family of values."""
    match sample:
        case {"labels": list(labels), "value": int() | float()} if buckets_count is None:
            pass
        case {"labels": list(labels), "buckets": list(buckets), "sum": int() | float()}:
            if len(buckets) != buckets_count or not _are_numbers(buckets):
                return False
        case _:
            return False
    return len(labels) == labels_count and all(isinstance(label, str) for label in labels)


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, int | float) for value in values)
