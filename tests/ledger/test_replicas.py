"""What can be said of a TigerBeetle cluster that does not answer."""

import socket
from collections.abc import Iterator

import pytest

from tests.harness.ports import free_port
from tigerfans.ledger.replicas import Replicas, look_at_replicas


@pytest.fixture
def listening() -> Iterator[str]:
    """The address of something that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


async def test_who_takes_connections_is_told_from_who_does_not(listening: str) -> None:
    away = f"127.0.0.1:{free_port()}"
    port_only = listening.partition(":")[2]
    replicas = await look_at_replicas(f"{listening},{away},{port_only}")
    assert replicas == Replicas((listening, port_only), (away,))


@pytest.mark.parametrize(
    ("replicas", "clause"),
    [
        (Replicas((), ("A", "B", "C")), "nothing listens there"),
        (Replicas(("A",), ("B", "C")), "nothing listens at B and C, and a majority has to"),
        (Replicas(("A",), ("B",)), "nothing listens at B, and a majority has to"),
        (Replicas(("A", "B"), ("C",)), "it has no primary yet, or is another cluster than 7"),
    ],
)
def test_a_silence_is_explained_by_who_takes_connections(replicas: Replicas, clause: str) -> None:
    assert replicas.explain_silence(7) == clause
