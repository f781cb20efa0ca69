"""What a provider does to those who rely on it: limits, delays, cut connections, errors.

Limits are those of Stripe's documentation: 25 requests a second for each endpoint, and 100 for the
account in live mode; in a sandbox 25 for all. They are counted as a bucket that refills.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.stripe_server.errors import INVALID_REQUEST, ApiError

PER_ENDPOINT: Final = 25.0
OVERALL: Final = 100.0

# slow: the answer takes `seconds`; slow_after: the work is done at once, and the answer takes them.
# cut: the connection ends before the work; cut_after: after it.
# error: 500 before the work; error_after: 500 after it, and the key answers what it came to;
# error_kept: 500 after it, and the key answers the same 500, as Stripe documents for its API v1.
# limited: 429, below the limit.
What = Literal[
    "slow", "slow_after", "cut", "cut_after", "error", "error_after", "error_kept", "limited"
]
EVERY: Final = "*"


@dataclass
class Rule:
    """Happens to requests of an endpoint, such as `POST /v1/refunds`, so often; None is always."""

    what: What
    endpoint: str = EVERY
    times: int | None = 1
    probability: float = 1.0
    seconds: float = 0.0


@dataclass
class Bucket:
    """`rate` a second, and as many at once, which is one at least."""

    rate: float
    clock: Callable[[], float] = time.monotonic
    _tokens: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._tokens = self._most
        self._at = self.clock()

    @property
    def _most(self) -> float:
        return max(self.rate, 1.0)

    def take(self) -> bool:
        now = self.clock()
        self._tokens = min(self._most, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Misbehaviour:
    """The limits, and what was asked for besides. A limit of None is none."""

    def __init__(
        self, per_endpoint: float | None = PER_ENDPOINT, overall: float | None = OVERALL
    ) -> None:
        self.rules: list[Rule] = []
        # How many requests were answered by which status, for each endpoint.
        self.answers: Counter[tuple[str, int]] = Counter()
        self._random = random.Random(0)
        self.limit(per_endpoint, overall)

    def limit(self, per_endpoint: float | None, overall: float | None) -> None:
        self._per_endpoint = per_endpoint
        self._overall = None if overall is None else Bucket(overall)
        self._buckets: dict[str, Bucket] = {}

    def check(self, endpoint: str) -> None:
        """Raises what a request past a limit is answered with."""
        if self._overall is not None and not self._overall.take():
            raise _too_many("global-rate")
        if self._per_endpoint is not None:
            bucket = self._buckets.setdefault(endpoint, Bucket(self._per_endpoint))
            if not bucket.take():
                raise _too_many("endpoint-rate")

    def next_for(self, endpoint: str) -> Rule | None:
        """What happens to this request; the first rule that applies, one time less."""
        for rule in self.rules:
            if rule.endpoint not in (EVERY, endpoint) or self._random.random() >= rule.probability:
                continue
            if rule.times is not None:
                rule.times -= 1
                if rule.times == 0:
                    self.rules.remove(rule)
            return rule
        return None


def _too_many(reason: str) -> ApiError:
    return ApiError(
        "Request rate limit exceeded. You can learn more about rate limits in the documentation "
        "of the API.",
        status=429,
        kind=INVALID_REQUEST,
        code="rate_limit",
        headers={"stripe-rate-limited-reason": reason},
    )


def limited() -> ApiError:
    return _too_many("global-concurrency")
