from pathlib import Path
from typing import Any

import orjson

from tests.ipc.peers import Peer, until
from tests.sequencer.gated_ledger import GatedLedger
from tests.sequencer.records import transfer
from tigerfans.ipc.client import SequencerClient
from tigerfans.ipc.frames import STATS, encode
from tigerfans.ipc.stats import encode_stats
from tigerfans.ledger.wire import Operation
from tigerfans.sequencer.history import SAMPLES_MAX, History
from tigerfans.sequencer.sequencer import Sequencer
from tigerfans.telemetry.counters import Counters
from tigerfans.telemetry.steps import Step

CREATE = Operation.CREATE_TRANSFERS


def last(history: History) -> dict[str, Any]:
    """The youngest sample, as it is read."""
    columns = orjson.loads(history.page())
    return {name: column[-1] for name, column in columns.items() if isinstance(column, list)}


async def tell(sequencer: Sequencer, peer: Peer, counters: Counters) -> None:
    """Has a worker send its counters, and waits until the sequencer has them."""
    (connection,) = sequencer.connections
    before = connection.stats
    peer.send(encode(0, STATS, encode_stats(counters.stats())))
    await until(lambda: connection.stats is not before)


async def test_a_sample_holds_what_happened_since_the_last_one(
    clients: tuple[SequencerClient, SequencerClient], sequencer: Sequencer
) -> None:
    history = History(sequencer)
    await clients[0].submit(CREATE, transfer(1) + transfer(2) + transfer(3))
    await clients[1].submit(CREATE, transfer(4))
    history.sample()
    sample = last(history)
    assert sample["batch_transfers"] == 2
    assert sample["transfers_per_second"] > 0
    assert sample["ledger_milliseconds"] >= 0
    history.sample()
    assert last(history)["transfers_per_second"] == 0
    assert last(history)["batch_transfers"] is None


async def test_the_queue_is_what_waits_at_the_moment_of_the_sample(
    clients: tuple[SequencerClient, SequencerClient], ledger: GatedLedger, sequencer: Sequencer
) -> None:
    history = History(sequencer)
    ledger.hold()
    replies = [clients[0].submit(CREATE, transfer(1))]
    await ledger.arrival()
    replies.append(clients[0].submit(CREATE, transfer(2) + transfer(3)))
    await until(lambda: sequencer.lanes[CREATE].queued_records == 2)
    history.sample()
    assert last(history)["queued_events"] == 2
    ledger.release()
    for reply in replies:
        await reply


async def test_orders_a_second_are_what_the_workers_counted_since_the_last_sample(
    sequencer: Sequencer, socket_path: Path
) -> None:
    counters, history = Counters(), History(sequencer)
    peer = await Peer.connect(socket_path, "worker-1")
    counters.steps[Step.HELD] = 1_000_000
    await tell(sequencer, peer, counters)
    history.sample()
    # From before this sequencer was started: nobody knows when.
    assert last(history)["held_per_second"] == 0
    assert last(history)["workers"] == 1
    counters.steps[Step.HELD] += 7
    counters.steps[Step.PAID] += 5
    await tell(sequencer, peer, counters)
    history.sample()
    assert last(history)["held_per_second"] > last(history)["paid_per_second"] > 0
    history.sample()
    assert last(history)["held_per_second"] == 0
    peer.cut()


async def test_a_clerk_is_no_worker_and_the_orders_that_it_settles_count(
    sequencer: Sequencer, socket_path: Path
) -> None:
    counters, history = Counters(), History(sequencer)
    peer = await Peer.connect(socket_path, "clerk-1")
    await tell(sequencer, peer, counters)
    history.sample()
    assert (last(history)["workers"], last(history)["clerks"]) == (0, 1)
    counters.steps[Step.PAID] += 5
    await tell(sequencer, peer, counters)
    history.sample()
    assert last(history)["paid_per_second"] > 0
    peer.cut()


async def test_a_worker_that_went_takes_nothing_off(
    sequencer: Sequencer, socket_path: Path
) -> None:
    counters, history = Counters(), History(sequencer)
    peer = await Peer.connect(socket_path, "worker-1")
    counters.steps[Step.PAID] = 10
    await tell(sequencer, peer, counters)
    history.sample()
    peer.cut()
    await until(lambda: not sequencer.connections)
    history.sample()
    assert (last(history)["paid_per_second"], last(history)["workers"]) == (0, 0)


async def test_only_the_last_minutes_are_kept(sequencer: Sequencer) -> None:
    history = History(sequencer)
    for _ in range(SAMPLES_MAX + 3):
        history.sample()
    columns = orjson.loads(history.page())
    assert len(columns["time"]) == len(columns["workers"]) == SAMPLES_MAX
