"""The embedded ledger's books without a thread, and with a clock that a test sets by hand."""

from pathlib import Path

from tigerfans.ledger.books import Books
from tigerfans.ledger.store import FILE_NAME, Store
from tigerfans.ledger.wire import (
    Account,
    AccountFlags,
    AccountStatus,
    Operation,
    Result,
    Transfer,
    TransferFlags,
    TransferStatus,
    u128,
)

SECOND = 1_000_000_000
NOON = 1_800_000_000 * SECOND

BANK, BUDGET, SOLD = 11, 12, 13
LEDGER = 7
PENDING = TransferFlags.PENDING
POST = TransferFlags.POST_PENDING_TRANSFER
VOID = TransferFlags.VOID_PENDING_TRANSFER
LINKED = TransferFlags.LINKED


class Clock:
    """Time passes when `now` is changed; `step` sets the clock, while no time passes."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now
        self._set_by = 0

    def wall(self) -> int:
        return self.now + self._set_by

    def steady(self) -> int:
        # Nobody knows where it begins.
        return self.now - NOON // 3

    def step(self, seconds: int) -> None:
        self._set_by += seconds * SECOND


class BooksByHand:
    """Books in memory, or in a folder, spoken to in integers and statuses."""

    def __init__(self, folder: Path | None = None, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self._file = folder and folder / FILE_NAME
        self._open()

    def reopen(self) -> None:
        """As after a restart."""
        self.close()
        self._open()

    def close(self) -> None:
        self.books.close()

    def _open(self) -> None:
        self.store = Store(self._file)
        self.books = Books(self.store, self.clock)

    def create_accounts(self, *accounts: Account) -> list[AccountStatus]:
        return [AccountStatus(result.status) for result in self.submit(*accounts)]

    def create(self, *transfers: Transfer) -> list[TransferStatus]:
        return [TransferStatus(result.status) for result in self.submit(*transfers)]

    def submit(self, *records: Account | Transfer) -> list[Result]:
        operation = (
            Operation.CREATE_ACCOUNTS
            if isinstance(records[0], Account)
            else Operation.CREATE_TRANSFERS
        )
        packed = b"".join(record.pack() for record in records)
        return Result.unpack_all(self.books.execute(operation, packed))

    def account(self, account_id: int) -> Account:
        (account,) = Account.unpack_all(
            self.books.execute(Operation.LOOKUP_ACCOUNTS, u128(account_id))
        )
        return account

    def transfers(self, *ids: int) -> list[Transfer]:
        asked = b"".join(map(u128, ids))
        return Transfer.unpack_all(self.books.execute(Operation.LOOKUP_TRANSFERS, asked))

    def open_shop(self, tickets: int) -> None:
        """Three accounts, and `tickets` in the budget, which cannot be overdrawn."""
        limited = AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS
        accounts = (account(BANK), account(BUDGET, flags=limited), account(SOLD))
        assert set(self.create_accounts(*accounts)) == {AccountStatus.CREATED}
        funding = transfer(1, debit_account_id=BANK, credit_account_id=BUDGET, amount=tickets)
        assert self.create(funding) == [TransferStatus.CREATED]


def account(id_: int, **fields: int) -> Account:
    return Account(**{"id": id_, "ledger": LEDGER, "code": 1} | fields)


def transfer(id_: int, **fields: int) -> Transfer:
    """One unit from BUDGET to SOLD, if `fields` do not say otherwise."""
    usual = {
        "id": id_,
        "debit_account_id": BUDGET,
        "credit_account_id": SOLD,
        "amount": 1,
        "ledger": LEDGER,
        "code": 1,
    }
    return Transfer(**usual | fields)


def hold(id_: int, timeout: int = 300, **fields: int) -> Transfer:
    return transfer(id_, timeout=timeout, flags=PENDING, **fields)


def post(id_: int, hold_id: int, amount: int = 2**128 - 1, flags: int = 0) -> Transfer:
    return Transfer(id=id_, pending_id=hold_id, amount=amount, flags=POST | flags)


def void(id_: int, hold_id: int, flags: int = 0) -> Transfer:
    return Transfer(id=id_, pending_id=hold_id, flags=VOID | flags)
