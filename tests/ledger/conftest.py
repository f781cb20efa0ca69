"""The real TigerBeetle server that the tests of this folder share, and both ledgers for modules."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.tigerbeetle_server import (
    CLUSTER_ID,
    DEVELOPMENT,
    TigerBeetleServer,
    running_tigerbeetle,
)
from tigerfans.ledger import open_ledger
from tigerfans.ledger.base import Ledger


@pytest.fixture(scope="session")
def tigerbeetle_server() -> Iterator[TigerBeetleServer]:
    """Skips the test where no server is found."""
    with running_tigerbeetle(DEVELOPMENT) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["embedded", "tigerbeetle"])
async def ledger(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ledger]:
    address = f"embedded:{tmp_path_factory.mktemp('ledger')}"
    if request.param == "tigerbeetle":
        server: TigerBeetleServer = request.getfixturevalue("tigerbeetle_server")
        address = f"tigerbeetle://{server.addresses}/{CLUSTER_ID}"
    ledger = await open_ledger(address)
    yield ledger
    await ledger.close()
