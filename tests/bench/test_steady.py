"""A steady demand, without a shop: what is told of it, and the backup's script."""

from pathlib import Path

import pytest

from bench import backup
from bench.errors import BenchError
from bench.purchase import WHOLE, Wish
from bench.steady import STEPS, Done, Machine, chores, describe, main, tell_troubles, write_seconds
from bench.timeline import Timeline, Window

WISH = Wish("A", "fan@example.org", "succeeded")
BACKUP = Done(Window("backup", 10.0, 20.0), 8.0, 0, "38M /backups")


@pytest.fixture
def timeline() -> Timeline:
    timeline = Timeline()
    for step in STEPS:
        for at in (5.0, 12.0, 30.0):
            timeline.observe(step, timeline.origin + at)
    return timeline


def test_each_step_has_a_figure_for_the_calm_and_for_each_chore(timeline: Timeline) -> None:
    lines = describe(timeline, [BACKUP])
    assert lines[0] == "| ms | calm | backup |"
    assert sum(line.startswith("| purchase, ") for line in lines) == 4
    assert lines[-1] == "backup: 8.0 s from 10 s on, exit code 0: 38M /backups"


def test_what_went_wrong_is_told_with_its_time_and_what_ran(timeline: Timeline) -> None:
    timeline.origin -= 15.0
    timeline.count("busy", WISH)
    told = tell_troubles(timeline, [BACKUP])
    assert told[0] == "once during backup: busy"
    assert told[1].startswith("  at 15.0")


def test_where_nothing_went_wrong_nothing_is_told(timeline: Timeline) -> None:
    assert tell_troubles(timeline, [BACKUP]) == []


def test_each_second_is_a_row(timeline: Timeline, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "seconds.csv"
    machine = Machine()
    machine.idle.extend([90.0] * 6)
    machine.written.extend([1.5] * 6)
    write_seconds(timeline, [BACKUP], machine, path)
    rows = [line.split(",") for line in path.read_text().splitlines()]
    begins = [row[:3] for row in rows[1:]]
    assert begins == [["5", "calm", "1"], ["12", "backup", "1"], ["30", "calm", "1"]]
    # The last ones ended after the watch did.
    assert [row[-2:] for row in rows[1:]] == [["90", "1.5"], ["", ""], ["", ""]]
    assert len(timeline.seconds[WHOLE]) == 3


def test_chores_come_one_after_the_other() -> None:
    shares = [chore.share for chore in chores(("backup",))]
    assert shares == sorted(shares)


def test_the_backup_is_the_script_of_a_host_with_other_paths() -> None:
    script = backup.with_other_paths(dict.fromkeys(backup.PATHS, "/elsewhere"))
    assert "/opt/tigerfans" not in script
    assert "/etc/tigerfans" not in script


def test_a_script_that_lost_a_path_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = tmp_path / "backup.sh"
    changed.write_text("#!/bin/sh")
    monkeypatch.setattr(backup, "SCRIPT", changed)
    with pytest.raises(BenchError, match="says nothing of"):
        backup.with_other_paths({"/etc/tigerfans": "/elsewhere"})


@pytest.mark.parametrize("option", ["--seconds=0", "--rate=0", "--replicas=7"])
def test_what_cannot_be_measured_is_a_sentence(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([option])
    assert "takes above 0 to" in capsys.readouterr().err
