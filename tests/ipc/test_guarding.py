"""A process looks again whose ledger it is, whenever its connection to the sequencer is new."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.ipc.peers import Peer, StandInSequencer
from tigerfans.errors import UnavailableError
from tigerfans.ipc import guarding
from tigerfans.ipc.client import SequencerClient
from tigerfans.ipc.frames import Frame, Status, encode, encode_sentence
from tigerfans.ipc.guarding import stay_on_own_ledger
from tigerfans.ledger.base import LedgerTimeoutError, LedgerUnavailableError, Submit
from tigerfans.ledger.wire import Operation
from tigerfans.settings.settings import SettingsError

CREATE = Operation.CREATE_TRANSFERS
LOOKUP = Operation.LOOKUP_ACCOUNTS
OWN = bytes(128)
TRANSFER = bytes(128)


async def check(submit: Submit) -> None:
    if await submit(LOOKUP, bytes(16)) != OWN:
        raise SettingsError("another's")


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarding, "PAUSE_SECONDS", 0)


@pytest.fixture
async def sequencer(tmp_path: Path) -> AsyncIterator[StandInSequencer]:
    async with StandInSequencer(tmp_path / "sequencer.sock") as sequencer:
        yield sequencer


@pytest.fixture
async def client(sequencer: StandInSequencer, tmp_path: Path) -> AsyncIterator[SequencerClient]:
    client = SequencerClient(tmp_path / "sequencer.sock", name="worker-1", is_gated=True)
    yield client
    await client.close()


@pytest.fixture
async def guard(client: SequencerClient) -> AsyncIterator[asyncio.Task[None]]:
    guard = asyncio.create_task(stay_on_own_ledger(client, check))
    yield guard
    guard.cancel()
    await asyncio.wait([guard])


async def looked_up(peer: Peer) -> int:
    """The correlation of a look-up, which has to be the next frame that there is."""
    correlation, code, _ = await peer.receive()
    assert code == LOOKUP
    return correlation


async def all_that_comes(peer: Peer) -> list[Frame]:
    """What the worker sends until it hangs up."""
    frames: list[Frame] = []
    with suppress(ConnectionError):
        while True:
            frames.append(await peer.receive())
    return frames


async def test_every_new_connection_is_checked_before_it_carries_a_request(
    sequencer: StandInSequencer, client: SequencerClient, guard: asyncio.Task[None]
) -> None:
    reply = client.submit(CREATE, TRANSFER)
    requests: set[Frame] = set()
    for _ in range(3):
        peer = await sequencer.accept()
        peer.send(encode(await looked_up(peer), Status.OK, OWN))
        requests.add(await peer.receive())
        peer.cut()
    # Each time it was the same one, sent again.
    [(_, code, payload)] = requests
    assert (code, payload) == (CREATE, TRANSFER)
    assert not guard.done()
    reply.cancel()


async def test_a_ledger_that_is_away_is_asked_until_it_answers(
    sequencer: StandInSequencer, client: SequencerClient, guard: asyncio.Task[None]
) -> None:
    reply = client.submit(CREATE, TRANSFER)
    peer = await sequencer.accept()
    for _ in range(3):
        peer.send(encode_sentence(await looked_up(peer), Status.UNAVAILABLE))
    peer.send(encode(await looked_up(peer), Status.OK, OWN))
    correlation, code, _ = await peer.receive()
    assert code == CREATE
    peer.send(encode(correlation, Status.OK, bytes(16)))
    assert await reply == bytes(16)


async def test_another_store_that_is_away_is_waited_for(
    sequencer: StandInSequencer, client: SequencerClient
) -> None:
    away = [UnavailableError(), UnavailableError()]

    async def check_with_a_store(submit: Submit) -> None:
        if away:
            raise away.pop()
        await check(submit)

    guard = asyncio.create_task(stay_on_own_ledger(client, check_with_a_store))
    peer = await sequencer.accept()
    peer.send(encode(await looked_up(peer), Status.OK, OWN))
    assert away == []
    guard.cancel()
    await asyncio.wait([guard])


async def test_the_ledger_of_another_shop_ends_it_and_gets_nothing_of_what_waited(
    sequencer: StandInSequencer, client: SequencerClient, guard: asyncio.Task[None]
) -> None:
    peer = await sequencer.accept()
    peer.send(encode(await looked_up(peer), Status.OK, OWN))
    sent = client.submit(CREATE, TRANSFER)
    await peer.receive()
    peer.cut()

    anothers = await sequencer.accept()
    correlation = await looked_up(anothers)
    held_back = client.submit(CREATE, TRANSFER)
    anothers.send(encode(correlation, Status.OK, bytes(256)))
    with pytest.raises(SettingsError, match="another's"):
        await guard
    assert await all_that_comes(anothers) == []
    # What was sent to the own ledger may have been done there.
    with pytest.raises(LedgerTimeoutError, match="the outcome is unknown"):
        await sent
    with pytest.raises(LedgerUnavailableError, match="nothing was done"):
        await held_back
    with pytest.raises(LedgerUnavailableError):
        client.submit(CREATE, TRANSFER)
