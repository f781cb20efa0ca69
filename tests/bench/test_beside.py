"""What is measured beside other shops, without any of them."""

import itertools
from pathlib import Path

import pytest

from bench import beside, pretix_load
from bench.errors import BenchError
from bench.pretix import running_pretix
from bench.pretix_load import closed_loop
from bench.reference import running_reference
from tests.bench.results import failed, measurement


def test_the_table_says_how_many_times_as_many_ours_does() -> None:
    rows = [
        measurement("checkout", workers=2, throughput=5000.0 + turn, p99_ms=20.0)
        for turn in (-1000.0, 0.0, 1000.0)
    ]
    for workers, throughput in ((1, 500.0), (2, 1000.0)):
        config = f"{beside.REFERENCE}{workers}"
        rows.append(measurement("checkout", workers, config=config, throughput=throughput))
    rows.append(failed("checkout", workers=2))
    *_, line = beside.table(rows)
    assert line == "| checkout | 60 | 500, 25 ms | 1,000, 25 ms | 5,000, 20 ms | 10.0; 5.0 |"


def test_what_one_of_them_has_not_measured_stands_in_no_table() -> None:
    head, rule = beside.table([measurement("checkout", workers=2)])
    assert head.count("|") == rule.count("|")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "--reference"),
        (["--reference", "nothing", "--turns", "0"], "--turns"),
        (["--reference", "nothing", "--seconds", "61"], "--seconds"),
    ],
)
def test_what_cannot_be_measured_is_a_sentence(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert beside.main(arguments) == 2
    said = capsys.readouterr().err
    assert word in said
    assert said.count("\n") == 1


def test_a_folder_without_the_reference_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(BenchError, match=f"{tmp_path} is no checkout of the reference"),
        running_reference(tmp_path, 1, {}, tmp_path),
    ):
        pass


def test_a_pretix_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretix_load.main(["--pretix", str(tmp_path), "--turns", "0"]) == 2
    assert "--turns" in capsys.readouterr().err
    with (
        pytest.raises(BenchError, match="no virtual environment with pretix"),
        running_pretix(tmp_path, "pretix", tmp_path, tmp_path, tmp_path),
    ):
        pass


def test_some_connections_do_each_item_once() -> None:
    done: list[str] = []
    measured = closed_loop("asked", done.append, iter("abcdef"), connections=3, seconds=60.0)
    assert sorted(done) == list("abcdef")
    assert str(measured).startswith("| asked | ")
    assert measured.done == 6


def test_what_has_no_end_ends_with_the_time() -> None:
    numbers = itertools.count()
    closed_loop("asked", lambda _: next(numbers), itertools.repeat(""), connections=2, seconds=0.0)
    assert next(numbers) == 2


def test_what_goes_wrong_in_one_connection_is_told() -> None:
    def fail(item: str) -> None:
        raise BenchError(item)

    with pytest.raises(BenchError, match="a"):
        closed_loop("asked", fail, iter("a"), connections=2, seconds=1.0)
