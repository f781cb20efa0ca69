"""The steps of an order that are worth a line in the log, and the lines.

There is a step for each ticket that is held and another for each that is paid, so they are logged
in every rush. `StepLog` gathers the lines of some milliseconds and writes them as one, in the forms
of `logs`: a line among twenty costs a seventh of one that is alone. `python -m bench.log_cost`
measures it, and docs/operations.md says what part of a checkout that is. An order is named by the
beginning of its id, which opens nothing.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Final

from tigerfans.booking.ids import OrderId
from tigerfans.offer.catalog import ClassCode
from tigerfans.settings.settings import Environment
from tigerfans.telemetry.logs import moment

LOGGER: Final = "tigerfans.order"
# A rush brings some twenty lines in that time. A process that is killed takes them with it.
GATHER_SECONDS: Final = 0.01


class Step(StrEnum):
    """What happened to an order, in the words of its line."""

    # Its session is saved, so that it can be paid.
    HELD = "held"
    # It was over a limit: nobody was told of it, and it was not "held".
    GIVEN_BACK = "given back"
    PAID = "paid"
    FAILED = "failed"
    CANCELED = "canceled"
    REFUND_DUE = "refund due"
    REFUNDED = "refunded"
    # What follows is counted only, and whoever counts it logs it: there may be no order to name.
    # A genuine event fits no order: it is about money, or it is not.
    UNMATCHED = "unmatched"
    DISREGARDED = "disregarded"
    # A payment that nobody told was learned of by asking; it is another step as well.
    LEARNED = "learned"


OnStep = Callable[[Step, OrderId, ClassCode], None]
Noted = tuple[Step, OrderId, ClassCode]
Write = Callable[[bytes], object]


def ignore_step(step: Step, order_id: OrderId, cls: ClassCode) -> None:
    """For a shop that keeps no log."""


class StepLog:
    """Writes one line for each step; those of `GATHER_SECONDS` leave together, with one time.

    Where `write` raises `OSError`, because the disk is full say, they are lost: no order fails for
    its log.
    """

    def __init__(self, environment: Environment, process: str, write: Write) -> None:
        self._compose = _json_lines if environment == "production" else _text_lines
        # It is put into lines of JSON; a person's lines are without it.
        self._process = json.dumps(process)
        self._write = write
        self._noted: list[Noted] = []

    @classmethod
    def to_stderr(cls, environment: Environment, process: str) -> "StepLog":
        """The log of this process, which its lines call `process`."""
        return cls(environment, process, _write_to_stderr)

    def note(self, step: Step, order_id: OrderId, cls: ClassCode) -> None:
        """Has the line written soon."""
        if not self._noted:
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self.flush)
        self._noted.append((step, order_id, cls))

    def flush(self) -> None:
        """Writes the lines there are."""
        noted, self._noted = self._noted, []
        if not noted:
            return
        with suppress(OSError):
            self._write(self._compose(moment(time.time()), self._process, noted).encode())


def _json_lines(at: str, process: str, noted: Sequence[Noted]) -> str:
    # Put together by hand: of all that is in a line, only the process's name may need escaping.
    start = f'{{"time":"{at}","level":"info","process":{process},"logger":"{LOGGER}","message":"'
    return "".join(
        [
            f'{start}{step}","order":"{order_id.short}","cls":"{cls}"}}\n'
            for step, order_id, cls in noted
        ]
    )


def _text_lines(at: str, process: str, noted: Sequence[Noted]) -> str:
    start = f"{at} INFO {LOGGER}: "
    return "".join([f"{start}{step} {cls} {order_id.short}\n" for step, order_id, cls in noted])


def _write_to_stderr(lines: bytes) -> None:
    stderr = sys.stderr.buffer
    stderr.write(lines)
    stderr.flush()
