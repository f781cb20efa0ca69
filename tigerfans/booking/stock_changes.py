"""How a class's stock changes after its funding: what is sent to the ledger, and what its answers
mean. No I/O.

Units come from `operator` and go back there. Each change has a number, counted from 0 for its
class, and an id that derives from both: whoever asks for a change says which number it would be, so
of two operators who both saw the same stock the ledger lets one through. A number that the ledger
has refused is used up for ever, and the next one is tried.

The sale of a class is closed by a switch, a pending transfer of one unit from `operator` to
`closed` that nobody posts: it takes nothing of the stock, and lasts until it is voided. What was
available lies on `closed` meanwhile. It is moved in powers of two, the largest first: of those the
ledger takes the very ones that add up to what there is, however fast it is being sold, and nobody
has to read it.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum, StrEnum
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from tigerfans.booking.moments import moment_at
from tigerfans.booking.outcomes import UnexpectedResultError
from tigerfans.ledger.wire import RESULT, Transfer, TransferFlags, TransferStatus, u128
from tigerfans.offer.catalog import Resource

# More than all classes of a file can have, and less than the powers add up to.
STOCK_MAX: Final = 1_000_000_000
POWERS: Final = tuple(1 << exponent for exponent in reversed(range(30)))
# Numbers that are looked up at a time. So many refusals in a row, with nothing that was done after
# them, would hide what is done later: each takes two operators at the very same moment.
WINDOW: Final = 64

# What is moved by an operator; see `transfers` for the others.
CODE_STOCK: Final = 2
CODE_SWITCH: Final = 3

# The last byte of the ids that belong to a change, whose own is 0.
_PARKED: Final = 0x01
_BROUGHT_BACK: Final = 0x40
OPENING_ATTEMPTS_MAX: Final = 16

_WORDS: Final = re.compile(r"(?P<sign>[+-])(?P<amount>[0-9]{1,10})|(?P<move>close|open)")
_LINKED: Final = int(TransferFlags.LINKED)


class Move(StrEnum):
    """What is done to a class's stock."""

    ADD = "add"
    WITHDRAW = "withdraw"
    CLOSE = "close"
    OPEN = "open"


class Wanted(NamedTuple):
    """A change as it is asked for; its `amount` is 0 where the sale is opened or closed."""

    move: Move
    amount: int = 0

    @classmethod
    def parse(cls, text: str) -> "Wanted | None":
        """From `+50`, `-50`, `close` or `open`; None from everything else."""
        words = _WORDS.fullmatch(text)
        if words is None:
            return None
        if words["move"]:
            return cls(Move(words["move"]))
        amount = int(words["amount"])
        return cls(Move.ADD if words["sign"] == "+" else Move.WITHDRAW, amount) if amount else None

    def __str__(self) -> str:
        sign = {Move.ADD: "+", Move.WITHDRAW: "-"}.get(self.move)
        return f"{sign}{self.amount}" if sign else str(self.move)


