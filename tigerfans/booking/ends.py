"""How a ticket ends: used at the door, which can be undone, or refunded. No I/O.

A ticket's end is a transfer under an id of its own, whatever it is that ends it: so the ledger
itself lets a ticket end once. An admission that was undone has used that id up, and the next end of
the ticket, an admission or a refund, takes the next attempt's. All of a ticket's attempts but the
last were undone, and only the last one counts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from tigerfans.booking.ids import END_ATTEMPTS_MAX, FIRST_UNDO, OrderId
from tigerfans.ledger.wire import Transfer, u128
from tigerfans.offer.catalog import Part


class Ticket(NamedTuple):
    """A ticket, by its number in an order; the first is 0."""

    order_id: OrderId
    number: int


class Scan(NamedTuple):
    """What an admission carries: the scan's id in 16 bytes, when it was by its device's clock, in
    milliseconds, and the number of its gate.
    """

    id: bytes
    scanned_ms: int
    gate: int


class End(NamedTuple):
    """An attempt to end a ticket that the ledger let through; times by the ledger, in nanoseconds.

    `scan` is that of an admission, None of a refund.
    """

    attempt: int
    scan: Scan | None
    at_ns: int
    undone_ns: int | None = None

    @property
    def counts(self) -> bool:
        return self.undone_ns is None

    @property
    def may_be_undone(self) -> bool:
        """Whether there is an attempt for what comes after it."""
        return self.scan is not None and self.counts and self.attempt + 1 < END_ATTEMPTS_MAX


def end_ids(tickets: Iterable[Ticket], attempt: int) -> Iterator[bytes]:
    """What to look up of tickets' attempt, to be read with `read_ends`."""
    for ticket in tickets:
        yield ticket.order_id.end_id(ticket.number, attempt)
        yield ticket.order_id.undo_id(ticket.number, attempt)


def read_ends(
    tickets: Sequence[Ticket], attempt: int, transfers: Iterable[Transfer]
) -> dict[Ticket, End]:
    """The ends of tickets' attempt, from what was found of it."""
    found = {u128(transfer.id): transfer for transfer in transfers}
    return {
        ticket: end for ticket in tickets if (end := _read_end(ticket, attempt, found)) is not None
    }


def _read_end(ticket: Ticket, attempt: int, found: Mapping[bytes, Transfer]) -> End | None:
    end = found.get(ticket.order_id.end_id(ticket.number, attempt))
    if end is None:
        return None
    undo = found.get(ticket.order_id.undo_id(ticket.number, attempt))
    return End(attempt, scan_of(end), end.timestamp, undo and undo.timestamp)


def scan_of(end: Transfer) -> Scan | None:
    """The scan that a ticket's end carries; None where it is a refund."""
    if end.credit_account_id & 0xFF != Part.INSIDE:
        return None
    return Scan(u128(end.user_data_128), end.user_data_64, end.user_data_32)


def is_undo(transfer: Transfer) -> bool:
    return transfer.debit_account_id & 0xFF == Part.INSIDE


def ticket_number(transfer_id: int) -> int:
    """Of an end or an undo, which ticket of its order it is of."""
    return transfer_id & 0xFF & ~FIRST_UNDO


def place_id(ticket: Ticket, scan_id: bytes) -> bytes:
    """The id under which a scan takes a place in the hall for a ticket.

    By the scan, for a place that was refused is refused under its id for ever.
    """
    return _derived(b"hall place", ticket, scan_id)


def place_back_id(ticket: Ticket, scan_id: bytes) -> bytes:
    """The id under which that place is free again."""
    return _derived(b"hall place back", ticket, scan_id)


def _derived(person: bytes, ticket: Ticket, scan_id: bytes) -> bytes:
    named = ticket.order_id + bytes([ticket.number]) + scan_id
    return blake2b(named, digest_size=16, person=person).digest()
