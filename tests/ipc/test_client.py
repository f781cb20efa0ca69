"""The worker's client against a sequencer that the test plays."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.clock import Clock
from tests.ipc.peers import Peer, StandInSequencer, until
from tigerfans import presence
from tigerfans.ipc import link as link_module
from tigerfans.ipc.client import IN_FLIGHT_MAX, SequencerClient
from tigerfans.ipc.frames import (
    CORRELATION_MAX,
    HELLO,
    STATS,
    Hello,
    Status,
    encode,
    encode_sentence,
)
from tigerfans.ipc.link import Link
from tigerfans.ipc.stats import Stats
from tigerfans.ledger.base import (
    InvalidRecordsError,
    LedgerBusyError,
    LedgerError,
    LedgerTimeoutError,
    LedgerUnavailableError,
    TooManyRecordsError,
)
from tigerfans.ledger.wire import Operation

CREATE = Operation.CREATE_TRANSFERS
LOOKUP = Operation.LOOKUP_ACCOUNTS
DEADLINE_SECONDS = 0.2

Connect = Callable[..., SequencerClient]


def transfer(number: int) -> bytes:
    return number.to_bytes(16, "little") + bytes(112)


def result(number: int) -> bytes:
    return number.to_bytes(16, "little")


@pytest.fixture
async def connect(socket_path: Path) -> AsyncIterator[Connect]:
    """Makes clients, which may not be connected yet, and closes them in the end."""
    clients: list[SequencerClient] = []

    def make(**options: Any) -> SequencerClient:
        clients.append(SequencerClient(socket_path, **{"name": "worker-1"} | options))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
async def client(stand_in: StandInSequencer, connect: Connect) -> SequencerClient:
    return connect()


@pytest.fixture
async def peer(stand_in: StandInSequencer, client: SequencerClient) -> Peer:
    """The sequencer's end of `client`'s connection."""
    peer = await stand_in.accept()
    await until(lambda: client.connected)
    return peer


async def test_a_request_crosses_as_one_frame_and_its_reply_comes_back(
    client: SequencerClient, peer: Peer
) -> None:
    reply = client.submit(CREATE, transfer(1))
    correlation, code, payload = await peer.receive()
    assert (code, payload) == (CREATE, transfer(1))
    peer.send(encode(correlation, Status.OK, result(1)))
    assert await reply == result(1)


async def test_replies_find_their_requests_in_any_order(
    client: SequencerClient, peer: Peer
) -> None:
    replies = [client.submit(CREATE, transfer(number)) for number in (1, 2, 3)]
    requests = await peer.receive_many(3)
    for correlation, _, payload in reversed(requests):
        peer.send(encode(correlation, Status.OK, payload[:16]))
    assert await asyncio.gather(*replies) == [result(1), result(2), result(3)]


async def test_the_requests_of_one_tick_leave_in_one_write(
    client: SequencerClient, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[bytes] = []
    monkeypatch.setattr(client._link, "write", writes.append)
    for number in (1, 2, 3):
        client.submit(CREATE, transfer(number)).cancel()
    await asyncio.sleep(0)
    assert [len(write) for write in writes] == [3 * (12 + 128)]


async def test_it_knows_its_ledger_once_it_is_connected(
    stand_in: StandInSequencer, connect: Connect
) -> None:
    client = connect()
    assert (client.kind, client.records_max, client.connected) == ("unknown", 8189, False)
    await stand_in.accept(Hello("tigerbeetle", 253))
    await until(lambda: client.connected)
    assert (client.kind, client.records_max) == ("tigerbeetle", 253)
    assert repr(client) == "<SequencerClient worker-1: 0 in flight, connected>"


async def test_connect_returns_even_if_no_sequencer_is_there(socket_path: Path) -> None:
    client = await SequencerClient.connect(socket_path, name="worker-1")
    assert repr(client) == "<SequencerClient worker-1: 0 in flight, disconnected>"
    await client.close()


async def test_connect_returns_connected_if_a_sequencer_is_there(
    stand_in: StandInSequencer, socket_path: Path
) -> None:
    client, _ = await asyncio.gather(
        SequencerClient.connect(socket_path, name="worker-1"), stand_in.accept()
    )
    assert client.connected
    await client.close()


@pytest.mark.parametrize("name", ["", "x" * 65, "line\nbreak"])
async def test_a_name_that_is_not_one_is_refused(socket_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="1 to 64 printable bytes"):
        SequencerClient(socket_path, name=name)


@pytest.mark.parametrize("records", [b"", bytes(127), bytes(129)])
async def test_records_that_are_not_whole_are_refused_at_once(
    client: SequencerClient, records: bytes
) -> None:
    with pytest.raises(InvalidRecordsError):
        client.submit(CREATE, records)
    assert client.in_flight == 0


async def test_more_records_than_the_ledger_takes_are_refused_at_once(
    stand_in: StandInSequencer, client: SequencerClient
) -> None:
    await stand_in.accept(Hello("tigerbeetle", 2))
    await until(lambda: client.connected)
    with pytest.raises(TooManyRecordsError):
        client.submit(CREATE, bytes(3 * 128))


async def test_at_the_bound_the_answer_is_busy_at_once(client: SequencerClient, peer: Peer) -> None:
    replies = [client.submit(LOOKUP, bytes(16)) for _ in range(IN_FLIGHT_MAX)]
    with pytest.raises(LedgerBusyError):
        client.submit(LOOKUP, bytes(16))
    correlation, _, _ = await peer.receive()
    peer.send(encode(correlation, Status.OK))
    assert await replies.pop(0) == b""
    replies.append(client.submit(LOOKUP, bytes(16)))
    assert repr(client) == "<SequencerClient worker-1: 2048 in flight, connected>"
    for reply in replies:
        reply.cancel()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (Status.BUSY, LedgerBusyError),
        (Status.INVALID, InvalidRecordsError),
        (Status.TOO_LARGE, TooManyRecordsError),
        (Status.UNAVAILABLE, LedgerUnavailableError),
        (Status.OUTCOME_UNKNOWN, LedgerTimeoutError),
    ],
)
async def test_a_status_becomes_its_error_for_that_request_only(
    client: SequencerClient, peer: Peer, status: Status, kind: type[LedgerError]
) -> None:
    failed, served = client.submit(CREATE, transfer(1)), client.submit(CREATE, transfer(2))
    first, second = await peer.receive_many(2)
    peer.send(encode_sentence(first[0], status, "the reason"))
    peer.send(encode(second[0], Status.OK, result(2)))
    with pytest.raises(kind, match="the reason"):
        await failed
    assert await served == result(2)


async def test_a_cancelled_waiter_leaves_the_others_and_the_count_right(
    client: SequencerClient, peer: Peer
) -> None:
    cancelled, kept = client.submit(CREATE, transfer(1)), client.submit(CREATE, transfer(2))
    cancelled.cancel()
    requests = await peer.receive_many(2)
    assert client.in_flight == 2
    for correlation, _, payload in requests:
        peer.send(encode(correlation, Status.OK, payload[:16]))
    assert await kept == result(2)
    assert client.in_flight == 0


async def test_each_new_connection_is_told_once(
    client: SequencerClient, peer: Peer, stand_in: StandInSequencer
) -> None:
    await client.new_connection()
    another = asyncio.create_task(client.new_connection())
    reply = client.submit(CREATE, transfer(1))
    correlation, _, _ = await peer.receive()
    peer.send(encode(correlation, Status.OK, result(1)))
    await reply
    assert not another.done()
    peer.cut()
    await stand_in.accept()
    await another


async def test_a_reply_nobody_waits_for_is_ignored(client: SequencerClient, peer: Peer) -> None:
    reply = client.submit(CREATE, transfer(1))
    correlation, _, _ = await peer.receive()
    peer.send(encode(correlation + 1, Status.OK, result(9)))
    peer.send(encode(correlation, Status.OK, result(1)))
    peer.send(encode(correlation, Status.OK, result(9)))
    assert await reply == result(1)
    assert client.connected


async def test_without_an_answer_the_outcome_is_unknown(
    stand_in: StandInSequencer, connect: Connect
) -> None:
    client = connect(deadline_seconds=DEADLINE_SECONDS)
    peer = await stand_in.accept()
    await until(lambda: client.connected)
    reply = client.submit(CREATE, transfer(1))
    correlation, _, _ = await peer.receive()
    while not reply.done():
        other = client.submit(CREATE, transfer(2))
        answered, _, _ = await peer.receive()
        peer.send(encode(answered, Status.OK, result(2)))
        await other
    with pytest.raises(LedgerTimeoutError, match=r"within 0\.2 s; the outcome is unknown"):
        await reply
    peer.send(encode(correlation, Status.OK, result(1)))
    late = client.submit(CREATE, transfer(3))
    correlation, _, _ = await peer.receive()
    peer.send(encode(correlation, Status.OK, result(3)))
    assert await late == result(3)


async def test_a_sequencer_that_says_nothing_any_more_gets_only_what_somebody_waits_for(
    stand_in: StandInSequencer, connect: Connect
) -> None:
    client = connect(deadline_seconds=DEADLINE_SECONDS)
    silent = await stand_in.accept()
    await until(lambda: client.connected)
    silent.stop_reading()
    given_up = [client.submit(CREATE, transfer(n)) for n in range(IN_FLIGHT_MAX)]
    outcomes = await asyncio.gather(*given_up, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {LedgerTimeoutError}
    waiting = client.submit(CREATE, transfer(1))
    peer = await stand_in.accept()
    correlation, _, records = await peer.receive()
    assert records == transfer(1)
    peer.send(encode(correlation, Status.OK, result(1)))
    assert await waiting == result(1)


async def test_what_was_never_sent_by_its_deadline_was_not_done(connect: Connect) -> None:
    client = connect(deadline_seconds=DEADLINE_SECONDS)
    with pytest.raises(LedgerUnavailableError, match="nothing was done"):
        await client.submit(CREATE, transfer(1))
    assert client.in_flight == 0


async def test_what_waits_for_the_sequencer_is_sent_when_it_comes(
    connect: Connect, socket_path: Path
) -> None:
    client = connect()
    reply = client.submit(CREATE, transfer(1))
    async with StandInSequencer(socket_path) as stand_in:
        peer = await stand_in.accept()
        correlation, _, payload = await peer.receive()
        peer.send(encode(correlation, Status.OK, payload[:16]))
        assert await reply == result(1)


async def test_after_a_lost_connection_what_has_no_answer_is_sent_again_byte_by_byte(
    stand_in: StandInSequencer, client: SequencerClient, peer: Peer
) -> None:
    replies = [client.submit(CREATE, transfer(number)) for number in (1, 2, 3)]
    requests = await peer.receive_many(3)
    peer.send(encode(requests[0][0], Status.OK, result(1)))
    await replies[0]
    peer.cut()
    again = await stand_in.accept()
    assert await again.receive_many(2) == requests[1:]
    for correlation, _, payload in requests[1:]:
        again.send(encode(correlation, Status.OK, payload[:16]))
    assert await asyncio.gather(*replies[1:]) == [result(2), result(3)]


async def test_what_is_submitted_as_the_connection_breaks_leaves_on_the_next(
    stand_in: StandInSequencer,
    client: SequencerClient,
    peer: Peer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert client._link is not None
    client._link.abort()
    reply = client.submit(CREATE, transfer(1))
    again = await stand_in.accept()
    correlation, _, _ = await again.receive()
    again.send(encode(correlation, Status.OK, result(1)))
    assert await reply == result(1)
    assert [record.name for record in caplog.records if record.levelno >= logging.ERROR] == [
        presence.__name__
    ]


async def test_what_nobody_waits_for_any_more_is_not_sent_again(
    stand_in: StandInSequencer, client: SequencerClient, peer: Peer
) -> None:
    cancelled, kept = client.submit(CREATE, transfer(1)), client.submit(CREATE, transfer(2))
    _, second = await peer.receive_many(2)
    cancelled.cancel()
    peer.cut()
    again = await stand_in.accept()
    assert await again.receive() == second
    again.send(encode(second[0], Status.OK, result(2)))
    assert await kept == result(2)
    assert client.in_flight == 0


@pytest.mark.parametrize("status", [Status.BUSY, Status.UNAVAILABLE])
async def test_a_refusal_of_what_was_sent_before_leaves_the_outcome_unknown(
    stand_in: StandInSequencer, client: SequencerClient, peer: Peer, status: Status
) -> None:
    sent_twice = client.submit(CREATE, transfer(1))
    await peer.receive()
    peer.cut()
    again = await stand_in.accept()
    correlation, _, _ = await again.receive()
    sent_once = client.submit(CREATE, transfer(2))
    again.send(encode_sentence(correlation, status, "Not now."))
    with pytest.raises(LedgerTimeoutError, match=r"Not now\. An earlier attempt"):
        await sent_twice
    correlation, _, _ = await again.receive()
    again.send(encode_sentence(correlation, status, "Not now."))
    with pytest.raises((LedgerBusyError, LedgerUnavailableError), match=r"Not now\.$"):
        await sent_once


async def test_a_reply_cut_in_the_middle_counts_as_no_answer(
    stand_in: StandInSequencer, client: SequencerClient, peer: Peer
) -> None:
    reply = client.submit(CREATE, transfer(1))
    correlation, _, _ = await peer.receive()
    peer.send(encode(correlation, Status.OK, result(1))[:20])
    peer.close()
    again = await stand_in.accept()
    assert (await again.receive())[0] == correlation
    again.send(encode(correlation, Status.OK, result(1)))
    assert await reply == result(1)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda correlation: bytes([255]) * 12, "bytes that are not a frame"),
        (lambda correlation: encode(correlation, Status.OK, bytes(15)), "of 15 bytes, not 16"),
        (lambda correlation: encode(correlation, 99, b""), "the unknown code 99"),
        (lambda correlation: encode_sentence(0, Status.INVALID, "Go away."), "Go away"),
    ],
)
async def test_a_wrong_reply_costs_the_connection_and_not_the_request(
    stand_in: StandInSequencer,
    client: SequencerClient,
    peer: Peer,
    wrong: Callable[[int], bytes],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reply = client.submit(CREATE, transfer(1))
    correlation, _, _ = await peer.receive()
    peer.send(wrong(correlation))
    again = await stand_in.accept()
    assert (await again.receive())[0] == correlation
    again.send(encode(correlation, Status.OK, result(1)))
    assert await reply == result(1)
    assert reason in caplog.text


async def test_a_lookup_may_find_less_than_was_asked_but_only_whole_records(
    stand_in: StandInSequencer, client: SequencerClient, peer: Peer
) -> None:
    reply = client.submit(LOOKUP, bytes(32))
    correlation, _, _ = await peer.receive()
    peer.send(encode(correlation, Status.OK, bytes(127)))
    again = await stand_in.accept()
    await again.receive()
    again.send(encode(correlation, Status.OK, bytes(128)))
    assert await reply == bytes(128)


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        (encode(0, HELLO, b"STRANGER" + bytes(9)), "not a part of this shop"),
        (encode(0, HELLO, b"TIGRFANS\x02\0" + bytes(9)), "speaks version 2"),
        (encode_sentence(0, Status.INVALID, "User 7 may not use this socket."), "User 7 may not"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "bytes that are not a frame"),
    ],
)
async def test_with_the_wrong_peer_it_says_why_and_tries_again(
    stand_in: StandInSequencer,
    client: SequencerClient,
    hello: bytes,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        stranger = await stand_in.accept(hello=None)
        stranger.send(hello)
        assert await stranger.hung_up()
    assert not client.connected
    await stand_in.accept()
    await until(lambda: client.connected)
    assert caplog.text.count(reason) == 1


async def test_its_going_and_coming_are_a_line_each(
    stand_in: StandInSequencer,
    client: SequencerClient,
    peer: Peer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = client.presence._clock = Clock()
    monkeypatch.setattr("tigerfans.ipc.client.STATS_SECONDS", 0.0)
    peer.cut()
    for _ in range(3):
        (await stand_in.accept()).cut()
    await stand_in.accept()
    await until(lambda: client.connected)
    clock.seconds += presence.SETTLE_SECONDS
    await until(lambda: client.presence.is_up)
    gone, back = [r.getMessage() for r in caplog.records if r.name == presence.__name__]
    assert gone.startswith("The sequencer is away: ")
    assert back == "The sequencer answers again."
    assert client.presence.outages == 1


async def test_why_it_is_not_let_in_after_a_restart_is_told_once(
    stand_in: StandInSequencer,
    client: SequencerClient,
    peer: Peer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    peer.cut()
    for _ in range(3):
        stranger = await stand_in.accept(hello=None)
        stranger.send(encode(0, HELLO, b"TIGRFANS\x02\0" + bytes(9)))
        assert await stranger.hung_up()
    await stand_in.accept()
    await until(lambda: client.connected)
    assert caplog.text.count("speaks version 2") == 1


async def test_a_peer_that_says_nothing_is_given_up(
    stand_in: StandInSequencer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "HELLO_SECONDS_MAX", 0.05)
    client = connect()
    silent = await stand_in.accept(hello=None)
    assert await silent.hung_up()
    await stand_in.accept()
    await until(lambda: client.connected)


async def test_correlations_start_again_after_the_last_and_skip_zero(
    stand_in: StandInSequencer, client: SequencerClient, peer: Peer
) -> None:
    client._correlation = client._sent_through = CORRELATION_MAX - 1
    replies = [client.submit(CREATE, transfer(number)) for number in (1, 2)]
    requests = await peer.receive_many(2)
    assert [correlation for correlation, _, _ in requests] == [CORRELATION_MAX, 1]
    peer.cut()
    again = await stand_in.accept()
    assert await again.receive_many(2) == requests
    for correlation, _, _ in requests:
        again.send(encode_sentence(correlation, Status.BUSY))
    for reply in replies:
        with pytest.raises(LedgerTimeoutError):
            await reply


async def test_counters_are_sent_while_connected(
    stand_in: StandInSequencer, connect: Connect
) -> None:
    stats: Stats = [
        {
            "name": "tigerfans_http_requests_total",
            "type": "counter",
            "help": "Requests.",
            "labels": [],
            "samples": [{"labels": [], "value": 1}],
        }
    ]
    connect(stats=lambda: stats)
    peer = await stand_in.accept()
    correlation, code, payload = await peer.receive()
    assert (correlation, code, orjson.loads(payload)) == (0, STATS, stats)


async def test_counters_that_are_too_large_are_given_up_and_nothing_else(
    stand_in: StandInSequencer, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    samples = [{"labels": [], "value": 1}] * 10_000
    client = connect(stats=lambda: [{"samples": samples}])
    peer = await stand_in.accept()
    await until(lambda: "counters are not sent any more" in caplog.text)
    reply = client.submit(CREATE, transfer(1))
    correlation, _, _ = await peer.receive()
    peer.send(encode(correlation, Status.OK, result(1)))
    assert await reply == result(1)


async def test_closing_fails_what_is_in_flight_and_takes_no_more(
    client: SequencerClient, peer: Peer
) -> None:
    sent = client.submit(CREATE, transfer(1))
    await peer.receive()
    watching = asyncio.create_task(client.watch())
    await client.close()
    with pytest.raises(LedgerTimeoutError):
        await sent
    with pytest.raises(LedgerUnavailableError):
        client.submit(CREATE, transfer(3))
    await watching
    assert await peer.hung_up()
    assert repr(client) == "<SequencerClient worker-1: 0 in flight, closed>"


async def test_if_its_background_task_dies_whoever_watches_hears_of_it(
    stand_in: StandInSequencer, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Stats:
        raise ZeroDivisionError

    client = connect(stats=broken)
    await stand_in.accept()
    with pytest.raises(ExceptionGroup) as caught:
        await client.watch()
    assert caught.group_contains(ZeroDivisionError)
    with pytest.raises(LedgerUnavailableError):
        client.submit(CREATE, transfer(1))
    assert "the client of the sequencer died" in caplog.text


async def test_watching_may_be_cancelled_alone(client: SequencerClient, peer: Peer) -> None:
    watching = asyncio.create_task(client.watch())
    await asyncio.sleep(0)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert client.connected


async def test_a_link_that_its_worker_has_given_up_ends_without_a_word_in_the_log() -> None:
    given_up = Link("worker-1", print)
    given_up.connection_lost(None)
    assert await given_up.lost == "The sequencer hung up."
