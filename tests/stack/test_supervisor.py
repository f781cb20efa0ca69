import asyncio
import os
import signal

import pytest

from tests.stack.conftest import POLL_PAUSE_S, StandIns
from tigerfans.stack import process, room, service, supervisor
from tigerfans.stack.service import RestartBudget
from tigerfans.stack.state import ProcessState


async def test_the_stack_starts_servers_then_the_sequencer_then_workers_and_clerk(
    stand_ins: StandIns,
) -> None:
    stand_ins.start()
    started = await stand_ins.events(6)
    assert set(started[:2]) == {"store start", "ledger start"}
    assert started[2] == "sequencer start"
    assert set(started[3:]) == {"worker-1 start", "worker-2 start", "clerk-1 start"}


async def test_the_stack_stops_workers_and_clerk_then_the_sequencer_then_servers_one_by_one(
    stand_ins: StandIns,
) -> None:
    await stand_ins.open()
    assert await stand_ins.stop() == 0
    stopped = await stand_ins.events(6)
    assert set(stopped[:3]) == {"worker-1 stop", "worker-2 stop", "clerk-1 stop"}
    assert stopped[3:] == ["sequencer stop", "ledger stop", "store stop"]


async def test_a_process_that_dies_is_started_again(stand_ins: StandIns) -> None:
    await stand_ins.open()
    killed = stand_ins.pid("sequencer")
    os.kill(killed, signal.SIGKILL)
    assert await stand_ins.event() == "sequencer start"
    revived = await stand_ins.running("sequencer", restarts=1)
    assert revived.pid not in (None, killed)
    assert (await stand_ins.report()).startswith("sequencer was ended by SIGKILL.")


async def test_a_process_that_dies_while_others_start_is_started_again(
    stand_ins: StandIns,
) -> None:
    stand_ins.start()
    await stand_ins.events(3)
    os.kill(stand_ins.pid("store"), signal.SIGKILL)
    assert "store start" in await stand_ins.events(4)


async def test_a_process_that_keeps_dying_stops_the_stack_with_exit_code_1(
    stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "RESTARTS_MAX", 3)
    monkeypatch.setattr(service, "RESTART_PAUSE_MIN_S", 0.001)
    await stand_ins.open()
    stand_ins.behave("worker-2", "collapses")
    os.kill(stand_ins.pid("worker-2"), signal.SIGKILL)
    assert await stand_ins.finished() == 1
    assert "giving up" in stand_ins.reports[-1]
    assert "worker-2" in stand_ins.reports[-1]


async def test_a_clerk_that_keeps_dying_is_started_again_for_ever_and_the_shop_sells(
    stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "RESTARTS_MAX", 3)
    monkeypatch.setattr(service, "RESTART_PAUSE_MIN_S", 0.001)
    monkeypatch.setattr(service, "RESTART_PAUSE_MAX_S", 0.001)
    await stand_ins.open()
    stand_ins.behave("clerk-1", "collapses")
    os.kill(stand_ins.pid("clerk-1"), signal.SIGKILL)
    assert await stand_ins.events(6) == ["clerk-1 start"] * 6
    assert not any("giving up" in report for report in stand_ins.reports)
    assert await stand_ins.stop() == 0


async def test_a_clerk_that_comes_to_refuse_its_settings_stops_nobody_and_is_tried_again(
    stand_ins: StandIns,
) -> None:
    stand_ins.behave("clerk-1", "recants")
    await stand_ins.open()
    stand_ins.behave("clerk-1", "serves")
    os.kill(stand_ins.pid("clerk-1"), signal.SIGUSR1)
    assert "clerk-1 ended with exit code 2. It starts again" in await stand_ins.report()
    assert await stand_ins.event() == "clerk-1 start"
    await stand_ins.running("clerk-1", restarts=1)
    assert await stand_ins.stop() == 0


