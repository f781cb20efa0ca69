"""A change of a class's stock, step by step: what the ledger has is read, what cannot be done is
refused in a sentence, the deed is written down, and the ledger decides.

It is asked for under the number that the next change had when somebody looked. Whoever sends the
same again finds it done; who had another one in mind is told to look again.
"""

from dataclasses import dataclass
from typing import Final

from tigerfans.booking.inventory import Inventory
from tigerfans.booking.stock_changes import (
    OPENING_ATTEMPTS_MAX,
    STOCK_MAX,
    WINDOW,
    Change,
    ChangeOutcome,
    Move,
    StockMoves,
    Wanted,
    decode_change,
    decode_opening,
)
from tigerfans.errors import InvalidRequestError, StockMovedError, StockRefusedError
from tigerfans.ledger.wire import ACCOUNT, Operation, u128
from tigerfans.offer.catalog import ClassCode, TicketClass, stock_account_ids
from tigerfans.shop.backends import Backends
from tigerfans.stores.audit import Audit

AUDIT_WORDS: Final = {
    Move.ADD: "Stock added",
    Move.WITHDRAW: "Stock withdrawn",
    Move.CLOSE: "Sale closed",
    Move.OPEN: "Sale opened",
}
# Of one that was written down just before.
AUDIT_WORDS_REFUSED: Final = "Stock not changed"


@dataclass(frozen=True, slots=True)
class ClassStock:
    """What there is of a class, and how it came to be: `number` is that of its next change."""

    ticket_class: TicketClass
    stock: Inventory
    changes: tuple[Change, ...]

    @property
    def number(self) -> int:
        return self.changes[-1].number + 1 if self.changes else 0

    def from_number(self, number: int) -> Change | None:
        """The first change that was made under that number or a later one."""
        return next((change for change in self.changes if change.number >= number), None)

    @property
    def closing(self) -> int | None:
        """The number under which its sale was closed last; None where it never was."""
        closings = (c.number for c in reversed(self.changes) if c.wanted.move is Move.CLOSE)
        return next(closings, None)


def wanted_of(text: str) -> Wanted:
    """What is to be done; raises `InvalidRequestError` where it says nothing of the kind."""
    wanted = Wanted.parse(text)
    if wanted is None:
        raise InvalidRequestError("Please say +50, -50, close or open, with the amount you mean.")
    return wanted


async def look(backends: Backends, cls: str) -> ClassStock:
    """A class's stock and its changes; raises `InvalidRequestError` where there is none."""
    ticket_class = backends.ticket_class(cls)
    moves = StockMoves(ticket_class.tickets)
    changes: list[Change] = []
    first = 0
    # The changes first: what there is may then be newer than the number, and never older.
    while records := await backends.submit(Operation.LOOKUP_TRANSFERS, moves.window(first)):
        changes += moves.read(first, records)
        first += WINDOW
    ids = stock_account_ids(ticket_class.tickets.ledger)
    accounts = await backends.submit(Operation.LOOKUP_ACCOUNTS, b"".join(map(u128, ids)))
    if len(accounts) < len(ids) * ACCOUNT.size:
        raise InvalidRequestError(
            "The shop was not opened by this release yet: `tigerfans reload` does that."
        )
    stock = Inventory.by_ledger(accounts)[ticket_class.tickets.ledger]
    return ClassStock(ticket_class, stock, tuple(changes))


async def change(
    backends: Backends, cls: str, wanted: Wanted, by: str, number: int | None = None
) -> ClassStock:
    """Changes a class's stock, once; what there is then.

    `number` is that of the next change when whoever asks looked; None where they did not. Raises
    `InvalidRequestError`, `StockMovedError`, `StockRefusedError`, a `LedgerError`, or
    `UnavailableError`. After the last two, the same number tries the same change again.
    """
    seen = await look(backends, cls)
    number = seen.number if number is None else number
    if not 0 <= number <= seen.number:
        raise InvalidRequestError(f"The next change of {cls} has the number {seen.number}.")
    if made := seen.from_number(number):
        if made.wanted != wanted:
            raise StockMovedError
        # Who closed it may have died before all was kept back, and it may have been opened since.
        if wanted.move is Move.CLOSE and seen.stock.is_closed and seen.closing == made.number:
            await _keep_back(backends, seen, made.number)
        return await _now(backends, seen)
    if refused := why_not(seen.ticket_class.name, seen.stock, wanted):
        # The stock was read after the changes: this very one may have been made in between.
        if (await look(backends, cls)).number != seen.number:
            return await change(backends, cls, wanted, by, number)
        raise StockRefusedError(refused)
    audit, detail = Audit(backends.orders.database), f"{cls} {wanted}, change {number}"
    await audit.note(by, AUDIT_WORDS[wanted.move], detail=detail)
    try:
        made_under = await _make(backends, seen, wanted, number)
    except (StockMovedError, StockRefusedError):
        # It stands in the audit, and somebody else was faster on the ledger.
        await audit.note(by, AUDIT_WORDS_REFUSED, detail=detail)
        raise
    if wanted.move is Move.CLOSE:
        await _keep_back(backends, seen, made_under)
    return await _now(backends, seen)


