"""What has to hold for any history of orders, with a crash between any two messages.

The shop's own coroutines run here without an event loop: each stops where it sends a message to
the ledger, to Redis or to PostgreSQL, and the machine below decides what becomes of the message
and of its sender. It may be done, lost, done and not answered, done twice, or land much later. In
between, workers die with all they were doing, Redis is wiped, holds expire, events arrive in any
order and any number, and no two workers ask the same price or sell as many tickets to an order. The
ledger is the embedded one; the two
other stores are what they promise.
"""

import json
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import structs

from tests.ledger.by_hand import SECOND, BooksByHand
from tests.offers import OFFER
from tests.shops import catalog_at
from tigerfans.booking.ids import KEY_ATTEMPTS_MAX, OrderId, OrderIds, Purpose
from tigerfans.booking.inventory import Inventory, StockState
from tigerfans.booking.transfers import Booking
from tigerfans.caching import Cached
from tigerfans.errors import (
    AllOnHoldError,
    InvalidQtyError,
    KeyRefusedError,
    OrderEndedError,
    ShopError,
    SoldOutError,
    TooFewLeftError,
    UnavailableError,
)
from tigerfans.ledger.base import (
    RECORDS_MAX,
    Ledger,
    LedgerError,
    LedgerTimeoutError,
    LedgerUnavailableError,
)
from tigerfans.ledger.wire import Operation, Transfer, u128
from tigerfans.offer.catalog import ClassCode
from tigerfans.payments.base import (
    EventType,
    InvalidWebhookError,
    PaymentEvent,
    UnreadableWebhookError,
)
from tigerfans.payments.mockpay import SIGNATURE_HEADER, MockPay
from tigerfans.payments.outbox import Outbox
from tigerfans.payments.unmatched import UnmatchedPayment, UnmatchedPayments
from tigerfans.shop import order_state
from tigerfans.shop.checkout import Checkout
from tigerfans.shop.gone import Gone
from tigerfans.shop.hold_limits import HoldLimits
from tigerfans.shop.inquiry import learn
from tigerfans.shop.payment import UNMATCHED, Settlement
from tigerfans.shop.shop import Shop
from tigerfans.stores.identity import Identity, IdentityRow, ShopId
from tigerfans.stores.orders import Order, Orders, OrderStatus, Recorded
from tigerfans.stores.sessions import (
    Entry,
    Holder,
    NotSaved,
    OverLimit,
    Saved,
    Session,
    Sessions,
)
from tigerfans.stores.show_cancellation import ShowCancellation
from tigerfans.stores.ticket_classes import KnownClass
from tigerfans.stores.ticket_refunds import TicketRefunds

SECRET = "ticket secret"
HOLD_SECONDS = 300
A_DAY = 24 * 3600
# Few of each, so that orders meet: too few tickets, fewer goodies, and keys that are used again.
TICKETS_A, TICKETS_B, GOODIES = 3, 4, 2
KEYS = 5
WORKERS = 2
# What a ticket costs by each worker: the price is being changed while they are replaced.
PRICES = {1: {"A": 6500, "B": 3500}, 2: {"A": 7500, "B": 3000}}
# How many tickets an order may have by each of them.
TICKETS_PER_ORDER = {1: 3, 2: 2}
HOLDS_PER_EMAIL = 4

CHARGED = (OrderStatus.PAID, OrderStatus.PAID_UNFULFILLED)
SALES = (
    Purpose.SALE_WITH_GOODIE,
    Purpose.SALE,
    Purpose.LATE_SALE_WITH_GOODIE,
    Purpose.LATE_SALE,
)


class Fate(Enum):
    """What becomes of a message, and what its sender hears of it."""

    DONE = "done"
    DONE_TWICE = "done twice, as after a connection that was lost"
    LOST = "lost, and its sender knows"
    UNANSWERED = "done, and its sender does not know"
    LATE = "it may land at any later time, or never; its sender does not know"


