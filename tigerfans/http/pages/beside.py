"""What was measured beside other shops: the reference design, small ones that somebody might build
instead, and a general ticketing system; each in turn with this shop, in one run on one machine.

How it was measured stands in docs/performance-notebook.md, whose tables say the same; a test holds
them, and README.md, to these. The ranges of several days that the charts show are in
`bench-reference.js`.
"""

from typing import Final, NamedTuple


class Beside(NamedTuple):
    """Requests a second of one operation, or whole purchases, and what one of them is called."""

    operation: str
    noun: str
    connections: int
    reference_1: int
    reference_2: int
    ours_2: int

    @property
    def times(self) -> float:
        """How many times as many two of our workers do as two of the reference's."""
        return self.ours_2 / self.reference_2


class Other(NamedTuple):
    """Whole purchases a second of another shop and of ours in the same run; p99 in ms."""

    shop: str
    connections: int
    purchases: float
    p99_ms: int
    ours: int
    ours_p99_ms: int

    @property
    def times(self) -> float:
        return self.ours / self.purchases

    @property
    def row(self) -> str:
        """As it stands in a table of Markdown."""
        theirs = f"{self.connections} | {figure(self.purchases)} | {self.p99_ms:,} ms"
        ours = f"{self.ours:,} | {self.ours_p99_ms:,} ms | {figure(self.times)}"
        return f"| {self.shop} | {theirs} | {ours} |"


def times_by_noun() -> dict[str, str]:
    """How many times as many of each, such as `3.9 to 4.1`, from few connections to many."""
    times: dict[str, list[float]] = {}
    for row in BESIDE:
        times.setdefault(row.noun, []).append(row.times)
    return {noun: " to ".join(map(figure, sorted(found))) for noun, found in times.items()}


def figure(number: float) -> str:
    """A decimal where it says something."""
    return f"{number:,.1f}" if number < DECIMAL_MAX else f"{number:,.0f}"


DECIMAL_MAX: Final = 20

# Wherever these figures are shown.
MACHINE: Final = "two cores of an AMD EPYC (Linux 6.18) that run everything, the load generator too"
VERSIONS: Final = "TigerBeetle 0.17.9, PostgreSQL 18.4, Redis 6.2.14, Python 3.11.7"

BESIDE: Final = (
    Beside("Reserve", "reservations", 60, 3_675, 3_831, 15_118),
    Beside("Checkout", "checkouts", 60, 1_452, 1_689, 6_990),
    Beside("Webhook", "payments", 60, 550, 604, 5_252),
    Beside("Purchase", "whole purchases", 60, 275, 308, 2_281),
    Beside("Reserve", "reservations", 200, 4_087, 5_625, 22_774),
    Beside("Checkout", "checkouts", 200, 1_484, 1_927, 12_135),
    Beside("Webhook", "payments", 200, 497, 700, 6_973),
    Beside("Purchase", "whole purchases", 200, 266, 267, 3_152),
)

OTHERS: Final = (
    Other("one hot row of PostgreSQL", 60, 951, 309, 2_642, 40),
    Other("a row for each ticket, SKIP LOCKED", 60, 1_169, 144, 2_642, 40),
    Other("stock in Redis by Lua", 60, 1_176, 111, 2_642, 40),
    Other("one hot row of PostgreSQL", 200, 964, 803, 3_861, 86),
    Other("a row for each ticket, SKIP LOCKED", 200, 1_119, 591, 3_861, 86),
    Other("stock in Redis by Lua", 200, 1_111, 923, 3_861, 86),
    Other("a row for each ticket, SKIP LOCKED", 1, 486, 3, 223, 13),
    Other("the reference, 1 worker", 60, 275, 282, 2_281, 50),
    Other("the reference, 1 worker", 200, 266, 883, 3_152, 102),
    Other("the reference, 2 workers", 60, 308, 332, 2_281, 50),
    Other("the reference, 2 workers", 200, 267, 1_099, 3_152, 102),
    Other("pretix 2026.8.0, 4 workers and celery", 20, 6.9, 5_792, 1_146, 39),
)

# Whole purchases a second with two workers at 60 and at 200 connections, of these runs; and what
# the reference's author has published, for four cores.
PURCHASES: Final = (2_281, 3_152)
PURCHASES_PUBLISHED: Final = 135
