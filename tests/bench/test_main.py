"""`python -m bench` as a whole: on a real shop, and where it cannot even begin."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from bench.config import Config
from bench.measurement import ResultsFile, read_results
from bench.stack import DATA_PARENT, clean_environment
from tests.bench.results import failed, measurement
from tests.harness.patience import PATIENCE_SECONDS

ROOT = Path(__file__).parent.parent.parent
ONE_WORKER = ROOT / "ops" / "workers-1.env"
# How often the rows are looked at, for the first of them.
ROW_SECONDS = 0.1
# Needs neither wrk nor matplotlib.
LEAST = ("--configs", str(ONE_WORKER), "--no-plots", "--embedded")


def start(*arguments: str, environ: Mapping[str, str] = os.environ) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        env=dict(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str, environ: Mapping[str, str] = os.environ) -> tuple[int, str, str]:
    """The exit code, and what was printed to stdout and stderr."""
    with start(*arguments, environ=environ) as process:
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, output, errors


@pytest.fixture
def data_folders() -> Iterator[None]:
    """What a test leaves of shops' data is found."""
    before = set(DATA_PARENT.glob("bench-*"))
    yield
    assert set(DATA_PARENT.glob("bench-*")) <= before


def test_a_real_shop_is_started_measured_and_stopped(tmp_path: Path, data_folders: None) -> None:
    folder = ("--results", str(tmp_path), "--name", "run")
    exit_code, output, errors = run(
        *LEAST, *folder, "--phases", "purchase", "--seconds", "0.2", "--concurrency", "4"
    )
    assert (exit_code, errors) == (0, "")
    (row,) = read_results([tmp_path / "run.csv"])
    assert (row.config, row.ledger, row.phase, row.failure) == (
        *("workers-1", "embedded", "purchase"),
        "",
    )
    assert row.ok == row.total > 0
    assert row.average_batch
    stores = {"postgres", "redis"}
    assert row.cpu_seconds.keys() == {"client", "sequencer", "worker-1", "clerk-1", *stores}
    assert "purchase" in output


def test_an_interrupted_run_stops_its_shop_and_keeps_its_rows(
    tmp_path: Path, data_folders: None
) -> None:
    folder = ("--results", str(tmp_path), "--name", "run")
    short = ("--phases", "purchase", "--seconds", "0.2", "--concurrency", "4", "--repeats", "50")
    with start(*LEAST, *folder, *short) as process:
        path = tmp_path / "run.csv"
        while process.poll() is None and not (path.exists() and read_results([path])):
            with suppress(subprocess.TimeoutExpired):
                process.wait(ROW_SECONDS)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert "Interrupted" in output
    assert 1 <= len(read_results([path])) < 50


def test_earlier_results_are_shown_again(tmp_path: Path) -> None:
    with ResultsFile(tmp_path / "run.csv") as results:
        results.write(measurement())
        results.write(failed("webhook"))
    exit_code, output, _ = run("--draw", str(results.path))
    assert exit_code == 0
    assert "495" in output
    assert "failed workers-1, webhook, 60 connections: It broke." in output


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--configs", "none.env"], "none.env"),
        (["--phases", "sleep"], "sleep"),
        (["--concurrency", "0"], "--concurrency"),
        (["--seconds", "0"], "--seconds"),
        (["--draw", "none.csv"], "none.csv"),
        (["--phases", "purchase", "--no-plots", "--results", "/dev/null/here"], "/dev/null/here"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(arguments: list[str], word: str) -> None:
    exit_code, output, errors = run(*arguments)
    assert (exit_code, output) == (2, "")
    assert word in errors
    assert errors.count("\n") == 1


def test_without_wrk_nothing_is_started(tmp_path: Path) -> None:
    without = dict(os.environ) | {"PATH": ""}
    exit_code, _, errors = run("--no-plots", "--results", str(tmp_path), environ=without)
    assert (exit_code, errors.count("\n")) == (2, 1)
    assert "wrk is not installed" in errors
    assert list(tmp_path.iterdir()) == []


def test_nobodys_shop_is_measured_by_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    shops = ("DATABASE_URL", "REDIS_URL", "TIGERFANS_LEDGER", "TIGERFANS_DATA", "MOCK_SECRET")
    for name in (*shops, "TIGERBEETLE_BIN"):
        monkeypatch.setenv(name, "somebody's")
    kept = clean_environment()
    assert not kept.keys() & set(shops)
    assert kept["TIGERBEETLE_BIN"] == "somebody's"
    assert Config.read(ONE_WORKER).workers == 1
