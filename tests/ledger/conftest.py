"""The real TigerBeetle server that the tests of this folder share."""

from collections.abc import Iterator

import pytest

from tests.tigerbeetle_server import DEVELOPMENT, TigerBeetleServer, running_tigerbeetle


@pytest.fixture(scope="session")
def tigerbeetle_server() -> Iterator[TigerBeetleServer]:
    """Skips the test where no server is found."""
    with running_tigerbeetle(DEVELOPMENT) as server:
        yield server