async def close_sale(backends: Backends, cls: ClassCode, by: str) -> None:
    """Closes the sale of a class, unless it is closed; raises as `change` does."""
    wanted = Wanted(Move.CLOSE)
    seen = await look(backends, cls)
    if not seen.stock.is_closed:
        await change(backends, cls, wanted, by, seen.number)


def why_not(name: str, stock: Inventory, wanted: Wanted) -> str | None:
    """Why a change cannot be made, in a sentence; None where it can."""
    match wanted.move:
        case Move.ADD if stock.total + wanted.amount > STOCK_MAX:
            return f"There can be {STOCK_MAX:,} of {name} at most, and there are {stock.total:,}."
        case Move.WITHDRAW if wanted.amount > (left := _not_taken(stock)):
            taken = f"{stock.sold:,} of {stock.total:,} are sold and {stock.held:,} on hold"
            return f"Of {name} {left:,} can be withdrawn: {taken}."
        case Move.CLOSE if stock.is_closed:
            return f"The sale of {name} is closed already."
        case Move.OPEN if not stock.is_closed:
            return f"The sale of {name} is not closed."
    return None


def _not_taken(stock: Inventory) -> int:
    # What has just come back to a class that is closed is kept back in a moment.
    return stock.parked if stock.is_closed else stock.available


async def _make(backends: Backends, seen: ClassStock, wanted: Wanted, number: int) -> int:
    """Makes the change under its number, or the next ones that are not used up; which it was."""
    for under in range(number, number + WINDOW):
        match await _try(backends, seen, wanted, under):
            case ChangeOutcome.DONE | ChangeOutcome.DONE_BEFORE:
                return under
            case ChangeOutcome.TAKEN:
                raise StockMovedError
            case ChangeOutcome.TOO_MANY:
                now = (await look(backends, seen.ticket_class.code)).stock
                refused = why_not(seen.ticket_class.name, now, wanted)
                raise StockRefusedError(refused) if refused else StockMovedError
            case ChangeOutcome.USED_UP:
                continue
    raise StockMovedError


async def _try(backends: Backends, seen: ClassStock, wanted: Wanted, number: int) -> ChangeOutcome:
    moves, is_closed = StockMoves(seen.ticket_class.tickets), seen.stock.is_closed
    match wanted.move:
        case Move.ADD:
            sent = moves.add(number, wanted.amount, is_closed=is_closed)
        case Move.WITHDRAW:
            sent = moves.withdraw(number, wanted.amount, is_closed=is_closed)
        case Move.CLOSE:
            sent = moves.close(number)
        case Move.OPEN:
            return await _open(backends, seen, number)
    return decode_change(await backends.submit(Operation.CREATE_TRANSFERS, sent))


async def _open(backends: Backends, seen: ClassStock, number: int) -> ChangeOutcome:
    """Opens the sale with all that is kept back: as it was read, so read again where it is less."""
    moves, stock = StockMoves(seen.ticket_class.tickets), seen.stock
    if seen.closing is None:
        return ChangeOutcome.TAKEN
    for attempt in range(OPENING_ATTEMPTS_MAX):
        sent = moves.open(number, seen.closing, stock.parked, attempt)
        outcome = decode_opening(await backends.submit(Operation.CREATE_TRANSFERS, sent))
        if outcome is not ChangeOutcome.TOO_MANY:
            return outcome
        stock = (await look(backends, seen.ticket_class.code)).stock
    return ChangeOutcome.TAKEN


async def _keep_back(backends: Backends, seen: ClassStock, number: int) -> None:
    park = StockMoves(seen.ticket_class.tickets).park(number)
    await backends.submit(Operation.CREATE_TRANSFERS, park)


async def _now(backends: Backends, seen: ClassStock) -> ClassStock:
    """What there is after a change, here and for whoever asks this process next."""
    backends.stock.forget()
    return await look(backends, seen.ticket_class.code)
