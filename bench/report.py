"""The table of a run: medians over its repeats, beside the yardstick of the same configuration."""

from collections.abc import Sequence
from statistics import median
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.measurement import SEQUENCER, WORKERS, YARDSTICK, Measurement

# Columns of text that the table needs.
TABLE_WIDTH: Final = 140

Key = tuple[str, str, int, str]


def group(measurements: Sequence[Measurement]) -> dict[Key, list[Measurement]]:
    """The repeats of each measurement, by configuration, ledger, concurrency and phase."""
    groups: dict[Key, list[Measurement]] = {}
    for m in measurements:
        groups.setdefault((m.config, m.ledger, m.concurrency, m.phase), []).append(m)
    return groups


def middle(values: Sequence[float | None]) -> float | None:
    """The median of those that were measured; None where none was."""
    measured = [value for value in values if value is not None]
    return median(measured) if measured else None


def print_table(measurements: Sequence[Measurement]) -> None:
    """One line for each group; CPU is in µs for each that was ok."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("config", "ledger", "phase"):
        table.add_column(name, no_wrap=True)
    for name in _FIGURES:
        table.add_column(name, justify="right", no_wrap=True)
    groups = group(measurements)
    yardsticks = {
        (config, concurrency): middle([m.throughput for m in repeats])
        for (config, _, concurrency, phase), repeats in groups.items()
        if phase == YARDSTICK
    }
    config_before = None
    for (config, ledger, concurrency, phase), repeats in groups.items():
        if config_before not in (None, config):
            table.add_section()
        config_before = config
        figures = _figures(repeats, yardsticks.get((config, concurrency)))
        table.add_row(config, ledger, phase, str(concurrency), *figures)
    console = Console()
    # Where the terminal is narrower, lines wrap; no figure is left out.
    Console(width=max(console.width, TABLE_WIDTH)).print(table)


_FIGURES: Final = (
    *("c", "ok", "errors", "per s", "of yardstick", "p50 ms", "p99 ms", "batch"),
    *("workers µs", "sequencer µs", "all µs"),
)


def _figures(repeats: Sequence[Measurement], yardstick: float | None) -> list[str]:
    measured = [m for m in repeats if not m.failure]
    failed = len(repeats) - len(measured)
    errors = f"{sum(m.errors for m in repeats):,}"
    if failed:
        errors = f"{errors} [red]+{failed} failed[/red]"
    if not measured:
        return ["", errors]
    throughput = middle([m.throughput for m in measured])
    cpu = [m.cpu_us() for m in measured]
    return [
        f"{sum(m.ok for m in measured):,}",
        errors,
        _figure(throughput, ",.0f"),
        _figure(throughput / yardstick if throughput and yardstick else None, ".2f"),
        _figure(middle([m.p50_ms for m in measured]), ".1f"),
        _figure(middle([m.p99_ms for m in measured]), ".1f"),
        _figure(middle([m.average_batch for m in measured]), ".1f"),
        _figure(middle([kinds.get(WORKERS) for kinds in cpu]), ".0f"),
        _figure(middle([kinds.get(SEQUENCER) for kinds in cpu]), ".1f"),
        _figure(middle([sum(kinds.values()) for kinds in cpu]), ".0f"),
    ]


def print_failures(measurements: Sequence[Measurement], console: Console) -> None:
    """A line for each phase that failed."""
    for m in measurements:
        if m.failure:
            place = f"{m.config}, {m.phase}, {m.concurrency} connections"
            console.print(f"[red]failed[/red] {place}: {m.failure}", highlight=False)


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
