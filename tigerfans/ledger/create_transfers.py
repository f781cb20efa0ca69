"""What creating transfers does in the embedded ledger, and expiring holds. Pure: no I/O.

A batch is handed the ledger's accounts and the stored transfers that its records name. Its journal
lists what moved; `burnt` lists the ids that failed for good. Both are what is stored afterwards.

The balancing and closing flags and `imported` are TigerBeetle's and not this ledger's; they are
answered with `reserved_flag`, as are the bits that nobody has defined.
"""

from collections.abc import Iterable
from typing import Final

from tigerfans.ledger.entries import (
    FLAGS,
    ID,
    TIMESTAMP,
    Account,
    Fields,
    Movement,
    State,
    StoredTransfer,
    move,
    move_back,
)
from tigerfans.ledger.record_batch import CREATED, LINKED, Outcome, RecordBatch, first_difference
from tigerfans.ledger.wire import (
    TRANSFER,
    U128_MAX,
    AccountFlags,
    Transfer,
    TransferFlags,
    TransferStatus,
    u128,
)

NANOSECONDS: Final = 1_000_000_000
TIMESTAMP_MAX: Final = 2**63 - 1

_PENDING: Final = int(TransferFlags.PENDING)
_POST: Final = int(TransferFlags.POST_PENDING_TRANSFER)
_VOID: Final = int(TransferFlags.VOID_PENDING_TRANSFER)
_SETTLES: Final = _POST | _VOID
_FLAGS_REFUSED: Final = 0xFFFF ^ (LINKED | _PENDING | _SETTLES)

_DEBITS_LIMITED: Final = int(AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS)
_CREDITS_LIMITED: Final = int(AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS)

_STATE_SINGLE: Final = int(State.SINGLE)
_STATE_PENDING: Final = int(State.PENDING)
_STATE_POSTED: Final = int(State.POSTED)
_STATE_VOIDED: Final = int(State.VOIDED)
_STATE_EXPIRED: Final = int(State.EXPIRED)
_SETTLED: Final = {
    _STATE_POSTED: int(TransferStatus.PENDING_TRANSFER_ALREADY_POSTED),
    _STATE_VOIDED: int(TransferStatus.PENDING_TRANSFER_ALREADY_VOIDED),
    _STATE_EXPIRED: int(TransferStatus.PENDING_TRANSFER_EXPIRED),
}

_ZERO: Final = u128(0)
_INT_MAX: Final = u128(U128_MAX)

_DEBIT_ACCOUNT_ID: Final = Transfer._fields.index("debit_account_id")
_CREDIT_ACCOUNT_ID: Final = Transfer._fields.index("credit_account_id")
_AMOUNT: Final = Transfer._fields.index("amount")
_PENDING_ID: Final = Transfer._fields.index("pending_id")

# A transfer refused for one of these reasons could pass later. Its id is burnt all the same, so
# that no retry can do what the first try was told had failed.
_TRANSIENT: Final = frozenset(
    {
        TransferStatus.DEBIT_ACCOUNT_NOT_FOUND,
        TransferStatus.CREDIT_ACCOUNT_NOT_FOUND,
        TransferStatus.PENDING_TRANSFER_NOT_FOUND,
        TransferStatus.EXCEEDS_CREDITS,
        TransferStatus.EXCEEDS_DEBITS,
    }
)


