"""How the stack learns that a program serves: it is told, or it asks.

The shop's own programs tell, in systemd's way: a datagram READY=1 to the Unix socket that
NOTIFY_SOCKET names. Servers that do not know that habit are asked until they answer.
"""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from tigerfans.stack.programs import Probe

PROBE_PAUSE_S: Final = 0.02
DATAGRAM_BYTES_MAX: Final = 4096


class Readiness(Protocol):
    """Waits for one process to serve."""

    async def wait(self) -> None: ...

    def close(self) -> None: ...


class NotifySocket:
    """Is told: the receiving end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError` where the socket cannot be made."""
        self.path = path
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind(str(path))
        except BaseException:
            self._socket.close()
            raise

    async def wait(self) -> None:
        """Waits for READY=1; passes over anything else that is sent."""
        loop = asyncio.get_running_loop()
        lines: list[bytes] = []
        while b"READY=1" not in lines:
            lines = (await loop.sock_recv(self._socket, DATAGRAM_BYTES_MAX)).splitlines()

    def close(self) -> None:
        self._socket.close()
        # One that is left is removed by whoever comes next.
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


class Asking:
    """Asks until the answer is yes."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    async def wait(self) -> None:
        while not await self._probe():  # noqa: ASYNC110 - another process sets no event of ours
            await asyncio.sleep(PROBE_PAUSE_S)

    def close(self) -> None:
        pass