@dataclass
class Message:
    """One message to a store; awaiting it stops the sender until it is answered."""

    act: Callable[[], Any]
    lost: Exception
    unknown: Exception

    def __await__(self) -> Generator["Message", Any, Any]:
        return (yield self)


class LedgerByMessage:
    def __init__(self, books: BooksByHand) -> None:
        self._books = books.books
        self.records_max = RECORDS_MAX
        # All orders for which a hold was ever asked.
        self.held: set[OrderId] = set()

    def submit(self, operation: Operation, records: bytes) -> Message:
        if operation is Operation.CREATE_TRANSFERS and records[0] == Purpose.HOLD:
            self.held.add(OrderId(records[:16]))
        return Message(
            lambda: self._books.execute(operation, records),
            LedgerUnavailableError(),
            LedgerTimeoutError(),
        )


class ReadEachTime:
    """In place of what is cached by a task, which there is none of here."""

    def __init__(self, read: Callable[[], Awaitable[list[Inventory]]]) -> None:
        self.get = read

    def forget(self) -> None:
        """There is nothing to forget."""


class SessionsByMessage:
    """Redis: it may forget everything, and what nobody waits for may get lost."""

    def __init__(self) -> None:
        self.entries: dict[OrderId, Entry] = {}
        # Of each holder, those who were saved and did not end, and how many tickets each has.
        self.open: dict[str, dict[OrderId, int]] = {}
        # Those that were over a limit.
        self.over: set[OrderId] = set()
        # Of keys that have a later attempt's session.
        self.traces: set[OrderId] = set()
        self.wipes = 0
        self.not_waited_for: list[Message] = []

    def seconds_left(self, order_id: OrderId) -> Message:
        return _to_a_store(lambda: float(order_id in self.entries))

    def save(self, session: Session, holders: Sequence[Holder]) -> Message:
        return _to_a_store(lambda: self._save(session, holders))

    def _save(self, session: Session, holders: Sequence[Holder]) -> Saved:
        if session.order_id in self.entries:
            return NotSaved.SAVED_BEFORE
        for holder in holders:
            if sum(self.open.get(holder.key, {}).values()) + session.qty > holder.holds_max:
                self.over.add(session.order_id)
                return OverLimit(holder, session.expires_ms)
        if session.order_id in self.over:
            return NotSaved.GIVEN_BACK
        self.entries[session.order_id] = Entry(session.pack(), b"")
        for holder in holders:
            self.open.setdefault(holder.key, {})[session.order_id] = session.qty
        return None

    def _finish(self, order_id: OrderId, entry: Entry) -> None:
        for orders in self.open.values():
            orders.pop(order_id, None)
        if entry.paid_answer:
            self.entries[order_id] = entry

    def wipe(self) -> None:
        self.entries.clear()
        self.over.clear()
        self.open.clear()
        self.traces.clear()
        self.wipes += 1

    def knows(self, order_id: OrderId) -> bool:
        return order_id in self.entries or order_id in self.over or order_id in self.traces

    def has_trace(self, order_id: OrderId) -> Message:
        return _to_a_store(lambda: self.knows(order_id))

    def leave_trace(self, order_id: OrderId, end_ms: int) -> Message:
        return _to_a_store(lambda: self.traces.add(order_id))

    def find(self, order_id: OrderId) -> Message:
        return _to_a_store(lambda: self.entries.get(order_id))

    def finish(self, session: Session, paid_answer: bytes, packed: bytes = b"") -> None:
        entry = Entry(packed or session.pack(), paid_answer)
        self.not_waited_for.append(_to_a_store(lambda: self._finish(session.order_id, entry)))


