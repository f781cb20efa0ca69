"""The line to a provider that gives so many sessions a second: no more is sold than can be paid.

Every order has its place from the checkout on, so that the line is as long as what is held. A
checkout whose turn would come when too little of its hold is left is refused, and told when to come
back. A provider that has no line costs nothing here.

Most are refused before anything is held, by the line as it was a moment ago. Thousands may come
within that moment: who takes a place is asked for exactly, and where there is no room for it any
more, what was held is given back. A place that is given back is nobody else's. Those behind it were
told their times, which stay as they are; a line is no longer than half of a hold, and that is how
soon it has forgotten who left.
"""

import logging
from typing import Final, NamedTuple

from tigerfans.errors import LineTooLongError, UnavailableError
from tigerfans.payments.base import PaymentLine
from tigerfans.shop.backends import Backends

# Of a hold, what may be spent on waiting: the rest is for finding the card.
WAITING_SHARE: Final = 0.5
# Who was refused comes back no sooner, for until then there is room for few of them.
RETRY_SECONDS_MIN: Final = 5

logger = logging.getLogger(__name__)


class LineEstimate(NamedTuple):
    """How long whoever checks out now waits for the payment, and how long they may, in seconds."""

    wait_seconds: float
    wait_seconds_max: float


async def estimate(backends: Backends) -> LineEstimate | None:
    """The line as it is now, at most `backends.LINE_SECONDS` old; None where there is none.

    Raises `UnavailableError` where Redis does not answer.
    """
    if backends.line_wait is None:
        return None
    return LineEstimate(await backends.line_wait.get(), _wait_seconds_max(backends))


async def too_long(backends: Backends) -> LineTooLongError | None:
    """Why nothing is held now that was not held before; None where it can be paid in time.

    Raises as `estimate`.
    """
    line = await estimate(backends)
    if line is None or line.wait_seconds <= line.wait_seconds_max:
        return None
    return _refusal(line.wait_seconds - line.wait_seconds_max)


async def join(backends: Backends, line: PaymentLine, order_id: str) -> LineTooLongError | None:
    """Takes the place of an order; why there is none for it, where it could not be paid in time.

    Where Redis is away now, its page takes one when it asks.
    """
    wait_seconds_max = _wait_seconds_max(backends)
    try:
        place = await line.join(order_id, wait_seconds_max)
    except UnavailableError:
        logger.warning("order %s has no place in the payment line yet", order_id)
        return None
    return None if place.is_taken else _refusal(place.wait_seconds - wait_seconds_max)


def _wait_seconds_max(backends: Backends) -> float:
    return backends.hold_seconds * WAITING_SHARE


def _refusal(excess_seconds: float) -> LineTooLongError:
    """It says when there is room, as far as that is known: others are told the same."""
    return LineTooLongError(max(RETRY_SECONDS_MIN, excess_seconds))
