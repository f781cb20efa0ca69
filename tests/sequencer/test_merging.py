"""What workers get from each other's company: one batch, and nothing else."""

import asyncio
from pathlib import Path

import pytest

from tests.ipc.peers import Peer, until
from tests.sequencer.gated_ledger import GatedLedger
from tests.sequencer.records import created, existing, transfer
from tigerfans.ipc.client import SequencerClient
from tigerfans.ipc.frames import Status, encode
from tigerfans.ledger.base import (
    InvalidRecordsError,
    LedgerBusyError,
    LedgerError,
    LedgerTimeoutError,
    LedgerUnavailableError,
    TooManyRecordsError,
)
from tigerfans.ledger.wire import Account, Operation, Result, u128
from tigerfans.sequencer import lane as lane_module
from tigerfans.sequencer.lane import Lane
from tigerfans.sequencer.sequencer import Sequencer

CREATE = Operation.CREATE_TRANSFERS
LOOKUP = Operation.LOOKUP_TRANSFERS

Clients = tuple[SequencerClient, SequencerClient]


@pytest.fixture
def lane(sequencer: Sequencer) -> Lane:
    return sequencer.lanes[CREATE]


async def results(replies: list[asyncio.Future[bytes]]) -> list[list[Result]]:
    return [Result.unpack_all(reply) for reply in await asyncio.gather(*replies)]


async def test_requests_of_two_workers_leave_in_one_batch(
    clients: Clients, ledger: GatedLedger, sequencer: Sequencer, lane: Lane
) -> None:
    first, second = clients
    ledger.hold()
    replies = [first.submit(CREATE, transfer(1))]
    await ledger.arrival()
    replies.append(first.submit(CREATE, transfer(2)))
    await until(lambda: lane.queued_records == 1)
    replies.append(second.submit(CREATE, transfer(3) + transfer(4)))
    await until(lambda: lane.queued_records == 3)
    assert repr(lane) == "<Lane <Batcher create_transfers: 3 queued, in flight>>"
    assert repr(sequencer) == "<Sequencer 2 connections, 3 records queued>"
    ledger.release()
    assert await results(replies) == [created(1), created(2), created(3, 4)]
    assert [len(records) // 128 for _, records in ledger.submissions] == [1, 3]
    assert (lane.counters.batches, lane.counters.batches_merged) == (2, 1)
    assert (lane.counters.requests, lane.counters.records) == (3, 4)


async def test_each_operation_has_its_own_lane(clients: Clients) -> None:
    first, second = clients
    account = Account(id=7, ledger=1, code=1).pack()
    await first.submit(Operation.CREATE_ACCOUNTS, account)
    await first.submit(CREATE, transfer(8))
    assert await second.submit(Operation.LOOKUP_ACCOUNTS, u128(7)) == account
    assert await second.submit(LOOKUP, u128(8)) == transfer(8)


async def test_lookups_are_merged_and_what_is_missing_is_missing_only_there(
    clients: Clients, ledger: GatedLedger, sequencer: Sequencer
) -> None:
    first, second = clients
    await first.submit(CREATE, b"".join(transfer(number) for number in (1, 2, 3)))
    await ledger.arrival()
    ledger.hold()
    replies = [first.submit(LOOKUP, u128(1))]
    await ledger.arrival()
    replies.append(first.submit(LOOKUP, u128(9) + u128(3)))
    replies.append(second.submit(LOOKUP, u128(8)))
    replies.append(second.submit(LOOKUP, u128(2) + u128(7) + u128(2)))
    await until(lambda: sequencer.lanes[LOOKUP].queued_records == 6)
    ledger.release()
    assert await asyncio.gather(*replies) == [
        transfer(1),
        transfer(3),
        b"",
        transfer(2) + transfer(2),
    ]
    assert len(ledger.submissions) == 3


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (LedgerUnavailableError("away"), LedgerUnavailableError),
        (LedgerTimeoutError("no answer"), LedgerTimeoutError),
        (LedgerBusyError("full"), LedgerBusyError),
    ],
)
async def test_after_a_failure_each_waiter_of_the_batch_gets_it_and_no_other(
    clients: Clients,
    ledger: GatedLedger,
    sequencer: Sequencer,
    error: LedgerError,
    kind: type[LedgerError],
) -> None:
    first, second = clients
    ledger.hold()
    ledger.error = error
    failed = [first.submit(CREATE, transfer(1)), second.submit(CREATE, transfer(2))]
    await until(lambda: sum(c.in_flight for c in sequencer.connections) == 2)
    ledger.release()
    for reply in failed:
        with pytest.raises(kind, match=str(error)):
            await reply
    ledger.error = None
    assert await results([first.submit(CREATE, transfer(3))]) == [created(3)]
    assert sum(sequencer.rejections.values()) == 2


async def test_an_answer_that_fits_nobody_leaves_every_outcome_unknown(
    clients: Clients, ledger: GatedLedger
) -> None:
    reports: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    ledger.reply = bytes(16)
    reply = clients[0].submit(CREATE, transfer(1) + transfer(2))
    with pytest.raises(LedgerTimeoutError, match="16 bytes of results, not 32"):
        await reply
    assert len(reports) == 1
    ledger.reply = None
    assert await results([clients[0].submit(CREATE, transfer(1))]) == [created(1)]


async def test_a_cancelled_waiter_does_not_cancel_the_batch(
    clients: Clients, ledger: GatedLedger
) -> None:
    first, second = clients
    ledger.hold()
    cancelled = first.submit(CREATE, transfer(1))
    kept = second.submit(CREATE, transfer(2))
    await ledger.arrival()
    cancelled.cancel()
    ledger.release()
    assert await results([kept]) == [created(2)]
    assert await results([first.submit(CREATE, transfer(1))]) == [existing(1)]