class OrdersByMessage:
    """PostgreSQL: a row is written once, but a failed payment may still become a charged one."""

    def __init__(self) -> None:
        self.rows: dict[OrderId, Order] = {}

    def record(self, order: Order) -> Message:
        return _to_a_store(lambda: self._record(order))

    def find(self, order_id: OrderId) -> Message:
        return _to_a_store(lambda: self.rows.get(order_id))

    def _record(self, order: Order) -> Recorded:
        before = self.rows.get(order.id)
        if before is None or (not before.is_charged and order.is_charged):
            # The email stays what it was, as in the statement's list of columns.
            self.rows[order.id] = (
                order if before is None else structs.replace(order, email=before.email)
            )
            return Recorded(self.rows[order.id], is_new=True)
        return Recorded(before, is_new=False)


class IdentityByMessage:
    """PostgreSQL again: the row of a shop that was never opened before."""

    def __init__(self) -> None:
        self.id = ShopId.new()
        self.are_ids_checked = True
        self.kept: set[KnownClass] = set()

    def classes(self) -> Message:
        return _to_a_store(lambda: list(self.kept))

    def keep_classes(self, classes: Sequence[KnownClass]) -> Message:
        return _to_a_store(lambda: self.kept.update(classes))

    def read(self) -> Message:
        return _to_a_store(lambda: Identity(self.id, b"", funded_at=None, is_on_ledger=True))

    def mark_funded(self, *, is_on_ledger: bool) -> Message:
        assert is_on_ledger
        return _to_a_store(lambda: None)


class UnmatchedByMessage:
    """PostgreSQL as well: what fits no order is a row, once."""

    def __init__(self) -> None:
        self.rows: dict[str, UnmatchedPayment] = {}

    def add(self, payment: UnmatchedPayment) -> Message:
        return _to_a_store(lambda: self.rows.setdefault(payment.id, payment) is payment)


def _to_a_store(act: Callable[[], Any]) -> Message:
    return Message(act, UnavailableError(), UnavailableError())


@dataclass
class Running:
    """A coroutine of the shop that waits for the answer to its message."""

    worker: int
    coroutine: Coroutine[Message, Any, Any]
    on_answer: Callable[[Any], None]
    message: Message


@dataclass
class Told:
    """What the buyer and the provider of one order know."""

    email: str
    cls: ClassCode
    qty: int
    amount_cents: int
    events: set[EventType] = field(default_factory=set)
    confirmed: set[EventType] = field(default_factory=set)
    final: str = ""
    # The buyer may have given the ticket back.
    is_unwanted: bool = False
    # A payment of another amount was confirmed as well.
    has_unmatched: bool = False


class RememberingMockPay(MockPay):
    """Says what was decided, as `decided` has it, in a message of its own."""

    def __init__(self, decided: Callable[[str], PaymentEvent | None]) -> None:
        super().__init__(("secret",), "", cast(httpx.AsyncClient, None), cast(Outbox, None))
        self._decided = decided

    async def look_up(self, order_id: str) -> PaymentEvent | None:
        event: PaymentEvent | None = await _to_a_store(lambda: self._decided(order_id))
        return event


