"""How a worker ends, and a clerk: whatever ends it, what is under way is finished first."""

import asyncio

import pytest

from tigerfans.life import until_stopped
from tigerfans.settings.settings import SettingsError


class Server:
    """One that has a request under way, which needs what runs in the background."""

    def __init__(self) -> None:
        self.is_told_to_stop = asyncio.Event()
        self.answers = asyncio.Event()
        self.serving = asyncio.create_task(self._serve())
        self.other: asyncio.Task[None] = asyncio.create_task(self._stay())

    def stop(self) -> None:
        assert not self.other.done()
        self.is_told_to_stop.set()

    async def _stay(self) -> None:
        await asyncio.Event().wait()

    async def _serve(self) -> None:
        await self.answers.wait()
        assert not self.other.done()


async def refuse() -> None:
    raise SettingsError("another shop's ledger")


async def end() -> None:
    """As the connection to the sequencer does, once it is closed."""


@pytest.mark.parametrize("ends_first", [False, True])
async def test_what_fails_in_the_background_ends_the_worker_after_its_last_answer(
    ends_first: bool,
) -> None:
    server = Server()
    ended: list[asyncio.Task[None]] = [asyncio.create_task(end())] if ends_first else []
    background = [*ended, asyncio.create_task(refuse()), server.other]
    ending = asyncio.create_task(until_stopped(server.serving, background, server.stop))
    await server.is_told_to_stop.wait()
    await asyncio.wait(background[:-1])
    assert not ending.done()
    assert not server.other.done()
    server.answers.set()
    with pytest.raises(SettingsError, match="another shop's ledger"):
        await ending
    assert server.other.cancelled()


async def test_a_server_that_was_stopped_ends_the_worker_and_what_runs_beside_it() -> None:
    server = Server()
    server.answers.set()
    await until_stopped(server.serving, [server.other], server.stop)
    assert not server.is_told_to_stop.is_set()
    assert server.other.cancelled()
