"""What is sent to the ledger at each step of a ticket's life, packed. No I/O.

A paid order is one submission of three transfers: the sale together with its goodie, linked, and
behind it the sale alone. Either the chain succeeds and the sale behind it finds the hold posted
already, or the goodies are gone, the chain fails as one, and the ticket is sold alone. Where the
hold is gone, a second submission places a late hold and does the same against that. What the
answers mean stands in `outcomes`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from tigerfans.booking.ends import Scan, Ticket, place_back_id, place_id
from tigerfans.booking.ids import OrderId, Purpose
from tigerfans.errors import UnavailableError
from tigerfans.ledger.wire import (
    AMOUNT_MAX,
    TRANSFER,
    Account,
    AccountFlags,
    Transfer,
    TransferFlags,
    u128,
)
from tigerfans.offer.catalog import (
    HALL_LEDGER,
    HALL_SETTING,
    Catalog,
    ClassCode,
    Part,
    Resource,
    stock_account_ids,
)

LATE_HOLD_SECONDS: Final = 300

# Transfer and account codes tell an operator who reads the ledger what he sees.
CODE_ACCOUNT: Final = 1
CODE_FUNDING: Final = 1
CODE_TICKET: Final = 10
CODE_ADMISSION: Final = 11
CODE_GOODIE: Final = 20
CODE_PLACE: Final = 30

_ONE: Final = u128(1)
_NOTHING: Final = u128(0)


def fingerprint(cls: ClassCode, email: str, qty: int = 1) -> bytes:
    """16 bytes that stand for a checkout's body in the hold's `user_data_128`.

    The same idempotency key with another body then fails on the ledger itself.
    """
    # Of one ticket it is what it was when there was no other number.
    body = f"{cls}\n{email}" if qty == 1 else f"{cls}\n{email}\n{qty}"
    return blake2b(body.encode(), digest_size=16).digest()


class Stock:
    """The transfers that move one resource, with all that is fixed packed beforehand."""

    def __init__(self, resource: Resource, code: int) -> None:
        self.resource = resource
        self.code = code
        self._budget = u128(resource.budget_account_id)
        self._sold = u128(resource.sold_account_id)
        self._inside = u128(resource.inside_account_id)

    def hold(
        self, transfer_id: bytes, fingerprint: bytes, price_cents: int, hold_seconds: int, qty: int
    ) -> bytes:
        return TRANSFER.pack(
            transfer_id,
            self._budget,
            self._sold,
            _ONE if qty == 1 else u128(qty),
            _NOTHING,
            fingerprint,
            0,
            price_cents,
            hold_seconds,
            self.resource.ledger,
            self.code,
            TransferFlags.PENDING,
            0,
        )

    def take(self, transfer_id: bytes, flags: int = 0) -> bytes:
        """Moves one unit at once, without a hold."""
        return TRANSFER.pack(
            transfer_id,
            self._budget,
            self._sold,
            _ONE,
            _NOTHING,
            _NOTHING,
            0,
            0,
            0,
            self.resource.ledger,
            self.code,
            flags,
            0,
        )

    def put_back(self, transfer_id: bytes, order_id: bytes = _NOTHING, flags: int = 0) -> bytes:
        """Moves one unit that was sold back into stock; names its order where the id does not."""
        return TRANSFER.pack(
            transfer_id,
            self._sold,
            self._budget,
            _ONE,
            _NOTHING,
            # What an admission fills: by whom, and when.
            order_id,
            0,
            0,
            0,
            self.resource.ledger,
            self.code,
            flags,
            0,
        )

    def admit(self, transfer_id: bytes, scan: Scan) -> bytes:
        """Moves one unit that was sold inside."""
        return TRANSFER.pack(
            transfer_id,
            self._sold,
            self._inside,
            _ONE,
            _NOTHING,
            scan.id,
            scan.scanned_ms,
            scan.gate,
            0,
            self.resource.ledger,
            CODE_ADMISSION,
            0,
            0,
        )

    def undo(self, transfer_id: bytes, scan_id: bytes) -> bytes:
        """Moves one unit that is inside back to those that are sold."""
        return TRANSFER.pack(
            transfer_id,
            self._inside,
            self._sold,
            _ONE,
            _NOTHING,
            scan_id,
            0,
            0,
            0,
            self.resource.ledger,
            CODE_ADMISSION,
            0,
            0,
        )

    def post(self, transfer_id: bytes, hold_id: bytes, flags: int = 0) -> bytes:
        """Sells what a hold holds."""
        return self._settle(transfer_id, hold_id, AMOUNT_MAX, _POST | flags)

    def void(self, transfer_id: bytes, hold_id: bytes) -> bytes:
        """Gives back what a hold holds; here it is zero that means all of it."""
        return self._settle(transfer_id, hold_id, _NOTHING, _VOID)

    def _settle(self, transfer_id: bytes, hold_id: bytes, amount: bytes, flags: int) -> bytes:
        return TRANSFER.pack(
            transfer_id,
            self._budget,
            self._sold,
            amount,
            hold_id,
            _NOTHING,
            0,
            0,
            0,
            self.resource.ledger,
            self.code,
            flags,
            0,
        )


# Stands for the order where a sale is packed beforehand: it is cut there for each order.
_ANY_ORDER: Final = OrderId(b"\0" + b"whichever order")


class Tickets(Stock):
    """The tickets of a class, each order of which takes a goodie along while there is one.

    Of a sale's transfers nothing but the order differs, so a sale is one join: to pack its three
    transfers each time took seven times as long.
    """

    def __init__(self, resource: Resource, goodies: Stock) -> None:
        super().__init__(resource, CODE_TICKET)
        self._sale = self._cut(
            goodies, Purpose.HOLD, Purpose.SALE_WITH_GOODIE, Purpose.GOODIE, Purpose.SALE
        )
        self._late_sale = self._cut(
            goodies,
            Purpose.LATE_HOLD,
            Purpose.LATE_SALE_WITH_GOODIE,
            Purpose.LATE_GOODIE,
            Purpose.LATE_SALE,
        )

    def _cut(
        self, goodies: Stock, hold: Purpose, with_goodie: Purpose, goodie: Purpose, alone: Purpose
    ) -> list[bytes]:
        id_of = _ANY_ORDER.transfer_id
        packed = (
            self.post(id_of(with_goodie), id_of(hold), _LINKED)
            + goodies.take(id_of(goodie))
            + self.post(id_of(alone), id_of(hold))
        )
        return packed.split(_ANY_ORDER[1:])

    def sale(self, order_id: OrderId) -> bytes:
        """Sells what an order holds."""
        return order_id[1:].join(self._sale)

    def late_sale(self, order_id: OrderId) -> bytes:
        """Sells what an order holds late."""
        return order_id[1:].join(self._late_sale)


_UNKNOWN: Final = "Tickets {} are not known here yet. Please try again in a moment."


class _ByClass(dict[ClassCode, Tickets]):
    """By the codes of classes. One that is missing came to the offer after this process did."""

    def __missing__(self, cls: ClassCode) -> Tickets:
        raise UnavailableError(_UNKNOWN.format(f"of class {cls}"))


_POST: Final = int(TransferFlags.POST_PENDING_TRANSFER)
_VOID: Final = int(TransferFlags.VOID_PENDING_TRANSFER)
_LINKED: Final = int(TransferFlags.LINKED)
_LIMITED: Final = AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS
# By the numbers of tickets; one that is not named has its first.
_FIRST_ATTEMPTS: Final[Mapping[int, int]] = {}


def _account(account_id: int, shop_id: bytes) -> bytes:
    return Account(
        id=account_id,
        user_data_128=int.from_bytes(shop_id, "little"),
        ledger=account_id >> 8,
        code=CODE_ACCOUNT,
        flags=0 if account_id & 0xFF == Part.OPERATOR else _LIMITED,
    ).pack()


class Booking:
    """Packs the submissions of every step for one catalog."""

    def __init__(self, catalog: Catalog, hold_seconds: int) -> None:
        self.catalog = catalog
        self.hold_seconds = hold_seconds
        self._goodies = Stock(catalog.goodies, CODE_GOODIE)
        self._tickets = _ByClass(
            {c.code: Tickets(c.tickets, self._goodies) for c in catalog.classes}
        )
        # On the ledger tickets go by the number of their class.
        self.class_of = {c.tickets.ledger: c.code for c in catalog.classes}
        self._prices = {c.code: c.price_cents for c in catalog.classes}
        # Places that were taken are given back also where the offer has no limit any more.
        self._hall = Stock(catalog.hall or Resource(HALL_LEDGER, 0, HALL_SETTING), CODE_PLACE)
        # Of which `know` says that they were on offer.
        self._dropped: list[Resource] = []
        self._stock_accounts = b"".join(
            u128(account_id)
            for resource in catalog.resources
            for account_id in stock_account_ids(resource.ledger)
        )

    def know(self, classes: Iterable[tuple[ClassCode, int]]) -> None:
        """What was held of classes that the offer has dropped, by code and number, can be sold, and
        given back; more of it cannot be held.
        """
        for code, ledger in classes:
            if code not in self._tickets and ledger not in self.class_of:
                resource = Resource(ledger, 0, "")
                self._tickets[code] = Tickets(resource, self._goodies)
                self.class_of[ledger] = code
                self._dropped.append(resource)

    def resource_of(self, cls: ClassCode) -> Resource:
        """Where a class is on the ledger, one that the offer has dropped as well."""
        return self._tickets[cls].resource

    def hold(self, order_id: OrderId, cls: ClassCode, fingerprint: bytes, qty: int = 1) -> bytes:
        """One pending transfer of `qty` tickets at the price of now, to be read with `decode_hold`.

        The ledger holds all of them or none.
        """
        price = self._prices[cls]
        # An order's id is its hold's id: the purpose HOLD is zero.
        return self._tickets[cls].hold(order_id, fingerprint, price, self.hold_seconds, qty)

    def sale(self, order_id: OrderId, cls: ClassCode) -> bytes:
        """Three transfers, to be read with `decode_sale`."""
        return self._tickets[cls].sale(order_id)

    def sale_alone(self, order_id: OrderId, cls: ClassCode) -> bytes:
        """The last of a sale's three transfers, to be read with `decode_sale_alone`: for whoever
        knows that no goodie is left.
        """
        return self._tickets[cls].post(order_id.transfer_id(Purpose.SALE), order_id)

    def late_sale(self, order_id: OrderId, cls: ClassCode, price_cents: int, qty: int = 1) -> bytes:
        """Four transfers, to be read with `decode_late_sale`; sent only where the hold is gone.

        The late hold is posted in the same breath, all of its tickets or none. It carries the
        number and the price of one that the first one was placed at, and nothing from the settings
        or today's prices, so that a replay in other circumstances still finds the same transfer.
        """
        tickets = self._tickets[cls]
        late_hold_id = order_id.transfer_id(Purpose.LATE_HOLD)
        hold = tickets.hold(late_hold_id, _NOTHING, price_cents, LATE_HOLD_SECONDS, qty)
        return hold + tickets.late_sale(order_id)

    def release(self, order_id: OrderId, cls: ClassCode) -> bytes:
        """One void of a hold that was not paid, to be read with `decode_release`."""
        release_id = order_id.transfer_id(Purpose.RELEASE)
        return self._tickets[cls].void(release_id, order_id)

    def give_back(self, order_id: OrderId, cls: ClassCode) -> bytes:
        """One void of a hold that nobody was told of, to be read with `decode_release`."""
        give_back_id = order_id.transfer_id(Purpose.GIVE_BACK)
        return self._tickets[cls].void(give_back_id, order_id)

    def refund(
        self,
        order_id: OrderId,
        cls: ClassCode,
        tickets: Iterable[int],
        attempts: Mapping[int, int] = _FIRST_ATTEMPTS,
    ) -> bytes:
        """A transfer for each of an order's tickets, 0 the first, to be read with `decode_refund`.

        Only of an order that is paid: what the ledger refuses it refuses for ever.
        """
        stock = self._tickets[cls]
        return b"".join(
            stock.put_back(
                order_id.end_id(ticket, attempt := attempts.get(ticket, 0)),
                order_id if attempt else _NOTHING,
            )
            for ticket in tickets
        )

    @property
    def admission_records(self) -> int:
        """How many transfers an admission is."""
        return 1 if self.catalog.hall is None else 2

    def admission(self, ticket: Ticket, cls: ClassCode, scan: Scan, attempt: int = 0) -> bytes:
        """A ticket that was sold is inside, and behind the place in the hall that it takes, where
        those are counted; several of them to be read with `decode_admissions`.

        Only of an order that is paid, as with a refund.
        """
        end_id = ticket.order_id.end_id(ticket.number, attempt)
        admission = self._tickets[cls].admit(end_id, scan)
        if self.catalog.hall is None:
            return admission
        return self._hall.take(place_id(ticket, scan.id), _LINKED) + admission

    def undo(
        self, ticket: Ticket, cls: ClassCode, scan: Scan, attempt: int, *, has_place: bool
    ) -> bytes:
        """The ticket of an admission is outside again, and the place that it took is free; to be
        read with `decode_undo`.
        """
        undo_id = ticket.order_id.undo_id(ticket.number, attempt)
        undo = self._tickets[cls].undo(undo_id, scan.id)
        if not has_place:
            return undo
        return self._hall.put_back(place_back_id(ticket, scan.id), flags=_LINKED) + undo

    def accounts(self, shop_id: bytes = _NOTHING) -> bytes:
        """The accounts of each resource, of which only `operator` can be overdrawn.

        All carry the shop's id in `user_data_128`, zero for none.
        """
        return b"".join(
            _account(account_id, shop_id)
            for resource in self.catalog.funded
            for account_id in self._accounts_of(resource)
        )

    def dropped_accounts(self, shop_id: bytes = _NOTHING) -> bytes:
        """What tickets of classes that were dropped need at the door; empty without any."""
        return b"".join(_account(r.inside_account_id, shop_id) for r in self._dropped)

    def _accounts_of(self, resource: Resource) -> Iterator[int]:
        yield from (
            resource.operator_account_id,
            resource.budget_account_id,
            resource.sold_account_id,
        )
        if resource is not self.catalog.hall:
            yield resource.closed_account_id
        if resource.ledger in self.class_of:
            yield resource.inside_account_id

    def funding(self) -> bytes:
        """One transfer for each resource, with a fixed id, so that it happens once."""
        return b"".join(
            Transfer(
                id=r.funding_transfer_id,
                debit_account_id=r.operator_account_id,
                credit_account_id=r.budget_account_id,
                amount=r.capacity,
                ledger=r.ledger,
                code=CODE_FUNDING,
            ).pack()
            for r in self.catalog.funded
        )

    def account_ids(self) -> bytes:
        """The ids of all accounts."""
        return b"".join(
            u128(account_id)
            for resource in self.catalog.funded
            for account_id in self._accounts_of(resource)
        )

    def stock_accounts(self) -> bytes:
        """The ids of the accounts that `Inventory.by_ledger` reads, of each class and the goodies
        last.
        """
        return self._stock_accounts

    def hold_of(self, record: bytes) -> "Hold | None":
        """The hold in a transfer's record; None where the record is no hold of a ticket.

        Raises `UnavailableError` where the class is newer than this process.
        """
        transfer = Transfer.unpack_all(record)[0]
        if transfer.code != CODE_TICKET or not transfer.flags & TransferFlags.PENDING:
            return None
        cls = self.class_of.get(transfer.ledger)
        if cls is None:
            raise UnavailableError(_UNKNOWN.format(f"of number {transfer.ledger}"))
        return Hold(
            cls=cls,
            fingerprint=u128(transfer.user_data_128),
            qty=transfer.amount,
            price_cents=transfer.user_data_32,
            created_ns=transfer.timestamp,
            expires_ns=transfer.timestamp + transfer.timeout * 1_000_000_000,
        )


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold of `qty` tickets as the ledger knows it; times in nanoseconds since the epoch.

    `price_cents` is what one ticket costs by what was agreed, whatever the class costs now.
    """

    cls: ClassCode
    fingerprint: bytes
    qty: int
    price_cents: int
    created_ns: int
    expires_ns: int
