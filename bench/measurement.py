"""One measurement, and the CSV file of many: a row is written as soon as it is measured."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bench.errors import BenchError
from tigerfans.settings.settings import is_clerk

YARDSTICK: Final = "yardstick"
CLIENT: Final = "client"
WORKER: Final = "worker-"
WORKERS: Final = "workers"
CLERK: Final = "clerk"
SEQUENCER: Final = "sequencer"
REPLICA: Final = "replica-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A row; the fields are its columns, in order. What a failed phase has not measured is None."""

    timestamp: str
    machine: str
    git_revision: str
    config: str
    ledger: str
    workers: int
    concurrency: int
    phase: str
    # Requests; in the phase `purchase` whole purchases, of three requests each.
    total: int = 0
    ok: int = 0
    errors: int = 0
    # Those that were ok, a second; latencies in milliseconds.
    throughput: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    # Transfers in a batch at the ledger.
    average_batch: float | None = None
    # Of each process, by name, the load generator (`client`) among them.
    cpu_seconds: Mapping[str, float] = field(default_factory=dict)
    # Of each store, how long a request waited for it on average.
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    # Why the phase failed; empty where it did not.
    failure: str = ""

    def cpu_us(self) -> dict[str, float]:
        """CPU µs for each that was ok, by kind of process: all workers together are `workers`."""
        kinds: dict[str, float] = {}
        for process, seconds in self.cpu_seconds.items():
            kind = WORKERS if process.startswith(WORKER) else process
            kind = CLERK if is_clerk(process) else kind
            kinds[kind] = kinds.get(kind, 0.0) + seconds / self.ok * 1e6 if self.ok else 0.0
        return kinds

    def to_row(self) -> dict[str, str]:
        return {name: _write(getattr(self, name)) for name in COLUMNS}

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> Self:
        """The way back; raises `KeyError` or `ValueError` for a row of another table."""
        numbers = {name: int(row[name]) for name in _INTEGERS}
        figures = {name: float(row[name]) if row[name] else None for name in _FIGURES}
        maps = {name: _read_pairs(row[name]) for name in _MAPS}
        texts = {name: row[name] for name in _TEXTS}
        read: dict[str, Any] = {**texts, **numbers, **figures, **maps}
        return cls(**read)


COLUMNS: Final = tuple(column.name for column in fields(Measurement))
_INTEGERS: Final = ("workers", "concurrency", "total", "ok", "errors")
_FIGURES: Final = ("throughput", "p50_ms", "p99_ms", "average_batch")
_MAPS: Final = ("cpu_seconds", "stage_ms")
_TEXTS: Final = tuple(set(COLUMNS) - {*_INTEGERS, *_FIGURES, *_MAPS})


def _write(value: object) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:.3f}"
        case Mapping():
            return " ".join(f"{name}={number:.2f}" for name, number in value.items())
    return str(value)


def _read_pairs(text: str) -> dict[str, float]:
    """The way back from a column such as `worker-1=2.04 sequencer=0.31`."""
    pairs = (pair.split("=") for pair in text.split())
    return {name: float(number) for name, number in pairs}


class ResultsFile:
    """A CSV file that holds every measurement made so far, whatever happens next."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("w", newline="")
        self._writer = csv.DictWriter(self._file, COLUMNS)
        self._writer.writeheader()
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, measurement: Measurement) -> None:
        self._writer.writerow(measurement.to_row())
        self._file.flush()


def read_results(paths: Iterable[Path]) -> list[Measurement]:
    """The measurements in some files; raises `BenchError` for a file that holds something else."""
    measurements = []
    for path in paths:
        try:
            with path.open(newline="") as file:
                measurements += [Measurement.from_row(row) for row in csv.DictReader(file)]
        except (OSError, UnicodeDecodeError) as error:
            raise BenchError(f"{path} cannot be read: {error}.") from None
        except (KeyError, ValueError, TypeError, AttributeError):
            raise BenchError(f"{path} does not hold results of python -m bench.") from None
    return measurements