async def test_a_state_that_cannot_be_written_stops_nothing(stand_ins: StandIns) -> None:
    await stand_ins.open()
    in_the_way = stand_ins.folder.state.with_name("state.json.new")
    in_the_way.mkdir()
    os.kill(stand_ins.pid("sequencer"), signal.SIGKILL)
    assert await stand_ins.event() == "sequencer start"
    in_the_way.rmdir()
    await stand_ins.running("sequencer", restarts=1)
    assert any("state.json cannot be written" in report for report in stand_ins.reports)
    assert await stand_ins.stop() == 0
    assert not stand_ins.folder.state.exists()


def is_killed(process: ProcessState) -> bool:
    """Kills a process that runs; one that has ended may be said to run for a moment."""
    if process.state != "running" or process.pid is None:
        return False
    try:
        os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


async def test_while_the_disk_has_no_room_a_process_is_started_again_without_limit(
    stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_room = False
    monkeypatch.setattr(room, "has_room", lambda _: has_room)
    monkeypatch.setattr(service, "RESTARTS_MAX", 3)
    monkeypatch.setattr(service, "RESTART_PAUSE_MAX_S", 0.001)
    await stand_ins.open()
    stand_ins.behave("worker-2", "collapses")
    os.kill(stand_ins.pid("worker-2"), signal.SIGKILL)
    assert await stand_ins.events(6) == ["worker-2 start"] * 6
    stand_ins.behave("worker-2", "serves")
    # What it needed while there was none does not count against it.
    has_room = True
    while not is_killed(survivor := stand_ins.processes("worker-2")[0]):  # noqa: ASYNC110
        await asyncio.sleep(POLL_PAUSE_S)
    await stand_ins.running("worker-2", restarts=survivor.restarts + 1)


async def test_a_program_that_the_system_does_not_let_start_is_tried_again(
    stand_ins: StandIns,
) -> None:
    await stand_ins.open()
    log = stand_ins.folder.log("worker-2")
    log.unlink()
    log.mkdir()
    os.kill(stand_ins.pid("worker-2"), signal.SIGKILL)
    while not any("worker-2 cannot be started" in report for report in stand_ins.reports):  # noqa: ASYNC110
        await asyncio.sleep(POLL_PAUSE_S)
    log.rmdir()
    assert await stand_ins.event() == "worker-2 start"
    assert await stand_ins.stop() == 0


async def test_a_program_that_the_system_never_lets_start_stops_the_stack_with_the_reason(
    stand_ins: StandIns,
) -> None:
    stand_ins.folder.log("sequencer").mkdir()
    stand_ins.start()
    assert await stand_ins.finished() == 1
    assert "sequencer cannot be started: [Errno 21] Is a directory" in stand_ins.reports[-1]


async def test_a_reload_that_the_system_does_not_let_start_keeps_the_worker_that_runs(
    stand_ins: StandIns,
) -> None:
    await stand_ins.open()
    before = stand_ins.pid("worker-1")
    log = stand_ins.folder.log("worker-1")
    log.unlink()
    log.mkdir()
    os.kill(os.getpid(), signal.SIGHUP)
    assert "worker-1 cannot be started" in await stand_ins.report()
    assert (await stand_ins.running("worker-1", restarts=0)).pid == before
    assert await stand_ins.stop() == 0


async def test_a_program_that_does_not_start_stops_the_stack_with_the_end_of_its_log(
    stand_ins: StandIns,
) -> None:
    stand_ins.behave("sequencer", "fails")
    stand_ins.start()
    assert await stand_ins.finished() == 1
    assert "sequencer ended with exit code 1." in stand_ins.reports[-1]
    assert "sequencer does not like it here." in stand_ins.reports[-1]
    assert str(stand_ins.folder.log("sequencer")) in stand_ins.reports[-1]


async def test_a_program_that_comes_to_refuse_where_it_is_stops_the_stack_and_is_not_started_again(
    stand_ins: StandIns,
) -> None:
    stand_ins.behave("worker-1", "recants")
    await stand_ins.open()
    os.kill(stand_ins.pid("worker-1"), signal.SIGUSR1)
    assert await stand_ins.finished() == 2
    assert stand_ins.reports == ["worker-1 does not like it here any more."]


async def test_a_program_that_refuses_its_settings_stops_the_stack_with_exit_code_2_at_once(
    stand_ins: StandIns,
) -> None:
    stand_ins.behave("sequencer", "refuses")
    stand_ins.start()
    assert await stand_ins.finished() == 2
    assert stand_ins.reports == ["sequencer does not like it here."]
    events = await stand_ins.events(5)
    assert events[2] == "sequencer start"
    assert events[3:] == ["ledger stop", "store stop"]


async def test_what_cannot_be_migrated_stops_the_stack_before_workers_come(
    stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "RESTART_PAUSE_MIN_S", 0.001)
    stand_ins.behave("migrate", "fails")
    stand_ins.start()
    assert await stand_ins.finished() == 1
    attempts = ["migrate start"] * service.FIRST_STARTS_MAX
    assert (await stand_ins.events(7))[2:] == [*attempts, "ledger stop", "store stop"]
    assert "migrate ended with exit code 1." in stand_ins.reports[-1]


async def test_a_database_of_a_newer_version_stops_the_stack_with_exit_code_2_at_once(
    stand_ins: StandIns,
) -> None:
    stand_ins.behave("migrate", "refuses")
    stand_ins.start()
    assert await stand_ins.finished() == 2
    assert stand_ins.reports == ["migrate does not like it here."]
    assert (await stand_ins.events(5))[2:] == ["migrate start", "ledger stop", "store stop"]


async def test_a_stop_during_a_migration_ends_it(stand_ins: StandIns) -> None:
    stand_ins.behave("migrate", "hangs")
    stand_ins.start()
    assert (await stand_ins.events(3))[2] == "migrate start"
    assert await stand_ins.stop() == 0
    assert await stand_ins.events(2) == ["ledger stop", "store stop"]


async def test_a_program_that_never_gets_ready_stops_the_stack(
    stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "START_TIMEOUT_S", 0.0)
    stand_ins.start()
    assert await stand_ins.finished() == 1
    assert any("was not ready within" in sentence for sentence in stand_ins.reports)


async def test_a_stubborn_program_is_killed_and_the_rest_stops_as_usual(
    stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "END_TIMEOUT_S", 0.0)
    stand_ins.behave("worker-1", "stubborn")
    stand_ins.stop_timeout_s = 0.2
    await stand_ins.open()
    stubborn = stand_ins.processes("worker-1")[0]
    assert await stand_ins.stop() == 0
    assert not stubborn.is_alive
    stopped = await stand_ins.events(5)
    assert set(stopped[:2]) == {"worker-2 stop", "clerk-1 stop"}
    assert stopped[2:] == [
        "sequencer stop",
        "ledger stop",
        "store stop",
    ]


async def test_a_second_signal_kills_what_is_still_there(stand_ins: StandIns) -> None:
    stand_ins.behave("worker-1", "stubborn")
    await stand_ins.open()
    stubborn = stand_ins.processes("worker-1")[0]
    os.kill(os.getpid(), signal.SIGINT)
    assert set(await stand_ins.events(2)) == {"worker-2 stop", "clerk-1 stop"}
    os.kill(os.getpid(), signal.SIGINT)
    assert await stand_ins.finished() == 0
    assert not stubborn.is_alive


async def test_a_stop_during_the_start_stops_what_was_started(stand_ins: StandIns) -> None:
    stand_ins.start()
    assert (await stand_ins.events(3))[2] == "sequencer start"
    assert await stand_ins.stop() == 0
    assert not stand_ins.folder.state.exists()


async def test_a_reload_replaces_each_worker_and_then_the_clerk_before_it_stops_it(
    stand_ins: StandIns,
) -> None:
    await stand_ins.open()
    names = ["worker-1", "worker-2", "clerk-1"]
    before = [stand_ins.pid(name) for name in names]
    os.kill(os.getpid(), signal.SIGHUP)
    assert await stand_ins.events(6) == [
        "worker-1 start",
        "worker-1 stop",
        "worker-2 start",
        "worker-2 stop",
        "clerk-1 start",
        "clerk-1 stop",
    ]
    after = [await stand_ins.running(name, restarts=0) for name in names]
    assert not set(before) & {process.pid for process in after}
    assert await stand_ins.stop() == 0


async def test_a_reload_that_fails_keeps_the_worker_that_runs(stand_ins: StandIns) -> None:
    await stand_ins.open()
    before = stand_ins.pid("worker-1")
    stand_ins.behave("worker-1", "fails")
    os.kill(os.getpid(), signal.SIGHUP)
    assert await stand_ins.event() == "worker-1 start"
    assert "worker-1 ended with exit code 1" in await stand_ins.report()
    assert (await stand_ins.running("worker-1", restarts=0)).pid == before
    # And the stack goes on: the next reload is a new chance.
    stand_ins.behave("worker-1", "serves")
    os.kill(os.getpid(), signal.SIGHUP)
    assert await stand_ins.events(2) == ["worker-1 start", "worker-1 stop"]


async def test_a_reload_migrates_first_and_keeps_the_workers_where_that_fails(
    stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "RESTART_PAUSE_MIN_S", 0.001)
    await stand_ins.open()
    before = stand_ins.pid("worker-1")
    stand_ins.behave("migrate", "fails")
    os.kill(os.getpid(), signal.SIGHUP)
    for _ in range(service.FIRST_STARTS_MAX):
        assert await stand_ins.event() == "migrate start"
    assert "migrate ended with exit code 1" in await stand_ins.report()
    assert (await stand_ins.running("worker-1", restarts=0)).pid == before
    stand_ins.behave("migrate", "does")
    os.kill(os.getpid(), signal.SIGHUP)
    assert await stand_ins.events(2) == ["worker-1 start", "worker-1 stop"]


async def test_a_stop_during_a_reload_leaves_neither_the_old_nor_the_new_worker(
    stand_ins: StandIns,
) -> None:
    await stand_ins.open()
    stand_ins.behave("worker-1", "hangs")
    os.kill(os.getpid(), signal.SIGHUP)
    assert await stand_ins.event() == "worker-1 start"
    old, new = await stand_ins.both("worker-1")
    assert await stand_ins.stop() == 0
    assert not old.is_alive
    assert not new.is_alive


async def test_a_worker_that_dies_during_its_own_reload_is_not_started_twice(
    stand_ins: StandIns,
) -> None:
    await stand_ins.open()
    stand_ins.behave("worker-1", "hangs")
    os.kill(os.getpid(), signal.SIGHUP)
    assert await stand_ins.event() == "worker-1 start"
    old, new = await stand_ins.both("worker-1")
    assert old.pid is not None
    assert new.pid is not None
    os.kill(old.pid, signal.SIGKILL)
    os.kill(new.pid, signal.SIGUSR1)
    assert await stand_ins.events(2) == ["worker-2 start", "worker-2 stop"]
    assert (await stand_ins.running("worker-1", restarts=0)).pid == new.pid


async def test_a_closed_terminal_stops_the_stack(
    stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_has_terminal", lambda: True)
    await stand_ins.open()
    monkeypatch.setattr(supervisor, "_has_terminal", lambda: False)
    os.kill(os.getpid(), signal.SIGHUP)
    assert await stand_ins.finished() == 0


async def test_a_bug_in_the_stack_stops_it_in_order_and_is_raised(
    stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stand_ins.open()
    monkeypatch.setattr(RestartBudget, "take", lambda _: 1 / 0)
    os.kill(stand_ins.pid("worker-2"), signal.SIGKILL)
    with pytest.raises(ExceptionGroup) as raised:
        await stand_ins.finished()
    assert raised.group_contains(ZeroDivisionError)
    stopped = await stand_ins.events(5)
    assert set(stopped[:2]) == {"worker-1 stop", "clerk-1 stop"}
    assert stopped[2:] == [
        "sequencer stop",
        "ledger stop",
        "store stop",
    ]