class OrdersUnderFaults(RuleBasedStateMachine):
    """Buyers, a provider, workers that die, and stores that are away."""

    def __init__(self) -> None:
        super().__init__()
        self.books = BooksByHand()
        self.ledger = LedgerByMessage(self.books)
        self.sessions = SessionsByMessage()
        self.orders = OrdersByMessage()
        self.unmatched = UnmatchedByMessage()
        self.shops = {worker: self._shop(worker) for worker in range(1, WORKERS + 1)}
        self.shop = self.shops[1]
        # Workers read a hold's end off their own clock, which here is the ledger's.
        self.clock = patch.object(
            order_state, "time", SimpleNamespace(time_ns=self.books.clock.wall)
        )
        self.clock.start()
        self.running: list[Running] = []
        self.late: list[Message] = []
        self.told: dict[str, Told] = {}
        self._to_the_end(self.shop.open())

    def teardown(self) -> None:
        """Everything heals, and the provider tells every event until it is confirmed."""
        try:
            self._heal()
        finally:
            self.clock.stop()
            self.books.close()

    def _heal(self) -> None:
        while self.running:
            self._step(self.running[0], Fate.DONE)
        for message in self.late:
            message.act()
        for order_id, told in self.told.items():
            for event_type in sorted(told.events - told.confirmed):
                settled = self._to_the_end(self.shop.settle(self._event(order_id, event_type)))
                self._on_settled(order_id, event_type, settled)
        self.stores_agree()
        paid = 0
        for order_id, told in self.told.items():
            row = self._row(order_id)
            is_charged = EventType.SUCCEEDED in told.events
            assert is_charged == (row is not None and row.status in CHARGED)
            paid += row is not None and row.status is OrderStatus.PAID
        assert self._stock()[-1].sold == min(GOODIES, paid)

    # --- What happens --------------------------------------------------------------------------

    @rule(
        key=st.integers(1, KEYS),
        cls=st.sampled_from(("A", "B")),
        name=st.sampled_from("ab"),
        qty=st.integers(1, max(TICKETS_PER_ORDER.values())),
        worker=st.integers(1, WORKERS),
    )
    def check_out(self, key: int, cls: ClassCode, name: str, qty: int, worker: int) -> None:
        email = f"{name}@example.org"

        def on_answer(checkout: Checkout) -> None:
            agreed = Told(email, cls, qty, checkout.amount_cents)
            told = self.told.setdefault(checkout.order_id, agreed)
            assert (told.email, told.cls, told.qty) == (email, cls, qty)
            assert told.amount_cents == checkout.amount_cents

        checkout = self._check_out(self.shops[worker], cls, email, f"key {key}", qty)
        self._start(worker, checkout, on_answer)

    @precondition(lambda self: self.told)
    @rule(data=st.data(), event_type=st.sampled_from(EventType), worker=st.integers(1, WORKERS))
    def tell(self, data: st.DataObject, event_type: EventType, worker: int) -> None:
        order_id = data.draw(st.sampled_from(sorted(self.told)))
        self.told[order_id].events.add(event_type)
        event = self._event(order_id, event_type)
        self._start(
            worker,
            self.shops[worker].settle(event),
            lambda settled: self._on_settled(order_id, event_type, settled),
        )

    @precondition(lambda self: self.told)
    @rule(data=st.data(), worker=st.integers(1, WORKERS))
    def release(self, data: st.DataObject, worker: int) -> None:
        order_id = data.draw(st.sampled_from(sorted(self.told)))
        self.told[order_id].is_unwanted = True
        self._start(
            worker,
            self.shops[worker].release(_order_id(order_id)),
            lambda status: self._on_released(order_id, status),
        )

    @precondition(lambda self: self.told)
    @rule(data=st.data(), is_paid=st.booleans(), worker=st.integers(1, WORKERS))
    def ask(self, data: st.DataObject, is_paid: bool, worker: int) -> None:
        """A worker asks the provider, which the buyer may have paid without a word to the shop."""
        order_id = data.draw(st.sampled_from(sorted(self.told)))
        if is_paid:
            self.told[order_id].events.add(EventType.SUCCEEDED)
        self._start(worker, self._learn(order_id), lambda _: None)

    def _learn(self, order_id: str) -> Coroutine[Message, Any, float | None]:
        return learn(self.shop, _order_id(order_id), self.shop.provider.look_up)

    @precondition(lambda self: self.told)
    @rule(data=st.data(), event_type=st.sampled_from(EventType), worker=st.integers(1, WORKERS))
    def tell_what_does_not_fit(
        self, data: st.DataObject, event_type: EventType, worker: int
    ) -> None:
        order_id = data.draw(st.sampled_from(sorted(self.told)))
        event = self._event(order_id, event_type, amount=1)

        def on_answer(settled: Settlement) -> None:
            is_money = event_type is EventType.SUCCEEDED
            assert settled.order_status == (UNMATCHED if is_money else None)
            if is_money:
                self.told[order_id].has_unmatched = True

        self._start(worker, self.shops[worker].settle(event), on_answer)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), fate=st.sampled_from((*[Fate.DONE] * 4, *Fate)))
    def answer(self, data: st.DataObject, fate: Fate) -> None:
        self._step(data.draw(st.sampled_from(self.running)), fate)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def answer_to_the_end(self, data: st.DataObject) -> None:
        coroutine = data.draw(st.sampled_from(self.running)).coroutine
        while waiting := [running for running in self.running if running.coroutine is coroutine]:
            self._step(waiting[0], Fate.DONE)

    @precondition(lambda self: self.running)
    @rule(worker=st.integers(1, WORKERS), data=st.data())
    def kill_a_worker(self, worker: int, data: st.DataObject) -> None:
        for running in [running for running in self.running if running.worker == worker]:
            self.running.remove(running)
            running.coroutine.close()
            match data.draw(st.sampled_from((Fate.DONE, Fate.LOST, Fate.LATE))):
                case Fate.DONE:
                    running.message.act()
                case Fate.LATE:
                    self.late.append(running.message)

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def land(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from(self.late))
        self.late.remove(message)
        message.act()

    @precondition(lambda self: self.sessions.not_waited_for)
    @rule(is_lost=st.booleans())
    def finish_sessions(self, is_lost: bool) -> None:
        for message in self.sessions.not_waited_for:
            if not is_lost:
                message.act()
        self.sessions.not_waited_for.clear()

    @rule()
    def wipe_redis(self) -> None:
        self.sessions.wipe()

    @rule(seconds=st.sampled_from((1, HOLD_SECONDS + 1, A_DAY)))
    def pass_time(self, seconds: int) -> None:
        self.books.clock.now += seconds * SECOND

    # --- What has to hold ----------------------------------------------------------------------

    @invariant()
    def stores_agree(self) -> None:
        """Each paid order is one sale, no order is two, and the accounts say the same."""
        sold = {"A": 0, "B": 0}
        for order_id in self.ledger.held:
            sales = self._transfers(order_id, *SALES)
            assert len(sales) <= 1
            row = self.orders.rows.get(order_id)
            if row is not None and row.is_charged:
                assert len(sales) == (row.status is OrderStatus.PAID)
            if sales:
                [hold] = self._transfers(order_id, Purpose.HOLD)
                # Late or not, all that was held or none of it.
                assert sales[0].amount == hold.amount
                sold["AB"[sales[0].ledger - 1]] += sales[0].amount
        for stock, cls in zip(self._stock(), sold, strict=False):
            assert stock.sold == sold[cls]
            assert stock.available >= 0

    @invariant()
    def nothing_is_taken_back(self) -> None:
        """What was confirmed is durable the moment it is confirmed."""
        for order_id, told in self.told.items():
            row = self._row(order_id)
            if told.final:
                assert row is not None
                assert row.status == told.final
            if told.confirmed:
                assert row is not None
                assert (row.qty, row.amount_cents) == (told.qty, told.amount_cents)
                codes = told.qty if row.status is OrderStatus.PAID else 0
                assert len(set(row.ticket_codes)) == codes
            assert self._transfers(_order_id(order_id), Purpose.HOLD)
            kept = [p for p in self.unmatched.rows.values() if p.order_id == order_id]
            assert len(kept) <= 1
            assert kept or not told.has_unmatched

    # --- How ----------------------------------------------------------------------------------

    def _shop(self, worker: int) -> Shop:
        offer = replace(OFFER, tickets_per_order=TICKETS_PER_ORDER[worker])
        tickets = {"A": TICKETS_A, "B": TICKETS_B}
        catalog = catalog_at(PRICES[worker], tickets, GOODIES, offer)
        shop = Shop(
            Booking(catalog, HOLD_SECONDS),
            cast(Ledger, self.ledger),
            cast(Sessions, self.sessions),
            cast(Orders, self.orders),
            cast(UnmatchedPayments, self.unmatched),
            cast(TicketRefunds, None),
            cast(ShowCancellation, None),
            RememberingMockPay(self._decided),
            SECRET,
            cast(IdentityRow, IdentityByMessage()),
            limits=HoldLimits(SECRET, per_email=HOLDS_PER_EMAIL),
        )
        shop.stock = cast("Cached[list[Inventory]]", ReadEachTime(shop.read_stock))
        shop.gone = Gone(lambda: self.books.clock.now / SECOND)
        return shop

    async def _check_out(self, shop: Shop, cls: str, email: str, key: str, qty: int) -> Checkout:
        was_held, wipes = self._held_by(key) is not None, self.sessions.wipes
        first = OrderIds(SECRET, are_checked=True).of_key(key, 0)
        was_known = self.sessions.knows(first)
        try:
            checkout = await shop.checkout(cls, email, key, qty=qty)
        except InvalidQtyError:
            assert qty > shop.tickets_per_order
            raise
        except KeyRefusedError:
            assert not was_held
            raise
        except (SoldOutError, TooFewLeftError, AllOnHoldError) as refused:
            # An order without an answer may be held. One that is held is never refused, unless
            # Redis has no trace of it: then its refusal may be what the worker has just heard.
            assert not (was_held and was_known and wipes == self.sessions.wipes)
            stock = self._stock()["AB".index(cls)]
            if isinstance(refused, SoldOutError):
                assert stock.state is StockState.SOLD_OUT
            if isinstance(refused, TooFewLeftError):
                assert 0 < stock.available < qty
            raise
        except OrderEndedError as ended:
            order_id = self._held_by(key)
            assert order_id is not None
            self._check_ended(order_id, ended.fields["order_status"])
            raise
        order_id = self._held_by(key)
        assert order_id is not None
        assert order_id.hex_digits == checkout.order_id
        return checkout

    def _held_by(self, key: str) -> OrderId | None:
        """The one order of a key that was held and not given back, as over the email's limit."""
        made = OrderIds(SECRET, are_checked=True)
        attempts = [made.of_key(key, n) for n in range(KEY_ATTEMPTS_MAX)]
        ids = b"".join(attempts)
        holds = Transfer.unpack_all(self.books.books.execute(Operation.LOOKUP_TRANSFERS, ids))
        held = [OrderId(u128(hold.id)) for hold in holds]
        kept = [order_id for order_id in held if not self._transfers(order_id, Purpose.GIVE_BACK)]
        assert len(kept) <= 1
        return kept[0] if kept else None

    def _check_ended(self, order_id: OrderId, status: str | bool | int) -> None:
        [hold] = self._transfers(order_id, Purpose.HOLD)
        told = self.told.get(order_id.hex_digits, Told("", "A", 1, 0))
        if status == OrderStatus.EXPIRED:
            assert hold.timestamp + hold.timeout * SECOND <= self.books.clock.now
        else:
            assert told.is_unwanted or told.events - {EventType.SUCCEEDED}

    def hold(self, cls: ClassCode, email: str, key: str = "key 1", qty: int = 1) -> str:
        """A checkout in which nothing goes wrong; the order's id."""
        checkout: Checkout = self._to_the_end(self.shop.checkout(cls, email, key, qty=qty))
        self.told[checkout.order_id] = Told(email, cls, qty, checkout.amount_cents)
        return checkout.order_id

    def settle(self, order_id: str, event_type: EventType = EventType.SUCCEEDED) -> Settlement:
        """An event in which nothing goes wrong."""
        self.told[order_id].events.add(event_type)
        settled: Settlement = self._to_the_end(self.shop.settle(self._event(order_id, event_type)))
        self._on_settled(order_id, event_type, settled)
        return settled

    def _start(
        self,
        worker: int,
        coroutine: Coroutine[Message, Any, Any],
        on_answer: Callable[[Any], None],
    ) -> None:
        self._go_on(worker, coroutine, on_answer, lambda: coroutine.send(None))

    def _step(self, running: Running, fate: Fate) -> None:
        self.running.remove(running)
        message, coroutine = running.message, running.coroutine
        if fate is Fate.LATE:
            self.late.append(message)
        elif fate is not Fate.LOST:
            answer = message.act()
        if fate is Fate.DONE_TWICE:
            answer = message.act()

        def reply() -> Message:
            if fate is Fate.LOST:
                return coroutine.throw(message.lost)
            if fate in (Fate.LATE, Fate.UNANSWERED):
                return coroutine.throw(message.unknown)
            return coroutine.send(answer)

        self._go_on(running.worker, coroutine, running.on_answer, reply)

    def _go_on(
        self,
        worker: int,
        coroutine: Coroutine[Message, Any, Any],
        on_answer: Callable[[Any], None],
        resume: Callable[[], Message],
    ) -> None:
        """Runs a coroutine to its next message, or to its answer."""
        try:
            message = resume()
        except StopIteration as end:
            on_answer(end.value)
        except (ShopError, LedgerError):
            pass  # The caller hears of it and tries again, or does not.
        else:
            self.running.append(Running(worker, coroutine, on_answer, message))

    def _to_the_end(self, coroutine: Coroutine[Message, Any, Any]) -> Any:
        """Runs a coroutine while nothing goes wrong."""
        answer = None
        while True:
            try:
                answer = coroutine.send(answer).act()
            except StopIteration as end:
                return end.value

    def _on_settled(self, order_id: str, event_type: EventType, settled: Settlement) -> None:
        told = self.told[order_id]
        told.confirmed.add(event_type)
        row = self._row(order_id)
        assert row is not None
        if event_type is EventType.SUCCEEDED:
            assert settled.order_status in CHARGED
        if settled.order_status in CHARGED:
            assert EventType.SUCCEEDED in told.events
            assert told.final in ("", settled.order_status)
            told.final = settled.order_status

    def _on_released(self, order_id: str, status: str | None) -> None:
        """Nothing is on hold any more; what is paid stays paid."""
        told, row = self.told[order_id], self._row(order_id)
        assert row is not None
        assert status is not None
        if status in CHARGED:
            assert EventType.SUCCEEDED in told.events
            assert told.final in ("", status)
            told.final = status

    def _event(
        self, order_id: str, event_type: EventType, amount: int | None = None
    ) -> PaymentEvent:
        told = self.told[order_id]
        return PaymentEvent(
            type=event_type,
            payment_session_id=f"mock_{order_id}",
            order_id=order_id,
            amount=told.amount_cents if amount is None else amount,
            currency="eur",
            cls=told.cls,
            customer_email=told.email,
        )

    def _decided(self, order_id: str) -> PaymentEvent | None:
        if EventType.SUCCEEDED in self.told[order_id].events:
            return self._event(order_id, EventType.SUCCEEDED)
        return None

    def _row(self, order_id: str) -> Order | None:
        return self.orders.rows.get(_order_id(order_id))

    def _transfers(self, order_id: OrderId, *purposes: Purpose) -> list[Transfer]:
        ids = b"".join(order_id.transfer_id(purpose) for purpose in purposes)
        records = self.books.books.execute(Operation.LOOKUP_TRANSFERS, ids)
        return Transfer.unpack_all(records)

    def _stock(self) -> list[Inventory]:
        ids = self.shop.booking.stock_accounts()
        accounts = self.books.books.execute(Operation.LOOKUP_ACCOUNTS, ids)
        return list(Inventory.by_ledger(accounts).values())


