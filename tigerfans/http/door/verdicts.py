"""What the door's page says of each result of a scan: one table, for the page without a script and
for the scripts, which find it in the page.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class Kind(StrEnum):
    """The colour, the shape and the sound of a verdict."""

    GOOD = "good"
    # In, by what the device knows alone.
    CHECKED = "checked"
    # Nothing is decided.
    UNSURE = "unsure"
    BAD = "bad"


class Verdict(NamedTuple):
    """A few words to be read from an arm's length, and what to do about it."""

    kind: Kind
    words: str
    advice: str = ""


# The one of an admission that was taken back.
UNDONE: Final = "undone"

VERDICTS: Final[Mapping[str, Verdict]] = {
    # What the shop decides.
    "admitted": Verdict(Kind.GOOD, "Come in"),
    "already_inside": Verdict(Kind.BAD, "Already inside"),
    "refunded": Verdict(Kind.BAD, "Refunded", "The money for this ticket went back."),
    "not_paid": Verdict(Kind.BAD, "Not paid", "There is an order, and it was not paid."),
    "unknown": Verdict(
        Kind.BAD, "Not one of our tickets", "Is it another code on the ticket? Or a typing mistake?"
    ),
    "forged": Verdict(Kind.BAD, "Forged", "The shop did not sign this code."),
    "wrong_shop": Verdict(Kind.BAD, "Another event’s ticket"),
    "hall_full": Verdict(
        Kind.BAD, "The hall is full", "The ticket is good: it gets in once somebody has left."
    ),
    "invalid": Verdict(Kind.UNSURE, "Not done"),
    # What the page says by itself.
    UNDONE: Verdict(Kind.UNSURE, "Taken back", "The ticket can be scanned again."),
    "checked_offline": Verdict(
        Kind.CHECKED, "Come in", "Checked offline: the shop hears of it later."
    ),
    "cannot_check": Verdict(
        Kind.UNSURE, "Cannot be checked", "This takes the shop, and it does not answer right now."
    ),
    "too_many": Verdict(Kind.UNSURE, "Too fast", "Scan this ticket again in a moment."),
    "no_login": Verdict(Kind.UNSURE, "Please log in", "Load this page again."),
    "refused": Verdict(Kind.UNSURE, "Not done"),
}
