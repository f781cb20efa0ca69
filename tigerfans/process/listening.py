"""What a process listens on: the address of a host's name, and whether it accepts there yet.

Workers share their port by SO_REUSEPORT, so a connection that is accepted proves nothing about
this process; its own sockets do. Granian listens some milliseconds after it was started, and has
no event for that.
"""

import asyncio
import os
import socket
import stat
from pathlib import Path
from typing import Final

START_SECONDS_MAX: Final = 5.0
POLL_SECONDS: Final = 0.002


def look_up(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """The family and the IP address to listen on at `host`, a name or a number.

    A number of IPv6 may stand in brackets. Raises `OSError` where there is none.
    """
    family, _, _, _, address = socket.getaddrinfo(
        host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return family, (str(address[0]), port)


async def until_listening(port: int, serving: asyncio.Task[None] | None = None) -> None:
    """Returns once this process accepts connections on `port`, or `serving` is over.

    Raises `TimeoutError` where neither happens.
    """
    async with asyncio.timeout(START_SECONDS_MAX):
        while not is_listening(port):
            if serving is not None and serving.done():
                return
            await asyncio.sleep(POLL_SECONDS)


def is_listening(port: int) -> bool:
    """Whether a socket of this very process accepts connections on TCP `port`."""
    return any(_listens(descriptor, port) for descriptor in _descriptors())


def stop_accepting(port: int) -> None:
    """Accepts no more connections on TCP `port`; those that were accepted go on.

    Granian can only close its listener and all idle connections at once, those whose first
    request is still on its way among them. So its descriptor is exchanged for a socket that
    nobody will ever connect to. Where the stack holds the real one open, the connections that
    wait there are for this worker's successor.
    """
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.setblocking(False)
        for descriptor in _descriptors():
            if _listens(descriptor, port):
                os.dup2(deaf.fileno(), descriptor, inheritable=False)


def _descriptors() -> list[int]:
    return [int(entry.name) for entry in Path("/dev/fd").iterdir()]


def _listens(descriptor: int, port: int) -> bool:
    try:
        # Of a file there must be no copy: to close one takes all locks of this process off that
        # file, the ledger's among them.
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return False
        copy = os.dup(descriptor)
    except OSError:  # the one that lists the folder is gone by now
        return False
    with socket.socket(fileno=copy) as candidate:
        if candidate.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        accepts = candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return bool(accepts) and candidate.getsockname()[1] == port
