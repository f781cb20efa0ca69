import asyncio
import os

import pytest

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
