"""A sequencer over a gated ledger, on a real socket, on both event loops."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from tests.sequencer.gated_ledger import GatedLedger
from tigerfans.ipc.client import SequencerClient
from tigerfans.sequencer.listener import bound_socket
from tigerfans.sequencer.sequencer import Sequencer


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "sequencer.sock"


@pytest.fixture
async def ledger() -> GatedLedger:
    return GatedLedger()


@asynccontextmanager
async def listening(ledger: GatedLedger, path: Path) -> AsyncIterator[Sequencer]:
    """A sequencer that serves until the end of the block."""
    sequencer = Sequencer(ledger)
    loop = asyncio.get_running_loop()
    with bound_socket(path) as bound:
        server = await loop.create_unix_server(sequencer.connect, sock=bound)
        yield sequencer
        server.close()
        ledger.release()
        await sequencer.drain(1.0)
        await sequencer.hang_up()


@pytest.fixture
async def sequencer(ledger: GatedLedger, socket_path: Path) -> AsyncIterator[Sequencer]:
    async with listening(ledger, socket_path) as sequencer:
        yield sequencer


@pytest.fixture
async def clients(
    sequencer: Sequencer, socket_path: Path
) -> AsyncIterator[tuple[SequencerClient, SequencerClient]]:
    """Two workers that are connected."""
    first = await SequencerClient.connect(socket_path, name="worker-1")
    second = await SequencerClient.connect(socket_path, name="worker-2")
    yield first, second
    await first.close()
    await second.close()
