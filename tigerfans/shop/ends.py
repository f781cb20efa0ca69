"""How tickets ended, as the ledger tells it: all attempts, in as few look-ups as there are."""

from collections.abc import Iterable, Sequence

from tigerfans.booking.ends import End, Ticket, end_ids, read_ends
from tigerfans.booking.ids import END_ATTEMPTS_MAX
from tigerfans.ledger.wire import Operation, Transfer
from tigerfans.shop.backends import Backends

_IDS_EACH = 2


async def find_ends(backends: Backends, tickets: Iterable[Ticket]) -> dict[Ticket, list[End]]:
    """The attempts of each ticket in their order; a ticket without any has none.

    All but the last of them were undone.
    """
    ends: dict[Ticket, list[End]] = {ticket: [] for ticket in tickets}
    asked = list(ends)
    for attempt in range(END_ATTEMPTS_MAX):
        found = await _find(backends, asked, attempt)
        for ticket, end in found.items():
            ends[ticket].append(end)
        asked = [ticket for ticket, end in found.items() if not end.counts]
        if not asked:
            break
    return ends


async def _find(backends: Backends, tickets: Sequence[Ticket], attempt: int) -> dict[Ticket, End]:
    found: dict[Ticket, End] = {}
    at_once = backends.ledger.records_max // _IDS_EACH
    for start in range(0, len(tickets), at_once):
        page = tickets[start : start + at_once]
        ids = b"".join(end_ids(page, attempt))
        records = await backends.submit(Operation.LOOKUP_TRANSFERS, ids)
        found |= read_ends(page, attempt, Transfer.unpack_all(records))
    return found
