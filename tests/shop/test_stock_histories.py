"""What has to hold for any history of a class's stock: two operators and two clerks, each stopped
between any two of their messages and killed there, while tickets are held, sold, given back and
refunded, and holds expire. The ledger is the embedded one.
"""

from collections.abc import Coroutine, Generator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Final, cast
from unittest.mock import AsyncMock, patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.ledger.by_hand import SECOND, BooksByHand
from tests.offers import OFFER
from tigerfans.booking.ids import OrderId
from tigerfans.booking.inventory import Inventory
from tigerfans.booking.outcomes import HOLDS, SaleOutcome, decode_hold, decode_sale
from tigerfans.booking.stock_changes import Change, Move, StockMoves, Wanted
from tigerfans.booking.transfers import Booking
from tigerfans.errors import StockMovedError, StockRefusedError
from tigerfans.ledger.wire import Operation
from tigerfans.offer.catalog import Catalog
from tigerfans.shop import closing, stock_changes
from tigerfans.shop.backends import Backends
from tigerfans.shop.stock_changes import ClassStock

HOLD_SECONDS: Final = 300
TICKETS: Final = 9
OPERATORS: Final = 2
CLERKS: Final = 2

CHANGES = st.one_of(
    st.builds(Wanted, st.sampled_from((Move.ADD, Move.WITHDRAW)), st.integers(1, 9)),
    st.sampled_from((Wanted(Move.CLOSE), Wanted(Move.OPEN))),
)


class Pause:
    """A message on its way: whoever sent it goes on when it is their turn."""

    def __await__(self) -> Generator["Pause", None, None]:
        yield self


@dataclass
class Doing:
    """What somebody is in the middle of."""

    steps: Coroutine[Any, Any, Any]
    wanted: Wanted | None = None
    number: int = 0


