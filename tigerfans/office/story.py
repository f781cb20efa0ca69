"""One order's whole story, for the operator: what happened to it when, and where that is recorded.

Nobody writes this story: it is read from the places that each know a part of it. The ledger has
the hold, the sale, the goodie and the release as transfers under ids that derive from the order's;
PostgreSQL has the payments' outcomes, the refund and what people did; Redis has the session, and
MockPay the webhooks nobody confirmed. A place that is away is named, and the others are told all
the same.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import count
from typing import Final, TypeVar

from tigerfans.booking.ends import Ticket, end_ids, is_undo, scan_of, ticket_number
from tigerfans.booking.ids import FIRST_END, OrderId, Purpose
from tigerfans.booking.moments import microseconds_of, moment_at
from tigerfans.errors import UnavailableError, UnknownOrderError
from tigerfans.ledger.base import LEDGER_AWAY
from tigerfans.ledger.wire import Operation, Transfer, u128
from tigerfans.offer.catalog import Catalog
from tigerfans.offer.money import decimal_text
from tigerfans.offer.tables import TICKETS_PER_ORDER_MAX
from tigerfans.office.order_search import OrderSearch, Stored
from tigerfans.payments.outbox import Outbox, Undelivered
from tigerfans.payments.unmatched import MISFIT_WORDS, UnmatchedPayment
from tigerfans.shop.shop import Shop
from tigerfans.stores.audit import Audit, Deed
from tigerfans.stores.door_scans import DoorScan, DoorScans, ScanResult
from tigerfans.stores.mails import MailKind, Mails, StoredMail
from tigerfans.stores.orders import Order, OrderStatus
from tigerfans.stores.sessions import AFTER_HOLD_SECONDS, Entry
from tigerfans.stores.ticket_refunds import TicketRefund, ticket_words

Found = TypeVar("Found")


class Place(StrEnum):
    """Where something is recorded."""

    LEDGER = "ledger"
    POSTGRESQL = "postgresql"
    REDIS = "redis"
    MOCKPAY = "mockpay"


@dataclass(frozen=True, slots=True)
class Chapter:
    """Something that happened to an order; what the ledger did has the transfer's id in hex."""

    at: datetime
    what: str
    place: Place
    detail: str = ""
    transfer_id: str | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """An order (None where those who know it are away), its chapters, the oldest first, and who is
    away.
    """

    order: Order | None
    chapters: Sequence[Chapter]
    away: Sequence[Place]


@dataclass(frozen=True, slots=True)
class Traces:
    """What each place has of one order."""

    transfers: Sequence[Transfer] = ()
    stored: Stored | None = None
    entry: Entry | None = None
    webhooks: Sequence[Undelivered] = ()
    unmatched: Sequence[UnmatchedPayment] = ()
    deeds: Sequence[Deed] = ()
    refunds: Sequence[TicketRefund] = ()
    mails: Sequence[StoredMail] = ()
    scans: Sequence[DoorScan] = ()
    # What the gates are called, by their numbers.
    gates: Mapping[int, str] = field(default_factory=dict)