class Change(NamedTuple):
    """A change as the ledger has it, with its number and time in nanoseconds."""

    number: int
    wanted: Wanted
    at_ns: int

    @property
    def at(self) -> datetime:
        return moment_at(self.at_ns // 1_000)


class ChangeOutcome(Enum):
    DONE = "done"
    # This very change was made earlier, by whoever sends it again or who had the same in mind.
    DONE_BEFORE = "done before"
    # There is not so much to be moved.
    TOO_MANY = "too many"
    # The number was refused before, and the ledger never tries one again: the next one is.
    USED_UP = "used up"
    # The number has another change.
    TAKEN = "taken"


_S = TransferStatus

CHANGE_TABLE: Final = {
    _S.CREATED: ChangeOutcome.DONE,
    _S.EXISTS: ChangeOutcome.DONE_BEFORE,
    _S.EXCEEDS_CREDITS: ChangeOutcome.TOO_MANY,
    _S.ID_ALREADY_FAILED: ChangeOutcome.USED_UP,
    _S.EXISTS_WITH_DIFFERENT_FLAGS: ChangeOutcome.TAKEN,
    _S.EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID: ChangeOutcome.TAKEN,
    _S.EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID: ChangeOutcome.TAKEN,
    _S.EXISTS_WITH_DIFFERENT_AMOUNT: ChangeOutcome.TAKEN,
}

# [the switch's end, linked to what is brought back], what is brought back
OPENING_TABLE: Final = {
    (_S.CREATED, _S.CREATED): ChangeOutcome.DONE,
    (_S.EXISTS, _S.LINKED_EVENT_FAILED): ChangeOutcome.DONE_BEFORE,
    # Less is kept back than was read, or an attempt before has found so.
    (_S.LINKED_EVENT_FAILED, _S.EXCEEDS_CREDITS): ChangeOutcome.TOO_MANY,
    (_S.LINKED_EVENT_FAILED, _S.ID_ALREADY_FAILED): ChangeOutcome.TOO_MANY,
    (_S.EXISTS_WITH_DIFFERENT_FLAGS, _S.LINKED_EVENT_FAILED): ChangeOutcome.TAKEN,
    (_S.EXISTS_WITH_DIFFERENT_PENDING_ID, _S.LINKED_EVENT_FAILED): ChangeOutcome.TAKEN,
    (_S.ID_ALREADY_FAILED, _S.LINKED_EVENT_FAILED): ChangeOutcome.USED_UP,
    # Somebody has opened it under a later number.
    (_S.PENDING_TRANSFER_ALREADY_VOIDED, _S.LINKED_EVENT_FAILED): ChangeOutcome.TAKEN,
}


class StockMoves:
    """Packs the changes of one resource's stock, and reads them."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    def window(self, first: int) -> bytes:
        """The ids of so many changes, from a number on, to be read with `read`."""
        return b"".join(self._id(number) for number in range(first, first + WINDOW))

    def read(self, first: int, records: bytes) -> list[Change]:
        """The changes that were found in a window, in their order."""
        number_of = {self._id(number): number for number in range(first, first + WINDOW)}
        return sorted(
            Change(number_of[u128(transfer.id)], self._wanted(transfer), transfer.timestamp)
            for transfer in Transfer.unpack_all(records)
        )

    def _wanted(self, transfer: Transfer) -> Wanted:
        if transfer.flags & TransferFlags.PENDING:
            return Wanted(Move.CLOSE)
        if transfer.flags & TransferFlags.VOID_PENDING_TRANSFER:
            return Wanted(Move.OPEN)
        is_added = transfer.debit_account_id == self._resource.operator_account_id
        return Wanted(Move.ADD if is_added else Move.WITHDRAW, transfer.amount)

    def add(self, number: int, amount: int, *, is_closed: bool) -> bytes:
        """More of it, to be read with `decode_change`; kept back where the sale is closed."""
        operator = self._resource.operator_account_id
        return self._transfer(self._id(number), operator, self._place(is_closed), amount)

    def withdraw(self, number: int, amount: int, *, is_closed: bool) -> bytes:
        """Less of it, to be read with `decode_change`; of what is kept back where the sale is
        closed.
        """
        operator = self._resource.operator_account_id
        return self._transfer(self._id(number), self._place(is_closed), operator, amount)

    def close(self, number: int) -> bytes:
        """The switch, to be read with `decode_change`; `park` with the same number follows."""
        resource = self._resource
        return self._transfer(
            self._id(number),
            resource.operator_account_id,
            resource.closed_account_id,
            1,
            TransferFlags.PENDING,
            code=CODE_SWITCH,
        )

    def open(self, number: int, closing: int, parked: int, attempt: int = 0) -> bytes:
        """The end of the switch that has the number `closing`, linked to the return of what is
        kept back; to be read with `decode_opening`.
        """
        resource = self._resource
        switch = Transfer(
            id=_int(self._id(number)),
            pending_id=_int(self._id(closing)),
            ledger=resource.ledger,
            code=CODE_SWITCH,
            flags=TransferFlags.VOID_PENDING_TRANSFER | _LINKED,
        )
        return switch.pack() + self._transfer(
            self._id(number, _BROUGHT_BACK + attempt),
            resource.closed_account_id,
            resource.budget_account_id,
            parked,
        )

    def park(self, number: int) -> bytes:
        """All that is available, kept back; some of it is refused, and nobody reads which."""
        return self.park_under(self._id(number))

    def park_under(self, base: bytes) -> bytes:
        """The same, under ids of which only the last byte is not that of `base`.

        These need not be derived: none takes more than there is, so twice does no harm.
        """
        resource = self._resource
        return self._in_powers(base, resource.budget_account_id, resource.closed_account_id)

    def bring_back_under(self, base: bytes) -> bytes:
        """All that is kept back, available again."""
        resource = self._resource
        return self._in_powers(base, resource.closed_account_id, resource.budget_account_id)

    def _in_powers(self, base: bytes, debit: int, credit: int) -> bytes:
        return b"".join(
            self._transfer(bytes([_PARKED + place]) + base[1:], debit, credit, power)
            for place, power in enumerate(POWERS)
        )

    def _place(self, is_closed: bool) -> int:
        resource = self._resource
        return resource.closed_account_id if is_closed else resource.budget_account_id

    def _transfer(
        self,
        transfer_id: bytes,
        debit: int,
        credit: int,
        amount: int,
        flags: int = 0,
        code: int = CODE_STOCK,
    ) -> bytes:
        return Transfer(
            id=_int(transfer_id),
            debit_account_id=debit,
            credit_account_id=credit,
            amount=amount,
            ledger=self._resource.ledger,
            code=code,
            flags=flags,
        ).pack()

    def _id(self, number: int, part: int = 0) -> bytes:
        """16 little-endian bytes, the first of which says which part of the change it is."""
        named = f"stock change\n{self._resource.ledger}\n{number}"
        return bytes([part]) + blake2b(named.encode(), digest_size=15).digest()


def decode_change(results: bytes) -> ChangeOutcome:
    """What became of a change that is one transfer."""
    return _decoded(CHANGE_TABLE, _statuses(results)[0])


def decode_opening(results: bytes) -> ChangeOutcome:
    """What became of an opening."""
    first, second = _statuses(results)
    return _decoded(OPENING_TABLE, (first, second))


def _statuses(results: bytes) -> Sequence[int]:
    return [status for _, status, _ in RESULT.iter_unpack(results)]


def _decoded(table: Mapping[Any, ChangeOutcome], answer: object) -> ChangeOutcome:
    outcome = table.get(answer)
    if outcome is None:
        statuses = answer if isinstance(answer, tuple) else (answer,)
        names = ", ".join(TransferStatus(status).name.lower() for status in statuses)
        raise UnexpectedResultError(f"The ledger answered a change of stock with {names}.")
    return outcome


def _int(transfer_id: bytes) -> int:
    return int.from_bytes(transfer_id, "little")
