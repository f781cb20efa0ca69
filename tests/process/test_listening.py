"""Telling one's own listening socket from those of others on the same port."""

import asyncio
import fcntl
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tigerfans.process.listening import is_listening, look_up, stop_accepting, until_listening

# Whether another process gets the lock on a file.
IS_LOCKED = 3
LOCK = f"""
import fcntl, sys
try:
    fcntl.lockf(open(sys.argv[1], "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit({IS_LOCKED})
"""


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def test_a_socket_that_is_only_bound_does_not_listen(bound: socket.socket) -> None:
    assert not is_listening(bound.getsockname()[1])


def test_a_look_at_ones_sockets_takes_no_lock_off_a_file(tmp_path: Path) -> None:
    """Such as SQLite's on the ledger: whoever closes a copy of a descriptor lets go of them."""
    path = tmp_path / "locked"
    with path.open("w") as locked:
        fcntl.lockf(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert not is_listening(1)
        another = subprocess.run([sys.executable, "-c", LOCK, path], check=False)
    assert another.returncode == IS_LOCKED


async def test_a_socket_that_listens_is_found(bound: socket.socket) -> None:
    bound.listen()
    port = bound.getsockname()[1]
    await until_listening(port)
    assert is_listening(port)
    assert not is_listening(port - 1)


def test_one_who_stops_accepting_waits_at_a_socket_where_nobody_comes(
    bound: socket.socket,
) -> None:
    bound.listen()
    port = bound.getsockname()[1]
    stop_accepting(port)
    assert not is_listening(port)
    with pytest.raises(BlockingIOError):
        bound.accept()


def test_a_connection_to_another_listener_does_not_count(bound: socket.socket) -> None:
    bound.listen()
    with socket.create_connection(bound.getsockname()) as connection:
        assert not is_listening(connection.getsockname()[1])


async def test_nobody_waits_for_a_server_that_is_over(bound: socket.socket) -> None:
    async def serve() -> None:
        """Ends before it listens."""

    await until_listening(bound.getsockname()[1], asyncio.create_task(serve()))


@pytest.mark.parametrize(
    ("host", "family", "address"),
    [("127.0.0.1", socket.AF_INET, "127.0.0.1"), ("[::1]", socket.AF_INET6, "::1")],
)
def test_a_host_is_looked_up_with_and_without_brackets(
    host: str, family: socket.AddressFamily, address: str
) -> None:
    assert look_up(host, 8000) == (family, (address, 8000))