class Stories:
    """Reads stories."""

    def __init__(self, shop: Shop, search: OrderSearch, outbox: Outbox) -> None:
        self._shop = shop
        self._search = search
        self._outbox = outbox
        self._audit = Audit(shop.orders.database)
        self._mails = Mails(shop.orders.database)
        self._scans = DoorScans(shop.orders.database)

    async def of(self, order_id: OrderId) -> Story:
        """One order's story; raises `UnknownOrderError` where no place knows it."""
        away: list[Place] = []

        async def asked(place: Place, question: Awaitable[Found], nothing: Found) -> Found:
            try:
                return await question
            except (UnavailableError, *LEDGER_AWAY):
                away.append(place)
                return nothing

        (transfers, stored, entry, webhooks), others = await asyncio.gather(
            asyncio.gather(
                asked(Place.LEDGER, self._transfers(order_id), []),
                asked(Place.POSTGRESQL, self._search.find(order_id), None),
                asked(Place.REDIS, self._shop.sessions.find(order_id), None),
                asked(Place.MOCKPAY, self._outbox.of(order_id.hex_digits), []),
            ),
            asyncio.gather(
                asked(Place.POSTGRESQL, self._shop.unmatched.of(order_id.hex_digits), []),
                asked(Place.POSTGRESQL, self._audit.of_order(order_id), []),
                asked(Place.POSTGRESQL, self._shop.ticket_refunds.of(order_id), []),
                asked(Place.POSTGRESQL, self._mails.of(order_id), []),
                asked(Place.POSTGRESQL, self._scans.of(order_id), []),
            ),
        )
        gates: Mapping[int, str] = {}
        if others[-1] or any(scan_of(each) for each in transfers):
            gates = await asked(Place.POSTGRESQL, self._scans.gates(), {})
        traces = Traces(transfers, stored, entry, webhooks, *others, gates)
        if not away and traces == Traces([], None, None, [], [], [], [], [], []):
            raise UnknownOrderError
        order = stored.order if stored else await self._unpaid(order_id)
        now = datetime.now(UTC)
        return Story(order, tell(traces, self._shop.catalog, now), sorted(set(away)))

    async def _transfers(self, order_id: OrderId) -> list[Transfer]:
        transfers: list[Transfer] = []
        ids = [order_id.transfer_id(purpose) for purpose in Purpose]
        numbers: Iterable[int] = range(TICKETS_PER_ORDER_MAX)
        for attempt in count():
            ids += end_ids([Ticket(order_id, number) for number in numbers], attempt)
            records = await self._shop.submit(Operation.LOOKUP_TRANSFERS, b"".join(ids))
            found = Transfer.unpack_all(records)
            transfers += found
            # What was undone may have ended again.
            ids, numbers = [], [ticket_number(each.id) for each in found if is_undo(each)]
            if not numbers:
                break
        return transfers

    async def _unpaid(self, order_id: OrderId) -> Order | None:
        try:
            return await self._shop.order(order_id)
        except (UnavailableError, *LEDGER_AWAY):
            return None


