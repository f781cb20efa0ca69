"""The line to a provider that gives so many sessions a second: no more is sold than can be paid.

Every order has its place from the checkout on, so that the line is as long as what is held. A
checkout whose turn would come when too little of its hold is left is refused, and told when to come
back. A provider that has no line costs nothing here.
"""

import logging
from typing import Final, NamedTuple

from tigerfans.errors import LineTooLongError, UnavailableError
from tigerfans.payments.base import PaymentLine
from tigerfans.shop.backends import Backends

# Of a hold, what may be spent on waiting: the rest is for finding the card.
WAITING_SHARE: Final = 0.5

logger = logging.getLogger(__name__)


class LineEstimate(NamedTuple):
    """How long whoever checks out now waits for the payment, and how long they may, in seconds."""

    wait_seconds: float
    wait_seconds_max: float

    @property
    def excess_seconds(self) -> float:
        return max(0.0, self.wait_seconds - self.wait_seconds_max)


async def estimate(backends: Backends) -> LineEstimate | None:
    """The line as it is now, at most `backends.LINE_SECONDS` old; None where there is none.

    Raises `UnavailableError` where Redis does not answer.
    """
    if backends.line_wait is None:
        return None
    return LineEstimate(await backends.line_wait.get(), backends.hold_seconds * WAITING_SHARE)


async def too_long(backends: Backends) -> LineTooLongError | None:
    """Why nothing is held now that was not held before; None where it can be paid in time.

    Raises as `estimate`.
    """
    line = await estimate(backends)
    return LineTooLongError(line.excess_seconds) if line and line.excess_seconds else None


async def join(line: PaymentLine, order_id: str) -> None:
    """Takes the place of an order; where Redis is away now, its page takes one when it asks."""
    try:
        await line.join(order_id)
    except UnavailableError:
        logger.warning("order %s has no place in the payment line yet", order_id)
