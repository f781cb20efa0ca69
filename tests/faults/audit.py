"""After a run: what the buyers were told, against PostgreSQL and against the ledger.

Independent of the shop's own reconciliation: it reads the orders' table itself and asks the ledger
as one more client of the sequencer, for every transfer that any order may have. A unit that the
buyers do not know of still shows, because the accounts' balances have to equal what was found.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import asyncpg

from tests.faults import prices
from tests.faults.mailbox import Mail
from tests.faults.plan import TICKETS_PER_ORDER, RunPlan
from tests.faults.provider import Books
from tests.faults.purchase import CHARGED, Purchase, ticket_codes_told
from tests.offers import catalog_with
from tigerfans.booking.ends import Ticket, end_ids, read_ends
from tigerfans.booking.ids import OrderId, Purpose
from tigerfans.booking.inventory import Inventory
from tigerfans.booking.transfers import Booking
from tigerfans.ipc.client import SequencerClient
from tigerfans.ledger.wire import Operation, Transfer, u128

IDS_PER_LOOKUP = 2_000
# Each ticket is let out once at the most.
ATTEMPTS = 3
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SALES_WITH_GOODIE = (Purpose.SALE_WITH_GOODIE, Purpose.LATE_SALE_WITH_GOODIE)
SALES = (*SALES_WITH_GOODIE, Purpose.SALE, Purpose.LATE_SALE)
GOODIES = (Purpose.GOODIE, Purpose.LATE_GOODIE)
# What an order is whose tickets were sold, and what it is once somebody has paid.
FULFILLED = frozenset({"PAID", "REFUNDED"})
EVER_CHARGED = CHARGED | FULFILLED
# They carry what was agreed.
HOLDS = (Purpose.HOLD, Purpose.LATE_HOLD)


class OnLedger(NamedTuple):
    """The transfers of one order, by their purpose."""

    transfers: dict[Purpose, Transfer]
    # Those that gave a ticket back, by its number.
    ends: Mapping[int, Transfer] = MappingProxyType({})
    # The scans that let tickets in and were not undone.
    inside: Mapping[int, Sequence[bytes]] = MappingProxyType({})

    @property
    def sales(self) -> list[Transfer]:
        return [self.transfers[purpose] for purpose in SALES if purpose in self.transfers]

    @property
    def goodies(self) -> list[Transfer]:
        return [self.transfers[purpose] for purpose in GOODIES if purpose in self.transfers]

    @property
    def agreed(self) -> set[tuple[int, int]]:
        """How many tickets its holds say that it has, and what one costs, in cents."""
        placed = (self.transfers[purpose] for purpose in HOLDS if purpose in self.transfers)
        return {(hold.amount, hold.user_data_32) for hold in placed}

    @property
    def tickets_sold(self) -> int:
        return sum(sale.amount for sale in self.sales)

    @property
    def tickets_out(self) -> int:
        """Those that were sold and did not come back."""
        return self.tickets_sold - sum(end.amount for end in self.ends.values())

    @property
    def tickets_held(self) -> int:
        return self.transfers[Purpose.HOLD].amount if self.is_held else 0

    @property
    def is_held(self) -> bool:
        """Whether its hold was placed, and neither sold nor given back."""
        ends = (Purpose.SALE_WITH_GOODIE, Purpose.SALE, Purpose.RELEASE, Purpose.GIVE_BACK)
        return Purpose.HOLD in self.transfers and not any(end in self.transfers for end in ends)


@dataclass
class Audit:
    """What was found; `violations` name all that is wrong.

    `sold_out` counts buyers who left without a ticket because there was none: all sold, or on hold
    again and again. `lost` counts orders that were charged and are neither sold nor listed for a
    refund. `at_new_price` counts orders that were agreed on after the first price had changed.
    """

    attempted: int = 0
    paid: int = 0
    # Those of the orders that are paid.
    tickets: int = 0
    refunds_due: int = 0
    # Those of them whose money the owner gave back.
    due_given_back: int = 0
    # Tickets whose money the owner gave back.
    refunded: int = 0
    # Tickets that a door has let in.
    inside: int = 0
    unpaid: int = 0
    at_new_price: int = 0
    sold_out: int = 0
    lost: int = 0
    sold_twice: int = 0
    # Payments that nobody told, and that the shop asked about.
    learned: int = 0
    # Those that came once more, as the same mail, are counted apart.
    mails: int = 0
    mailed_again: int = 0
    # What the provider has in its books, and by how much the orders say otherwise.
    charged_cents: int = 0
    given_back_cents: int = 0
    cents_off: int = 0
    violations: list[str] = field(default_factory=list)


class Readable(Protocol):
    """A shop whose orders and ledger can be read from here."""

    @property
    def database_url(self) -> str: ...

    @property
    def sequencer_socket(self) -> Path: ...


class Stores(NamedTuple):
    """What the stores hold after a run; orders by the hex digits of their id."""

    orders: dict[str, asyncpg.Record]
    on_ledger: dict[str, OnLedger]
    # A and B first, goodies last.
    stock: Sequence[Inventory]
    # Payments that fit no order: nobody here sends any.
    unmatched: Sequence[asyncpg.Record] = ()
    # Tickets that were asked back, by the hex digits of their order.
    refunds: Mapping[str, Sequence[asyncpg.Record]] = {}
    # What the owner did to class B.
    tickets_added: int = 0
    closings: int = 0
    # By the address they came to; None where nobody takes any.
    mails: Mapping[str, Sequence[Mail]] | None = None
    # What the provider says of the money; None where it keeps no books.
    books: Books | None = None


async def read_stores(plan: RunPlan, shop: Readable, purchases: Iterable[Purchase]) -> Stores:
    """Reads all orders, and every transfer an order may have."""
    database = await asyncpg.connect(shop.database_url)
    try:
        rows = await database.fetch("SELECT * FROM orders")
        unmatched = await database.fetch("SELECT * FROM unmatched_payments")
        asked_back = await database.fetch("SELECT * FROM ticket_refunds ORDER BY ticket")
    finally:
        await database.close()
    orders = {row["id"].hex: row for row in rows}
    known = {purchase.order_id for purchase in purchases if purchase.order_id}
    ledger = await SequencerClient.connect(shop.sequencer_socket, name="audit")
    try:
        on_ledger = await _read_transfers(ledger, [*(known | orders.keys())])
        booking = Booking(catalog_with({}, 0), plan.hold_seconds)
        accounts = await ledger.submit(Operation.LOOKUP_ACCOUNTS, booking.stock_accounts())
    finally:
        await ledger.close()
    stock = list(Inventory.by_ledger(accounts).values())
    refunds = defaultdict(list)
    for row in asked_back:
        refunds[row["order_id"].hex].append(row)
    return Stores(orders, on_ledger, stock, unmatched, refunds)


def audit(plan: RunPlan, purchases: Sequence[Purchase], stores: Stores) -> Audit:
    """Compares; nothing may be on its way any more."""
    found = Audit(attempted=len(purchases))
    for purchase in purchases:
        found.violations += purchase.violations
        if purchase.is_held:
            _audit_purchase(found, purchase, stores)
        elif purchase.gives_up:
            found.sold_out += 1
        # Just after a sale was closed, somebody may hear that all is on hold.
        is_refused = purchase.is_sold_out or (purchase.refusals > 0 and not stores.closings)
        if is_refused and purchase.plan.cls == "B":
            found.violations.append(f"buyer {purchase.plan.number} was refused in class B")
    found.violations += [
        f"the payment of order {row['order_id']} fits no order: {row['reason']}"
        for row in stores.unmatched
    ]
    _audit_strangers(found, purchases, stores)
    if stores.mails is not None:
        _audit_mails(found, stores, stores.mails)
    if stores.books is not None:
        _audit_books(found, stores, stores.books)
    _audit_stock(found, plan, purchases, stores)
    return found


def _audit_purchase(found: Audit, purchase: Purchase, stores: Stores) -> None:
    order_id = purchase.order_id or ""
    row = stores.orders.get(order_id)
    on_ledger = stores.on_ledger[order_id]
    wrong = _compare(purchase, row, on_ledger)
    wrong += _compare_refunds(purchase, row, on_ledger, stores.refunds.get(order_id, ()))
    let_in = {ticket: [scan_id] for ticket, scan_id in purchase.inside.items()}
    if on_ledger.inside != let_in:
        wrong.append(f"{let_in} were let in, and the ledger says {on_ledger.inside}")
    if both := on_ledger.inside.keys() & on_ledger.ends.keys():
        wrong.append(f"tickets {both} are inside, and were given back")
    found.inside += len(let_in)
    found.violations += [f"order {order_id}: {sentence}" for sentence in wrong]
    status = None if row is None else row["status"]
    is_fulfilled = status in FULFILLED and bool(on_ledger.sales)
    found.paid += is_fulfilled
    found.tickets += purchase.plan.qty if is_fulfilled else 0
    found.refunds_due += status == "PAID_UNFULFILLED"
    found.refunded += len(on_ledger.ends)
    found.due_given_back += purchase.is_given_back
    found.unpaid += status not in EVER_CHARGED
    found.at_new_price += purchase.price != prices.FIRST[purchase.plan.cls]
    found.learned += purchase.is_never_told and status in EVER_CHARGED
    found.lost += purchase.is_charged and not (is_fulfilled or status == "PAID_UNFULFILLED")
    found.sold_twice += len(on_ledger.sales) > 1


def _compare(purchase: Purchase, row: asyncpg.Record | None, on_ledger: OnLedger) -> list[str]:
    """What is wrong with one order, in sentences."""
    status = None if row is None else row["status"]
    sales = on_ledger.sales
    wrong = []
    if Purpose.HOLD not in on_ledger.transfers:
        wrong.append("it was held, and the ledger does not know of it")
    wrong += [
        f"{purchase.plan.qty} at {purchase.price} were agreed, and a hold of it says {qty} at"
        f" {price_cents}"
        for qty, price_cents in on_ledger.agreed - {(purchase.plan.qty, purchase.price)}
    ]
    if purchase.is_charged != (status in EVER_CHARGED):
        wrong.append(f"charged is {purchase.is_charged}, and the order is {status}")
    if not purchase.is_charged and sales:
        wrong.append("nobody has paid, and a ticket was sold")
    is_told = purchase.final_status == "PAID" and purchase.is_refunded
    if not is_told and purchase.final_status not in (None, status):
        wrong.append(f"{purchase.final_status} was told, and the order is {status}")
    if not purchase.is_charged and (status is not None) != bool(purchase.confirmed):
        wrong.append(f"{purchase.confirmed} was confirmed, and the order is {status}")
    if len(sales) != (status in FULFILLED):
        wrong.append(f"it was sold {len(sales)} times, and the order is {status}")
    elif sales and on_ledger.tickets_sold != purchase.plan.qty:
        wrong.append(f"{on_ledger.tickets_sold} of its {purchase.plan.qty} tickets were sold")
    if row is not None:
        wrong += _compare_row(purchase, row, on_ledger)
    return wrong


def _compare_row(purchase: Purchase, row: asyncpg.Record, on_ledger: OnLedger) -> list[str]:
    wrong = []
    # Where Redis was wiped, the provider may not have heard whom it bills.
    emails = {purchase.plan.email, "" if purchase.email_may_be_unknown else purchase.plan.email}
    if row["cls"] != purchase.plan.cls or row["email"] not in emails:
        wrong.append(f"the order is of {row['cls']} for {row['email']}")
    if (row["qty"], row["amount_cents"]) != (purchase.plan.qty, purchase.amount):
        wrong.append(
            f"{purchase.plan.qty} for {purchase.amount} were agreed, and the order says"
            f" {row['qty']} for {row['amount_cents']}"
        )
    if row["got_goodie"] != bool(on_ledger.goodies) or len(on_ledger.goodies) > 1:
        wrong.append(f"{len(on_ledger.goodies)} goodies were granted, the order says otherwise")
    if row["status"] in FULFILLED and on_ledger.sales:
        sold_at = EPOCH + timedelta(microseconds=on_ledger.sales[0].timestamp // 1_000)
        if row["paid_at"] != sold_at:
            wrong.append(f"it was sold at {sold_at}, and the order says {row['paid_at']}")
    if purchase.ticket is not None:
        ticket = ticket_codes_told(purchase.ticket), purchase.ticket["got_goodie"]
        if ticket != (codes_of(row), row["got_goodie"]):
            wrong.append(f"the ticket was told as {ticket}")
    return wrong


def _compare_refunds(
    purchase: Purchase,
    row: Mapping[str, Any] | None,
    on_ledger: OnLedger,
    refunds: Sequence[Mapping[str, Any]],
) -> list[str]:
    """What was to be given back was, once, in PostgreSQL and on the ledger."""
    wrong = []
    if on_ledger.ends.keys() != purchase.refunded:
        wrong.append(f"{purchase.refunded} were refunded, and {set(on_ledger.ends)} ended")
    given_back = {each["ticket"]: each["amount_cents"] for each in refunds if each["given_back_at"]}
    agreed = dict.fromkeys(purchase.refunded, purchase.price)
    if given_back != agreed or len(refunds) != len(agreed):
        wrong.append(f"{purchase.refunded} were refunded, and {given_back} given back")
    if row is not None and is_given_back(row) != purchase.is_given_back:
        wrong.append(f"given back is {purchase.is_given_back}, and {row['refunded_at']} is told")
    if row is not None and (row["status"] == "REFUNDED") != (purchase.is_refunded):
        wrong.append(f"{len(purchase.refunded)} were refunded, and the order is {row['status']}")
    return wrong


def _audit_strangers(found: Audit, purchases: Sequence[Purchase], stores: Stores) -> None:
    """Orders of nobody, and tickets that are alike."""
    known = {purchase.order_id for purchase in purchases}
    found.violations += [
        f"order {order_id} is nobody's" for order_id in stores.orders.keys() - known
    ]
    codes = Counter(code for row in stores.orders.values() for code in codes_of(row))
    found.violations += [f"the ticket {code} exists twice" for code, n in codes.items() if n > 1]


def _audit_mails(found: Audit, stores: Stores, mails: Mapping[str, Sequence[Mail]]) -> None:
    """Whoever was charged has one mail, with the codes of all tickets there are, and one more where
    money was given back; nobody else has any.
    """
    found.mails = sum(map(len, mails.values()))
    # Of an order without an address nobody can be told.
    orders = {row["email"]: (key, row) for key, row in stores.orders.items() if row["email"]}
    for address in orders.keys() | mails.keys():
        came = mails.get(address, ())
        told = [set(mail.codes) for mail in came if not mail.is_refund]
        told_back = [set(mail.codes) for mail in came if mail.is_refund]
        order_id, row = orders.get(address, ("", {"status": ""}))
        codes = codes_of(row) if row["status"] in EVER_CHARGED else []
        back = {codes[each["ticket"]] for each in stores.refunds.get(order_id, ())}
        goes_back = bool(back) or is_given_back(row)
        if told_back != [back] * goes_back:
            found.violations.append(f"{address} was to hear that {back} went back: {told_back}")
        if row["status"] not in EVER_CHARGED:
            is_right = not told
        elif told:
            # It may have left before a refund, or after it: then without those.
            is_right = len(told) == 1 and set(codes) - back <= told[0] <= set(codes)
        else:
            is_right = row["status"] == "REFUNDED"
        if not is_right:
            found.violations.append(f"{address} was to get one mail of {codes}, and got {told}")


def _audit_books(found: Audit, stores: Stores, books: Books) -> None:
    """The provider charged and gave back what the orders say, order by order and to the cent."""
    found.charged_cents = sum(books.charged.values())
    found.given_back_cents = sum(books.given_back.values())
    for order_id in sorted(stores.orders.keys() | books.charged.keys() | books.given_back.keys()):
        row: Mapping[str, Any] = stores.orders.get(order_id, {"status": None})
        owed = row["amount_cents"] if row["status"] in EVER_CHARGED else 0
        back = sum(
            each["amount_cents"]
            for each in stores.refunds.get(order_id, ())
            if each["given_back_at"]
        )
        if is_given_back(row):
            back += row["amount_cents"]
        has = books.charged.get(order_id, 0), books.given_back.get(order_id, 0)
        found.cents_off += abs(has[0] - owed) + abs(has[1] - back)
        if has != (owed, back):
            found.violations.append(
                f"order {order_id}: {(owed, back)} was paid and given back, and the provider has"
                f" {has}"
            )
        called = books.references.get(order_id)
        if owed and row["payment_reference"] != called:
            found.violations.append(
                f"order {order_id}: its payment is {called}, and the order says"
                f" {row['payment_reference']}"
            )


def is_given_back(row: Mapping[str, Any]) -> bool:
    """Whether the money of an order went back that got no tickets."""
    return row["status"] == "PAID_UNFULFILLED" and row["refunded_at"] is not None


def codes_of(row: Mapping[str, Any]) -> list[str]:
    """The codes of an order's tickets, the first one's first."""
    return [row["ticket_code"], *(row["more_ticket_codes"] or ())] if row["ticket_code"] else []


def _audit_stock(
    found: Audit, plan: RunPlan, purchases: Sequence[Purchase], stores: Stores
) -> None:
    """The accounts hold what the orders say, unit by unit."""
    class_of = {p.order_id: p.plan.cls for p in purchases if p.order_id}
    capacities = {"A": plan.tickets_a, "B": plan.tickets_b + stores.tickets_added}
    for (cls, capacity), stock in zip(capacities.items(), stores.stock[:2], strict=True):
        orders = [o for order_id, o in stores.on_ledger.items() if class_of.get(order_id) == cls]
        sold = sum(order.tickets_out for order in orders)
        # Expired holds are given back by the ledger itself.
        expires = plan.has_short_holds
        held = 0 if expires else sum(order.tickets_held for order in orders)
        # A checkout that was never answered, by a buyer without a key, may hold its tickets.
        unknown = (
            0
            if expires
            else sum(
                p.unanswered_checkouts * p.plan.qty
                for p in purchases
                if p.plan.cls == cls and p.plan.idempotency_key is None
            )
        )
        if (stock.capacity, stock.sold) != (capacity, sold):
            found.violations.append(f"class {cls}: {sold} of {capacity} were sold, not {stock}")
        is_told = any(p.is_sold_out and p.plan.cls == cls for p in purchases)
        if is_told and stock.sold != stock.capacity:
            found.violations.append(f"class {cls} was told sold out, and in the end it is {stock}")
        if stock.is_closed or stock.parked:
            found.violations.append(f"class {cls} is open again, and some is kept back: {stock}")
        if not held <= stock.held <= held + unknown or stock.available < 0:
            found.violations.append(f"class {cls}: {held} (+{unknown}) are held, not {stock}")
    goodies = stores.stock[-1]
    if goodies.sold != min(plan.goodies, found.paid) or goodies.capacity != plan.goodies:
        found.violations.append(f"goodies: {found.paid} paid, limit {plan.goodies}, {goodies}")


async def _read_transfers(ledger: SequencerClient, order_ids: Sequence[str]) -> dict[str, OnLedger]:
    found = {order_id: OnLedger({}, {}, {}) for order_id in order_ids}
    parsed = {OrderId(bytes.fromhex(order_id)[::-1]): order_id for order_id in order_ids}
    asked = {
        order_id.transfer_id(purpose): (shown, purpose)
        for order_id, shown in parsed.items()
        for purpose in Purpose
    }
    read = await _look_up(ledger, list(asked))
    for id_, transfer in read.items():
        order_id, purpose = asked[id_]
        found[order_id].transfers[purpose] = transfer
    for attempt in range(ATTEMPTS):
        tickets = [Ticket(each, number) for each in parsed for number in range(TICKETS_PER_ORDER)]
        read = await _look_up(ledger, list(end_ids(tickets, attempt)))
        for ticket, end in read_ends(tickets, attempt, read.values()).items():
            on_ledger = found[parsed[ticket.order_id]]
            if end.scan is None:
                end_id = ticket.order_id.end_id(ticket.number, attempt)
                on_ledger.ends[ticket.number] = read[end_id]  # type: ignore[index]
            elif end.counts:
                let_in = on_ledger.inside.get(ticket.number, [])
                on_ledger.inside[ticket.number] = [*let_in, end.scan.id]  # type: ignore[index]
    return found


async def _look_up(ledger: SequencerClient, ids: Sequence[bytes]) -> dict[bytes, Transfer]:
    """Those that there are, by their ids."""
    found: dict[bytes, Transfer] = {}
    at_once = min(IDS_PER_LOOKUP, ledger.records_max)
    for start in range(0, len(ids), at_once):
        records = await ledger.submit(
            Operation.LOOKUP_TRANSFERS, b"".join(ids[start : start + at_once])
        )
        found |= {u128(transfer.id): transfer for transfer in Transfer.unpack_all(records)}
    return found
