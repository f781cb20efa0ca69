from pathlib import Path

import pytest

from bench.measurement import ResultsFile
from tests.bench.results import failed, measurement
from tigerfans.office import tuning
from tigerfans.office.tuning import Trial, advise, choose, read
from tigerfans.settings.settings import SettingsError


def trial(workers: int, rate: float) -> Trial:
    return Trial(workers, rate, p99_ms=25.0, average_batch=30.0)


def test_the_fewest_workers_that_sell_as_much_are_chosen() -> None:
    trials = [trial(1, 700.0), trial(2, 980.0), trial(4, 1000.0)]
    assert choose(trials).workers == 2


def test_more_workers_that_sell_more_are_chosen() -> None:
    trials = [trial(1, 700.0), trial(2, 900.0), trial(4, 1000.0)]
    assert choose(trials).workers == 4


def test_the_only_one_that_worked_is_chosen() -> None:
    assert choose([trial(8, 1.0)]).workers == 8


def test_the_advice_says_what_to_do_and_why() -> None:
    advice = advise([trial(1, 700.0), trial(2, 1000.0), trial(4, 1020.0), trial(8, 500.0)], 2)
    for sentence in (
        "Use 2 workers on these 2 cores: make up OPS=ops/workers-2.env",
        "With 1 worker, 30% less is sold.",
        "4 workers sell 2% more, which is no more than runs differ.",
        "8 workers sell 50% less: they take turns on the same cores.",
        "1,020 purchases/s",
    ):
        assert sentence in advice


def test_the_best_repeat_counts_and_what_failed_does_not(tmp_path: Path) -> None:
    with ResultsFile(tmp_path / "tune.csv") as results:
        for row in (
            measurement(workers=2, throughput=900.0),
            measurement(workers=1, throughput=700.0),
            measurement(workers=1, throughput=600.0),
            failed(workers=4),
        ):
            results.write(row)
    assert [(t.workers, t.rate) for t in read(results.path)] == [(1, 700.0), (2, 900.0)]


def test_outside_a_checkout_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "ROOT", tmp_path)
    with pytest.raises(SettingsError, match="in a checkout"):
        tuning.run()
