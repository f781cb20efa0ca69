"""What one worker can do wrong, and what it costs the others: nothing."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.ipc.peers import Peer, until
from tests.sequencer.gated_ledger import GatedLedger
from tests.sequencer.records import created, transfer
from tigerfans.ipc.client import SequencerClient
from tigerfans.ipc.frames import (
    HELLO,
    REQUESTS_IN_FLIGHT_MAX,
    STATS,
    Frame,
    FrameDecoder,
    Hello,
    Status,
    decode_hello,
    encode,
    encode_hello,
)
from tigerfans.ipc.stats import Family, encode_stats
from tigerfans.ledger.wire import Operation, Result
from tigerfans.sequencer import connection as connection_module
from tigerfans.sequencer.connection import Connection
from tigerfans.sequencer.sequencer import Sequencer

CREATE = Operation.CREATE_TRANSFERS


Dial = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def dial(sequencer: Sequencer, socket_path: Path) -> AsyncIterator[Dial]:
    """Connects a worker, who says hello unless its name is None; hangs up in the end."""
    peers: list[Peer] = []

    async def dial(name: str | None = "worker-1") -> Peer:
        peers.append(await Peer.connect(socket_path, name))
        return peers[-1]

    yield dial
    for peer in peers:
        peer.cut()


@pytest.fixture
async def peer(dial: Dial) -> Peer:
    """A worker that said hello."""
    return await dial()


@pytest.fixture
async def stranger(dial: Dial) -> Peer:
    """A connection on which nothing was said yet."""
    return await dial(None)


def only(sequencer: Sequencer) -> Connection:
    (connection,) = sequencer.connections
    return connection


def gauge(value: float) -> Family:
    return {
        "name": "tigerfans_test",
        "type": "gauge",
        "help": "A test.",
        "labels": [],
        "samples": [{"labels": [], "value": value}],
    }


def about_the_connection(frame: Frame) -> str:
    correlation, status, sentence = frame
    assert (correlation, status) == (0, Status.INVALID)
    return sentence.decode()


async def test_a_hello_says_what_the_ledger_is(stranger: Peer) -> None:
    assert decode_hello(await stranger.receive()) == Hello("embedded", 8189)


async def test_a_worker_is_known_by_its_name_and_process(peer: Peer, sequencer: Sequencer) -> None:
    await until(lambda: only(sequencer).worker == "worker-1")
    assert only(sequencer).pid == os.getpid()
    assert repr(only(sequencer)) == "<Connection of worker-1: 0 requests, 0 in flight>"


async def test_the_replies_of_one_tick_leave_in_one_write(
    peer: Peer, sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await until(lambda: bool(only(sequencer).worker))
    writes: list[bytes] = []
    connection = only(sequencer)

    class Transport:
        write = staticmethod(writes.append)

        def is_closing(self) -> bool:
            return False

    monkeypatch.setattr(connection, "_transport", Transport())
    connection.data_received(
        b"".join(encode(number, CREATE, transfer(number)) for number in (1, 2, 3))
        + encode(4, CREATE, b"not whole")
    )
    await until(lambda: connection.in_flight == 0)
    monkeypatch.undo()
    (write,) = writes
    assert [frame[0] for frame in FrameDecoder().feed(write)] == [4, 1, 2, 3]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (bytes([255]) * 12, "bytes that are not a frame"),
        (encode(1, 1, b""), "There is no operation 1."),
        (encode(1, 148, transfer(1)), "There is no operation 148."),
        (encode_hello(Hello("worker-1")), "There is no operation 64."),
    ],
)
async def test_a_wrong_frame_closes_that_connection_only(
    peer: Peer,
    sequencer: Sequencer,
    socket_path: Path,
    ledger: GatedLedger,
    wrong: bytes,
    reason: str,
) -> None:
    other = await SequencerClient.connect(socket_path, name="worker-2")
    ledger.hold()
    reply = other.submit(CREATE, transfer(1))
    await ledger.arrival()
    peer.send(wrong)
    assert reason in about_the_connection(await peer.receive())
    assert await peer.hung_up()
    ledger.release()
    assert Result.unpack_all(await reply) == created(1)
    assert only(sequencer).worker == "worker-2"
    assert sequencer.rejections[Status.INVALID] == 1
    await other.close()


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n", "bytes that are not a frame"),
        (encode(1, CREATE, transfer(1)), "did not say hello first"),
        (encode(0, HELLO, b"STRANGER" + bytes(9)), "not a part of this shop"),
        (encode(0, HELLO, b"TIGRFANS\x02\0" + bytes(9)), "speaks version 2"),
        (encode_hello(Hello("x" * 65)), "1 to 64 printable bytes"),
    ],
)
async def test_who_does_not_say_hello_first_is_told_why_and_goes(
    stranger: Peer, sequencer: Sequencer, ledger: GatedLedger, first: bytes, reason: str
) -> None:
    await stranger.receive()
    stranger.send(first)
    assert reason in about_the_connection(await stranger.receive())
    assert await stranger.hung_up()
    await until(lambda: not sequencer.connections)
    assert not ledger.submissions


async def test_who_says_nothing_is_given_up(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "HELLO_SECONDS_MAX", 0.05)
    silent = await dial(None)
    await silent.receive()
    assert about_the_connection(await silent.receive()) == "No hello within 0.05 s."
    assert await silent.hung_up()


async def test_a_clock_that_runs_out_as_the_connection_breaks_is_no_trouble(
    stranger: Peer, sequencer: Sequencer
) -> None:
    await stranger.receive()
    connection = only(sequencer)
    connection.abort()
    connection._hang_up("No hello.")
    assert await stranger.hung_up()


async def test_a_hello_in_time_stops_the_clock(
    sequencer: Sequencer, socket_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "HELLO_SECONDS_MAX", 0.05)
    client = await SequencerClient.connect(socket_path, name="worker-1")
    overdue = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.1, overdue.set_result, None)
    await overdue
    assert client.connected
    await client.close()


async def test_another_users_process_is_refused(sequencer: Sequencer, dial: Dial) -> None:
    sequencer.uids = frozenset((os.getuid() + 1,))
    peer = await dial(None)
    assert "may not use this socket" in about_the_connection(await peer.receive())
    assert await peer.hung_up()
    assert repr(sequencer) == "<Sequencer 0 connections, 0 records queued>"


async def test_there_are_no_more_connections_than_the_limit(
    peer: Peer, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "CONNECTIONS_MAX", 1)
    second = await dial(None)
    assert (
        about_the_connection(await second.receive())
        == "The sequencer takes 1 connections, not more."
    )
    assert await second.hung_up()
    peer.send(encode(1, CREATE, transfer(1)))
    assert (await peer.receive())[:2] == (1, Status.OK)


async def test_a_worker_with_too_many_requests_in_flight_is_told_busy_at_once(
    peer: Peer, sequencer: Sequencer, ledger: GatedLedger
) -> None:
    ledger.hold()
    requests = [
        encode(number, CREATE, transfer(number)) for number in range(1, REQUESTS_IN_FLIGHT_MAX + 3)
    ]
    peer.send(b"".join(requests))
    refused = await peer.receive_many(2)
    assert [frame[1] for frame in refused] == [Status.BUSY] * 2
    assert [frame[0] for frame in refused] == [
        REQUESTS_IN_FLIGHT_MAX + 1,
        REQUESTS_IN_FLIGHT_MAX + 2,
    ]
    assert only(sequencer).in_flight == REQUESTS_IN_FLIGHT_MAX
    ledger.release()
    served = await peer.receive_many(REQUESTS_IN_FLIGHT_MAX)
    assert {frame[1] for frame in served} == {Status.OK}
    assert only(sequencer).in_flight == 0


async def test_a_worker_that_goes_on_asking_past_the_limit_is_told_busy_each_time(
    peer: Peer, sequencer: Sequencer, ledger: GatedLedger
) -> None:
    await until(lambda: bool(only(sequencer).worker))
    ledger.hold()
    connection = only(sequencer)
    requests = b"".join(
        encode(number, CREATE, transfer(number)) for number in range(1, REQUESTS_IN_FLIGHT_MAX + 3)
    )
    connection.data_received(requests)
    connection.data_received(requests[: 10 * 140])
    refused = await peer.receive_many(12)
    assert {frame[1] for frame in refused} == {Status.BUSY}
    assert connection.in_flight == REQUESTS_IN_FLIGHT_MAX
    assert sequencer.rejections[Status.BUSY] == 12


async def test_a_slow_reader_is_not_read_until_it_reads_and_loses_nothing(
    peer: Peer, sequencer: Sequencer, socket_path: Path
) -> None:
    await until(lambda: bool(only(sequencer).worker))
    connection = only(sequencer)
    peer.send(encode(0, CREATE, b"".join(map(transfer, range(1, 8190)))))
    await peer.receive()
    peer.stop_reading()
    # A reply of a megabyte is more than the buffers between the two ends take.
    ids = b"".join(transfer(number)[:16] for number in range(1, 8190))
    peer.send(encode(1, Operation.LOOKUP_TRANSFERS, ids))
    await until(lambda: not connection._transport.is_reading())
    peer.send(encode(2, CREATE, transfer(9000)))
    other = await SequencerClient.connect(socket_path, name="worker-2")
    assert Result.unpack_all(await other.submit(CREATE, transfer(9001))) == created(9001)
    assert repr(connection) == "<Connection of worker-1: 2 requests, 0 in flight>"
    peer.resume_reading()
    assert len((await peer.receive())[2]) == 8189 * 128
    assert Result.unpack_all((await peer.receive())[2]) == created(9000)
    await other.close()


async def test_a_frame_cut_in_the_middle_is_forgotten(
    peer: Peer, sequencer: Sequencer, ledger: GatedLedger
) -> None:
    peer.send(encode(1, CREATE, transfer(1)))
    await peer.receive()
    peer.send(encode(2, CREATE, transfer(2))[:100])
    peer.close()
    await until(lambda: not sequencer.connections)
    assert len(ledger.submissions) == 1


async def test_counters_are_kept_and_get_no_reply(peer: Peer, sequencer: Sequencer) -> None:
    await until(lambda: bool(only(sequencer).worker))
    for count in (1, 2):
        peer.send(encode(0, STATS, encode_stats([gauge(count)])))
    peer.send(encode(1, CREATE, transfer(1)))
    assert (await peer.receive())[:2] == (1, Status.OK)
    assert only(sequencer).stats == [gauge(2)]
    assert repr(only(sequencer)) == "<Connection of worker-1: 1 requests, 0 in flight>"


async def test_counters_that_cannot_be_read_are_left_out(
    peer: Peer, sequencer: Sequencer, caplog: pytest.LogCaptureFixture
) -> None:
    peer.send(encode(0, STATS, b"not JSON") + encode(1, CREATE, transfer(1)))
    assert (await peer.receive())[:2] == (1, Status.OK)
    assert only(sequencer).stats == []
    assert "the counters of worker-1 cannot be read" in caplog.text
