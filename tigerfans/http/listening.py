"""Whether this process listens, on a port that it shares with others.

Workers share their port by SO_REUSEPORT, so a connection that is accepted proves nothing about
this one; its own sockets do. Granian listens some milliseconds after it was started, and has no
event for that.
"""

import asyncio
import os
import socket
from pathlib import Path
from typing import Final

START_SECONDS_MAX: Final = 5.0
POLL_SECONDS: Final = 0.002


async def until_listening(port: int) -> None:
    """Returns once this process accepts connections on `port`; raises `TimeoutError`."""
    async with asyncio.timeout(START_SECONDS_MAX):
        while not is_listening(port):  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)


def is_listening(port: int) -> bool:
    """Whether a socket of this very process accepts connections on TCP `port`."""
    return any(_listens(int(entry.name), port) for entry in Path("/dev/fd").iterdir())


def _listens(descriptor: int, port: int) -> bool:
    try:
        copy = os.dup(descriptor)
    except OSError:  # the one that lists the folder is gone by now
        return False
    try:
        candidate = socket.socket(fileno=copy)
    except OSError:  # not a socket
        os.close(copy)
        return False
    with candidate:
        if candidate.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        accepts = candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return bool(accepts) and candidate.getsockname()[1] == port
