"""Work that takes long and leaves Python's lock alone, in a thread that gives way to the loop's."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar

# Beside a loop that never rests, four of them together get three tenths of the core.
NICENESS: Final = 10

Result = TypeVar("Result")


async def in_a_quiet_thread(name: str, work: Callable[[], Result]) -> Result:
    """The work's result, from a thread of that name."""

    def wait() -> Result:
        # A thread of its own: one that gave way cannot take it back.
        with ThreadPoolExecutor(1, name, initializer=_give_way) as executor:
            return executor.submit(work).result()

    return await asyncio.to_thread(wait)


def _give_way() -> None:
    # Where threads have no such number of their own, they do not give way.
    with suppress(OSError):
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, niceness)
