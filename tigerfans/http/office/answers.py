"""The operator's JSON: what an answer says stands here once, and the schema follows from it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tigerfans.hosts.lines import HostLine
from tigerfans.hosts.roster import Hosts
from tigerfans.hosts.troubles import Trouble, find_troubles
from tigerfans.office.story import Chapter, Place, Story
from tigerfans.payments.outbox import Undelivered
from tigerfans.payments.unmatched import MISFIT_WORDS, Misfit, Resolution, UnmatchedPayment
from tigerfans.shop.answers import Cents, ClassText, Count, Currency, Moment, OrderIdText
from tigerfans.stores.orders import Order, OrderStatus
from tigerfans.stores.sessions import Session


class OrderItem(msgspec.Struct):
    """An order as it is stored."""

    id: OrderIdText
    status: OrderStatus
    cls: ClassText
    qty: Count
    amount: Cents
    currency: Currency
    created_at_iso: Moment
    paid_at_iso: Moment | None
    got_goodie: bool
    ticket_code: str | None
    more_ticket_codes: Sequence[str]
    tickets_refunded_at_iso: Sequence[Moment | None]
    email: str
    refunded_at_iso: Moment | None

    @classmethod
    def of(cls, order: Order) -> "OrderItem":
        return cls(
            id=order.id.hex_digits,
            status=order.status,
            cls=order.cls,
            qty=order.qty,
            amount=order.amount_cents,
            currency=order.currency,
            created_at_iso=order.created_at.isoformat(),
            paid_at_iso=_iso(order.paid_at),
            got_goodie=order.got_goodie,
            ticket_code=order.ticket_code,
            more_ticket_codes=order.more_ticket_codes,
            tickets_refunded_at_iso=[_iso(at) for at in order.tickets_refunded_at],
            email=order.email,
            refunded_at_iso=_iso(order.refunded_at),
        )


class FoundOrderItem(OrderItem):
    """An order that was found, and how many of its tickets are inside, as scans are stored."""

    inside: Count

    @classmethod
    def found(cls, order: Order, inside: int) -> "FoundOrderItem":
        return cls(**msgspec.structs.asdict(OrderItem.of(order)), inside=inside)


class OrdersAnswer(msgspec.Struct):
    """A page of the orders that were found, how many there are, and where the next page begins."""

    items: Sequence[FoundOrderItem]
    limit: Count
    next: str | None
    total: Count
    total_is_more: bool


class RefundsAnswer(msgspec.Struct):
    """The oldest of the orders whose money is due, and how many there are."""

    items: Sequence[OrderItem]
    limit: Count
    total: Count


class EventItem(msgspec.Struct):
    """Something that happened to an order, and where it is recorded."""

    at_iso: Moment
    what: str
    place: Place
    detail: str
    transfer_id: str | None

    @classmethod
    def of(cls, chapter: Chapter) -> "EventItem":
        return cls(
            at_iso=chapter.at.isoformat(),
            what=chapter.what,
            place=chapter.place,
            detail=chapter.detail,
            transfer_id=chapter.transfer_id,
        )


class StoryAnswer(msgspec.Struct):
    """One order's story, the oldest first; what is `away` may know more of it."""

    order: OrderItem | None
    events: Sequence[EventItem]
    away: Sequence[Place]

    @classmethod
    def of(cls, story: Story) -> "StoryAnswer":
        return cls(
            order=None if story.order is None else OrderItem.of(story.order),
            events=[EventItem.of(chapter) for chapter in story.chapters],
            away=story.away,
        )


