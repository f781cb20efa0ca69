import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.harness.patience import patience
from tigerfans.stack import state
from tigerfans.stack.process_table import is_running, start_time
from tigerfans.stack.state import ProcessState, StackState, StateFile


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["/bin/sleep", "600"], start_new_session=True) as child:
        yield child
        child.kill()


def describe(child: "subprocess.Popen[bytes]") -> ProcessState:
    return ProcessState(
        name="sleeper",
        pid=child.pid,
        started=start_time(child.pid),
        state="running",
        restarts=0,
        end_signal=signal.SIGTERM,
    )


def stack_of(*processes: ProcessState) -> StackState:
    return StackState(os.getpid(), start_time(os.getpid()), processes)


def test_a_process_is_known_by_its_id_and_its_start() -> None:
    assert is_running(os.getpid(), start_time(os.getpid()))
    assert not is_running(os.getpid(), "another start")
    assert not is_running(os.getpid(), None)


def test_a_process_that_ended_is_not_running_before_it_was_waited_for(
    child: "subprocess.Popen[bytes]",
) -> None:
    started = start_time(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_running(child.pid, started)


def test_what_is_written_is_read_back(tmp_path: Path, child: "subprocess.Popen[bytes]") -> None:
    written = replace(stack_of(describe(child)), reloads=2, reload_error="It failed.")
    state.write(tmp_path / "state.json", written)
    assert state.read(tmp_path / "state.json") == written


def test_a_file_that_is_missing_or_strange_is_no_state(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert state.read(path) is None
    written = stack_of()
    state.write(path, written)
    half = path.read_bytes()[:-10]
    strange = (b"", b"[]", b"{}", b'{"processes": [{}]}', b'{"processes": [], "size": 1}')
    for content in (half, *strange, b'"text"', b"5", b"null", b"\xff\x00"):
        path.write_bytes(content)
        assert state.read(path) is None
    path.unlink()
    path.mkdir()
    assert state.read(path) is None


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    written = stack_of()
    state.write(path, written)
    (tmp_path / "state.json.new").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        state.write(path, replace(written, reloads=1))
    assert state.read(path) == written


async def test_a_state_that_cannot_be_written_is_written_as_soon_as_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "RETRY_PAUSE_S", 0.01)
    path, in_the_way = tmp_path / "state.json", tmp_path / "state.json.new"
    reports: list[str] = []
    file = StateFile(path, reports.append)
    in_the_way.mkdir()
    for reloads in range(3):
        file.write(replace(stack_of(), reloads=reloads))
    assert not path.exists()
    assert [report.startswith(f"{path} cannot be written: ") for report in reports] == [True]
    in_the_way.rmdir()
    async with patience():
        while len(reports) < 2:  # noqa: ASYNC110 - it tells nobody but a person
            await asyncio.sleep(0)
    assert state.read(path) == replace(stack_of(), reloads=2)
    assert reports[1] == f"{path} can be written again."


async def test_a_state_that_is_removed_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "RETRY_PAUSE_S", 0.0)
    path, in_the_way = tmp_path / "state.json", tmp_path / "state.json.new"
    file = StateFile(path, lambda _: None)
    in_the_way.mkdir()
    file.write(stack_of())
    in_the_way.rmdir()
    file.remove()
    # Whatever was to be done at once is done before this.
    await asyncio.sleep(0.01)
    assert not path.exists()


def test_a_stack_that_was_killed_is_not_running(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    state.write(path, stack_of())
    assert state.read_running(path) is not None
    state.write(path, replace(stack_of(), started="another start"))
    assert state.read_running(path) is None


def test_leftovers_are_ended_and_named(tmp_path: Path, child: "subprocess.Popen[bytes]") -> None:
    path = tmp_path / "state.json"
    state.write(path, stack_of(describe(child)))
    assert state.end_leftovers(path) == ["sleeper"]
    assert child.wait() == -signal.SIGTERM


def test_a_leftover_that_does_not_end_is_killed(
    tmp_path: Path, child: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "LEFTOVER_TIMEOUT_S", 0.1)
    path = tmp_path / "state.json"
    state.write(path, stack_of(replace(describe(child), end_signal=signal.SIGCONT)))
    state.end_leftovers(path)
    assert child.wait() == -signal.SIGKILL


def test_a_process_that_only_has_the_id_of_a_leftover_is_left_alone(
    tmp_path: Path, child: "subprocess.Popen[bytes]"
) -> None:
    path = tmp_path / "state.json"
    state.write(path, stack_of(replace(describe(child), started="another start")))
    assert state.end_leftovers(path) == []
    assert child.poll() is None
