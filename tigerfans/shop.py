"""The shop itself: a checkout and a payment, step by step, over ledger, Redis and PostgreSQL.

The steps are ordered so that a crash between any two of them is healed by a retry: the ledger
decides first, under ids that a retry derives again; then the outcome is stored in PostgreSQL;
then the payment is confirmed. A checkout waits until Redis has its session. A payment reads it as a
shortcut and never waits to write there; where Redis fails, the ledger's hold and the signed event
say the same.
"""

import re
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import orjson

from tigerfans.booking.ids import OrderId
from tigerfans.booking.inventory import Inventory
from tigerfans.booking.outcomes import (
    HoldOutcome,
    ReleaseOutcome,
    SaleOutcome,
    check_created,
    decode_hold,
    decode_late_sale,
    decode_release,
    decode_sale,
)
from tigerfans.booking.tickets import ticket_code
from tigerfans.booking.transfers import Booking, fingerprint
from tigerfans.caching import Cached
from tigerfans.errors import (
    IdempotencyConflictError,
    InvalidRequestError,
    SoldOutError,
    UnavailableError,
    UnknownOrderError,
)
from tigerfans.ledger.base import Ledger
from tigerfans.ledger.wire import AccountStatus, Operation, TransferStatus
from tigerfans.offer.catalog import CURRENCY, ClassCode, TicketClass
from tigerfans.payments.base import EventType, PaymentEvent, PaymentProvider
from tigerfans.settings.settings import SettingsError
from tigerfans.stores.orders import Order, Orders, OrderStatus, Recorded
from tigerfans.stores.sessions import Entry, Session, Sessions
from tigerfans.telemetry.counters import Counters, timed
from tigerfans.telemetry.steps import OnStep, Step, ignore_step

EMAIL_CHARACTERS_MAX: Final = 254
IDEMPOTENCY_KEY_CHARACTERS_MAX: Final = 255
INVENTORY_SECONDS: Final = 0.1

# The step by which an order comes to the status that is stored.
_STEP_TO: Final = {
    OrderStatus.PAID: Step.PAID,
    OrderStatus.PAID_UNFULFILLED: Step.REFUND_DUE,
    OrderStatus.FAILED: Step.FAILED,
    OrderStatus.CANCELED: Step.CANCELED,
}

# Only the shape; the proof of an address is that the ticket arrives. A quoted local part may hold
# nearly anything, which is valid and must be harmless on every page.
_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"
# What a name of a host may hold. Beyond ASCII it is everything but signs, spaces, and what is not
# seen: which of those are letters depends on the version of Python.
_NO_LETTERS: Final = r"\x00-\x2f:-@\[-`{-\xa9\s\u2000-\u206f\ufeff\ud800-\udfff"
_LETTER: Final = f"[^{_NO_LETTERS}]"
_LABEL: Final = f"{_LETTER}(?:(?:{_LETTER}|[_-])*{_LETTER})?"
_EMAIL: Final = re.compile(
    rf'(?:"[^"\\{_CONTROLS}]+"|[^\s"<>()\[\]:;,\\@{_CONTROLS}]+)@(?:{_LABEL}\.)+{_LABEL}'
)


class Checkout(msgspec.Struct, frozen=True):
    """A ticket is held for this order until `redirect_url` is paid or the hold expires."""

    order_id: str
    redirect_url: str
    amount_cents: int


class Settlement(msgspec.Struct, frozen=True):
    """What became of an order by a payment event, and whether it was so before."""

    order_status: str
    is_replay: bool


