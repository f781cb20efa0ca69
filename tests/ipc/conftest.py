"""Everything on the socket is tested on both event loops: their transports differ."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from tests.ipc.peers import StandInSequencer


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "sequencer.sock"


@pytest.fixture
async def stand_in(socket_path: Path) -> AsyncIterator[StandInSequencer]:
    async with StandInSequencer(socket_path) as sequencer:
        yield sequencer
