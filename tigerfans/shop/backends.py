"""What every step of the shop works with: ledger, stores and payment provider, counted."""

from collections.abc import Awaitable
from typing import Final

from tigerfans.booking.door_codes import DoorKeys
from tigerfans.booking.ids import OrderId, OrderIds
from tigerfans.booking.inventory import Inventory
from tigerfans.booking.transfers import Booking
from tigerfans.caching import Cached
from tigerfans.errors import InvalidRequestError
from tigerfans.ledger.base import Ledger
from tigerfans.ledger.wire import Operation
from tigerfans.offer.catalog import ClassCode, TicketClass
from tigerfans.payments.base import PaymentProvider
from tigerfans.payments.unmatched import UnmatchedPayments
from tigerfans.shop.gone import Gone
from tigerfans.shop.hold_limits import HoldLimits
from tigerfans.stores.identity import IdentityRow
from tigerfans.stores.orders import Order, Orders, OrderStatus, Recorded
from tigerfans.stores.sessions import Session, Sessions
from tigerfans.stores.show_cancellation import ShowCancellation
from tigerfans.stores.ticket_refunds import TicketRefunds
from tigerfans.telemetry.counters import Counters, timed
from tigerfans.telemetry.steps import OnStep, Step, ignore_step

INVENTORY_SECONDS: Final = 0.1
LINE_SECONDS: Final = 0.25

# The step by which an order comes to the status that is stored.
_STEP_TO: Final = {
    OrderStatus.PAID: Step.PAID,
    OrderStatus.PAID_UNFULFILLED: Step.REFUND_DUE,
    OrderStatus.FAILED: Step.FAILED,
    OrderStatus.CANCELED: Step.CANCELED,
}


class Backends:
    """The parts of one shop; what is done with them is counted, and told to `on_step`."""

    def __init__(
        self,
        booking: Booking,
        ledger: Ledger,
        sessions: Sessions,
        orders: Orders,
        unmatched: UnmatchedPayments,
        ticket_refunds: TicketRefunds,
        cancellation: ShowCancellation,
        provider: PaymentProvider,
        secret: str,
        identity: IdentityRow,
        counters: Counters | None = None,
        on_step: OnStep = ignore_step,
        limits: HoldLimits | None = None,
        door_key: int = 1,
    ) -> None:
        self.booking = booking
        self.catalog = booking.catalog
        self.ledger = ledger
        self.sessions = sessions
        self.orders = orders
        self.unmatched = unmatched
        self.ticket_refunds = ticket_refunds
        self.cancellation = cancellation
        self.provider = provider
        line = provider.line
        # How long whoever joins it waits, read as seldom.
        self.line_wait = None if line is None else Cached(line.seconds, LINE_SECONDS)
        self.counters = counters or Counters()
        self.on_step = on_step
        self.limits = limits or HoldLimits(secret)
        # Nobody can be sold more at once than one may have on hold.
        self.tickets_per_order = self.limits.at_most(self.catalog.offer.tickets_per_order)
        self.secret = secret
        self.identity = identity
        self.ids = OrderIds(secret, are_checked=identity.are_ids_checked)
        self.door_keys = DoorKeys(secret, identity.id.key_prefix, door_key)
        self.classes: dict[str, TicketClass] = {c.code: c for c in self.catalog.classes}
        # Whose sale was closed when the stock was last read, to be read again by who is refused.
        self.closed: set[ClassCode] = set()
        # What the ledger has just refused, so that it is not asked by everybody.
        self.gone = Gone()
        # The stock, read at most so often however many ask.
        self.stock = Cached(self.read_stock, INVENTORY_SECONDS)

    @property
    def hold_seconds(self) -> int:
        return self.booking.hold_seconds

    def submit(self, operation: Operation, records: bytes) -> Awaitable[bytes]:
        """What the ledger answers; see `Ledger`."""
        return timed(self.counters.ledger, self.ledger.submit(operation, records))

    async def read_stock(self) -> list[Inventory]:
        """The stock of each ticket class, and of the goodies last."""
        accounts = await self.submit(Operation.LOOKUP_ACCOUNTS, self.booking.stock_accounts())
        stock = Inventory.by_ledger(accounts)
        classes = self.catalog.classes
        self.closed = {
            c.code for c in classes if (s := stock.get(c.tickets.ledger)) and s.is_closed
        }
        return list(stock.values())

    async def record(self, order: Order) -> Recorded:
        """Stores an outcome durably; a step was taken where it is new."""
        recorded = await timed(self.counters.order, self.orders.record(order))
        if recorded.is_new:
            self.took(_STEP_TO[recorded.order.status], order.id, order.cls)
        return recorded

    def took(self, step: Step, order_id: OrderId, cls: ClassCode) -> None:
        """Counts a step, and tells it."""
        self.counters.steps[step] += 1
        self.on_step(step, order_id, cls)

    def door_code(self, order: Order, ticket: int) -> str:
        """The signed code of an order's ticket, by its number from 0 on: the same one each time."""
        ledger = self.booking.resource_of(order.cls).ledger
        return self.door_keys.sign(order.id, ticket, ledger)

    def ticket_class(self, cls: str) -> TicketClass:
        """The class of that code; raises `InvalidRequestError` where there is none."""
        ticket_class = self.classes.get(cls)
        if ticket_class is None:
            raise InvalidRequestError(f"Please choose ticket class {' or '.join(self.classes)}.")
        return ticket_class

    def session(
        self,
        order_id: OrderId,
        cls: ClassCode,
        email: str,
        *,
        qty: int,
        price_cents: int,
        created_ms: int,
        expires_ms: int,
    ) -> Session:
        """The session of a hold of `qty` tickets, at the price of one that it was placed at."""
        return Session(
            psid=self.provider.session_id(order_id.hex_digits),
            order_id=order_id,
            cls=cls,
            amount_cents=price_cents * qty,
            email=email,
            created_ms=created_ms,
            expires_ms=expires_ms,
            qty=qty,
        )
