"""Whether tickets get in: the ledger decides, in one submission for all scans of a request.

Nothing is read before it. What is answered with anything but "admitted now" is looked up, all of it
at once: by which scan the ticket has ended, and whether that was undone. Where it was, the next
attempt is tried, so a request takes one submission, a look-up where something differs, and once
more both for tickets that were let out.
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

from tigerfans.booking.ends import End, Scan, Ticket
from tigerfans.booking.ids import END_ATTEMPTS_MAX
from tigerfans.booking.outcomes import AdmissionOutcome, decode_admissions
from tigerfans.errors import UnavailableError
from tigerfans.ledger.wire import Operation
from tigerfans.offer.catalog import ClassCode
from tigerfans.shop.backends import Backends
from tigerfans.shop.ends import find_ends


class Verdict(Enum):
    """What the ledger says of a scan."""

    # By this very scan, now or before.
    ADMITTED = auto()
    # Another scan came first.
    ALREADY_INSIDE = auto()
    REFUNDED = auto()
    HALL_FULL = auto()
    NOT_SOLD = auto()


class Presented(NamedTuple):
    """A ticket of a paid order, and the scan of it."""

    ticket: Ticket
    cls: ClassCode
    scan: Scan


class Decision(NamedTuple):
    """A verdict, and the end that the ticket has by it, where it has one."""

    verdict: Verdict
    end: End | None = None


async def decide(backends: Backends, presented: Sequence[Presented]) -> list[Decision]:
    """A decision for each, as if they came one after the other.

    Raises a `LedgerError`: then some may be let in, and who asks again, with the same scans, hears
    the same.
    """
    decided: dict[int, Decision] = {}
    attempts = dict.fromkeys(range(len(presented)), 0)
    for _ in range(END_ATTEMPTS_MAX + 1):
        outcomes = await _submit(backends, presented, attempts)
        differing: dict[int, AdmissionOutcome] = {}
        for number, (outcome, at_ns) in outcomes.items():
            if outcome is AdmissionOutcome.ADMITTED:
                end = End(attempts[number], presented[number].scan, at_ns)
                decided[number] = Decision(Verdict.ADMITTED, end)
            else:
                differing[number] = outcome
        if not differing:
            return [decided[number] for number in range(len(presented))]
        found = await find_ends(backends, [presented[number].ticket for number in differing])
        attempts = {}
        for number, outcome in differing.items():
            ends = found[presented[number].ticket]
            decision = _look(ends, outcome, presented[number].scan)
            if decision is None:
                attempts[number] = len(ends)
            else:
                decided[number] = decision
        if not attempts:
            return [decided[number] for number in range(len(presented))]
    # Somebody lets them in and out in the very same moments.
    raise UnavailableError


def _look(ends: Sequence[End], outcome: AdmissionOutcome, scan: Scan) -> Decision | None:
    """What a ticket's ends say of a scan; None where the next attempt decides."""
    for end in ends:
        if end.scan and end.scan.id == scan.id:
            return Decision(Verdict.ADMITTED, end)
    if ends and ends[-1].counts:
        last = ends[-1]
        return Decision(Verdict.ALREADY_INSIDE if last.scan else Verdict.REFUNDED, last)
    if outcome is AdmissionOutcome.HALL_FULL:
        return Decision(Verdict.HALL_FULL)
    if outcome is AdmissionOutcome.NOT_SOLD:
        return Decision(Verdict.NOT_SOLD)
    return None


async def _submit(
    backends: Backends, presented: Sequence[Presented], attempts: dict[int, int]
) -> dict[int, tuple[AdmissionOutcome, int]]:
    """The outcomes of scans, by their numbers."""
    booking = backends.booking
    each = booking.admission_records
    numbers = list(attempts)
    at_once = max(1, backends.ledger.records_max // each)
    outcomes: dict[int, tuple[AdmissionOutcome, int]] = {}
    for start in range(0, len(numbers), at_once):
        page = numbers[start : start + at_once]
        admissions = b"".join(
            booking.admission(
                presented[number].ticket,
                presented[number].cls,
                presented[number].scan,
                attempts[number],
            )
            for number in page
        )
        results = await backends.submit(Operation.CREATE_TRANSFERS, admissions)
        outcomes |= dict(zip(page, decode_admissions(results, each), strict=True))
    return outcomes