class UnmatchedItem(msgspec.Struct):
    """A payment that fits no order, as the provider told it; `why` is the reason in words."""

    id: str
    reason: Misfit
    why: str
    amount: int | None
    currency: str
    order_id: str
    payment_session_id: str
    email: str
    body: str | None
    received_at_iso: Moment | None
    can_be_refunded: bool
    resolution: Resolution | None
    resolved_at_iso: Moment | None
    resolved_by: str

    @classmethod
    def of(cls, payment: UnmatchedPayment) -> "UnmatchedItem":
        return cls(
            id=payment.id,
            reason=payment.reason,
            why=MISFIT_WORDS[payment.reason],
            amount=payment.amount_cents,
            currency=payment.currency,
            order_id=payment.order_id,
            payment_session_id=payment.session_id,
            email=payment.email,
            body=None if payment.body is None else payment.body.decode(errors="replace"),
            received_at_iso=_iso(payment.received_at),
            can_be_refunded=payment.can_be_refunded,
            resolution=payment.resolution,
            resolved_at_iso=_iso(payment.resolved_at),
            resolved_by=payment.resolved_by,
        )


class UnmatchedAnswer(msgspec.Struct):
    """The oldest of the payments that fit no order, and how many there are."""

    items: Sequence[UnmatchedItem]
    limit: Count
    total: Count


class SessionItem(msgspec.Struct):
    """A payment session that can still be paid; `created_at` in seconds since the epoch."""

    psid: str
    redirect_url: str
    created_at: float
    age_ms: Count
    order_id: OrderIdText
    cls: ClassText
    qty: Count
    email: str
    amount: Cents
    currency: Currency
    status: OrderStatus

    @classmethod
    def of(cls, session: Session, currency: str, redirect_url: str, now_ms: int) -> "SessionItem":
        return cls(
            psid=session.psid,
            redirect_url=redirect_url,
            created_at=session.created_ms / 1_000,
            age_ms=max(0, now_ms - session.created_ms),
            order_id=session.order_id.hex_digits,
            cls=session.cls,
            qty=session.qty,
            email=session.email,
            amount=session.amount_cents,
            currency=currency,
            status=OrderStatus.PENDING,
        )


class PendingAnswer(msgspec.Struct):
    """The latest of the payment sessions that can still be paid, and how many there are.

    `payment_wait_seconds` is how long whoever checks out now waits for the payment to open. Where
    that would be more than `payment_wait_seconds_max`, nothing is held. Both are null with a
    payment provider for which nobody waits.
    """

    items: Sequence[SessionItem]
    limit: Count
    total: Count
    payment_wait_seconds: Count | None = None
    payment_wait_seconds_max: Count | None = None


class WebhookItem(msgspec.Struct):
    """A webhook that nobody has confirmed yet."""

    order_id: str
    type: str
    created_at_iso: Moment
    next_attempt_at_iso: Moment
    attempts: Count
    last_error: str

    @classmethod
    def of(cls, webhook: Undelivered) -> "WebhookItem":
        return cls(
            order_id=webhook.order_id,
            type=webhook.type,
            created_at_iso=webhook.created_at.isoformat(),
            next_attempt_at_iso=webhook.next_attempt_at.isoformat(),
            attempts=webhook.attempts,
            last_error=webhook.last_error,
        )


class WebhooksAnswer(msgspec.Struct):
    """The oldest of the webhooks that nobody has confirmed, and how many there are."""

    items: Sequence[WebhookItem]
    limit: Count
    total: Count


class TroubleItem(msgspec.Struct):
    """What is wrong with the shop's hosts, in a sentence; `subject` is what it is about."""

    subject: str
    sentence: str
    is_bad: bool

    @classmethod
    def of(cls, trouble: Trouble) -> "TroubleItem":
        return cls(trouble.subject, str(trouble), trouble.is_bad)


class HostsAnswer(msgspec.Struct):
    """The hosts of the shop that were heard within a day, and what is wrong with them."""

    items: Sequence[HostLine]
    troubles: Sequence[TroubleItem]

    @classmethod
    def of(cls, hosts: Hosts) -> "HostsAnswer":
        lines = [HostLine.of(host, hosts) for host in hosts.hosts]
        return cls(lines, [TroubleItem.of(trouble) for trouble in find_troubles(hosts)])


class GoodiesAnswer(msgspec.Struct):
    """How many goodies are granted, of how many."""

    used: Count
    limit: Count


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
