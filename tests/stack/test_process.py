import asyncio
import os

import pytest

from tests.harness.needs import needs_linux
from tigerfans.settings.folder import DataFolder
from tigerfans.stack.process import Process
from tigerfans.stack.programs import Program


async def test_a_start_that_is_cancelled_twice_leaves_no_socket_behind(
    locked_folder: DataFolder,
) -> None:
    program = Program(name="sleeper", argv=("/bin/sleep", "600"), stop_timeout_s=0)
    process = await Process.start(program, locked_folder, os.environ)
    starting = asyncio.create_task(process.ready(), name="start")
    for _ in range(2):
        await asyncio.sleep(0)
        starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await process.kill()
    assert not locked_folder.notify_socket("sleeper").exists()


@needs_linux
@pytest.mark.parametrize("lets_others_finish", [False, True])
async def test_a_program_lets_others_finish_where_it_is_to_and_is_else_as_its_parent_is(
    locked_folder: DataFolder, lets_others_finish: bool
) -> None:
    program = Program(
        name="sleeper",
        argv=("/bin/sleep", "600"),
        stop_timeout_s=0,
        probe=_is_ready,
        lets_others_finish=lets_others_finish,
    )
    process = await Process.start(program, locked_folder, os.environ)
    policy = os.sched_getscheduler(process.pid)
    await process.kill()
    assert policy == (os.SCHED_BATCH if lets_others_finish else os.sched_getscheduler(0))


async def _is_ready() -> bool:
    return True