TestOrders = OrdersUnderFaults.TestCase
TestOrders.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)


def test_a_payment_told_again_a_day_later_changes_nothing_even_with_redis_wiped() -> None:
    machine = OrdersUnderFaults()
    order_id = machine.hold("A", "a@example.org")
    assert machine.settle(order_id) == Settlement("PAID", is_replay=False)
    row = machine._row(order_id)
    machine.pass_time(A_DAY)
    machine.wipe_redis()
    for event_type in (EventType.SUCCEEDED, EventType.FAILED):
        assert machine.settle(order_id, event_type) == Settlement("PAID", is_replay=True)
    assert machine._row(order_id) == row
    assert machine._stock()[0].sold == 1
    machine.teardown()


@pytest.mark.parametrize(
    ("qty", "sold_meanwhile", "status"),
    [(1, 0, "PAID"), (1, 3, "PAID_UNFULFILLED"), (2, 1, "PAID"), (2, 2, "PAID_UNFULFILLED")],
)
def test_a_payment_first_told_a_day_later_is_all_its_tickets_or_a_refund(
    qty: int, sold_meanwhile: int, status: str
) -> None:
    machine = OrdersUnderFaults()
    order_id = machine.hold("A", "a@example.org", qty=qty)
    machine.pass_time(A_DAY)
    machine.wipe_redis()
    for number in range(sold_meanwhile):
        machine.settle(machine.hold("A", "b@example.org", f"key {number + 2}"))
    assert machine.settle(order_id) == Settlement(status, is_replay=False)
    assert machine.settle(order_id) == Settlement(status, is_replay=True)
    machine.teardown()


