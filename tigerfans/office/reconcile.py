"""Reconciliation: does the ledger say the same as the orders?

Both sides are read in pages, so a million orders fit into bounded memory, while the shop goes on
selling: only what was sold before the start counts, and whatever looks wrong is looked at once
more after every deadline of a payment has passed, because a sale is on the ledger a moment before
its order is in PostgreSQL.

    stock     capacity = available + held + sold, on each resource's accounts
    sales     each sale on the ledger has its paid order, alike in class, number, time and goodie
    orders    each paid order has its one sale on the ledger
    refunds   each ticket that came back into the stock is refunded in the orders, and the reverse
    door      each ticket that got in has its scan, and the reverse (`door_reconcile`)
    goodies   granted on the ledger = granted on orders = min(limit, paid)
    unmatched no payment waits that fits no order
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from tigerfans.booking.ends import Ticket, is_undo, ticket_number
from tigerfans.booking.ids import OrderId, Purpose
from tigerfans.booking.inventory import Inventory
from tigerfans.booking.moments import moment_at
from tigerfans.ledger.wire import (
    Account,
    AccountFilter,
    AccountFilterFlags,
    Operation,
    Transfer,
    TransferFlags,
    u128,
)
from tigerfans.offer.catalog import ClassCode, Part, Resource, stock_account_ids
from tigerfans.offer.tables import TICKETS_PER_ORDER_MAX
from tigerfans.office.door_reconcile import Admissions, DoorComparison
from tigerfans.shop.ends import find_ends
from tigerfans.shop.refund import end_tickets
from tigerfans.shop.shop import Shop
from tigerfans.stores.door_scans import DoorScan
from tigerfans.stores.orders import Order
from tigerfans.stores.ticket_refunds import ticket_words

# Records and orders in memory at a time. A page of four candidate ids for each order still fits
# into one lookup.
PAGE_MAX: Final = 1_000
# Longer than a payment may take from the ledger to PostgreSQL, retries of its webhook aside.
SECOND_LOOK_SECONDS: Final = 6.0
# Orders to look at once more. In a rush some thousand sales are on their way to PostgreSQL when a
# reconciliation begins, and each of them looks wrong for a moment.
SUSPECTS_MAX: Final = 20_000
# Past this many, more differences are counted but not named.
DIFFERENCES_MAX: Final = 1_000

_SALES_WITH_GOODIE: Final = (Purpose.SALE_WITH_GOODIE, Purpose.LATE_SALE_WITH_GOODIE)
_SALES: Final = (*_SALES_WITH_GOODIE, Purpose.SALE, Purpose.LATE_SALE)


@dataclass(frozen=True, slots=True)
class StockRow:
    """One resource on the ledger, in units."""

    name: str
    capacity: int
    available: int
    held: int
    sold: int
    # Kept back while the sale is closed, and no part of the capacity.
    parked: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that does not add up; `order_id` is empty where it is about a whole resource."""

    what: str
    order_id: str = ""
    repaired: bool = False


