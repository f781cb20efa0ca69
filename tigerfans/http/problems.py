"""The one place that turns an error into an answer: a status, and a sentence for a person."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from tigerfans.batching import ClosedError, QueueFullError
from tigerfans.errors import (
    AllOnHoldError,
    LineTooLongError,
    NotOnSaleError,
    NotYourTurnError,
    ShopError,
    TooManyHoldsError,
    TooManyRequestsError,
)
from tigerfans.ledger.base import (
    LedgerBusyError,
    LedgerTimeoutError,
    LedgerUnavailableError,
)

RETRY_AFTER_SECONDS: Final = 1
# A hold comes back when it is canceled or runs out, and whoever asks for it more often only asks
# more often: with an Idempotency-Key, each time takes one of the key's attempts.
ON_HOLD_RETRY_AFTER_SECONDS: Final = 10

logger = logging.getLogger(__name__)

_RETRY: Final[Mapping[str, str]] = {"Retry-After": str(RETRY_AFTER_SECONDS)}
_RETRY_LATER: Final[Mapping[str, str]] = {"Retry-After": str(ON_HOLD_RETRY_AFTER_SECONDS)}


class ProblemAnswer(msgspec.Struct):
    """What went wrong, as a sentence for a person."""

    detail: str


class RefusalAnswer(ProblemAnswer):
    """Why no ticket is held: none is left or on sale, or only so many as are `available`, as
    `state` says; another Idempotency-Key is needed, for this one is not valid, sent with another
    body, refused too often, or used for an order that has ended as `order_status` says; or what
    `field` names is wrong.
    """

    state: Literal["on_hold", "sold_out", "too_few", "closed", "not_yet", "ended"] | UnsetType = (
        UNSET
    )
    available: int | UnsetType = UNSET
    on_sale_from: str | UnsetType = UNSET
    on_sale_until: str | UnsetType = UNSET
    new_key_needed: bool | UnsetType = UNSET
    order_status: Literal["FAILED", "CANCELED", "EXPIRED"] | UnsetType = UNSET
    field: Literal["customer_email", "qty"] | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as its cause hears of it."""

    status_code: int
    detail: str
    headers: Mapping[str, str] | None = None
    # What a program reads of it.
    fields: Mapping[str, str | bool | int] = field(default_factory=dict)

    @property
    def answer(self) -> dict[str, str | bool | int]:
        """The problem as JSON."""
        return {"detail": self.detail, **self.fields}


_BUSY: Final = Problem(503, "The shop is very busy right now. Please try again.", _RETRY)
_AWAY: Final = Problem(503, "The ticket ledger is away for a moment. Please try again.", _RETRY)
_UNKNOWN: Final = Problem(
    503, "The ticket ledger did not answer in time. Please check, then try again.", _RETRY
)
BUG: Final = Problem(500, "Something went wrong on our side.")


def explain(error: Exception) -> Problem | None:
    """How the error reads; None where it is a bug, which no caller can do anything about."""
    match error:
        case AllOnHoldError():
            return Problem(error.status, str(error), _RETRY_LATER, error.fields)
        case TooManyHoldsError() | TooManyRequestsError() | NotYourTurnError() | LineTooLongError():
            wait = {"Retry-After": str(error.retry_after_seconds)}
            return Problem(error.status, str(error), wait, error.fields)
        case NotOnSaleError(retry_after_seconds=int(seconds)):
            return Problem(error.status, str(error), {"Retry-After": str(seconds)}, error.fields)
        case ShopError():
            headers = _RETRY if error.status == 503 else None
            return Problem(error.status, str(error), headers, error.fields)
        case LedgerTimeoutError():
            return _UNKNOWN
        case LedgerBusyError() | QueueFullError() | ClosedError():
            return _BUSY
        case LedgerUnavailableError():
            return _AWAY
    return None


def explain_or_log(error: Exception) -> Problem:
    """How the error reads; a bug is logged and reads as one."""
    problem = explain(error)
    if problem is None:
        logger.error("a request failed: %r", error, exc_info=error)
        return BUG
    return problem