def mockpay() -> MockPay:
    """A provider that is asked for ids and signatures only."""
    return MockPay(("secret",), "", cast(httpx.AsyncClient, None), cast(Outbox, None))


def _order_id(hex_digits: str) -> OrderId:
    order_id = OrderId.parse(hex_digits)
    assert order_id is not None
    return order_id


# --- Webhooks that are not what they should be ----------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
nearly_events = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from([*EventType, "payment.refunded"]) | json_values,
        "payment_session_id": st.text() | json_values,
        "order_id": st.text() | json_values,
        "amount": st.integers() | json_values,
        "currency": st.text() | json_values,
        "created_at": json_values,
        "idempotency_key": st.text() | json_values,
        "cls": st.text() | json_values,
        "customer_email": st.text() | json_values,
    },
)


def signed(signature: str | None) -> dict[str, str]:
    return {} if signature is None else {SIGNATURE_HEADER: signature}


@given(st.binary(max_size=300), st.none() | st.text(max_size=60))
def test_no_bytes_are_taken_for_a_webhook_without_the_signature(
    body: bytes, signature: str | None
) -> None:
    with pytest.raises(InvalidWebhookError):
        mockpay().read_webhook(signed(signature), body)


@given(st.binary(max_size=300))
def test_signed_bytes_are_a_webhook_or_kept(body: bytes) -> None:
    provider = mockpay()
    with suppress(UnreadableWebhookError):
        provider.read_webhook(signed(provider.sign(body)), body)


@given(nearly_events)
def test_a_signed_event_of_any_content_is_kept_once_unless_it_says_that_no_money_came(
    event: dict[str, Any],
) -> None:
    machine = OrdersUnderFaults()
    body = json.dumps(event).encode()
    first, again = (
        machine._to_the_end(machine.shop.hear(signed(mockpay().sign(body)), body)) for _ in range(2)
    )
    if first.order_status is None:
        assert event["type"] in (EventType.FAILED, EventType.CANCELED)
        assert machine.unmatched.rows == {}
    else:
        assert (first, again) == (Settlement(UNMATCHED, False), Settlement(UNMATCHED, True))
        assert len(machine.unmatched.rows) == 1
    assert machine.orders.rows == {}
    machine.teardown()


def test_a_payment_that_nobody_tells_is_learned_by_asking() -> None:
    machine = OrdersUnderFaults()
    order_id = machine.hold("A", "a@example.org")
    machine.told[order_id].events.add(EventType.SUCCEEDED)
    machine.pass_time(A_DAY)
    assert machine._to_the_end(machine._learn(order_id)) is None
    row = machine._row(order_id)
    assert row is not None
    assert row.status is OrderStatus.PAID
    machine.teardown()
