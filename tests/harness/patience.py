"""How long a test waits for what comes by itself. What never comes fails it; nothing else depends
on how long that takes, however busy the machine is.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

PATIENCE_SECONDS: Final = 90.0
PAUSE_SECONDS: Final = 0.02


def patience() -> asyncio.Timeout:
    """For `async with`: raises `TimeoutError` inside when it is at its end."""
    return asyncio.timeout(PATIENCE_SECONDS)


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Returns once a condition holds that another process brings about, and tells nobody."""
    async with patience():
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(PAUSE_SECONDS)