def tell(traces: Traces, catalog: Catalog, now: datetime) -> list[Chapter]:
    """The chapters in what the places have recorded, the oldest first."""
    chapters = [
        *_ledger_chapters(traces, catalog, now),
        *_session_chapters(traces.entry),
        *_payment_chapters(traces.stored),
        *map(_webhook_chapter, traces.webhooks),
        *(chapter for payment in traces.unmatched for chapter in _unmatched_chapters(payment)),
        *map(_deed_chapter, traces.deeds),
        *_refund_chapters(traces.refunds, catalog.currency),
        *map(_mail_chapter, traces.mails),
        *_scan_chapters(traces.scans, traces.gates),
    ]
    # Sessions know milliseconds only; within one, the places are told in the order they come.
    return sorted(chapters, key=lambda chapter: microseconds_of(chapter.at) // 1_000)


_NO_GOODIE: Final = "no goodie was left"
_TRANSFERS: Final = {
    Purpose.HOLD: ("Ticket held", ""),
    Purpose.SALE_WITH_GOODIE: ("Ticket sold", "together with a goodie"),
    Purpose.GOODIE: ("Goodie granted", ""),
    Purpose.SALE: ("Ticket sold", _NO_GOODIE),
    Purpose.RELEASE: ("Ticket released", "the payment was not made"),
    Purpose.LATE_HOLD: ("Ticket held late", "the first hold was gone when the payment came"),
    Purpose.LATE_SALE_WITH_GOODIE: ("Ticket sold late", "together with a goodie"),
    Purpose.LATE_GOODIE: ("Goodie granted", ""),
    Purpose.LATE_SALE: ("Ticket sold late", _NO_GOODIE),
    Purpose.GIVE_BACK: ("Ticket given back", "more was on hold than one may hold"),
}
_ENDS_THE_HOLD: Final = {
    Purpose.SALE_WITH_GOODIE,
    Purpose.SALE,
    Purpose.RELEASE,
    Purpose.GIVE_BACK,
}


def _ledger_chapters(traces: Traces, catalog: Catalog, now: datetime) -> Iterator[Chapter]:
    told = list(traces.transfers)
    for end in (each for each in told if each.id & 0xFF >= FIRST_END):
        yield _end_chapter(end, traces)
    by_purpose = {Purpose(each.id & 0xFF): each for each in told if each.id & 0xFF < FIRST_END}
    for purpose, transfer in by_purpose.items():
        what, detail = _TRANSFERS[purpose]
        if detail == _NO_GOODIE and not catalog.goodies.capacity:
            detail = ""
        if transfer.amount > 1:
            what = what.replace("Ticket", f"{transfer.amount} tickets")
        if purpose is Purpose.HOLD:
            ticket_class = catalog.by_ledger(transfer.ledger)
            name = f"{ticket_class.name}, " if ticket_class else ""
            detail = f"{name}until {_clock(_expires_at(transfer))}"
        yield Chapter(
            _at_ns(transfer.timestamp),
            what,
            Place.LEDGER,
            detail,
            u128(transfer.id)[::-1].hex(),
        )
    hold = by_purpose.get(Purpose.HOLD)
    if hold and not _ENDS_THE_HOLD & by_purpose.keys() and _expires_at(hold) <= now:
        what = f"{hold.amount} tickets" if hold.amount > 1 else "the ticket"
        yield Chapter(_expires_at(hold), "Hold expired", Place.LEDGER, f"{what} went back on sale")


def _end_chapter(end: Transfer, traces: Traces) -> Chapter:
    what, detail = "taken back", "into the stock: its code is not valid any more"
    if is_undo(end):
        what, detail = "let out", "its admission was undone: its code is valid again"
    elif scan := scan_of(end):
        stored = next((each for each in traces.scans if each.scan_id == scan.id), None)
        what, detail = "used", f"at {_gate(scan.gate, traces.gates)}{_by(stored)}"
    what = f"Ticket {ticket_number(end.id) + 1} {what}"
    return Chapter(_at_ns(end.timestamp), what, Place.LEDGER, detail, u128(end.id)[::-1].hex())


# Of a scan that let nobody in; when and where the ticket ended before follows.
_REFUSALS: Final = {
    ScanResult.ALREADY_INSIDE: "it was inside already",
    ScanResult.REFUNDED: "it had been refunded",
    ScanResult.NOT_PAID: "it was not paid",
    ScanResult.HALL_FULL: "the hall was full",
}


def _scan_chapters(scans: Iterable[DoorScan], gates: Mapping[int, str]) -> Iterator[Chapter]:
    """The scans that let nobody in; of those that did, the ledger tells."""
    for scan in scans:
        if scan.attempt is not None or scan.received_at is None:
            continue
        detail = f"at {_gate(scan.gate, gates)}{_by(scan)}: {_REFUSALS[scan.result]}"
        if scan.other_at:
            detail += f" since {_clock(scan.other_at)}"
        if scan.other_gate is not None:
            detail += f", at {_gate(scan.other_gate, gates)}"
        what = f"Ticket {scan.ticket.number + 1} refused"
        if scan.is_incident:
            what = f"Incident: ticket {scan.ticket.number + 1} was let in offline"
            detail += f"; the device says that it was at {_clock(scan.scanned_at)}"
        yield Chapter(scan.received_at, what, Place.POSTGRESQL, detail)


def _gate(number: int, gates: Mapping[int, str]) -> str:
    return gates.get(number) or f"gate {number}"


def _by(scan: DoorScan | None) -> str:
    """Who was logged in at the device, where that is known."""
    if scan is None:
        return ""
    return f", by {scan.who}{', offline' if scan.offline else ''}"


def _refund_chapters(refunds: Iterable[TicketRefund], currency: str) -> Iterator[Chapter]:
    """Of each group of tickets, that its money was given back, or why it was not yet."""
    groups: dict[int, list[TicketRefund]] = {}
    for refund in refunds:
        groups.setdefault(refund.first, []).append(refund)
    for group in groups.values():
        amount = _told(sum(refund.amount_cents for refund in group), currency)
        detail = f"{amount} for {ticket_words([refund.ticket for refund in group])}"
        given_back_at, error = group[0].given_back_at, group[0].last_error
        if given_back_at:
            yield Chapter(given_back_at, "Money given back", Place.POSTGRESQL, detail)
        else:
            detail += f": {error}" if error else ""
            yield Chapter(group[0].asked_at, "Money to give back", Place.POSTGRESQL, detail)


MAIL_WORDS: Final = {
    MailKind.TICKETS: "with the tickets",
    MailKind.AGAIN: "with the tickets once more",
    MailKind.REFUND_DUE: "about the money that is due",
    MailKind.REFUNDED: "about the money that was given back",
}


def _mail_chapter(mail: StoredMail) -> Chapter:
    words = MAIL_WORDS[mail.key.kind]
    if mail.sent_at:
        return Chapter(mail.sent_at, "Mail sent", Place.POSTGRESQL, f"{words}, to {mail.sent_to}")
    tried = f"{words}: {mail.last_error}" if mail.last_error else words
    if mail.gave_up_at:
        return Chapter(mail.gave_up_at, "Mail given up", Place.POSTGRESQL, tried)
    return Chapter(mail.created_at, "Mail to be sent", Place.POSTGRESQL, tried)


def _session_chapters(entry: Entry | None) -> Iterator[Chapter]:
    session = entry.session if entry else None
    if session is None:
        return
    opened_at = _at_ns(session.created_ms * 1_000_000)
    detail = f"{session.psid}, kept for {AFTER_HOLD_SECONDS // 60} minutes after its hold"
    yield Chapter(opened_at, "Payment session opened", Place.REDIS, detail)


_OUTCOMES: Final = {
    OrderStatus.PAID: "Payment succeeded",
    OrderStatus.REFUNDED: "Payment succeeded",
    OrderStatus.PAID_UNFULFILLED: "Payment succeeded, a refund is due",
    OrderStatus.FAILED: "Payment failed",
    OrderStatus.CANCELED: "Payment canceled",
}


def _payment_chapters(stored: Stored | None) -> Iterator[Chapter]:
    if stored is None:
        return
    order = stored.order
    if stored.earlier_status and stored.earlier_at:
        what = _OUTCOMES[stored.earlier_status]
        detail = f"stored as {stored.earlier_status}, until it was paid after all"
        yield Chapter(stored.earlier_at, what, Place.POSTGRESQL, detail)
    # It was that until its refund, which is told for itself.
    was_paid = order.status is OrderStatus.REFUNDED
    detail = f"stored as {OrderStatus.PAID if was_paid else order.status}"
    if codes := order.ticket_codes:
        word = "ticket" if len(codes) == 1 else f"{len(codes)} tickets"
        detail += f", with the {word} {', '.join(codes)}"
    if order.status is OrderStatus.PAID_UNFULFILLED:
        left = "nothing was left" if order.qty == 1 else f"no {order.qty} tickets were left"
        detail += f": {left} to sell"
    if order.payment_reference:
        detail += f"; the provider calls the payment {order.payment_reference}"
    yield Chapter(stored.recorded_at, _OUTCOMES[order.status], Place.POSTGRESQL, detail)
    if order.refunded_at:
        detail = "stored as REFUNDED" if was_paid else ""
        yield Chapter(order.refunded_at, "Refunded", Place.POSTGRESQL, detail)


def _unmatched_chapters(payment: UnmatchedPayment) -> Iterator[Chapter]:
    if payment.received_at is None:
        return
    amount = payment.amount_cents
    told = "" if amount is None else f"{_told(amount, payment.currency)}: "
    detail = f"{told}{MISFIT_WORDS[payment.reason]} Payment {payment.id}"
    yield Chapter(payment.received_at, "Payment that does not fit", Place.POSTGRESQL, detail)
    if payment.resolution and payment.resolved_at:
        what = f"Payment that does not fit {str(payment.resolution).lower()}"
        yield Chapter(payment.resolved_at, what, Place.POSTGRESQL, f"by {payment.resolved_by}")


def _deed_chapter(deed: Deed) -> Chapter:
    detail = f"{deed.detail}, by {deed.by}" if deed.detail else f"by {deed.by}"
    return Chapter(deed.at, deed.what, Place.POSTGRESQL, detail)


def _told(amount: int, currency: str) -> str:
    return f"{decimal_text(amount, currency)} {currency.upper()}"


def _webhook_chapter(webhook: Undelivered) -> Chapter:
    attempts = f"{webhook.attempts} attempt{'' if webhook.attempts == 1 else 's'}"
    detail = f"{attempts}, the next one at {_clock(webhook.next_attempt_at)}"
    if webhook.last_error:
        detail += f": {webhook.last_error}"
    what = f"Webhook {webhook.type} not confirmed"
    return Chapter(webhook.created_at, what, Place.MOCKPAY, detail)


def _expires_at(hold: Transfer) -> datetime:
    return _at_ns(hold.timestamp) + timedelta(seconds=hold.timeout)


def _at_ns(nanoseconds: int) -> datetime:
    return moment_at(nanoseconds // 1_000)


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M:%S} UTC"