class Shop:
    def __init__(
        self,
        booking: Booking,
        ledger: Ledger,
        sessions: Sessions,
        orders: Orders,
        provider: PaymentProvider,
        secret: str,
        counters: Counters | None = None,
        on_step: OnStep = ignore_step,
    ) -> None:
        self.booking = booking
        self.catalog = booking.catalog
        self.ledger = ledger
        self.sessions = sessions
        self.orders = orders
        self.provider = provider
        self.counters = counters or Counters()
        self._on_step = on_step
        self._secret = secret
        self._classes: dict[str, TicketClass] = {c.code: c for c in self.catalog.classes}
        self._stock = Cached(self._read_stock, INVENTORY_SECONDS)

    async def open(self) -> None:
        """Sets up the ledger's accounts and stock; whoever did so before, it happens once.

        Raises `SettingsError` where the ledger was set up with other capacities.
        """
        accounts = await self.submit(Operation.CREATE_ACCOUNTS, self.booking.accounts())
        check_created(accounts, AccountStatus)
        funding = await self.submit(Operation.CREATE_TRANSFERS, self.booking.funding())
        stock = await self._read_stock()
        for resource, inventory in zip(self.catalog.resources, stock, strict=True):
            if inventory.capacity != resource.capacity:
                raise SettingsError(
                    f"{resource.setting} is {resource.capacity}, but this ledger was opened"
                    f" with {inventory.capacity}; what is on sale cannot be changed later."
                )
        check_created(funding, TransferStatus)

    async def checkout(self, cls: str, email: str, idempotency_key: str | None = None) -> Checkout:
        """Holds one ticket for a while.

        Raises `InvalidRequestError`, `SoldOutError`, `IdempotencyConflictError`, a `LedgerError`,
        or `UnavailableError`. After the last two, the same key tries the same order again.
        """
        ticket_class = self._ticket_class(cls)
        check_email(email)
        order_id = self._order_id(idempotency_key)
        results = await self.submit(
            Operation.CREATE_TRANSFERS,
            self.booking.hold(order_id, ticket_class.code, fingerprint(ticket_class.code, email)),
        )
        outcome, held_ns = decode_hold(results)
        if outcome is HoldOutcome.SOLD_OUT:
            raise SoldOutError
        if outcome is HoldOutcome.CONFLICT:
            session = await self._session_before(order_id, ticket_class, email)
        else:
            held_ms = held_ns // 1_000_000
            session = self._session(
                order_id,
                ticket_class,
                email,
                created_ms=held_ms,
                expires_ms=held_ms + self.booking.hold_seconds * 1_000,
            )
        self._took(Step.HELD, order_id, ticket_class.code)
        await timed(self.counters.session, self.sessions.save(session))
        return Checkout(
            order_id.hex_digits,
            self.provider.redirect_url(session.psid),
            ticket_class.price_cents,
        )

    async def settle(self, event: PaymentEvent) -> Settlement:
        """Does what a payment event asks for; returns only when all of it is durable.

        Raises `InvalidRequestError` where the event does not fit its order, `UnknownOrderError`,
        a `LedgerError` or `UnavailableError`; after the last two the event is to be sent again.
        """
        order_id = OrderId.parse(event.order_id)
        if order_id is None or event.payment_session_id != self.provider.session_id(event.order_id):
            raise InvalidRequestError("The payment session does not belong to the order.")
        # A sale whose event names no email waits for Redis, which has it: the provider tells it
        # again, and an order without an email would stay so.
        is_needed = event.type is EventType.SUCCEEDED and not event.customer_email
        entry = await self._entry(order_id, is_needed=is_needed)
        session = (
            entry.session
            if entry
            else await self._session_on_ledger(order_id, event.customer_email or "")
        )
        if session is None:
            raise UnknownOrderError
        _check_event(event, session)
        if entry and entry.paid_answer:
            return Settlement(orjson.loads(entry.paid_answer)["status"], is_replay=True)
        if event.type is EventType.SUCCEEDED:
            order = await self._sell(session)
        else:
            order = await self._release(session, event.type)
        recorded = await self._record(order)
        answer = order_answer(recorded.order) if recorded.order.is_charged else b""
        self.sessions.finish(session, answer)
        return Settlement(recorded.order.status, is_replay=not recorded.is_new)

    async def order_answer(self, order_id: OrderId) -> bytes | None:
        """An order as public JSON; None where it is unknown."""
        entry = await self._entry(order_id)
        if entry and entry.paid_answer:
            return entry.paid_answer
        order = await self._order_of(order_id, entry)
        return None if order is None else order_answer(order)

    async def order(self, order_id: OrderId) -> Order | None:
        """An order in its state of now, from its hold on; None where it is unknown."""
        return await self._order_of(order_id, await self._entry(order_id))

    async def payment_session(self, psid: str) -> Session | None:
        """The session a buyer pays for at the provider's page; None where it is unknown.

        Raises `UnavailableError` where Redis does not answer: a payment that was started without
        the email it is for would leave an order without one.
        """
        order_id = OrderId.parse(self.provider.order_id(psid) or "")
        if order_id is None:
            return None
        entry = await self.sessions.find(order_id)
        return entry.session if entry else await self._session_on_ledger(order_id)

    async def restore(self, order_id: OrderId) -> Order | None:
        """Stores the order of a sale that is on the ledger; None where the ledger has no hold.

        Replaying the sale tells how it went. Where Redis has no session any more, the buyer's
        email is lost with it.
        """
        entry = await self._entry(order_id)
        session = entry.session if entry else await self._session_on_ledger(order_id)
        if session is None:
            return None
        return (await self._record(await self._sell(session))).order

    async def refund(self, order_id: OrderId) -> Order:
        """Gives back the money of an order that was paid and cannot be fulfilled.

        Raises `UnknownOrderError`, or `InvalidRequestError` where no refund is due. The provider
        comes first: a crash after it leaves the refund due, and asking it again is harmless.
        """
        order = await self.orders.find(order_id)
        if order is None:
            raise UnknownOrderError
        if order.status is not OrderStatus.PAID_UNFULFILLED:
            raise InvalidRequestError("No refund is due for this order.")
        if order.refunded_at is None:
            psid = self.provider.session_id(order_id.hex_digits)
            await self.provider.refund(psid, order.amount_cents)
            if await self.orders.mark_refunded(order_id):
                self._took(Step.REFUNDED, order_id, order.cls)
        return await self.orders.find(order_id) or order

    async def inventory(self) -> dict[ClassCode, Inventory]:
        """The stock of each ticket class, at most `INVENTORY_SECONDS` old."""
        stock = await self._stock.get()
        return {c.code: stock[i] for i, c in enumerate(self.catalog.classes)}

    async def goodies(self) -> Inventory:
        """The stock of goodies, at most `INVENTORY_SECONDS` old."""
        return (await self._stock.get())[-1]

    def submit(self, operation: Operation, events: bytes) -> Awaitable[bytes]:
        """What the ledger answers; see `Ledger`."""
        return timed(self.counters.ledger, self.ledger.submit(operation, events))

    async def _read_stock(self) -> list[Inventory]:
        budgets = await self.submit(Operation.LOOKUP_ACCOUNTS, self.booking.budgets())
        return Inventory.unpack_all(budgets)

    async def _order_of(self, order_id: OrderId, entry: Entry | None) -> Order | None:
        order = await timed(self.counters.order, self.orders.find(order_id))
        if order is not None:
            return order
        session = entry.session if entry else await self._session_on_ledger(order_id)
        return None if session is None else _unpaid(session)

    async def _entry(self, order_id: OrderId, *, is_needed: bool = False) -> Entry | None:
        """The order's entry in Redis; None where there is none.

        Where Redis does not answer, None as well, or `UnavailableError` if it `is_needed`.
        """
        try:
            return await timed(self.counters.session, self.sessions.find(order_id))
        except UnavailableError:
            if is_needed:
                raise
            return None

    async def _session_on_ledger(self, order_id: OrderId, email: str = "") -> Session | None:
        """The session as the ledger's hold remembers it; `email` must be the one it was for."""
        record = await self.submit(Operation.LOOKUP_TRANSFERS, bytes(order_id))
        hold = self.booking.hold_of(record) if record else None
        if hold is None:
            return None
        if email and fingerprint(hold.ticket_class.code, email) != hold.fingerprint:
            raise InvalidRequestError("The payment does not match its order.")
        return self._session(
            order_id,
            hold.ticket_class,
            email,
            created_ms=hold.created_ns // 1_000_000,
            expires_ms=hold.expires_ns // 1_000_000,
        )

    async def _session_before(
        self, order_id: OrderId, ticket_class: TicketClass, email: str
    ) -> Session:
        """The session of a hold with the same body, placed when holds lasted longer or shorter.

        Raises `IdempotencyConflictError` where it is the body that differs.
        """
        try:
            session = await self._session_on_ledger(order_id, email)
        except InvalidRequestError:
            session = None
        if session is None or session.cls != ticket_class.code:
            raise IdempotencyConflictError
        return session

    async def _sell(self, session: Session) -> Order:
        sale = self.booking.sale(session.order_id, session.cls)
        outcome, sold_ns = decode_sale(await self.submit(Operation.CREATE_TRANSFERS, sale))
        if outcome is SaleOutcome.HOLD_GONE:
            late = self.booking.late_sale(session.order_id, session.cls)
            results = await self.submit(Operation.CREATE_TRANSFERS, late)
            outcome, sold_ns = decode_late_sale(results)
        if outcome is SaleOutcome.MISMATCH:
            raise InvalidRequestError("The payment does not match its order.")
        if outcome is SaleOutcome.UNFULFILLED:
            return _order(session, OrderStatus.PAID_UNFULFILLED, paid_at=datetime.now(UTC))
        return _order(
            session,
            OrderStatus.PAID,
            paid_at=_at(sold_ns // 1_000),
            ticket_code=ticket_code(session.order_id, self._secret),
            got_goodie=outcome is SaleOutcome.SOLD_WITH_GOODIE,
        )

    async def _record(self, order: Order) -> Recorded:
        recorded = await timed(self.counters.order, self.orders.record(order))
        if recorded.is_new:
            self._took(_STEP_TO[recorded.order.status], order.id, order.cls)
        return recorded

    def _took(self, step: Step, order_id: OrderId, cls: ClassCode) -> None:
        self.counters.steps[step] += 1
        self._on_step(step, order_id, cls)

    async def _release(self, session: Session, event_type: EventType) -> Order:
        release = self.booking.release(session.order_id, session.cls)
        outcome = decode_release(await self.submit(Operation.CREATE_TRANSFERS, release))
        if outcome is ReleaseOutcome.MISMATCH:
            raise InvalidRequestError("The payment does not match its order.")
        if outcome is ReleaseOutcome.SOLD:
            # It was paid before. Replaying the sale tells how, and changes nothing.
            return await self._sell(session)
        failed = event_type is EventType.FAILED
        return _order(session, OrderStatus.FAILED if failed else OrderStatus.CANCELED)

    @property
    def hold_seconds(self) -> int:
        return self.booking.hold_seconds

    def _order_id(self, idempotency_key: str | None) -> OrderId:
        if idempotency_key is None:
            return OrderId.new()
        if not 0 < len(idempotency_key) <= IDEMPOTENCY_KEY_CHARACTERS_MAX:
            raise InvalidRequestError(
                f"Idempotency-Key takes 1 to {IDEMPOTENCY_KEY_CHARACTERS_MAX} characters."
            )
        return OrderId.from_key(idempotency_key, self._secret)

    def _ticket_class(self, cls: str) -> TicketClass:
        ticket_class = self._classes.get(cls)
        if ticket_class is None:
            raise InvalidRequestError(f"Please choose ticket class {' or '.join(self._classes)}.")
        return ticket_class

    def _session(
        self,
        order_id: OrderId,
        ticket_class: TicketClass,
        email: str,
        *,
        created_ms: int,
        expires_ms: int,
    ) -> Session:
        return Session(
            psid=self.provider.session_id(order_id.hex_digits),
            order_id=order_id,
            cls=ticket_class.code,
            amount_cents=ticket_class.price_cents,
            email=email,
            created_ms=created_ms,
            expires_ms=expires_ms,
        )


def check_email(email: str) -> None:
    """Raises `InvalidRequestError` unless `email` has the shape of an address."""
    if not email:
        raise InvalidRequestError("Please give an email address for the ticket.")
    if len(email) > EMAIL_CHARACTERS_MAX:
        raise InvalidRequestError(
            f"An email address has at most {EMAIL_CHARACTERS_MAX} characters."
        )
    if not _EMAIL.fullmatch(email):
        raise InvalidRequestError("This does not look like an email address.")


def order_answer(order: Order) -> bytes:
    """An order as the public JSON of the HTTP contract; nothing of the buyer is in it."""
    return orjson.dumps(
        {
            "order_id": order.id.hex_digits,
            "status": order.status,
            "cls": order.cls,
            "qty": 1,
            "amount": order.amount_cents,
            "currency": order.currency,
            "paid_at": order.paid_at and order.paid_at.isoformat(),
            "ticket_code": order.ticket_code,
            "got_goodie": order.got_goodie,
        }
    )


def _check_event(event: PaymentEvent, session: Session) -> None:
    if (
        event.amount != session.amount_cents
        or event.currency != CURRENCY
        or event.cls not in (None, session.cls)
        or (event.customer_email and session.email and event.customer_email != session.email)
    ):
        raise InvalidRequestError("The payment does not match its order.")


def _order(
    session: Session,
    status: OrderStatus,
    *,
    paid_at: datetime | None = None,
    ticket_code: str | None = None,
    got_goodie: bool = False,
) -> Order:
    return Order(
        id=session.order_id,
        status=status,
        cls=session.cls,
        amount_cents=session.amount_cents,
        email=session.email,
        created_at=_at(session.created_ms * 1_000),
        paid_at=paid_at,
        ticket_code=ticket_code,
        got_goodie=got_goodie,
    )


def _unpaid(session: Session) -> Order:
    """An order nobody has paid yet, whose hold may have run out."""
    is_expired = session.expires_ms <= time.time_ns() // 1_000_000
    return _order(session, OrderStatus.EXPIRED if is_expired else OrderStatus.PENDING)


def _at(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
