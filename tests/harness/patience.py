"""How long a test waits for what comes by itself. What never comes fails it; nothing else depends
on how long that takes, however busy the machine is.
"""

import asyncio
from typing import Final

PATIENCE_SECONDS: Final = 90.0


def patience() -> asyncio.Timeout:
    """For `async with`: raises `TimeoutError` inside when it is at its end."""
    return asyncio.timeout(PATIENCE_SECONDS)
