import os
import threading

from tests.harness.needs import needs_linux
from tigerfans.process.quiet_threads import NICENESS, in_a_quiet_thread


@needs_linux
async def test_a_quiet_thread_gives_way_and_the_others_do_not() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()
    assert await in_a_quiet_thread("quiet", niceness) == min(before + NICENESS, 19)
    assert niceness() == before
