"""What the TigerBeetle ledger does around its clients; the native client is played by the test."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tigerbeetle import bindings
from tigerbeetle.bindings import PacketStatus

from tests.harness.patience import PATIENCE_SECONDS, until
from tests.harness.ports import free_port
from tests.ledger.native import PlayedNative
from tests.ledger.waiting import submit_once_available
from tigerfans.ledger import open_ledger, tigerbeetle, tigerbeetle_client
from tigerfans.ledger.base import (
    RECORDS_MAX,
    InvalidRecordsError,
    LedgerOpenError,
    LedgerTimeoutError,
    LedgerUnavailableError,
    TooManyRecordsError,
)
from tigerfans.ledger.replicas import Replicas
from tigerfans.ledger.tigerbeetle import TigerBeetleLedger, open_tigerbeetle
from tigerfans.ledger.tigerbeetle_client import TigerBeetleClient
from tigerfans.ledger.wire import RESULT_SIZE, TRANSFER_SIZE, Operation

TRANSFER = bytes(TRANSFER_SIZE)
RESULT = bytes(RESULT_SIZE)
SOON_SECONDS = 0.05


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> PlayedNative:
    played = PlayedNative()
    monkeypatch.setattr(bindings, "tb_client_submit", played.submit)
    monkeypatch.setattr(bindings, "tb_client_deinit", played.deinit)
    return played


async def nothing_listens(addresses: str) -> Replicas:
    return Replicas((), (addresses,))


@asynccontextmanager
async def opened(
    native: PlayedNative, deadline_seconds: float = PATIENCE_SECONDS
) -> AsyncIterator[TigerBeetleLedger]:
    ledger = TigerBeetleLedger(
        lambda: TigerBeetleClient("10.0.0.1:3000", 0, init=native.init),
        deadline_seconds=deadline_seconds,
        look_at=nothing_listens,
    )
    try:
        await ledger.attempted()
        yield ledger
    finally:
        await ledger.close()


def submit(ledger: TigerBeetleLedger, count: int = 1) -> asyncio.Future[bytes]:
    return ledger.submit(Operation.CREATE_TRANSFERS, count * TRANSFER)


@pytest.mark.parametrize("limit", [1, 2, 253, 254, 8188, 8189])
async def test_the_batch_limit_is_learned(native: PlayedNative, limit: int) -> None:
    native.records_max = limit
    async with opened(native) as ledger:
        assert ledger.records_max == limit
        assert await submit(ledger, limit) == limit * RESULT
        native.answering = False
        with pytest.raises(TooManyRecordsError):
            submit(ledger, limit + 1)
        assert native.packets == []


async def test_the_batch_limit_is_learned_again_from_the_next_client(native: PlayedNative) -> None:
    async with opened(native, SOON_SECONDS) as ledger:
        native.records_max = 253
        native.answering = False
        late = submit(ledger)
        native.answering = True
        with pytest.raises(LedgerTimeoutError):
            await late
        await submit_once_available(ledger, Operation.CREATE_TRANSFERS, TRANSFER)
        assert ledger.records_max == 253


async def test_partial_records_are_refused_before_they_reach_the_client(
    native: PlayedNative,
) -> None:
    async with opened(native) as ledger:
        native.answering = False
        with pytest.raises(InvalidRecordsError):
            ledger.submit(Operation.CREATE_TRANSFERS, TRANSFER[1:])
        assert native.packets == []


async def test_opening_ends_with_the_first_attempt_and_the_ledger_is_there_when_its_server_is(
    native: PlayedNative, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tigerbeetle, "CONNECT_SECONDS", SOON_SECONDS)
    native.answering = False
    async with opened(native) as ledger:
        assert ledger.records_max == RECORDS_MAX
        with pytest.raises(LedgerUnavailableError, match="not answer: nothing listens there"):
            submit(ledger)
        native.answering = True
        reply = await submit_once_available(ledger, Operation.CREATE_TRANSFERS, TRANSFER)
        assert reply == RESULT


async def test_a_submission_past_its_deadline_is_unknown_and_costs_the_client_its_place(
    native: PlayedNative,
) -> None:
    async with opened(native, SOON_SECONDS) as ledger:
        native.answering = False
        late = submit(ledger)
        with pytest.raises(LedgerTimeoutError, match="outcome is unknown"):
            await late
        with pytest.raises(LedgerUnavailableError):
            submit(ledger)
        native.answering = True
        reply = await submit_once_available(ledger, Operation.CREATE_TRANSFERS, TRANSFER)
        assert reply == RESULT
        assert native.clients_closed == native.clients_started - 1


async def test_an_evicted_session_is_replaced_and_what_was_in_flight_is_unknown(
    native: PlayedNative,
) -> None:
    async with opened(native) as ledger:
        native.answering = False
        evicted, other = submit(ledger), submit(ledger)
        native.complete(native.packets[0], PacketStatus.CLIENT_EVICTED)
        native.answering = True
        for future in (evicted, other):
            with pytest.raises(LedgerTimeoutError, match="a cluster has 64 sessions"):
                await future
        reply = await submit_once_available(ledger, Operation.CREATE_TRANSFERS, TRANSFER)
        assert reply == RESULT


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        (PacketStatus.CLIENT_RELEASE_TOO_LOW, "10.0.0.1:3000 is too new for this client, which"),
        (PacketStatus.CLIENT_RELEASE_TOO_HIGH, "10.0.0.1:3000 is too old for this client, which"),
    ],
)
async def test_a_server_of_another_version_cannot_be_opened(
    native: PlayedNative, refusal: PacketStatus, sentence: str
) -> None:
    native.refusal = refusal
    with pytest.raises(LedgerOpenError, match=sentence):
        async with opened(native):
            pass
    assert native.clients_closed == native.clients_started == 1


async def test_a_server_that_changes_its_version_later_is_heard_by_the_event_loop(
    native: PlayedNative,
) -> None:
    heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: heard.set_result(context["exception"])
    )
    async with opened(native) as ledger:
        native.answering = False
        in_flight = submit(ledger)
        native.refusal = PacketStatus.CLIENT_RELEASE_TOO_LOW
        native.complete(native.packets[0], native.refusal)
        native.answering = True
        with pytest.raises(LedgerOpenError):
            await in_flight
        assert isinstance(await heard, LedgerOpenError)
        with pytest.raises(LedgerUnavailableError, match="is too new for this client"):
            submit(ledger)


async def test_a_server_that_stays_away_is_tried_again_and_again_without_a_line_in_the_log(
    native: PlayedNative, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tigerbeetle, "CONNECT_SECONDS", SOON_SECONDS)
    native.answering = False

    async def several_attempts() -> bool:
        return native.clients_started > 3

    with caplog.at_level(logging.INFO, tigerbeetle.__name__):
        async with opened(native):
            await until(several_attempts)
    # Whoever submits hears of it; the sequencer tells it, once.
    assert caplog.records == []


async def test_closing_fails_what_is_in_flight_and_refuses_what_comes_later(
    native: PlayedNative,
) -> None:
    async with opened(native) as ledger:
        native.answering = False
        in_flight = submit(ledger)
        await ledger.close()
        with pytest.raises(LedgerTimeoutError, match="outcome is unknown"):
            await in_flight
        with pytest.raises(LedgerUnavailableError, match="closed"):
            submit(ledger)
    assert native.clients_closed == native.clients_started == 1


async def test_cancelling_an_opening_leaves_no_client_behind() -> None:
    clients = {*tigerbeetle_client._open_clients}
    address = f"127.0.0.1:{free_port()}"
    opening = asyncio.create_task(open_tigerbeetle(address, 0))
    await asyncio.sleep(0)
    assert tigerbeetle_client._open_clients > clients
    opening.cancel()
    await asyncio.wait([opening])
    assert opening.cancelled()
    assert tigerbeetle_client._open_clients == clients


async def test_without_a_server_the_real_client_is_opened_refuses_and_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tigerbeetle, "CONNECT_SECONDS", SOON_SECONDS)
    ledger = await open_ledger(f"tigerbeetle://127.0.0.1:{free_port()}/0")
    assert ledger.kind == "tigerbeetle"
    with pytest.raises(LedgerUnavailableError):
        await ledger.submit(Operation.CREATE_TRANSFERS, TRANSFER)
    await ledger.close()


async def test_addresses_that_cannot_be_used_are_a_sentence() -> None:
    with pytest.raises(LedgerOpenError, match="not at 'localhost:3000'"):
        await open_ledger("tigerbeetle://localhost:3000/0")
