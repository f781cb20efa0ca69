"""What was measured beside the reference design: two workers beside two, in turn, on one machine.

How it was measured stands in docs/performance-notebook.md, whose table says the same; a test holds
it to this one. The ranges of several days that the charts show are in `bench-reference.js`.
"""

from typing import Final, NamedTuple


class Beside(NamedTuple):
    """Requests a second of one operation at 60 connections, and what one of them is called."""

    operation: str
    noun: str
    reference_1: int
    reference_2: int
    ours_2: int

    @property
    def times(self) -> float:
        """How many times as many two of our workers do as two of the reference's."""
        return self.ours_2 / self.reference_2


BESIDE: Final = (
    Beside("Reserve", "reservations", 1_594, 2_910, 8_833),
    Beside("Checkout", "checkouts", 740, 946, 6_373),
    Beside("Webhook", "payments", 242, 355, 3_630),
)

# Whole purchases a second with two workers on two cores, at 60 and at 200 connections, the smaller
# of two runs; and what the reference's author has published, for four cores.
PURCHASES: Final = (1_516, 2_115)
PURCHASES_PUBLISHED: Final = 135
