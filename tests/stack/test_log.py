import os
from pathlib import Path

from tigerfans.stack.log import BYTES_MAX, TAIL_LINES, Log


def test_a_log_gives_the_last_lines_of_its_run(tmp_path: Path) -> None:
    log = Log(tmp_path / "worker.log")
    for run in ("one", "two"):
        with log.start_run() as file:
            file.writelines(f"{run} {number}\n".encode() for number in range(TAIL_LINES + 1))
    assert log.tail() == [f"two {number}" for number in range(1, TAIL_LINES + 1)]
    with log.start_run() as file:
        file.write(b"three")
    assert log.tail() == ["three"]


def test_a_full_log_is_kept_once(tmp_path: Path) -> None:
    log = Log(tmp_path / "worker.log")
    for _ in range(3):
        with log.start_run() as file:
            os.truncate(file.fileno(), BYTES_MAX + 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["worker.log", "worker.log.1"]


def test_a_log_that_is_gone_has_no_last_lines(tmp_path: Path) -> None:
    assert Log(tmp_path / "worker.log").tail() == []
