"""A small shop on any ledger: two resources with accounts of their own, and an order's transfers.

Built by hand from the design's tables, and not with the shop's own code, so that the contract is
the ledger's alone.
"""

import secrets
from dataclasses import dataclass, field
from typing import NamedTuple

from tigerfans.ledger.base import Ledger
from tigerfans.ledger.wire import (
    U128_MAX,
    Account,
    AccountFilter,
    AccountFilterFlags,
    AccountFlags,
    AccountStatus,
    Operation,
    Result,
    Transfer,
    TransferFlags,
    TransferStatus,
    u128,
)

HOLD_SECONDS = 300
CODE = 1


def new_id() -> int:
    """An id that was never used; its last byte is 0, for what derives from it."""
    return secrets.randbits(112) << 8 | 1 << 120


class Stock(NamedTuple):
    """A resource: units go from `operator` to `budget` once, and one by one to `sold`; from there
    back, or `inside`.
    """

    ledger: int
    operator: int
    budget: int
    sold: int
    inside: int

    @classmethod
    def new(cls, ledger: int) -> "Stock":
        return cls(ledger, new_id(), new_id(), new_id(), new_id())

    def accounts(self) -> list[Account]:
        limited = AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS
        return [
            Account(id=self.operator, ledger=self.ledger, code=CODE),
            Account(id=self.budget, ledger=self.ledger, code=CODE, flags=limited),
            Account(id=self.sold, ledger=self.ledger, code=CODE, flags=limited),
            Account(id=self.inside, ledger=self.ledger, code=CODE),
        ]

    def funding(self, units: int) -> Transfer:
        return Transfer(
            id=self.operator | 0xFF,
            debit_account_id=self.operator,
            credit_account_id=self.budget,
            amount=units,
            ledger=self.ledger,
            code=CODE,
        )

    def unit(self, transfer_id: int, flags: int = 0, timeout: int = 0) -> Transfer:
        """One unit, from `budget` to `sold`."""
        return Transfer(
            id=transfer_id,
            debit_account_id=self.budget,
            credit_account_id=self.sold,
            amount=1,
            timeout=timeout,
            ledger=self.ledger,
            code=CODE,
            flags=flags,
        )

    def end(self, transfer_id: int, account: int) -> Transfer:
        """One unit that was sold, to another account."""
        return Transfer(
            id=transfer_id,
            debit_account_id=self.sold,
            credit_account_id=account,
            amount=1,
            ledger=self.ledger,
            code=CODE,
        )


class Inventory(NamedTuple):
    capacity: int
    held: int
    sold: int


@dataclass(frozen=True)
class Shop:
    """Tickets and goodies on a ledger."""

    ledger: Ledger
    tickets: Stock = field(default_factory=lambda: Stock.new(1))
    goodies: Stock = field(default_factory=lambda: Stock.new(3))

    @classmethod
    async def open(cls, ledger: Ledger, *, tickets: int, goodies: int = 0) -> "Shop":
        """A new shop with so many units of each."""
        shop = cls(ledger)
        statuses = await shop.create_accounts(*shop.tickets.accounts(), *shop.goodies.accounts())
        assert set(statuses) == {AccountStatus.CREATED}
        for stock, units in ((shop.tickets, tickets), (shop.goodies, goodies)):
            if units:
                assert await shop.create(stock.funding(units)) == [TransferStatus.CREATED]
        return shop

    async def create_accounts(self, *accounts: Account) -> list[AccountStatus]:
        records = b"".join(account.pack() for account in accounts)
        reply = await self.ledger.submit(Operation.CREATE_ACCOUNTS, records)
        return [AccountStatus(result.status) for result in Result.unpack_all(reply)]

    async def results(self, *transfers: Transfer) -> list[Result]:
        """Sends the transfers as one submission."""
        records = b"".join(transfer.pack() for transfer in transfers)
        return Result.unpack_all(await self.ledger.submit(Operation.CREATE_TRANSFERS, records))

    async def create(self, *transfers: Transfer) -> list[TransferStatus]:
        return [TransferStatus(result.status) for result in await self.results(*transfers)]

    async def accounts(self, *ids: int) -> list[Account]:
        records = b"".join(map(u128, ids))
        return Account.unpack_all(await self.ledger.submit(Operation.LOOKUP_ACCOUNTS, records))

    async def transfers(self, *ids: int) -> list[Transfer]:
        records = b"".join(map(u128, ids))
        return Transfer.unpack_all(await self.ledger.submit(Operation.LOOKUP_TRANSFERS, records))

    async def credits(
        self, account: int, *, limit: int, after: int = 0, until: int = 0
    ) -> list[Transfer]:
        """The first transfers to an account, between two moments in nanoseconds; 0 for no end."""
        account_filter = AccountFilter(
            account_id=account,
            timestamp_min=after + 1,
            timestamp_max=until,
            limit=limit,
            flags=AccountFilterFlags.CREDITS,
        )
        reply = await self.ledger.submit(Operation.GET_ACCOUNT_TRANSFERS, account_filter.pack())
        return Transfer.unpack_all(reply)

    async def inventory(self, stock: Stock) -> Inventory:
        [budget] = await self.accounts(stock.budget)
        return Inventory(budget.credits_posted, budget.debits_pending, budget.debits_posted)

    def hold(self, order: int, seconds: int = HOLD_SECONDS) -> Transfer:
        return self.tickets.unit(order, TransferFlags.PENDING, seconds)

    def release(self, order: int) -> Transfer:
        return Transfer(
            id=order | 0x04,
            pending_id=order,
            amount=0,
            ledger=self.tickets.ledger,
            code=CODE,
            flags=TransferFlags.VOID_PENDING_TRANSFER,
        )

    def refund(self, order: int, ticket: int = 0) -> Transfer:
        """A ticket that was sold, back into the stock."""
        return self.tickets.end(order | 0x80 + ticket, self.tickets.budget)

    def admission(self, order: int, ticket: int = 0) -> Transfer:
        """A ticket that was sold, used: under the same id."""
        return self.tickets.end(order | 0x80 + ticket, self.tickets.inside)

    async def sell(self, *orders: int) -> None:
        for order in orders:
            await self.create(self.hold(order), *self.sale(order))

    def sale(self, order: int) -> list[Transfer]:
        """The hold posted together with a goodie, and behind that the hold posted alone."""
        return self._sale(order, order, 0x01)

    def late_sale(self, order: int) -> list[Transfer]:
        """A second hold, and the same three against it."""
        late_hold = self.tickets.unit(order | 0x05, TransferFlags.PENDING, HOLD_SECONDS)
        return [late_hold, *self._sale(order, late_hold.id, 0x06)]

    def _sale(self, order: int, hold: int, first_purpose: int) -> list[Transfer]:
        return [
            self._post(order | first_purpose, hold, TransferFlags.LINKED),
            self.goodies.unit(order | first_purpose + 1),
            self._post(order | first_purpose + 2, hold),
        ]

    def _post(self, transfer_id: int, hold: int, flags: int = 0) -> Transfer:
        return Transfer(
            id=transfer_id,
            pending_id=hold,
            amount=U128_MAX,
            ledger=self.tickets.ledger,
            code=CODE,
            flags=TransferFlags.POST_PENDING_TRANSFER | flags,
        )
