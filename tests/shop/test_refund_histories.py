"""What has to hold of refunds for any history of orders, with a crash between any two messages.

The machine of `test_histories` with owners in it, who ask for whole orders and for single tickets,
and with a clerk, who goes on with what is open. The provider gives back once for a key, and its
answers get lost as all others do.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from msgspec import structs

from tests.shop.test_histories import (
    SALES,
    WORKERS,
    Message,
    OrdersUnderFaults,
    RememberingMockPay,
    SessionsByMessage,
    _order_id,
    _to_a_store,
)
from tigerfans.booking.ids import OrderId, Purpose
from tigerfans.booking.outcomes import RefundOutcome
from tigerfans.errors import ProviderError
from tigerfans.ledger.wire import Operation, Transfer
from tigerfans.payments.base import EventType, PaymentEvent
from tigerfans.shop import refund
from tigerfans.shop.backends import Backends
from tigerfans.shop.payment import Settlement
from tigerfans.shop.shop import Shop
from tigerfans.stores.orders import Order, OrderStatus
from tigerfans.stores.sessions import Sessions
from tigerfans.stores.ticket_refunds import TicketRefund, TicketRefunds

NOW = datetime(2027, 1, 1, tzinfo=UTC)


class ForgetfulSessions(SessionsByMessage):
    def forget(self, order_ids: Collection[OrderId]) -> Message:
        return _to_a_store(lambda: [self.entries.pop(each, None) for each in order_ids])


class RefundsByMessage:
    """PostgreSQL: a row for each ticket, and what the orders say of it."""

    def __init__(self) -> None:
        self.rows: dict[OrderId, dict[int, TicketRefund]] = {}
        self.orders: dict[OrderId, Order] = {}
        # Only what was used at the door.
        self.may_refuse = False

    def ask(self, order_id: OrderId, tickets: Collection[int] | None, by: str) -> Message:
        return _to_a_store(lambda: self._ask(order_id, tickets))

    def of(self, order_id: OrderId) -> Message:
        return _to_a_store(lambda: self._of(order_id))

    def taken_back(
        self,
        order_id: OrderId,
        taken: Mapping[int, datetime],
        refused: Mapping[int, str],
        asked: Sequence[TicketRefund] = (),
    ) -> Message:
        assert self.may_refuse or not refused
        return _to_a_store(lambda: self._taken_back(order_id, taken, refused, asked))

    def given_back(self, order_id: OrderId, first: int) -> Message:
        return _to_a_store(lambda: self._given_back(order_id, first))

    def failed(self, order_id: OrderId, error: str) -> Message:
        return _to_a_store(lambda: None)

    def _of(self, order_id: OrderId) -> list[TicketRefund]:
        return [row for _, row in sorted(self.rows.get(order_id, {}).items())]

    def _ask(self, order_id: OrderId, tickets: Collection[int] | None) -> list[int]:
        order = self.orders[order_id]
        rows = self.rows.setdefault(order_id, {})
        wanted = range(order.qty) if tickets is None else sorted(tickets)
        new = [n for n in wanted if n not in rows and order.status is OrderStatus.PAID]
        for n in new:
            rows[n] = TicketRefund(
                order_id, n, new[0], order.price_cents, NOW, "owner", None, None, 0, ""
            )
        return new

    def _taken_back(
        self,
        order_id: OrderId,
        taken: Mapping[int, datetime],
        refused: Mapping[int, str],
        asked: Sequence[TicketRefund],
    ) -> list[TicketRefund]:
        rows = self.rows[order_id]
        for n in refused:
            if n in rows and rows[n].taken_back_at is None:
                del rows[n]
        for row in asked:
            if row.ticket in taken:
                rows.setdefault(row.ticket, row)
        for n, at in taken.items():
            if rows[n].taken_back_at is None:
                rows[n] = replace(rows[n], taken_back_at=at)
        order = self.orders[order_id]
        ends = tuple(rows[n].taken_back_at if n in rows else None for n in range(order.qty))
        self.orders[order_id] = structs.replace(order, tickets_refunded_at=ends)
        return self._of(order_id)

    def _given_back(self, order_id: OrderId, first: int) -> int:
        rows = self.rows[order_id]
        open_ = [n for n, row in rows.items() if row.first == first and row.given_back_at is None]
        for n in open_:
            assert rows[n].taken_back_at is not None
            rows[n] = replace(rows[n], given_back_at=NOW)
        order = self.orders[order_id]
        if len(rows) == order.qty and all(row.given_back_at for row in rows.values()):
            self.orders[order_id] = structs.replace(
                order, status=OrderStatus.REFUNDED, refunded_at=NOW
            )
        return len(open_)


class GivingMockPay(RememberingMockPay):
    """Gives back what it is asked for, once for a key."""

    def __init__(
        self, decided: Callable[[str], PaymentEvent | None], given_back: dict[str, int]
    ) -> None:
        super().__init__(decided)
        self._given_back = given_back

    async def refund(self, order_id: str, reference: str | None, amount: int, key: str) -> None:
        before = await _to_a_store(lambda: self._given_back.setdefault(key, amount))
        assert before == amount


async def give_back(
    backends: Backends, order_id: str, reference: str | None, amount_cents: int, key: str
) -> None:
    """As the shop's, without a deadline: there is no event loop here."""
    try:
        await backends.provider.refund(order_id, reference, amount_cents, key)
    except Exception as error:
        raise ProviderError from error


