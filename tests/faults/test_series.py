"""A series of runs: its table, what is kept of it, how it ends. The runs are made up here."""

from collections import Counter
from pathlib import Path

import pytest

from tests.faults import __main__ as series
from tests.faults.audit import Audit
from tests.faults.plan import FaultKind, RunPlan
from tests.faults.run import Report


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[RunPlan]:
    """The runs there were: seed 3 breaks a promise, at seed 5 somebody presses Ctrl-C."""
    plans: list[RunPlan] = []

    async def run(plan: RunPlan, environment: dict[str, str]) -> Report:
        if plan.seed == 5:
            raise KeyboardInterrupt
        plans.append(plan)
        broken = ["it was lost"] if plan.seed == 3 else []
        struck = Counter({FaultKind.KILL: 2, FaultKind.CUT: 1})
        return Report(plan, struck, Audit(attempted=10, paid=6, lost=len(broken)), 1.5, broken)

    monkeypatch.setattr(series, "run", run)
    return plans


def test_the_table_is_markdown_with_a_line_for_each_run_and_each_ledger(
    ran: list[RunPlan], capsys: pytest.CaptureFixture[str]
) -> None:
    assert series.main(["--seeds", "2", "--ledger", "embedded"]) == 0
    head, rule, *rows, summary = [line for line in capsys.readouterr().out.splitlines() if line]
    assert {line.count("|") for line in (head, rule, *rows)} == {head.count("|")}
    names = [name.strip() for name in head.split("|")]
    totals = dict(zip(names, (cell.strip() for cell in rows[-1].split("|")), strict=True))
    assert [row.split()[1] for row in rows] == ["1", "2", "all"]
    assert (totals["ledger"], totals["orders"], totals["kill"]) == ("embedded", "20", "4")
    assert summary == "2 runs, 0 with a broken promise."


def test_a_broken_promise_is_told_with_the_command_that_repeats_it(
    ran: list[RunPlan], capsys: pytest.CaptureFixture[str]
) -> None:
    assert series.main(["--seed", "3", "--seeds", "1", "--ledger", "embedded"]) == 1
    told = capsys.readouterr()
    assert "it was lost" in told.err
    assert "make faults ARGS='--seed 3 --seeds 1 --ledger embedded" in told.err
    assert "1 runs, 1 with a broken promise." in told.out


def test_an_interrupted_series_keeps_what_it_has_and_goes_on_with_the_rest(
    ran: list[RunPlan], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    keep = ["--ledger", "embedded", "--keep", str(tmp_path / "faults.jsonl")]
    assert series.main(["--seed", "2", "--seeds", "9", *keep]) == series.INTERRUPTED
    assert "3 runs, 1 with a broken promise." in capsys.readouterr().out

    # What broke a promise is not taken from the file.
    assert series.main(["--seed", "1", "--seeds", "4", *keep]) == 1
    assert [plan.seed for plan in ran] == [2, 3, 4, 1, 3]
    assert "4 runs, 1 with a broken promise." in capsys.readouterr().out


def test_kills_by_the_clock_are_of_one_process_at_a_time(ran: list[RunPlan]) -> None:
    assert series.main(["--seeds", "1", "--ledger", "embedded", "--kill-every", "2"]) == 0
    assert set(ran[0].kinds) == {FaultKind.KILL, FaultKind.KILL_BACKEND}
    assert ran[0].fault_seconds == 2