async def test_what_a_lost_worker_asked_is_done_all_the_same(
    clients: Clients, ledger: GatedLedger, sequencer: Sequencer, lane: Lane
) -> None:
    ledger.hold()
    lost = clients[0].submit(CREATE, transfer(1))
    await ledger.arrival()
    also_lost = clients[0].submit(CREATE, transfer(2))
    await until(lambda: lane.queued_records == 1)
    await clients[0].close()
    for reply in (lost, also_lost):
        with pytest.raises(LedgerTimeoutError):
            await reply
    await until(lambda: len(sequencer.connections) == 1)
    ledger.release()
    both = clients[1].submit(CREATE, transfer(1) + transfer(2))
    assert await results([both]) == [existing(1, 2)]


async def test_a_request_whose_last_record_is_linked_is_refused(
    clients: Clients, ledger: GatedLedger
) -> None:
    open_chain = clients[0].submit(CREATE, transfer(1) + transfer(2, linked=True))
    with pytest.raises(InvalidRecordsError, match="must not be linked"):
        await open_chain
    chain = clients[0].submit(CREATE, transfer(1, linked=True) + transfer(2))
    assert await results([chain]) == [created(1, 2)]
    assert len(ledger.submissions) == 1


async def test_an_id_that_looks_linked_is_looked_up(clients: Clients) -> None:
    number = int.from_bytes(bytes([255]) * 16, "little")
    await clients[0].submit(CREATE, transfer(number))
    assert await clients[0].submit(LOOKUP, u128(number)) == transfer(number)


async def test_at_the_bound_the_answer_is_busy_at_once(
    clients: Clients,
    ledger: GatedLedger,
    sequencer: Sequencer,
    lane: Lane,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lane._batcher, "queue_max", 3)
    ledger.hold()
    in_flight = clients[0].submit(CREATE, transfer(1))
    await ledger.arrival()
    queued = clients[0].submit(CREATE, transfer(2) + transfer(3))
    refused = clients[0].submit(CREATE, transfer(4) + transfer(5))
    fitting = clients[0].submit(CREATE, transfer(6))
    with pytest.raises(LedgerBusyError, match="queue is full"):
        await refused
    assert lane.queued_records == 3
    ledger.release()
    replies = [in_flight, queued, fitting]
    assert await results(replies) == [created(1), created(2, 3), created(6)]
    assert sequencer.rejections[Status.BUSY] == 1


async def test_batches_stay_within_the_ledgers_limit(
    clients: Clients, ledger: GatedLedger, lane: Lane
) -> None:
    ledger.hold()
    replies = [clients[0].submit(CREATE, transfer(1))]
    await ledger.arrival()
    ledger.records_max = 3
    replies += [clients[0].submit(CREATE, transfer(n) + transfer(n + 1)) for n in (2, 4, 6)]
    replies += [clients[0].submit(CREATE, transfer(8))]
    await until(lambda: lane.queued_records == 7)
    ledger.release()
    assert (await results(replies))[-1] == created(8)
    # The batch that was taken before the limit was looked at again is split and retried.
    assert max(len(records) // 128 for _, records in ledger.submissions) <= 3


async def test_a_batch_the_ledger_finds_too_large_is_split_and_not_failed(
    clients: Clients, ledger: GatedLedger, sequencer: Sequencer, lane: Lane
) -> None:
    ledger.hold()
    replies = [clients[0].submit(CREATE, transfer(1))]
    await ledger.arrival()
    replies += [clients[0].submit(CREATE, transfer(number)) for number in range(2, 9)]
    too_large = clients[1].submit(CREATE, transfer(9) + transfer(10) + transfer(11))
    await until(lambda: lane.queued_records == 10)
    ledger.records_taken_max = 2
    ledger.release()
    assert await results(replies) == [created(number) for number in range(1, 9)]
    with pytest.raises(TooManyRecordsError):
        await too_large
    assert max(len(records) // 128 for _, records in ledger.submissions) == 2
    assert sequencer.rejections[Status.TOO_LARGE] == 1


async def test_a_request_larger_than_the_limit_is_refused_at_once(
    sequencer: Sequencer, ledger: GatedLedger, socket_path: Path
) -> None:
    peer = await Peer.connect(socket_path)
    peer.send(encode(1, CREATE, transfer(1) * 8189))
    assert (await peer.receive())[1] == Status.OK
    ledger.records_max = 10
    peer.send(encode(2, CREATE, transfer(2)))
    assert (await peer.receive())[1] == Status.OK
    peer.send(encode(3, CREATE, transfer(3) * 11))
    correlation, status, sentence = await peer.receive()
    assert (correlation, status) == (3, Status.TOO_LARGE)
    assert sentence == b"11 records, this ledger takes 10 at once"
    peer.cut()


async def test_records_that_are_not_whole_are_refused_alone(
    sequencer: Sequencer, socket_path: Path
) -> None:
    peer = await Peer.connect(socket_path)
    peer.send(encode(1, CREATE, bytes(127)) + encode(2, CREATE) + encode(3, CREATE, transfer(1)))
    statuses = {frame[0]: frame[1] for frame in await peer.receive_many(3)}
    assert statuses == {1: Status.INVALID, 2: Status.INVALID, 3: Status.OK}
    peer.cut()


def test_the_queue_takes_any_request_the_ledger_takes() -> None:
    assert lane_module.QUEUED_RECORDS_MAX >= 8189
