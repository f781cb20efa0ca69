"""One buyer alone, without a shop: what is told of what was measured."""

from pathlib import Path

import pytest

from bench.alone import (
    BEFORE,
    CHECKOUT,
    HTTP,
    MADE_OF,
    NOW,
    POSTGRESQL,
    REDIS,
    STATUS,
    UNIT,
    WEBHOOK,
    Times,
    describe,
    main,
    running_version,
)
from bench.config import Config
from bench.errors import BenchError


def times(factor: float = 1.0) -> Times:
    """Of three turns, the middle one of so many µs."""
    measured = Times()
    medians = {UNIT: 1000, REDIS: 100, POSTGRESQL: 800, HTTP: 200}
    for what, us in {**medians, CHECKOUT: 1500, WEBHOOK: 2500, STATUS: 400}.items():
        for share in (0.5, 1.0, 2.0):
            measured.add(what, us * share * factor / 1e6)
    return measured


def test_each_step_is_told_in_round_trips_of_its_own_turn() -> None:
    lines = describe({NOW: times()})
    assert "| checkout | 1,500 | 750 to 3,000 | 1.50 |" in lines


def test_what_is_left_of_a_step_is_the_rest() -> None:
    lines = describe({NOW: times()})
    assert "| payment (webhook) | 2,500 | 1,000 | 0 | 200 | 100 | 800 | 400 |" in lines
    assert "| status | 400 |  |  | 200 | 100 |  | 100 |" in lines


def test_another_version_stands_beside_it_turn_by_turn() -> None:
    lines = describe({NOW: times(), BEFORE: times(2.0)})
    assert "| status | 400 | 200 to 800 | 0.40 | 800 | 0.50 | 0.50 to 0.50 |" in lines


def test_a_step_is_made_of_what_is_measured() -> None:
    measured = times().seconds
    assert all(part in measured for parts in MADE_OF.values() for part in parts)


def test_what_cannot_be_measured_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--turns=0"])
    assert "takes 1 to 10,000" in capsys.readouterr().err


def test_a_checkout_without_a_python_of_its_own_is_told(tmp_path: Path) -> None:
    config = Config("alone", {}, 1)
    with (
        pytest.raises(BenchError, match=r"has no \.venv"),
        running_version(BEFORE, tmp_path, config, None),
    ):
        pass
