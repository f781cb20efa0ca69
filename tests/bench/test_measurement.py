import csv
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.measurement import COLUMNS, Measurement, ResultsFile, read_results
from tests.bench.results import failed, measurement


def test_the_columns_have_an_order_that_others_can_rely_on() -> None:
    assert (
        *("timestamp", "machine", "git_revision", "config", "ledger", "workers", "concurrency"),
        *("phase", "total", "ok", "errors", "throughput", "p50_ms", "p99_ms", "average_batch"),
        *("cpu_seconds", "stage_ms", "failure"),
    ) == COLUMNS


@pytest.mark.parametrize("written", [measurement(), failed(), measurement(average_batch=None)])
def test_a_measurement_is_read_back_as_it_was_written(written: Measurement, tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    with ResultsFile(path) as results:
        results.write(written)
    assert read_results([path]) == [written]


def test_a_row_is_in_the_file_as_soon_as_it_is_written(tmp_path: Path) -> None:
    with ResultsFile(tmp_path / "new" / "results.csv") as results:
        results.write(measurement())
        assert len(read_results([results.path])) == 1


def test_each_process_has_its_cpu_seconds_in_one_column(tmp_path: Path) -> None:
    with ResultsFile(tmp_path / "results.csv") as results:
        results.write(measurement(cpu_seconds={"client": 1.5, "worker-1": 0.25}))
    with results.path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["cpu_seconds"] == "client=1.50 worker-1=0.25"


def test_the_cpu_of_all_workers_is_one_figure_and_that_of_the_clerk_another() -> None:
    cpu = {"worker-1": 0.001, "worker-2": 0.002, "sequencer": 0.001, "clerk-1": 0.002}
    assert measurement(ok=100, cpu_seconds=cpu).cpu_us() == pytest.approx(
        {"workers": 30.0, "sequencer": 10.0, "clerk": 20.0}
    )


def test_where_nothing_was_ok_there_is_no_cost_of_each() -> None:
    assert set(measurement(ok=0).cpu_us().values()) == {0.0}


@pytest.mark.parametrize("text", ["name,price\nA,1\n", ",".join(COLUMNS) + "\n1,2\n", "\xff"])
def test_another_file_is_refused_in_a_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(BenchError, match=r"other\.csv"):
        read_results([path])


def test_a_file_that_is_not_there_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="cannot be read"):
        read_results([tmp_path / "none.csv"])
