"""A gated client: a new connection carries nothing but a check's look-ups, until it has passed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ipc.peers import Peer, StandInSequencer, until
from tigerfans.ipc.client import IN_FLIGHT_MAX, SequencerClient
from tigerfans.ipc.frames import Frame, Status, encode
from tigerfans.ledger.base import LedgerTimeoutError, LedgerUnavailableError, Submit
from tigerfans.ledger.wire import Operation

CREATE = Operation.CREATE_TRANSFERS
LOOKUP = Operation.LOOKUP_ACCOUNTS
DEADLINE_SECONDS = 0.2


def transfer(number: int) -> bytes:
    return number.to_bytes(16, "little") + bytes(112)


async def look_twice(submit: Submit) -> None:
    for number in (1, 2):
        await submit(LOOKUP, number.to_bytes(16, "little"))


async def let_pass(client: SequencerClient, peer: Peer) -> None:
    """Answers both look-ups; each has to be the next frame that there is."""
    admitting = asyncio.create_task(client.admit(look_twice))
    for number in (1, 2):
        correlation, code, payload = await peer.receive()
        assert (code, payload) == (LOOKUP, number.to_bytes(16, "little"))
        peer.send(encode(correlation, Status.OK))
    await admitting


async def answer(peer: Peer, requests: list[Frame]) -> None:
    for correlation, _, payload in requests:
        peer.send(encode(correlation, Status.OK, payload[:16]))


@pytest.fixture
async def client(stand_in: StandInSequencer, socket_path: Path) -> AsyncIterator[SequencerClient]:
    client = SequencerClient(socket_path, name="worker-1", is_gated=True)
    yield client
    await client.close()


@pytest.fixture
async def peer(stand_in: StandInSequencer, client: SequencerClient) -> Peer:
    return await connected(stand_in, client)


async def connected(stand_in: StandInSequencer, client: SequencerClient) -> Peer:
    """The sequencer's end of the client's next connection."""
    await client_is(client, connected=False)
    peer = await stand_in.accept()
    await client_is(client, connected=True)
    return peer


async def client_is(client: SequencerClient, *, connected: bool) -> None:
    await until(lambda: client.connected == connected)


async def test_what_waits_leaves_after_the_check_has_passed_and_what_was_sent_leaves_again(
    stand_in: StandInSequencer, client: SequencerClient, peer: Peer
) -> None:
    await let_pass(client, peer)
    sent = client.submit(CREATE, transfer(1))
    first = await peer.receive()
    peer.cut()
    again = await connected(stand_in, client)
    waiting = client.submit(CREATE, transfer(2))
    await let_pass(client, again)
    requests = await again.receive_many(2)
    assert requests[0] == first
    assert requests[1][1:] == (CREATE, transfer(2))
    await answer(again, requests)
    assert [await sent, await waiting] == [transfer(1)[:16], transfer(2)[:16]]


async def test_once_it_is_open_requests_leave_at_once(client: SequencerClient, peer: Peer) -> None:
    await let_pass(client, peer)
    for number in range(3):
        reply = client.submit(CREATE, transfer(number))
        await answer(peer, [await peer.receive()])
        assert await reply == transfer(number)[:16]


async def test_a_check_that_fails_lets_nothing_through_and_the_next_one_may_pass(
    client: SequencerClient, peer: Peer
) -> None:
    waiting = client.submit(CREATE, transfer(1))

    async def fail(submit: Submit) -> None:
        await submit(LOOKUP, bytes(16))
        raise ValueError("not this ledger")

    failing = asyncio.create_task(client.admit(fail))
    correlation, code, _ = await peer.receive()
    assert code == LOOKUP
    peer.send(encode(correlation, Status.OK))
    with pytest.raises(ValueError, match="not this ledger"):
        await failing
    await let_pass(client, peer)
    await answer(peer, [await peer.receive()])
    assert await waiting == transfer(1)[:16]


async def test_a_check_is_of_one_connection_and_its_look_ups_are_not_sent_on_the_next(
    stand_in: StandInSequencer, client: SequencerClient, peer: Peer
) -> None:
    waiting = client.submit(CREATE, transfer(1))
    goes_on = asyncio.Event()

    async def look_later(submit: Submit) -> None:
        await goes_on.wait()
        await submit(LOOKUP, bytes(16))

    asking = asyncio.create_task(client.admit(look_twice))
    late = asyncio.create_task(client.admit(look_later))
    await peer.receive()
    peer.cut()
    with pytest.raises(LedgerTimeoutError, match="connection to the sequencer was lost"):
        await asking
    again = await connected(stand_in, client)
    goes_on.set()
    with pytest.raises(LedgerUnavailableError, match="connection to the sequencer is lost"):
        await late
    await let_pass(client, again)
    await answer(again, [await again.receive()])
    assert await waiting == transfer(1)[:16]


async def test_a_check_that_ends_after_its_connection_does_not_open_the_next(
    stand_in: StandInSequencer, client: SequencerClient, peer: Peer
) -> None:
    waiting = client.submit(CREATE, transfer(1))
    goes_on = asyncio.Event()

    async def pass_later(submit: Submit) -> None:
        await goes_on.wait()

    passing = asyncio.create_task(client.admit(pass_later))
    await asyncio.sleep(0)
    peer.cut()
    again = await connected(stand_in, client)
    goes_on.set()
    with pytest.raises(LedgerUnavailableError):
        await passing
    await let_pass(client, again)
    await answer(again, [await again.receive()])
    assert await waiting == transfer(1)[:16]


async def test_without_a_connection_there_is_nothing_to_check(socket_path: Path) -> None:
    client = await SequencerClient.connect(socket_path, name="worker-1", is_gated=True)
    with pytest.raises(LedgerUnavailableError, match="no connection"):
        await client.admit(look_twice)
    await client.close()


async def test_a_check_comes_past_all_that_wait_for_it(client: SequencerClient, peer: Peer) -> None:
    replies = [client.submit(CREATE, transfer(number)) for number in range(IN_FLIGHT_MAX)]
    await let_pass(client, peer)
    await answer(peer, await peer.receive_many(IN_FLIGHT_MAX))
    assert len(await asyncio.gather(*replies)) == IN_FLIGHT_MAX


async def test_what_is_held_back_until_its_deadline_was_not_done_and_costs_no_connection(
    stand_in: StandInSequencer, socket_path: Path
) -> None:
    client = SequencerClient(
        socket_path, name="worker-1", deadline_seconds=DEADLINE_SECONDS, is_gated=True
    )
    peer = await connected(stand_in, client)
    for _ in range(3):
        with pytest.raises(LedgerUnavailableError, match="nothing was done"):
            await client.submit(CREATE, transfer(1))
    await let_pass(client, peer)
    await client.close()


async def test_a_sequencer_that_is_silent_to_a_check_is_left(
    stand_in: StandInSequencer, socket_path: Path
) -> None:
    client = SequencerClient(
        socket_path, name="worker-1", deadline_seconds=DEADLINE_SECONDS, is_gated=True
    )
    peer = await connected(stand_in, client)
    with pytest.raises(LedgerTimeoutError):
        await client.admit(look_twice)
    assert await peer.hung_up()
    await client.close()
