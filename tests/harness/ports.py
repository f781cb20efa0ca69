"""Ports that tests listen on, which are nobody else's, also where several runs share the machine.

Whatever connects somewhere is given a port as well, from 32,768 on: one that was free a moment ago
may be taken before the shop under test listens there, or while it is restarted. So these lie below,
in blocks: a process that runs tests has a block of its own, and gives one port after the other.
"""

import itertools
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import cache
from typing import Final

HOST: Final = "127.0.0.1"
BLOCK_SIZE: Final = 100
BLOCKS: Final = range(20_000, 32_000, BLOCK_SIZE)


def free_port() -> int:
    """A port that nobody listens on, on `HOST`; another one each time."""
    block = _block()
    for _ in range(BLOCK_SIZE):
        port = next(block.ports)
        with suppress(OSError), closing(socket.create_server((HOST, port))):
            return port
    raise OSError(f"No port is free from {block.first} on.")


class _Block:
    """Ours for as long as this process lives: its first port is bound, and nobody listens there."""

    def __init__(self, first: int) -> None:
        """Raises `OSError` where another process has the block."""
        self.first = first
        self.ports: Iterator[int] = itertools.cycle(range(first + 1, first + BLOCK_SIZE))
        self._lock = socket.socket()
        try:
            self._lock.bind((HOST, first))
        except OSError:
            self._lock.close()
            raise


@cache
def _block() -> _Block:
    for first in BLOCKS:
        with suppress(OSError):
            return _Block(first)
    raise OSError("Every block of ports is taken.")