class StockUnderFaults(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.books = BooksByHand()
        listing = replace(OFFER.listings[0], capacity=TICKETS)
        catalog = Catalog.build(replace(OFFER, listings=(listing,)))
        self.cls = catalog.classes[0]
        self.booking = Booking(catalog, HOLD_SECONDS)
        self.moves = StockMoves(self.cls.tickets)
        self._execute(Operation.CREATE_ACCOUNTS, self.booking.accounts())
        self._execute(Operation.CREATE_TRANSFERS, self.booking.funding())
        self.backends = cast(
            "Backends",
            SimpleNamespace(
                booking=self.booking,
                ticket_class=lambda _: self.cls,
                submit=self._submit,
                orders=SimpleNamespace(database=None),
                stock=SimpleNamespace(forget=lambda: None),
            ),
        )
        self.operators: list[Doing | None] = [None] * OPERATORS
        self.clerks: list[Doing | None] = [None] * CLERKS
        # What each operator saw last, of which they say the number.
        self.seen = [0] * OPERATORS
        # Which tickets each order has on hold until when, and which it bought.
        self.held: dict[OrderId, tuple[int, int]] = {}
        self.sold: dict[OrderId, int] = {}
        self.audit = patch.object(stock_changes, "Audit", return_value=AsyncMock())
        self.audit.start()

    def teardown(self) -> None:
        for doing in (*self.operators, *self.clerks):
            if doing is not None:
                doing.steps.close()
        for _ in range(2):
            self._run(closing.park(self.backends))
        stock = self._stock()
        assert stock.available == 0 if stock.is_closed else stock.parked == 0
        self.invariants_hold()
        self.audit.stop()
        self.books.close()

    def _execute(self, operation: Operation, records: bytes) -> bytes:
        return self.books.books.execute(operation, records)

    async def _submit(self, operation: Operation, records: bytes) -> bytes:
        # Whoever dies here has not sent it, and whoever dies there has not heard the answer.
        await Pause()
        answer = self._execute(operation, records)
        await Pause()
        return answer

    def _run(self, steps: Coroutine[Any, Any, Any]) -> Any:
        try:
            while True:
                steps.send(None)
        except StopIteration as end:
            return end.value

    # --- Operators and clerks --------------------------------------------------------------------

    @rule(operator=st.integers(0, OPERATORS - 1))
    def looks(self, operator: int) -> None:
        self.seen[operator] = self._number()

    @rule(operator=st.integers(0, OPERATORS - 1), wanted=CHANGES)
    def asks(self, operator: int, wanted: Wanted) -> None:
        if self.operators[operator] is None:
            number = self.seen[operator]
            steps = stock_changes.change(self.backends, "A", wanted, "ada", number)
            self.operators[operator] = Doing(steps, wanted, number)

    @rule(changes=st.tuples(CHANGES, CHANGES), turns=st.lists(st.integers(0, 1), min_size=20))
    def both_look_and_ask_at_once(self, changes: tuple[Wanted, Wanted], turns: list[int]) -> None:
        for operator, wanted in enumerate(changes):
            self.looks(operator)
            self.asks(operator, wanted)
        for operator in turns:
            self.goes_on(operator, 1)

    @rule(clerk=st.integers(0, CLERKS - 1))
    def begins_a_round(self, clerk: int) -> None:
        if self.clerks[clerk] is None:
            self.clerks[clerk] = Doing(closing.park(self.backends))

    @rule(operator=st.integers(0, OPERATORS - 1), steps=st.integers(1, 12))
    def goes_on(self, operator: int, steps: int) -> None:
        doing = self.operators[operator]
        for _ in range(steps):
            if doing is None:
                return
            try:
                doing.steps.send(None)
            except StopIteration as end:
                self._heard(operator, doing, end.value)
                doing = None
            except (StockMovedError, StockRefusedError):
                # Whoever is told to look does.
                self.operators[operator] = doing = None
                self.seen[operator] = self._number()

    def _heard(self, operator: int, doing: Doing, answer: ClassStock) -> None:
        """Who hears that it is done finds it on the ledger, as the next one after what they saw."""
        made = answer.from_number(doing.number)
        assert made is not None
        assert made.wanted == doing.wanted
        self.operators[operator] = None
        self.seen[operator] = answer.number

    @rule(clerk=st.integers(0, CLERKS - 1), steps=st.integers(1, 6))
    def clerk_goes_on(self, clerk: int, steps: int) -> None:
        doing = self.clerks[clerk]
        for _ in range(steps):
            if doing is None:
                return
            try:
                doing.steps.send(None)
            except StopIteration:
                self.clerks[clerk] = doing = None

    @rule(operator=st.integers(0, OPERATORS - 1))
    def dies_and_asks_again(self, operator: int) -> None:
        doing = self.operators[operator]
        if doing is not None and doing.wanted is not None:
            doing.steps.close()
            doing.steps = stock_changes.change(
                self.backends, "A", doing.wanted, "ada", doing.number
            )

    @rule(clerk=st.integers(0, CLERKS - 1))
    def clerk_dies(self, clerk: int) -> None:
        doing = self.clerks[clerk]
        if doing is not None:
            doing.steps.close()
        self.clerks[clerk] = None

    # --- Buyers ----------------------------------------------------------------------------------

    @rule(qty=st.integers(1, 3))
    def holds(self, qty: int) -> None:
        order_id = OrderId.new()
        hold = self.booking.hold(order_id, "A", bytes(16), qty)
        outcome, at_ns = decode_hold(self._execute(Operation.CREATE_TRANSFERS, hold))
        if outcome in HOLDS:
            self.held[order_id] = qty, at_ns + HOLD_SECONDS * SECOND

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def pays(self, data: st.DataObject) -> None:
        order_id = data.draw(st.sampled_from(list(self.held)))
        sale = self.booking.sale(order_id, "A")
        outcome, _ = decode_sale(self._execute(Operation.CREATE_TRANSFERS, sale))
        assert outcome in (SaleOutcome.SOLD, SaleOutcome.SOLD_WITH_GOODIE)
        self.sold[order_id] = self.held.pop(order_id)[0]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def cancels(self, data: st.DataObject) -> None:
        order_id = data.draw(st.sampled_from(list(self.held)))
        self._execute(Operation.CREATE_TRANSFERS, self.booking.release(order_id, "A"))
        del self.held[order_id]

    @precondition(lambda self: self.sold)
    @rule(data=st.data())
    def is_refunded(self, data: st.DataObject) -> None:
        order_id = data.draw(st.sampled_from(list(self.sold)))
        tickets = range(self.sold.pop(order_id))
        self._execute(Operation.CREATE_TRANSFERS, self.booking.refund(order_id, "A", tickets))

    @rule(seconds=st.sampled_from((1, 200, 400)))
    def time_passes(self, seconds: int) -> None:
        self.books.clock.now += seconds * SECOND
        # What is due is given back before a submission: by one that changes nothing.
        self._execute(Operation.CREATE_TRANSFERS, self.booking.funding())
        now = self.books.clock.now
        self.held = {order: hold for order, hold in self.held.items() if hold[1] > now}

    # --- What holds ------------------------------------------------------------------------------

    @invariant()
    def invariants_hold(self) -> None:
        stock, changes = self._stock(), self._changes()
        added = sum(c.wanted.amount for c in changes if c.wanted.move is Move.ADD)
        withdrawn = sum(c.wanted.amount for c in changes if c.wanted.move is Move.WITHDRAW)
        assert (stock.funded, stock.withdrawn) == (TICKETS + added, withdrawn)
        assert stock.total == TICKETS + added - withdrawn
        assert stock.sold == sum(self.sold.values())
        assert stock.held == sum(qty for qty, _ in self.held.values())
        # Nobody ever sells more than was funded and not withdrawn.
        assert stock.available >= 0
        assert stock.parked >= 0
        assert stock.sold + stock.held + stock.available + stock.parked == stock.total
        # Closed and opened in turn, each once.
        switches = [c.wanted.move for c in changes if c.wanted.move in (Move.CLOSE, Move.OPEN)]
        turns = [(Move.CLOSE, Move.OPEN)[turn % 2] for turn in range(len(switches))]
        assert switches == turns
        assert stock.is_closed == (len(switches) % 2 == 1)

    def _stock(self) -> Inventory:
        ids = self.booking.stock_accounts()
        accounts = self._execute(Operation.LOOKUP_ACCOUNTS, ids)
        return Inventory.by_ledger(accounts)[self.cls.tickets.ledger]

    def _changes(self) -> list[Change]:
        window = self.moves.window(0)
        return self.moves.read(0, self._execute(Operation.LOOKUP_TRANSFERS, window))

    def _number(self) -> int:
        changes = self._changes()
        return changes[-1].number + 1 if changes else 0


TestStock = StockUnderFaults.TestCase
TestStock.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
