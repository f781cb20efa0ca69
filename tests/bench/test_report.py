import io
from pathlib import Path

import pytest
from rich.console import Console

from bench.measurement import YARDSTICK, Measurement
from bench.report import print_failures, print_table
from tests.bench.results import failed, measurement, whole_run
from tests.harness.needs import needs_matplotlib


def table(measurements: list[Measurement], capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    print_table(measurements)
    return [line.split() for line in capsys.readouterr().out.splitlines()[1:] if line.strip()]


def test_what_was_measured_is_a_share_of_the_yardstick_beside_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    yardstick = measurement(YARDSTICK, throughput=1_980.0)
    _, row = table([yardstick, measurement("checkout")], capsys)
    assert row[:7] == ["workers-1", "tigerbeetle", "checkout", "60", "990", "10", "495"]
    assert row[7] == "0.25"


def test_repeats_are_one_line_with_their_median(capsys: pytest.CaptureFixture[str]) -> None:
    repeats = [measurement(throughput=rate) for rate in (100.0, 900.0, 300.0)]
    (row,) = table(repeats, capsys)
    assert (row[4], row[6]) == ("2,970", "300")


def test_a_phase_that_failed_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = table([failed("webhook")], capsys)
    assert row == ["workers-1", "tigerbeetle", "webhook", "60", "0", "+1", "failed"]


def test_a_repeat_that_failed_does_not_hide_behind_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (row,) = table([measurement(), failed()], capsys)
    assert row[4:8] == ["990", "10", "+1", "failed"]


def test_a_failure_is_told_with_its_reason() -> None:
    output = io.StringIO()
    print_failures([measurement(), failed("commit")], Console(file=output, width=100))
    assert output.getvalue() == "failed workers-1, commit, 60 connections: It broke.\n"


@needs_matplotlib
def test_every_plot_is_drawn_as_an_svg(tmp_path: Path) -> None:
    from bench.plots import draw

    paths = draw([*whole_run(), failed("webhook")], tmp_path, "run")
    assert [path.name for path in paths] == [
        "run-workers.svg",
        "run-concurrency.svg",
        "run-cpu.svg",
    ]
    for path in paths:
        text = path.read_text()
        assert "<svg" in text
        assert "webhook" not in text
    assert "CPU for a whole purchase, 60 connections" in paths[2].read_text()


@needs_matplotlib
def test_the_same_results_give_the_same_plots(tmp_path: Path) -> None:
    from bench.plots import draw

    first, second = (draw(whole_run(), tmp_path, name) for name in ("first", "second"))
    assert [p.read_text() for p in first] == [p.read_text() for p in second]


@needs_matplotlib
def test_nothing_is_drawn_where_nothing_was_measured(tmp_path: Path) -> None:
    from bench.plots import draw

    assert draw([failed()], tmp_path, "run") == []