def _table(prefix: str, names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    return tuple(
        (Transfer._fields.index(name), int(TransferStatus[f"{prefix}_DIFFERENT_{name.upper()}"]))
        for name in names
    )


# The order in which fields are compared, and what a difference is called. An id used again:
_EXISTS_SHAPE: Final = _table("EXISTS_WITH", ("flags", "pending_id", "timeout"))
_EXISTS: Final = _table(
    "EXISTS_WITH",
    (
        "debit_account_id",
        "credit_account_id",
        "amount",
        "user_data_128",
        "user_data_64",
        "user_data_32",
        "ledger",
        "code",
    ),
)
# A post or void, which may leave these fields at zero but not change them:
_HOLD_HAS: Final = _table(
    "PENDING_TRANSFER_HAS", ("debit_account_id", "credit_account_id", "ledger", "code")
)


class TransferBatch(RecordBatch):
    """Creates transfers; `taken` holds those of the named ids that are in use, and is extended.

    Holds expire in steady time, which the timestamps are `ahead` of.
    """

    def __init__(
        self, accounts: dict[bytes, Account], taken: dict[bytes, StoredTransfer], ahead: int = 0
    ) -> None:
        self._accounts = accounts
        self._ahead = ahead
        self.taken = taken
        self.journal: list[Movement] = []
        self.burnt: list[StoredTransfer] = []

    def _create(self, record: Fields, timestamp: int) -> Outcome:
        id_ = record[ID]
        flags = record[FLAGS]
        if flags & _FLAGS_REFUSED:
            return TransferStatus.RESERVED_FLAG, timestamp
        if id_ == _ZERO:
            return TransferStatus.ID_MUST_NOT_BE_ZERO, timestamp
        if id_ == _INT_MAX:
            return TransferStatus.ID_MUST_NOT_BE_INT_MAX, timestamp
        if (existing := self.taken.get(id_)) is not None:
            return self._create_again(record, existing, timestamp)
        if flags & _SETTLES:
            return self._settle(record, timestamp), timestamp
        if (status := _check_fields(record)) is not None:
            return status, timestamp
        return self._transfer(record, timestamp), timestamp

    def _create_again(self, record: Fields, existing: StoredTransfer, timestamp: int) -> Outcome:
        """Answers an id that is in use."""
        if not existing.record:
            return TransferStatus.ID_ALREADY_FAILED, timestamp
        fields = TRANSFER.unpack(existing.record)
        if (status := first_difference(_EXISTS_SHAPE, record, fields)) is not None:
            return status, timestamp
        if record[FLAGS] & _SETTLES:
            record = _inherit(record, TRANSFER.unpack(self.taken[record[_PENDING_ID]].record))
        if (status := first_difference(_EXISTS, record, fields)) is not None:
            return status, timestamp
        return TransferStatus.EXISTS, fields[TIMESTAMP]

    def _transfer(self, record: Fields, timestamp: int) -> int:
        """Creates a pending transfer, or one that is posted at once."""
        (id_, debit_id, credit_id, amount_bytes, _, _, _, _, timeout, ledger, _, flags, _) = record
        debit = self._accounts.get(debit_id)
        if debit is None:
            return TransferStatus.DEBIT_ACCOUNT_NOT_FOUND
        credit = self._accounts.get(credit_id)
        if credit is None:
            return TransferStatus.CREDIT_ACCOUNT_NOT_FOUND
        if debit.ledger != credit.ledger:
            return TransferStatus.ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER
        if ledger != debit.ledger:
            return TransferStatus.TRANSFER_MUST_HAVE_THE_SAME_LEDGER_AS_ACCOUNTS

        amount = int.from_bytes(amount_bytes, "little")
        debits = debit.debits_pending + debit.debits_posted + amount
        credits_ = credit.credits_pending + credit.credits_posted + amount
        if debits > U128_MAX or credits_ > U128_MAX:
            return _overflow(debit, credit, amount, flags)
        expires = timestamp + timeout * NANOSECONDS
        if expires > TIMESTAMP_MAX:
            return TransferStatus.OVERFLOWS_TIMEOUT
        if debit.flags & _DEBITS_LIMITED and debits > debit.credits_posted:
            return TransferStatus.EXCEEDS_CREDITS
        if credit.flags & _CREDITS_LIMITED and credits_ > credit.debits_posted:
            return TransferStatus.EXCEEDS_DEBITS

        packed = TRANSFER.pack(*record[:TIMESTAMP], timestamp)
        if flags & _PENDING:
            due = expires - self._ahead if timeout else None
            created = StoredTransfer(id_, packed, _STATE_PENDING, due)
            self._move((created, debit, credit, amount, 0, None))
        else:
            created = StoredTransfer(id_, packed, _STATE_SINGLE)
            self._move((created, debit, credit, 0, amount, None))
        self.taken[id_] = created
        return CREATED

    def _settle(self, record: Fields, timestamp: int) -> int:
        """Posts or voids a pending transfer."""
        if (status := _check_settlement(record)) is not None:
            return status
        flags = record[FLAGS]
        hold = self.taken.get(record[_PENDING_ID])
        if hold is None or not hold.record:
            return TransferStatus.PENDING_TRANSFER_NOT_FOUND
        held = TRANSFER.unpack(hold.record)
        if not held[FLAGS] & _PENDING:
            return TransferStatus.PENDING_TRANSFER_NOT_PENDING
        record = _inherit(record, held)
        if (status := first_difference(_HOLD_HAS, record, held)) is not None:
            return status
        amount = int.from_bytes(record[_AMOUNT], "little")
        held_amount = int.from_bytes(held[_AMOUNT], "little")
        if amount > held_amount:
            return TransferStatus.EXCEEDS_PENDING_TRANSFER_AMOUNT
        if flags & _VOID and amount < held_amount:
            return TransferStatus.PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT
        if hold.state != _STATE_PENDING:
            return _SETTLED[hold.state]
        if hold.due is not None and hold.due <= timestamp - self._ahead:
            return TransferStatus.PENDING_TRANSFER_EXPIRED

        debit = self._accounts[record[_DEBIT_ACCOUNT_ID]]
        credit = self._accounts[record[_CREDIT_ACCOUNT_ID]]
        packed = TRANSFER.pack(*record[:TIMESTAMP], timestamp)
        created = StoredTransfer(record[ID], packed, _STATE_SINGLE)
        self.taken[created.id] = created
        if flags & _POST:
            hold.state = _STATE_POSTED
            self._move((created, debit, credit, -held_amount, amount, hold))
        else:
            hold.state = _STATE_VOIDED
            self._move((created, debit, credit, -held_amount, 0, hold))
        return CREATED

    def _refused(self, record: Fields, status: int) -> None:
        if status in _TRANSIENT:
            burnt = StoredTransfer(record[ID], b"", _STATE_SINGLE)
            self.taken[burnt.id] = burnt
            self.burnt.append(burnt)

    def _move(self, movement: Movement) -> None:
        move(movement)
        self.journal.append(movement)

    def _mark(self) -> int:
        return len(self.journal)

    def _undo(self, mark: int) -> None:
        for movement in self.journal[mark:]:
            move_back(movement)
            created = movement[0]
            if created is not None:
                del self.taken[created.id]
        del self.journal[mark:]


def expire(accounts: dict[bytes, Account], due: Iterable[StoredTransfer]) -> list[Movement]:
    """Gives the amounts of pending transfers that are due back to their accounts."""
    journal: list[Movement] = []
    for hold in due:
        held = TRANSFER.unpack(hold.record)
        debit = accounts[held[_DEBIT_ACCOUNT_ID]]
        credit = accounts[held[_CREDIT_ACCOUNT_ID]]
        amount = int.from_bytes(held[_AMOUNT], "little")
        hold.state = _STATE_EXPIRED
        movement = (None, debit, credit, -amount, 0, hold)
        move(movement)
        journal.append(movement)
    return journal


def _check_fields(record: Fields) -> int | None:
    """What is wrong with a transfer that does not settle another, accounts not looked at."""
    (_, debit_id, credit_id, _, pending_id, _, _, _, timeout, ledger, code, flags, _) = record
    if debit_id == _ZERO:
        return TransferStatus.DEBIT_ACCOUNT_ID_MUST_NOT_BE_ZERO
    if debit_id == _INT_MAX:
        return TransferStatus.DEBIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX
    if credit_id == _ZERO:
        return TransferStatus.CREDIT_ACCOUNT_ID_MUST_NOT_BE_ZERO
    if credit_id == _INT_MAX:
        return TransferStatus.CREDIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX
    if credit_id == debit_id:
        return TransferStatus.ACCOUNTS_MUST_BE_DIFFERENT
    if pending_id != _ZERO:
        return TransferStatus.PENDING_ID_MUST_BE_ZERO
    if timeout and not flags & _PENDING:
        return TransferStatus.TIMEOUT_RESERVED_FOR_PENDING_TRANSFER
    if not ledger:
        return TransferStatus.LEDGER_MUST_NOT_BE_ZERO
    if not code:
        return TransferStatus.CODE_MUST_NOT_BE_ZERO
    return None


def _check_settlement(record: Fields) -> int | None:
    """What is wrong with a post or void, the transfer it settles not looked at."""
    (id_, _, _, _, hold_id, _, _, _, timeout, _, _, flags, _) = record
    if flags & _SETTLES == _SETTLES or flags & _PENDING:
        return TransferStatus.FLAGS_ARE_MUTUALLY_EXCLUSIVE
    if hold_id == _ZERO:
        return TransferStatus.PENDING_ID_MUST_NOT_BE_ZERO
    if hold_id == _INT_MAX:
        return TransferStatus.PENDING_ID_MUST_NOT_BE_INT_MAX
    if hold_id == id_:
        return TransferStatus.PENDING_ID_MUST_BE_DIFFERENT
    if timeout:
        return TransferStatus.TIMEOUT_RESERVED_FOR_PENDING_TRANSFER
    return None


def _overflow(debit: Account, credit: Account, amount: int, flags: int) -> int:
    """Which balance cannot take `amount`, given that one cannot."""
    room = U128_MAX - amount
    if flags & _PENDING:
        if debit.debits_pending > room:
            return TransferStatus.OVERFLOWS_DEBITS_PENDING
        if credit.credits_pending > room:
            return TransferStatus.OVERFLOWS_CREDITS_PENDING
    if debit.debits_posted > room:
        return TransferStatus.OVERFLOWS_DEBITS_POSTED
    if credit.credits_posted > room:
        return TransferStatus.OVERFLOWS_CREDITS_POSTED
    if debit.debits_pending + debit.debits_posted > room:
        return TransferStatus.OVERFLOWS_DEBITS
    return TransferStatus.OVERFLOWS_CREDITS


def _inherit(record: Fields, held: Fields) -> Fields:
    """A post or void, with what it leaves open filled in from the transfer it settles."""
    (id_, debit_id, credit_id, amount, hold_id, data_128, data_64, data_32, *rest) = record
    (_, held_debit_id, held_credit_id, held_amount, _, held_128, held_64, held_32, *held_rest) = (
        held
    )
    timeout, ledger, code, flags, timestamp = rest
    _, held_ledger, held_code, _, _ = held_rest
    all_of_it = _INT_MAX if flags & _POST else _ZERO
    return (
        id_,
        held_debit_id if debit_id == _ZERO else debit_id,
        held_credit_id if credit_id == _ZERO else credit_id,
        held_amount if amount == all_of_it else amount,
        hold_id,
        held_128 if data_128 == _ZERO else data_128,
        data_64 or held_64,
        data_32 or held_32,
        timeout,
        ledger or held_ledger,
        code or held_code,
        flags,
        timestamp,
    )
