"""What a worker sees of a sequencer that ends and of its successor: latency only."""

import asyncio
from pathlib import Path

import pytest

from tests.ipc.peers import Peer, until
from tests.sequencer.conftest import listening
from tests.sequencer.gated_ledger import GatedLedger
from tests.sequencer.records import created, existing, transfer
from tigerfans.ipc.client import SequencerClient
from tigerfans.ipc.frames import encode
from tigerfans.ledger.wire import Operation, Result
from tigerfans.sequencer import sequencer as sequencer_module
from tigerfans.sequencer.sequencer import Sequencer

CREATE = Operation.CREATE_TRANSFERS


async def answer(reply: asyncio.Future[bytes]) -> list[Result]:
    return Result.unpack_all(await reply)


async def test_what_comes_while_it_ends_is_answered_by_its_successor(
    ledger: GatedLedger, socket_path: Path
) -> None:
    async with listening(ledger, socket_path) as first:
        client = await SequencerClient.connect(socket_path, name="worker-1")
        ledger.hold()
        in_flight = client.submit(CREATE, transfer(1))
        await ledger.arrival()
        queued = client.submit(CREATE, transfer(2))
        await until(lambda: first.lanes[CREATE].queued_records == 1)
        ending = asyncio.create_task(first.drain(5.0))
        await asyncio.sleep(0)
        late = client.submit(CREATE, transfer(3))
        ledger.release()
        assert await ending
        assert not late.done()
    assert (await answer(in_flight), await answer(queued)) == (created(1), created(2))
    async with listening(ledger, socket_path):
        assert await answer(late) == created(3)
        await client.close()


async def test_what_is_read_after_the_lanes_closed_gets_no_answer(
    sequencer: Sequencer, ledger: GatedLedger, socket_path: Path
) -> None:
    assert await sequencer.drain(1.0)
    peer = await Peer.connect(socket_path)
    peer.send(encode(1, CREATE, transfer(1)))
    await until(lambda: any(connection.in_flight for connection in sequencer.connections))
    await sequencer.hang_up()
    assert await peer.hung_up()
    assert not ledger.submissions
    assert not any(sequencer.rejections.values())
    peer.cut()


async def test_a_cut_connection_sends_again_what_the_ledger_has_already(
    sequencer: Sequencer, ledger: GatedLedger, socket_path: Path
) -> None:
    client = await SequencerClient.connect(socket_path, name="worker-1")
    ledger.hold()
    reply = client.submit(CREATE, transfer(1))
    await ledger.arrival()
    (connection,) = sequencer.connections
    connection.abort()
    await until(lambda: sequencer.lanes[CREATE].queued_records == 1)
    ledger.release()
    assert await answer(reply) == existing(1)
    await client.close()


async def test_a_connection_that_breaks_as_it_ends_is_no_trouble(
    sequencer: Sequencer, socket_path: Path
) -> None:
    client = await SequencerClient.connect(socket_path, name="worker-1")
    (connection,) = sequencer.connections
    connection.abort()
    assert await sequencer.drain(1.0)
    await sequencer.hang_up()
    await client.close()


async def test_a_worker_that_does_not_read_does_not_keep_it_from_ending(
    sequencer: Sequencer, socket_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer_module, "HANG_UP_SECONDS_MAX", 0.05)
    peer = await Peer.connect(socket_path)
    peer.send(encode(1, CREATE, b"".join(map(transfer, range(1, 8190)))))
    await peer.receive()
    peer.stop_reading()
    ids = b"".join(transfer(number)[:16] for number in range(1, 8190))
    (connection,) = sequencer.connections
    peer.send(encode(2, Operation.LOOKUP_TRANSFERS, ids))
    await until(lambda: connection.requests == 2 and connection.in_flight == 0)
    assert await sequencer.drain(1.0)
    await sequencer.hang_up()
    await until(lambda: not sequencer.connections)
    peer.cut()
