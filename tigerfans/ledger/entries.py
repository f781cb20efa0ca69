"""What the embedded ledger's rules work on: accounts with balances, and the ids that are taken.

128-bit ids stay the 16 little-endian bytes of the wire; amounts and balances are integers.
"""

from enum import IntEnum
from typing import Any, Final, Self

from tigerfans.ledger.wire import ACCOUNT

# An unpacked record, its fields in the order of `wire.TRANSFER` or `wire.ACCOUNT`.
Fields = tuple[Any, ...]

# Where both records keep the fields they share.
ID: Final = 0
LEDGER: Final = 9
FLAGS: Final = 11
TIMESTAMP: Final = 12


class State(IntEnum):
    """What became of a stored transfer; the numbers are stored, so they never change."""

    SINGLE = 0  # it is not a pending transfer
    PENDING = 1
    POSTED = 2
    VOIDED = 3
    EXPIRED = 4


class StoredTransfer:
    """One id that is taken: by a transfer or, with an empty record, by one that failed for good.

    `due` is when a pending transfer expires, in nanoseconds of steady time; None means never.
    """

    __slots__ = ("due", "id", "record", "state")

    def __init__(self, id_: bytes, record: bytes, state: int, due: int | None = None) -> None:
        self.id = id_
        self.record = record
        self.state = state
        self.due = due


class Account:
    """An account: its balances as they are now, and the fields that never change."""

    __slots__ = (
        "credits_pending",
        "credits_posted",
        "debits_pending",
        "debits_posted",
        "fields",
        "flags",
        "id",
        "ledger",
    )

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.id: bytes = fields[ID]
        self.ledger: int = fields[LEDGER]
        self.flags: int = fields[FLAGS]
        self.debits_pending, self.debits_posted, self.credits_pending, self.credits_posted = (
            int.from_bytes(balance, "little") for balance in fields[1:5]
        )

    @classmethod
    def unpack(cls, record: bytes) -> Self:
        return cls(ACCOUNT.unpack(record))

    def pack(self) -> bytes:
        """The 128-byte record of the account as it is now."""
        balances = (
            self.debits_pending,
            self.debits_posted,
            self.credits_pending,
            self.credits_posted,
        )
        return ACCOUNT.pack(
            self.id, *(balance.to_bytes(16, "little") for balance in balances), *self.fields[5:]
        )


# What moved from one account to another, and why: the transfer created by it (None where a hold
# expired), the debit and the credit account, how much that added to their pending and to their
# posted balances, and the pending transfer that was settled by it (or None). A plain tuple,
# because every transfer makes one.
Movement = tuple[StoredTransfer | None, Account, Account, int, int, StoredTransfer | None]


def move(movement: Movement) -> None:
    _, debit, credit, pending, posted, _ = movement
    debit.debits_pending += pending
    debit.debits_posted += posted
    credit.credits_pending += pending
    credit.credits_posted += posted


def move_back(movement: Movement) -> None:
    _, debit, credit, pending, posted, hold = movement
    debit.debits_pending -= pending
    debit.debits_posted -= posted
    credit.credits_pending -= pending
    credit.credits_posted -= posted
    if hold is not None:
        hold.state = State.PENDING
