"""Replays recorded behaviour against a ledger and tells each difference (`ledger replay FILE`).

A recording is one scenario a line, as JSON: `{"name": …, "steps": […]}`. A step is
`{"op": "create_…", "events": […], "statuses": […]}`, or `{"op": "lookup_…", "ids": […]}` with the
`accounts` or `transfers` that were found, or `{"sleep_s": …}`. Fields that are zero are left out,
128-bit ones are decimal strings, and timestamps are not recorded. A file named `.gz` is unpacked.

The scenarios' ids are their own, so one ledger can replay them all, but only once.
"""

import asyncio
import gzip
import json
import struct
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from tigerfans.ledger import open_ledger
from tigerfans.ledger.base import Ledger, LedgerError
from tigerfans.ledger.wire import (
    Account,
    AccountStatus,
    Operation,
    Result,
    Transfer,
    TransferStatus,
    u128,
)
from tigerfans.settings.settings import Settings

SLEEP_SECONDS_MAX: Final = 60

_STATUSES: Final[dict[Operation, type[AccountStatus] | type[TransferStatus]]] = {
    Operation.CREATE_ACCOUNTS: AccountStatus,
    Operation.CREATE_TRANSFERS: TransferStatus,
}
_RECORDS: Final[dict[Operation, type[Account] | type[Transfer]]] = {
    Operation.CREATE_ACCOUNTS: Account,
    Operation.CREATE_TRANSFERS: Transfer,
    Operation.LOOKUP_ACCOUNTS: Account,
    Operation.LOOKUP_TRANSFERS: Transfer,
}
_FOUND: Final = {Account: "accounts", Transfer: "transfers"}


class RecordingError(Exception):
    """A recording cannot be read; the message is one sentence that says where."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One call of the ledger, and what each event, or each record found, is expected to be."""

    operation: Operation
    events: bytes
    expected: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    steps: tuple[Submission | Pause, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Steps count from 1; `event` is the event's, or the found record's, index from 0."""

    scenario: str
    step: int
    event: int
    expected: object
    got: object

    def __str__(self) -> str:
        return (
            f"{self.scenario}: step {self.step}, event {self.event}:"
            f" expected {_show(self.expected)}, got {_show(self.got)}"
        )


def read_recording(path: Path) -> list[Scenario]:
    """The scenarios of a file; raises `RecordingError`."""
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
            numbered = [(number, line) for number, line in enumerate(lines, start=1)]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecordingError(f"{path} cannot be read: {reason}.") from error
    if not numbered:
        raise RecordingError(f"{path} is empty.")
    scenarios = []
    for number, line in numbered:
        try:
            scenarios.append(_read_scenario(json.loads(line)))
        except KeyError as error:
            message = f"{path}, line {number}: {error} is missing or unknown."
            raise RecordingError(message) from error
        except (ValueError, TypeError, AttributeError, OverflowError, struct.error) as error:
            raise RecordingError(f"{path}, line {number} is no scenario: {error}.") from error
    return scenarios


async def replay(ledger: Ledger, scenario: Scenario) -> AsyncIterator[Difference]:
    """Replays one scenario and yields what differs; raises `LedgerError`."""
    for number, step in enumerate(scenario.steps, start=1):
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            continue
        answer = await ledger.submit(step.operation, step.events)
        pairs = zip_longest(step.expected, _read_answer(step.operation, answer))
        for event, (expected, got) in enumerate(pairs):
            if expected != got:
                yield Difference(scenario.name, number, event, expected, got)


async def replay_all(
    ledger: Ledger, scenarios: list[Scenario], report: Callable[[str], None] = print
) -> int:
    """Replays all scenarios, reports each difference and the totals; gives their number."""
    differences = 0
    for scenario in scenarios:
        async for difference in replay(ledger, scenario):
            differences += 1
            report(str(difference))
    steps = sum(len(scenario.steps) for scenario in scenarios)
    report(
        f"{len(scenarios)} scenarios, {steps} steps, {differences} differences"
        f" ({ledger.kind} ledger)"
    )
    return differences


def run(settings: Settings, path: Path) -> int:
    """The command: exit code 0 without differences, 1 with, 2 where it cannot be done."""
    if settings.ledger is None:
        print("TIGERFANS_LEDGER must name the ledger to replay against.", file=sys.stderr)
        return 2
    try:
        return asyncio.run(_run(settings.ledger, read_recording(path)))
    except (RecordingError, LedgerError) as error:
        print(error, file=sys.stderr)
        return 2


async def _run(address: str, scenarios: list[Scenario]) -> int:
    ledger = await open_ledger(address)
    try:
        return 1 if await replay_all(ledger, scenarios) else 0
    finally:
        await ledger.close()


def _read_scenario(line: dict[str, Any]) -> Scenario:
    return Scenario(str(line["name"]), tuple(_read_step(step) for step in line["steps"]))


def _read_step(step: dict[str, Any]) -> Submission | Pause:
    if "sleep_s" in step:
        seconds = float(step["sleep_s"])
        if not 0 <= seconds <= SLEEP_SECONDS_MAX:
            raise ValueError(f"a pause of {seconds} s")
        return Pause(seconds)
    operation = Operation[step["op"].upper()]
    record = _RECORDS[operation]
    if operation in _STATUSES:
        known = _STATUSES[operation].__members__
        if unknown := [status for status in step["statuses"] if status.upper() not in known]:
            raise ValueError(f"unknown status {unknown[0]!r}")
        if len(step["statuses"]) != len(step["events"]):
            raise ValueError(f"{len(step['statuses'])} statuses for {len(step['events'])} events")
        events = b"".join(_read_record(record, event).pack() for event in step["events"])
        return Submission(operation, events, tuple(step["statuses"]))
    ids = b"".join(u128(int(id_)) for id_ in step["ids"])
    found = [_read_record(record, fields) for fields in step[_FOUND[record]]]
    return Submission(operation, ids, tuple(_nonzero_fields(r) for r in found))


def _read_record(
    record: type[Account] | type[Transfer], fields: dict[str, Any]
) -> Account | Transfer:
    return record(**{name: int(value) for name, value in fields.items()})


def _read_answer(operation: Operation, answer: bytes) -> list[object]:
    if operation in _STATUSES:
        names = _STATUSES[operation]
        return [names(result.status).name.lower() for result in Result.unpack_all(answer)]
    return [
        _nonzero_fields(found._replace(timestamp=0))
        for found in _RECORDS[operation].unpack_all(answer)
    ]


def _nonzero_fields(record: Account | Transfer) -> dict[str, int]:
    return {name: value for name, value in record._asdict().items() if value}


def _show(value: object) -> str:
    return (
        "nothing" if value is None else json.dumps(value) if isinstance(value, dict) else str(value)
    )
