"""What a clerk does: a row for each duty, and nothing else.

A duty is done in rounds, one after the other (`rounds`). A round does what is due now, no more of
it than a bound, and ends; it keeps a deadline of its own for whatever it waits for. Several clerks
may be at it, on one host or on several, so a round takes a lease on what it does, in PostgreSQL or
in Redis: nobody else does it meanwhile, and what a killed clerk had under way comes back.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final, NamedTuple

from tigerfans.assembly import Opened
from tigerfans.payments import mockpay
from tigerfans.settings.settings import Settings
from tigerfans.shop import cancellation, inquiry, refund_rounds
from tigerfans.shop.cancellation import CancellationRounds
from tigerfans.stores.token_bucket import SharedTokenBucket, Tokens

# Whether more is due than it took: then the next round begins at once.
Round = Callable[[], Awaitable[bool]]


class Desk(NamedTuple):
    """What a duty works with; what it opens, it has `stack` close."""

    settings: Settings
    opened: Opened
    stack: AsyncExitStack


class Duty(NamedTuple):
    """`name` is the duty's in logs and metrics; `begin` gives what is done in each round, or None
    where this shop has nothing of the kind.
    """

    name: str
    pause_seconds: float
    begin: Callable[[Desk], Round | None]


def _deliveries(desk: Desk) -> Round | None:
    provider = desk.opened.mockpay
    return provider.deliver_due if provider else None


def _forgetting(desk: Desk) -> Round | None:
    provider = desk.opened.mockpay
    return provider.outbox.forget if provider else None


def _inquiries(desk: Desk) -> Round:
    return partial(inquiry.inquire, desk.opened.shop)


def _refund_tokens(desk: Desk) -> Tokens:
    """Of all clerks together: the provider bounds what one shop may ask."""
    run = desk.opened.shop.sessions.store.run
    return SharedTokenBucket(run, refund_rounds.TOKENS_KEY, refund_rounds.REFUND_RATE, workers=1)


def _refunds(desk: Desk) -> Round:
    return partial(refund_rounds.refund_due, desk.opened.shop, _refund_tokens(desk))


def _refunded_answers(desk: Desk) -> Round:
    return partial(refund_rounds.forget_refunded, desk.opened.shop)


def _cancellation(desk: Desk) -> Round:
    return CancellationRounds(desk.opened.shop, _refund_tokens(desk)).do


DUTIES: Final[Sequence[Duty]] = (
    Duty("deliveries", mockpay.DELIVERY_PAUSE_SECONDS, _deliveries),
    Duty("forgetting", mockpay.FORGET_PAUSE_SECONDS, _forgetting),
    Duty("inquiries", inquiry.ROUND_PAUSE_SECONDS, _inquiries),
    Duty("refunds", refund_rounds.PAUSE_SECONDS, _refunds),
    Duty("refunded answers", refund_rounds.FORGET_PAUSE_SECONDS, _refunded_answers),
    Duty("cancellation", cancellation.PAUSE_SECONDS, _cancellation),
)
