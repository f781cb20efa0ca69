"""The table of runs: what struck, and what became of the orders. As Markdown, so that the docs can
quote it, and in a file where one is named, so that an interrupted series keeps what it has.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.faults.plan import FaultKind
from tests.faults.run import Report

COUNTS = (
    "faults",
    *map(str, FaultKind),
    "orders",
    "paid",
    "tickets",
    "learned",
    "refunds due",
    "given back",
    "refunded",
    "inside",
    "unpaid",
    "new price",
    "sold out",
    "mails",
    "mailed again",
    "lost",
    "sold twice",
    "cents charged",
    "cents back",
    "cents off",
    "seconds",
)
COLUMNS = ("seed", "ledger", *COUNTS)
LEDGER_WIDTH = len("tigerbeetle")


@dataclass(frozen=True, slots=True)
class Row:
    """One run; `command` repeats it."""

    command: str
    seed: int
    ledger: str
    is_clean: bool
    counts: dict[str, int]

    @classmethod
    def of(cls, report: Report) -> "Row":
        audit = report.audit
        counts = {
            "faults": report.faults.total(),
            **{str(kind): report.faults[kind] for kind in FaultKind},
            "orders": audit.attempted,
            "paid": audit.paid,
            "tickets": audit.tickets,
            "learned": audit.learned,
            "refunds due": audit.refunds_due,
            "given back": audit.due_given_back,
            "refunded": audit.refunded,
            "inside": audit.inside,
            "unpaid": audit.unpaid,
            "new price": audit.at_new_price,
            "sold out": audit.sold_out,
            "mails": audit.mails,
            "mailed again": audit.mailed_again,
            "lost": audit.lost,
            "sold twice": audit.sold_twice,
            "cents charged": audit.charged_cents,
            "cents back": audit.given_back_cents,
            "cents off": audit.cents_off,
            "seconds": round(report.seconds),
        }
        return cls(
            report.plan.command, report.plan.seed, report.plan.ledger, report.is_clean, counts
        )

    def __str__(self) -> str:
        return line([self.seed, self.ledger, *(self.counts[name] for name in COUNTS)])


class Kept:
    """The rows of a series of runs, each written down as soon as there is one."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file is not None and file.exists() else []
        before = [Row(**json.loads(text)) for text in lines]
        # A run that broke a promise is to be shown again, with its cause mended.
        self.rows = {row.command: row for row in before if row.is_clean}

    def add(self, row: Row) -> None:
        self.rows[row.command] = row
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")


def head() -> str:
    return line(COLUMNS) + "\n" + line(["-" * (_width(name) - 1) + ":" for name in COLUMNS])


def totals(rows: Iterable[Row]) -> str:
    """One line for each ledger."""
    sums: dict[str, Counter[str]] = {}
    for row in rows:
        sums.setdefault(row.ledger, Counter()).update(row.counts)
    return "\n".join(
        line(["all", ledger, *(counts[name] for name in COUNTS)])
        for ledger, counts in sorted(sums.items())
    )


def line(cells: Sequence[Any]) -> str:
    padded = (str(cell).rjust(_width(name)) for name, cell in zip(COLUMNS, cells, strict=True))
    return "| " + " | ".join(padded) + " |"


def _width(column: str) -> int:
    return LEDGER_WIDTH if column == "ledger" else max(len(column), 4)