class RefundsUnderFaults(OrdersUnderFaults):
    """And owners who give money back."""

    def __init__(self) -> None:
        self.refunds = RefundsByMessage()
        self.given_back: dict[str, int] = {}
        super().__init__()
        self.refunds.orders = self.orders.rows
        self.sessions = ForgetfulSessions()
        for shop in self.shops.values():
            shop.sessions = cast(Sessions, self.sessions)
        self.without_deadline = patch.object(refund, "give_back", give_back)
        self.without_deadline.start()

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self.without_deadline.stop()

    def _heal(self) -> None:
        super()._heal()
        for order_id, rows in self.refunds.rows.items():
            refused = self._to_the_end(refund.finish(self.shop, self.orders.rows[order_id]))
            self._on_refused(order_id, refused)
            order = self.orders.rows[order_id]
            given_back = [
                cents
                for key, cents in self.given_back.items()
                if key.startswith(order_id.hex_digits)
            ]
            assert sum(given_back) == len(rows) * order.price_cents
            assert order.tickets_valid == [n for n in range(order.qty) if n not in rows]
            assert (order.status is OrderStatus.REFUNDED) == (len(rows) == order.qty)
        self.stores_agree()

    def _on_refused(self, order_id: OrderId, refused: Mapping[int, RefundOutcome]) -> None:
        assert refused == {}

    # --- What happens --------------------------------------------------------------------------

    @initialize()
    def sell_first(self) -> None:
        """So that each history has something to give back."""
        self.settle(self.hold("B", "b@example.org", "key 1", qty=3))

    @precondition(lambda self: self.told)
    @rule(
        data=st.data(),
        tickets=st.none() | st.sets(st.integers(0, 2), min_size=1),
        worker=st.integers(1, WORKERS),
    )
    def give_back(self, data: st.DataObject, tickets: set[int] | None, worker: int) -> None:
        order_id = data.draw(st.sampled_from(sorted(self.told)))
        row = self.orders.rows.get(_order_id(order_id))
        if row is not None and row.status is OrderStatus.PAID:
            self._start(
                worker,
                self.shops[worker].refund(_order_id(order_id), "owner", tickets),
                lambda _: None,
            )

    @precondition(lambda self: self.refunds.rows)
    @rule(data=st.data(), worker=st.integers(1, WORKERS))
    def go_on(self, data: st.DataObject, worker: int) -> None:
        order_id = data.draw(st.sampled_from(sorted(self.refunds.rows)))
        order = self.orders.rows[order_id]
        self._start(worker, refund.finish(self.shops[worker], order), lambda _: None)

    # --- What has to hold ----------------------------------------------------------------------

    @invariant()
    def stores_agree(self) -> None:
        """A ticket is sold, or back in stock by a refund; what is given back is back in stock."""
        sold = {"A": 0, "B": 0}
        for order_id in self.ledger.held:
            sales = self._transfers(order_id, *SALES)
            assert len(sales) <= 1
            row = self.orders.rows.get(order_id)
            if row is not None and row.is_charged:
                assert len(sales) == row.is_sold
            if sales:
                [hold] = self._transfers(order_id, Purpose.HOLD)
                assert sales[0].amount == hold.amount
                ends = self._ends(order_id, sales[0].amount)
                asked = self.refunds.rows.get(order_id, {})
                assert ends <= set(asked)
                assert {n for n, each in asked.items() if each.taken_back_at} <= ends
                sold["AB"[sales[0].ledger - 1]] += sales[0].amount - len(ends)
        for stock, cls in zip(self._stock(), sold, strict=False):
            assert stock.sold == sold[cls]
            assert stock.available >= 0

    # --- How -----------------------------------------------------------------------------------

    def _shop(self, worker: int) -> Shop:
        shop = super()._shop(worker)
        shop.ticket_refunds = cast(TicketRefunds, self.refunds)
        shop.provider = GivingMockPay(self._decided, self.given_back)
        return shop

    def _ends(self, order_id: OrderId, qty: int) -> set[int]:
        ids = b"".join(order_id.end_id(number) for number in range(qty))
        records = self.books.books.execute(Operation.LOOKUP_TRANSFERS, ids)
        return {(end.id & 0xFF) - 0x80 for end in Transfer.unpack_all(records)}

    def _row(self, order_id: str) -> Order | None:
        """As the machine of before knows it: what is refunded was paid."""
        row = super()._row(order_id)
        is_refunded = row is not None and row.status is OrderStatus.REFUNDED
        return structs.replace(row, status=OrderStatus.PAID) if row and is_refunded else row

    def _on_settled(self, order_id: str, event_type: EventType, settled: Settlement) -> None:
        super()._on_settled(order_id, event_type, _as_paid(settled))

    def _on_released(self, order_id: str, status: str | None) -> None:
        is_refunded = status == OrderStatus.REFUNDED
        super()._on_released(order_id, OrderStatus.PAID if is_refunded else status)


def _as_paid(settled: Settlement) -> Settlement:
    is_refunded = settled.order_status == OrderStatus.REFUNDED
    return Settlement(OrderStatus.PAID, settled.is_replay) if is_refunded else settled


TestRefunds = RefundsUnderFaults.TestCase
TestRefunds.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
