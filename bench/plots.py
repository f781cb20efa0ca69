"""The plots of a run, as SVG files: what the table says, at a glance.

Drawn with matplotlib, which only this module needs (the extra `bench`). Colours stay apart for
people who see colours differently, and each line has a marker of its own.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.measurement import CLIENT, YARDSTICK, Measurement
from bench.report import middle

# Okabe and Ito's colours.
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
WIDTH_INCHES: Final = 8.0

# Points of one line: x and y.
Points = list[tuple[int, float]]
Lines = dict[str, Points]
Key = TypeVar("Key", bound=Hashable)


def draw(measurements: Sequence[Measurement], folder: Path, name: str) -> list[Path]:
    """Draws every plot there is data for, as `folder/name-….svg`; gives the files."""
    measured = [m for m in measurements if not m.failure]
    plots: dict[str, Callable[[Sequence[Measurement]], Figure | None]] = {
        "workers": draw_by_workers,
        "concurrency": draw_by_concurrency,
        "cpu": draw_cpu_per_purchase,
    }
    written = []
    # Text as text, and the same file for the same data.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tigerfans"}):
        for suffix, plot in plots.items():
            figure = plot(measured)
            if figure is not None:
                path = folder / f"{name}-{suffix}.svg"
                figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
                written.append(path)
    return written


def draw_by_workers(measurements: Sequence[Measurement]) -> Figure | None:
    """Throughput, and batch size, against workers: a line for each phase."""
    chosen = _at_middle_concurrency(m for m in measurements if m.phase != YARDSTICK)
    if not chosen:
        return None
    phases = list(dict.fromkeys(m.phase for m in chosen))
    throughput: Lines = {phase: [] for phase in phases}
    batches: Lines = {phase: [] for phase in phases}
    for (_, phase), repeats in _grouped(chosen, lambda m: (m.workers, m.phase)).items():
        workers = repeats[0].workers
        _append(throughput[phase], workers, [m.throughput for m in repeats])
        _append(batches[phase], workers, [m.average_batch for m in repeats])
    figure = Figure(figsize=(WIDTH_INCHES, 7.5))
    above, below = figure.subplots(2, 1, sharex=True)
    connections = f"{chosen[0].concurrency} connections"
    _draw_lines(above, throughput, "a second")
    above.set_title(f"Throughput by worker processes, {connections}")
    _legend_beside(above, *above.get_legend_handles_labels())
    _draw_lines(below, batches, "transfers in a batch")
    below.set_title(f"Average batch at the ledger, {connections}")
    _scale(below, [m.workers for m in chosen])
    below.set_xlabel("HTTP worker processes")
    return figure


def draw_by_concurrency(measurements: Sequence[Measurement]) -> Figure | None:
    """Throughput against concurrency: a panel for each phase, a line for each configuration."""
    phases = list(dict.fromkeys(m.phase for m in measurements if m.phase != YARDSTICK))
    if not phases:
        return None
    rows = math.ceil(len(phases) / 2)
    figure = Figure(figsize=(WIDTH_INCHES, 2.8 * rows), layout="constrained")
    panels = list(figure.subplots(rows, 2, squeeze=False).flat)
    for panel, phase in zip(panels, phases, strict=False):
        lines: Lines = {config: [] for config in dict.fromkeys(m.config for m in measurements)}
        chosen = sorted((m for m in measurements if m.phase == phase), key=lambda m: m.concurrency)
        for (config, _), repeats in _grouped(chosen, lambda m: (m.config, m.concurrency)).items():
            _append(lines[config], repeats[0].concurrency, [m.throughput for m in repeats])
        _draw_lines(panel, lines, "a second")
        panel.set_title(phase)
        _scale(panel, [m.concurrency for m in measurements])
    for panel in panels[len(phases) :]:
        panel.set_axis_off()
    figure.supxlabel("connections")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def draw_cpu_per_purchase(measurements: Sequence[Measurement]) -> Figure | None:
    """CPU of each process for a whole purchase, stacked: a bar for each configuration."""
    chosen = _at_middle_concurrency(m for m in measurements if m.phase == "purchase")
    if not chosen:
        return None
    bars = {
        config: [m.cpu_us() for m in repeats]
        for config, repeats in _grouped(chosen, lambda m: m.config).items()
    }
    kinds = list(dict.fromkeys(k for costs in bars.values() for cost in costs for k in cost))
    kinds.remove(CLIENT)
    figure = Figure(figsize=(WIDTH_INCHES, 4.5))
    axes = figure.subplots()
    bottoms = [0.0] * len(bars)
    for number, kind in enumerate(kinds):
        heights = [middle([cost.get(kind) for cost in costs]) or 0.0 for costs in bars.values()]
        colour = COLOURS[number % len(COLOURS)]
        axes.bar(list(bars), heights, bottom=bottoms, color=colour, width=0.6, label=kind)
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    axes.set_title(f"CPU for a whole purchase, {chosen[0].concurrency} connections")
    axes.set_ylabel("µs")
    _tidy(axes)
    # In the order in which they are stacked.
    handles, labels = axes.get_legend_handles_labels()
    _legend_beside(axes, handles[::-1], labels[::-1])
    return figure


def _at_middle_concurrency(measurements: Iterable[Measurement]) -> list[Measurement]:
    """Those of the concurrency in the middle of all that were measured, by workers."""
    chosen = sorted(measurements, key=lambda m: m.workers)
    concurrencies = sorted({m.concurrency for m in chosen})
    return [m for m in chosen if m.concurrency == concurrencies[len(concurrencies) // 2]]


def _grouped(
    measurements: Iterable[Measurement], key_of: Callable[[Measurement], Key]
) -> dict[Key, list[Measurement]]:
    groups: dict[Key, list[Measurement]] = {}
    for measurement in measurements:
        groups.setdefault(key_of(measurement), []).append(measurement)
    return groups


def _append(points: Points, x: int, repeats: Sequence[float | None]) -> None:
    """Adds the middle of the repeats, where any was measured."""
    if (y := middle(repeats)) is not None:
        points.append((x, y))


def _draw_lines(axes: Axes, lines: Lines, unit: str) -> None:
    """A line keeps its look whether or not those before it have points."""
    for number, (label, points) in enumerate(lines.items()):
        x, y = [x for x, _ in points], [y for _, y in points]
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        axes.plot(x, y, label=label, color=colour, marker=marker)
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    _tidy(axes)


def _scale(axes: Axes, values: Iterable[int]) -> None:
    """A logarithmic x axis, with a tick for each value that was measured."""
    ticks = sorted(set(values))
    axes.set_xscale("log")
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def _legend_beside(axes: Axes, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    axes.legend(handles, labels, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def _tidy(axes: Axes) -> None:
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="#dddddd")
    axes.spines[["top", "right"]].set_visible(False)