@dataclass(slots=True)
class Report:
    """What was compared, and what does not add up."""

    stock: list[StockRow] = field(default_factory=list)
    sales: int = 0
    orders: int = 0
    refunds: int = 0
    inside: int = 0
    goodies: int = 0
    unmatched: int = 0
    differences: list[Difference] = field(default_factory=list)
    differences_not_named: int = 0
    repaired: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether both sides say the same, now that what could be repaired was, and every
        payment is an order's.
        """
        return not self.differences_not_named and all(d.repaired for d in self.differences)

    @property
    def says_the_same(self) -> bool:
        """Whether nothing differs but for payments that fit no order."""
        open_differences = sum(not d.repaired for d in self.differences)
        return open_differences + self.differences_not_named == self.unmatched

    @property
    def has_more_to_repair(self) -> bool:
        """Whether another round would repair some of what this one had no room for."""
        return bool(self.differences_not_named and self.repaired)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"clean": self.is_clean}


class Sale(NamedTuple):
    """A sale as the ledger tells it, of `qty` tickets."""

    order_id: OrderId
    cls: ClassCode
    qty: int
    with_goodie: bool
    timestamp_ns: int

    @property
    def paid_us(self) -> int:
        return self.timestamp_ns // 1_000


@dataclass(frozen=True, slots=True)
class RefundProblem:
    """Tickets of an order that came back on the ledger, with the time in nanoseconds, and are not
    refunded in the orders; and those with which it is the other way round.
    """

    not_in_orders: Mapping[int, int]
    not_on_ledger: Sequence[int]

    def __str__(self) -> str:
        told = []
        if self.not_in_orders:
            words = ticket_words(sorted(self.not_in_orders))
            told.append(f"the ledger took {words} back, and the order has no refund of it")
        if self.not_on_ledger:
            words = ticket_words(self.not_on_ledger)
            told.append(f"{words} of the order is refunded, and still sold on the ledger")
        return "; ".join(told)


# Told how many records were compared since the last call.
Progress = Callable[[int], None]


class Reconciler:
    """Compares what was sold before `until_ns` with the orders of `shop`."""

    def __init__(
        self,
        shop: Shop,
        *,
        repair: bool = False,
        second_look_seconds: float = SECOND_LOOK_SECONDS,
        progress: Progress = lambda _: None,
    ) -> None:
        self._shop = shop
        self._repair = repair
        self._second_look_seconds = second_look_seconds
        self._progress = progress
        self._until_ns = time.time_ns()
        self._report = Report()
        # Those that the offer has dropped as well: somebody may have paid a hold of before.
        self._class_of = shop.booking.class_of
        # In the order they were found, each once.
        self._suspects: dict[OrderId, None] = {}
        # Those whose refunds look wrong.
        self._refund_suspects: dict[OrderId, None] = {}
        # Those whose scans do.
        self._door_suspects: dict[OrderId, None] = {}
        self._admissions = Admissions()
        self._door = DoorComparison(shop, self._until_ns)

    async def run(self) -> Report:
        """Raises what the shop's stores raise where one of them is away."""
        await self._check_stock()
        for cls in self._class_of.values():
            async for sales in self._sales(self._shop.booking.resource_of(cls)):
                await self._check_sales(sales)
        async for orders in self._paid_orders():
            await self._check_orders(orders)
        await self._check_refunds()
        await self._check_door()
        if self._suspects or self._refund_suspects or self._door_suspects:
            await asyncio.sleep(self._second_look_seconds)
        await self._look_again()
        await self._look_at_refunds_again()
        await self._look_at_door_again()
        await self._check_goodies()
        await self._check_unmatched()
        return self._report

    # --- Stock -------------------------------------------------------------------------------

    async def _check_stock(self) -> None:
        catalog = self._shop.catalog
        names = [*(c.code for c in catalog.classes), "goodies"]
        for name, resource in zip(names, catalog.resources, strict=True):
            stock, sold, inside = await self._stock(resource)
            row = StockRow(
                name, stock.capacity, stock.available, stock.held, stock.sold, stock.parked
            )
            self._report.stock.append(row)
            adds_up = (
                stock.available >= 0
                and stock.parked >= 0
                and stock.held == sold.credits_pending
                and stock.sold == _balance(sold) + _balance(inside)
            )
            if not adds_up:
                self._differ(f"the accounts of {name} do not add up")

    async def _stock(self, resource: Resource) -> tuple[Inventory, Account, Account]:
        """What there is of a resource, and its accounts `sold` and `inside`."""
        sold_id, inside_id = resource.sold_account_id, resource.inside_account_id
        ids = (*stock_account_ids(resource.ledger), sold_id, inside_id)
        # One lookup, so that all balances are of the same moment.
        records = await self._submit(Operation.LOOKUP_ACCOUNTS, b"".join(map(u128, ids)))
        accounts = {account.id: account for account in Account.unpack_all(records)}
        # Nobody takes a goodie inside, nor a ticket of a shop that a release of before has opened.
        inside = accounts.get(inside_id, Account(id=inside_id))
        return Inventory.by_ledger(records)[resource.ledger], accounts[sold_id], inside

    # --- From the ledger to the orders ---------------------------------------------------------

    async def _sales(self, tickets: Resource) -> AsyncIterator[list[Sale]]:
        async for transfers in self._credits(tickets.sold_account_id):
            posts = [t for t in transfers if t.flags & TransferFlags.POST_PENDING_TRANSFER]
            yield [self._sale(post) for post in posts]
            # What was let out again is sold as before.
            await self._check_admissions([each for each in transfers if is_undo(each)])

    async def _credits(self, account_id: int) -> AsyncIterator[list[Transfer]]:
        """All transfers into an account up to `until_ns`, in pages."""
        start_ns = 1
        limit = min(PAGE_MAX, self._shop.ledger.records_max)
        while start_ns <= self._until_ns:
            account_filter = AccountFilter(
                account_id=account_id,
                timestamp_min=start_ns,
                timestamp_max=self._until_ns,
                limit=limit,
                flags=AccountFilterFlags.CREDITS,
            )
            records = await self._submit(Operation.GET_ACCOUNT_TRANSFERS, account_filter.pack())
            transfers = Transfer.unpack_all(records)
            if not transfers:
                return
            yield transfers
            self._progress(len(transfers))
            start_ns = transfers[-1].timestamp + 1

    async def _check_sales(self, sales: Sequence[Sale]) -> None:
        self._report.sales += len(sales)
        orders = await self._shop.orders.find_many([sale.order_id for sale in sales])
        for sale, order in zip(sales, orders, strict=True):
            if _compare(sale, order):
                self._suspect(sale.order_id)

    # --- From the orders to the ledger ---------------------------------------------------------

    async def _paid_orders(self) -> AsyncIterator[Sequence[Order]]:
        after: OrderId | None = None
        until = datetime.fromtimestamp(self._until_ns / 1e9).astimezone()
        while orders := await self._shop.orders.paid_page(after, until, PAGE_MAX):
            yield orders
            self._progress(len(orders))
            after = orders[-1].id

    async def _check_orders(self, orders: Sequence[Order]) -> None:
        self._report.orders += len(orders)
        self._report.goodies += sum(order.got_goodie for order in orders)
        sales = await self._sales_of([order.id for order in orders])
        for order in orders:
            if len(sales.get(order.id, [])) != 1:
                self._suspect(order.id)

    async def _sales_of(self, order_ids: Sequence[OrderId]) -> dict[OrderId, list[Sale]]:
        """The sales each order has on the ledger; an order without any is left out."""
        candidates = [order_id.transfer_id(p) for order_id in order_ids for p in _SALES]
        page = min(len(_SALES) * PAGE_MAX, self._shop.ledger.records_max)
        sales: dict[OrderId, list[Sale]] = {}
        for start in range(0, len(candidates), page):
            ids = b"".join(candidates[start : start + page])
            records = await self._submit(Operation.LOOKUP_TRANSFERS, ids)
            for transfer in Transfer.unpack_all(records):
                sale = self._sale(transfer)
                sales.setdefault(sale.order_id, []).append(sale)
        return sales

    def _sale(self, post: Transfer) -> Sale:
        return Sale(
            order_id=_order_id(post.id),
            cls=self._class_of[post.ledger],
            qty=post.amount,
            with_goodie=post.id & 0xFF in _SALES_WITH_GOODIE,
            timestamp_ns=post.timestamp,
        )

    # --- Once more -----------------------------------------------------------------------------

    def _suspect(self, order_id: OrderId, among: dict[OrderId, None] | None = None) -> None:
        suspects = self._suspects if among is None else among
        if len(suspects) < SUSPECTS_MAX:
            suspects[order_id] = None
        elif order_id not in suspects:
            self._report.differences_not_named += 1

    async def _look_again(self) -> None:
        suspects = list(self._suspects)
        for start in range(0, len(suspects), PAGE_MAX):
            page = suspects[start : start + PAGE_MAX]
            for order_id, (problem, is_sold) in (await self._problems_of(page)).items():
                repaired = False
                # Without a sale there is nothing to restore: it would be sold anew.
                if self._repair and is_sold:
                    await self._shop.restore(order_id)
                    repaired = not await self._problems_of([order_id])
                self._differ(problem, order_id, repaired=repaired)

    async def _problems_of(self, order_ids: Sequence[OrderId]) -> dict[OrderId, tuple[str, bool]]:
        """Those where ledger and order do not fit together: why, and whether there is a sale."""
        sales_of = await self._sales_of(order_ids)
        problems = {}
        orders = await self._shop.orders.find_many(order_ids)
        for order_id, order in zip(order_ids, orders, strict=True):
            sales = sales_of.get(order_id, [])
            if problem := _problem(sales, order):
                problems[order_id] = problem, bool(sales)
        return problems

    # --- Refunds -------------------------------------------------------------------------------

    async def _check_refunds(self) -> None:
        for cls in self._class_of.values():
            budget = self._shop.booking.resource_of(cls).budget_account_id
            async for transfers in self._credits(budget):
                ends = _refunds_among(transfers)
                self._report.refunds += len(ends)
                await self._compare_refunds({ticket.order_id for ticket in ends}, ends)
        after: Ticket | None = None
        until = moment_at(self._until_ns // 1_000)
        while rows := await self._shop.ticket_refunds.taken_back_page(after, until, PAGE_MAX):
            after = Ticket(rows[-1].order_id, rows[-1].ticket)
            ends = await self._ends_of([Ticket(row.order_id, row.ticket) for row in rows])
            for row in rows:
                if Ticket(row.order_id, row.ticket) not in ends:
                    self._suspect(row.order_id, self._refund_suspects)
            self._progress(len(rows))

    async def _compare_refunds(
        self, order_ids: Collection[OrderId], ends: Mapping[Ticket, int]
    ) -> None:
        rows = {
            Ticket(row.order_id, row.ticket): row
            for row in await self._shop.ticket_refunds.of_many(list(order_ids))
        }
        for ticket in ends:
            if ticket not in rows or rows[ticket].taken_back_at is None:
                self._suspect(ticket.order_id, self._refund_suspects)

    async def _ends_of(self, tickets: Sequence[Ticket]) -> dict[Ticket, int]:
        """When those of these tickets that were refunded came back, by the ledger, in ns."""
        found = await find_ends(self._shop, tickets)
        return {
            ticket: ends[-1].at_ns
            for ticket, ends in found.items()
            if ends and ends[-1].scan is None
        }

    async def _look_at_refunds_again(self) -> None:
        for order_id in self._refund_suspects:
            problem = await self._refund_problem(order_id)
            if problem is None:
                continue
            repaired = False
            if self._repair:
                await self._repair_refund(order_id, problem)
                repaired = await self._refund_problem(order_id) is None
            self._differ(str(problem), order_id, repaired=repaired)

    async def _refund_problem(self, order_id: OrderId) -> "RefundProblem | None":
        """Where the ledger and the orders do not say the same of an order's refunds."""
        rows = await self._shop.ticket_refunds.of(order_id)
        tickets = [Ticket(order_id, number) for number in range(TICKETS_PER_ORDER_MAX)]
        ends = {ticket.number: ns for ticket, ns in (await self._ends_of(tickets)).items()}
        taken_back = {row.ticket for row in rows if row.taken_back_at is not None}
        problem = RefundProblem(
            {number: ns for number, ns in ends.items() if number not in taken_back},
            sorted(taken_back - set(ends)),
        )
        return problem if problem.not_in_orders or problem.not_on_ledger else None

    async def _repair_refund(self, order_id: OrderId, problem: "RefundProblem") -> None:
        """What one side knows, the other one is told; nothing is decided anew."""
        order = await self._shop.orders.find(order_id)
        if order is None:
            return
        if problem.not_in_orders:
            await self._shop.ticket_refunds.restore(order, _groups(problem.not_in_orders))
        if problem.not_on_ledger:
            await end_tickets(self._shop, order, problem.not_on_ledger)

    # --- The door ------------------------------------------------------------------------------

    async def _check_door(self) -> None:
        for cls in self._class_of.values():
            inside = self._shop.booking.resource_of(cls).inside_account_id
            async for transfers in self._credits(inside):
                await self._check_admissions(transfers)
        after: DoorScan | None = None
        until = moment_at(self._until_ns // 1_000)
        while scans := await self._door.scans.admitted_page(after, until, PAGE_MAX):
            after = scans[-1]
            for order_id in await self._door.not_on_ledger(scans):
                self._suspect(order_id, self._door_suspects)
            self._progress(len(scans))

    async def _check_admissions(self, transfers: Sequence[Transfer]) -> None:
        """All undos come first: they tell of which order a later admission is."""
        read = [self._admissions.read(transfer) for transfer in transfers]
        if read:
            self._report.inside += sum(-1 if each.is_undo else 1 for each in read)
            for order_id in await self._door.differing(read):
                self._suspect(order_id, self._door_suspects)

    async def _look_at_door_again(self) -> None:
        for order_id in self._door_suspects:
            problem = await self._door.problem(order_id)
            if not problem:
                continue
            repaired = False
            if self._repair:
                await self._door.repair(order_id, problem)
                repaired = not await self._door.problem(order_id)
            self._differ(str(problem), order_id, repaired=repaired)

    # --- Goodies -------------------------------------------------------------------------------

    async def _check_goodies(self) -> None:
        """Over all of time up to `until_ns`, both sides granted the same, and as many as due."""
        goodies = self._shop.catalog.goodies
        granted = 0
        async for transfers in self._credits(goodies.sold_account_id):
            granted += len(transfers)
        stock, _, _ = await self._stock(goodies)
        due = min(stock.total, self._report.sales)
        if granted != due:
            self._differ(f"the ledger granted {granted} goodies where {due} were due")
        if granted != self._report.goodies and not self._suspects:
            self._differ(f"the ledger granted {granted} goodies, orders {self._report.goodies}")

    # --- Payments ------------------------------------------------------------------------------

    async def _check_unmatched(self) -> None:
        """Payments that fit no order and wait for the operator: nothing here can repair them."""
        waiting, self._report.unmatched = await self._shop.unmatched.waiting(DIFFERENCES_MAX)
        for payment in waiting:
            what = f"payment {payment.id} fits no order ({payment.reason})"
            self._differ(what, OrderId.parse(payment.order_id))
        self._report.differences_not_named += self._report.unmatched - len(waiting)

    def _differ(
        self, what: str, order_id: OrderId | None = None, *, repaired: bool = False
    ) -> None:
        self._report.repaired += repaired
        if len(self._report.differences) >= DIFFERENCES_MAX:
            self._report.differences_not_named += not repaired
            return
        shown = order_id.hex_digits if order_id else ""
        self._report.differences.append(Difference(what, shown, repaired))

    async def _submit(self, operation: Operation, records: bytes) -> bytes:
        return await self._shop.ledger.submit(operation, records)


def _balance(account: Account) -> int:
    return account.credits_posted - account.debits_posted


def _order_id(transfer_id: int) -> OrderId:
    return OrderId(u128(transfer_id & ~0xFF))


def _refunds_among(transfers: Sequence[Transfer]) -> dict[Ticket, int]:
    """The tickets that came back into the stock by these transfers, and when, in nanoseconds."""
    return {
        # Of a later attempt, its id does not name the order.
        Ticket(_order_id(each.user_data_128 or each.id), ticket_number(each.id)): each.timestamp
        for each in transfers
        if each.debit_account_id & 0xFF == Part.SOLD
        and each.credit_account_id & 0xFF == Part.BUDGET
    }


def _groups(ends: Mapping[int, int]) -> list[dict[int, datetime]]:
    """Tickets by what was one submission: then the ledger's times follow each other closely.

    So the provider is asked under the key that it knows, where it was asked before.
    """
    groups: list[dict[int, datetime]] = []
    before: int | None = None
    for number, ns in sorted(ends.items(), key=lambda end: end[1]):
        if before is None or ns - before > TICKETS_PER_ORDER_MAX:
            groups.append({})
        groups[-1][number] = moment_at(ns // 1_000)
        before = ns
    return groups


def _problem(sales: Sequence[Sale], order: Order | None) -> str:
    """Why an order and its sales do not fit together; empty where they do."""
    if len(sales) == 1:
        return _compare(sales[0], order)
    is_paid = order is not None and order.is_sold
    return f"a paid order has {len(sales)} sales on the ledger" if is_paid or sales else ""


def _compare(sale: Sale, order: Order | None) -> str:
    """Why a sale and its order do not fit together; empty where they do."""
    if order is None:
        return "a sale on the ledger has no order"
    if not order.is_sold:
        return f"a sale on the ledger has an order that is {order.status}"
    paid_us = order.paid_at and round(order.paid_at.timestamp() * 1_000_000)
    if (order.cls, order.qty, order.got_goodie, paid_us) != (
        sale.cls,
        sale.qty,
        sale.with_goodie,
        sale.paid_us,
    ):
        return "a sale and its order differ in class, number, goodie or time"
    return ""
