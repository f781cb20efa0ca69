"""What creating accounts does in the embedded ledger. Pure: no I/O.

`history`, `imported` and `closed` are flags of TigerBeetle that this ledger has not; they are
answered with `reserved_flag`, as are the bits that nobody has defined.
"""

from typing import Final

from tigerfans.ledger.entries import ID, TIMESTAMP, Account, Fields
from tigerfans.ledger.record_batch import CREATED, LINKED, Outcome, RecordBatch, first_difference
from tigerfans.ledger.wire import U128_MAX, AccountFlags, AccountStatus, Transfer, u128

_LIMITS: Final = int(
    AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS | AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS
)
_FLAGS_REFUSED: Final = 0xFFFF ^ (LINKED | _LIMITS)

_ZERO: Final = u128(0)
_INT_MAX: Final = u128(U128_MAX)

_BALANCE_MUST_BE_ZERO: Final = (
    AccountStatus.DEBITS_PENDING_MUST_BE_ZERO,
    AccountStatus.DEBITS_POSTED_MUST_BE_ZERO,
    AccountStatus.CREDITS_PENDING_MUST_BE_ZERO,
    AccountStatus.CREDITS_POSTED_MUST_BE_ZERO,
)

# Accounts keep these fields where transfers do.
_EXISTS: Final = tuple(
    (Transfer._fields.index(name), int(AccountStatus[f"EXISTS_WITH_DIFFERENT_{name.upper()}"]))
    for name in ("flags", "user_data_128", "user_data_64", "user_data_32", "ledger", "code")
)


class AccountBatch(RecordBatch):
    """Creates accounts in the ledger's own dictionary; `created` lists them."""

    def __init__(self, accounts: dict[bytes, Account]) -> None:
        self._accounts = accounts
        self.created: list[Account] = []

    def _create(self, record: Fields, timestamp: int) -> Outcome:
        if (status := _check_identity(record)) is not None:
            return status, timestamp
        if (existing := self._accounts.get(record[ID])) is not None:
            status = first_difference(_EXISTS, record, existing.fields)
            if status is not None:
                return status, timestamp
            return AccountStatus.EXISTS, existing.fields[TIMESTAMP]
        if (status := _check_new(record)) is not None:
            return status, timestamp
        account = Account((*record[:TIMESTAMP], timestamp))
        self._accounts[account.id] = account
        self.created.append(account)
        return CREATED, timestamp

    def _mark(self) -> int:
        return len(self.created)

    def _undo(self, mark: int) -> None:
        for account in self.created[mark:]:
            del self._accounts[account.id]
        del self.created[mark:]


def _check_identity(record: Fields) -> int | None:
    (id_, _, _, _, _, _, _, _, reserved, _, _, flags, _) = record
    if reserved:
        return AccountStatus.RESERVED_FIELD
    if flags & _FLAGS_REFUSED:
        return AccountStatus.RESERVED_FLAG
    if id_ == _ZERO:
        return AccountStatus.ID_MUST_NOT_BE_ZERO
    if id_ == _INT_MAX:
        return AccountStatus.ID_MUST_NOT_BE_INT_MAX
    return None


def _check_new(record: Fields) -> int | None:
    (_, *balances, _, _, _, _, ledger, code, flags, _) = record
    if flags & _LIMITS == _LIMITS:
        return AccountStatus.FLAGS_ARE_MUTUALLY_EXCLUSIVE
    for balance, status in zip(balances, _BALANCE_MUST_BE_ZERO, strict=True):
        if balance != _ZERO:
            return status
    if not ledger:
        return AccountStatus.LEDGER_MUST_NOT_BE_ZERO
    if not code:
        return AccountStatus.CODE_MUST_NOT_BE_ZERO
    return None
