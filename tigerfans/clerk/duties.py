"""What a clerk does: a row for each duty, and nothing else.

A duty is done in rounds, one after the other (`rounds`). A round does what is due now, no more of
it than a bound, and ends; it keeps a deadline of its own for whatever it waits for. Several clerks
may be at it, on one host or on several, so a round takes a lease on what it does, in PostgreSQL or
in Redis: nobody else does it meanwhile, and what a killed clerk had under way comes back.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final, NamedTuple

from tigerfans.assembly import Opened
from tigerfans.mail import sending, upgrading
from tigerfans.mail.opening import open_sender
from tigerfans.mail.sending import Sender
from tigerfans.mail.upgrading import Latecomers
from tigerfans.payments import mockpay
from tigerfans.settings.settings import Settings
from tigerfans.shop import cancellation, closing, inquiry, refund_rounds
from tigerfans.shop.cancellation import CancellationRounds
from tigerfans.stores import mail_requests
from tigerfans.stores.mail_requests import MailRequests
from tigerfans.stores.token_bucket import SharedTokenBucket, Tokens
from tigerfans.telemetry.mails import MailCounters

# Whether more is due than it took: then the next round begins at once.
Round = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Desk:
    """What a duty works with; what it opens, it has `stack` close."""

    settings: Settings
    opened: Opened
    stack: AsyncExitStack

    @cached_property
    def sender(self) -> Sender:
        """Who sends the mails."""
        shop = self.opened.shop
        shop.counters.mails = MailCounters()
        sender = open_sender(
            self.settings,
            shop.catalog,
            shop.orders,
            shop.door_code,
            shop.sessions.store.run,
            shop.counters.mails,
        )
        self.stack.push_async_callback(sender.close)
        return sender


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


def _mails(desk: Desk) -> Round:
    return desk.sender.send_due


def _mail_counts(desk: Desk) -> Round:
    return desk.sender.count_waiting


def _mail_requests(desk: Desk) -> Round:
    return MailRequests(desk.opened.shop.orders.database).answer


def _missing_mails(desk: Desk) -> Round:
    return Latecomers(desk.opened.shop.orders).queue


def _closing(desk: Desk) -> Round:
    return partial(closing.park, desk.opened.shop)


DUTIES: Final[Sequence[Duty]] = (
    Duty("deliveries", mockpay.DELIVERY_PAUSE_SECONDS, _deliveries),
    Duty("forgetting", mockpay.FORGET_PAUSE_SECONDS, _forgetting),
    Duty("inquiries", inquiry.ROUND_PAUSE_SECONDS, _inquiries),
    Duty("refunds", refund_rounds.PAUSE_SECONDS, _refunds),
    Duty("refunded answers", refund_rounds.FORGET_PAUSE_SECONDS, _refunded_answers),
    Duty("cancellation", cancellation.PAUSE_SECONDS, _cancellation),
    Duty("mails", sending.PAUSE_SECONDS, _mails),
    Duty("mail counts", sending.COUNT_PAUSE_SECONDS, _mail_counts),
    Duty("mail requests", mail_requests.ROUND_PAUSE_SECONDS, _mail_requests),
    Duty("missing mails", upgrading.PAUSE_SECONDS, _missing_mails),
    Duty("closing", closing.ROUND_PAUSE_SECONDS, _closing),
)
