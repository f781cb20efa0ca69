"""The TigerBeetle ledger and a real server that dies, stands still, comes back, or evicts us."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.harness.patience import PATIENCE_SECONDS
from tests.ledger.waiting import submit_once_available
from tests.tigerbeetle_server import (
    CLUSTER_ID,
    PRODUCTION,
    TigerBeetleServer,
    running_tigerbeetle,
)
from tigerfans.ledger import tigerbeetle
from tigerfans.ledger.base import LedgerTimeoutError, LedgerUnavailableError, TooManyRecordsError
from tigerfans.ledger.tigerbeetle import TigerBeetleLedger, open_tigerbeetle
from tigerfans.ledger.tigerbeetle_client import TigerBeetleClient
from tigerfans.ledger.wire import (
    Account,
    AccountStatus,
    Operation,
    Result,
    Transfer,
    TransferStatus,
    u128,
)

DEBIT_ACCOUNT, CREDIT_ACCOUNT = 1, 2
ACCOUNTS = b"".join(
    Account(id=account, ledger=1, code=1).pack() for account in (DEBIT_ACCOUNT, CREDIT_ACCOUNT)
)
DEADLINE_SECONDS = 0.5
CONNECT_SECONDS = 1.5
SESSIONS_MAX = 64
# A server takes 32 connections at once.
SESSION_WAVES = 4


@pytest.fixture
def server(
    outlives_the_test: None, tigerbeetle_server: TigerBeetleServer
) -> Iterator[TigerBeetleServer]:
    """The shared one, which a test may end and start again."""
    yield tigerbeetle_server
    tigerbeetle_server.ensure_running()


@pytest.fixture
async def ledger(server: TigerBeetleServer) -> AsyncIterator[TigerBeetleLedger]:
    """With two accounts, and a short deadline."""
    ledger = await open_tigerbeetle(server.addresses, CLUSTER_ID, deadline_seconds=DEADLINE_SECONDS)
    await submit_once_available(ledger, Operation.CREATE_ACCOUNTS, ACCOUNTS)
    yield ledger
    await ledger.close()


def transfers(count: int = 1) -> bytes:
    """New transfers between the two accounts."""
    first = secrets.randbits(120)
    return b"".join(
        Transfer(
            id=first + number,
            debit_account_id=DEBIT_ACCOUNT,
            credit_account_id=CREDIT_ACCOUNT,
            amount=1,
            ledger=1,
            code=1,
        ).pack()
        for number in range(count)
    )


def statuses(reply: bytes) -> set[int]:
    return {result.status for result in Result.unpack_all(reply)}


async def register_sessions(server: TigerBeetleServer, count: int) -> None:
    """Other clients that come and go; the server keeps their sessions."""
    clients = [TigerBeetleClient(server.addresses, CLUSTER_ID) for _ in range(count)]
    await asyncio.gather(
        *(client.submit(Operation.LOOKUP_ACCOUNTS, u128(1), PATIENCE_SECONDS) for client in clients)
    )
    await asyncio.gather(*(client.close() for client in clients))


# The next tests have the server that this one starts.
@pytest.mark.usefixtures("outlives_the_test")
async def test_a_server_killed_in_flight_makes_it_unknown_and_the_same_ids_tell_later(
    server: TigerBeetleServer, ledger: TigerBeetleLedger
) -> None:
    done, in_flight = transfers(), transfers()
    await ledger.submit(Operation.CREATE_TRANSFERS, done)
    server.stop()
    future = ledger.submit(Operation.CREATE_TRANSFERS, in_flight)
    server.kill()
    with pytest.raises(LedgerTimeoutError):
        await future
    with pytest.raises(LedgerUnavailableError):
        ledger.submit(Operation.CREATE_TRANSFERS, transfers())
    server.start()
    reply = await submit_once_available(ledger, Operation.CREATE_TRANSFERS, in_flight)
    assert statuses(reply) <= {TransferStatus.CREATED, TransferStatus.EXISTS}
    again = await ledger.submit(Operation.CREATE_TRANSFERS, done + in_flight)
    assert statuses(again) == {TransferStatus.EXISTS}


async def test_a_server_that_stands_still_is_away_at_once_and_back_when_it_goes_on(
    server: TigerBeetleServer, ledger: TigerBeetleLedger
) -> None:
    server.stop()
    in_flight = transfers()
    future = ledger.submit(Operation.CREATE_TRANSFERS, in_flight)
    with pytest.raises(LedgerTimeoutError):
        await future
    with pytest.raises(LedgerUnavailableError):
        ledger.submit(Operation.CREATE_TRANSFERS, transfers())
    server.go_on()
    reply = await submit_once_available(ledger, Operation.CREATE_TRANSFERS, in_flight)
    assert statuses(reply) <= {TransferStatus.CREATED, TransferStatus.EXISTS}


# The next tests have the server that this one starts.
@pytest.mark.usefixtures("outlives_the_test")
async def test_a_server_that_starts_later_than_the_ledger_is_found(
    server: TigerBeetleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tigerbeetle, "CONNECT_SECONDS", CONNECT_SECONDS)
    server.kill()
    ledger = await open_tigerbeetle(server.addresses, CLUSTER_ID)
    with pytest.raises(LedgerUnavailableError):
        ledger.submit(Operation.CREATE_ACCOUNTS, ACCOUNTS)
    server.start()
    reply = await submit_once_available(ledger, Operation.CREATE_ACCOUNTS, ACCOUNTS)
    assert statuses(reply) <= {AccountStatus.CREATED, AccountStatus.EXISTS}
    await ledger.close()


async def test_a_server_of_another_cluster_is_a_sentence(
    server: TigerBeetleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tigerbeetle, "CONNECT_SECONDS", CONNECT_SECONDS)
    ledger = await open_tigerbeetle(server.addresses, CLUSTER_ID + 7)
    with pytest.raises(LedgerUnavailableError, match="or is another cluster than 7"):
        ledger.submit(Operation.CREATE_ACCOUNTS, ACCOUNTS)
    await ledger.close()


async def test_a_cancelled_waiter_does_not_cancel_its_transfers(ledger: TigerBeetleLedger) -> None:
    records = transfers(100)
    ledger.submit(Operation.CREATE_TRANSFERS, records).cancel()
    reply = await ledger.submit(Operation.CREATE_TRANSFERS, records)
    assert statuses(reply) == {TransferStatus.EXISTS}


async def test_a_development_server_takes_small_batches(ledger: TigerBeetleLedger) -> None:
    assert ledger.records_max == 253
    reply = await ledger.submit(Operation.CREATE_TRANSFERS, transfers(253))
    assert statuses(reply) == {TransferStatus.CREATED}
    with pytest.raises(TooManyRecordsError):
        ledger.submit(Operation.CREATE_TRANSFERS, transfers(254))


async def test_a_production_server_takes_large_batches_and_an_evicted_ledger_comes_back() -> None:
    """One test, because such a server takes seconds to start."""
    with running_tigerbeetle(PRODUCTION) as server:
        ledger = await open_tigerbeetle(server.addresses, CLUSTER_ID)
        await ledger.submit(Operation.CREATE_ACCOUNTS, ACCOUNTS)
        assert ledger.records_max == 8189
        reply = await ledger.submit(Operation.CREATE_TRANSFERS, transfers(8189))
        assert statuses(reply) == {TransferStatus.CREATED}
        with pytest.raises(TooManyRecordsError):
            ledger.submit(Operation.CREATE_TRANSFERS, transfers(8190))

        for _ in range(SESSION_WAVES):
            await register_sessions(server, SESSIONS_MAX // SESSION_WAVES)
        with pytest.raises(LedgerTimeoutError, match="a cluster has 64 sessions"):
            await ledger.submit(Operation.CREATE_TRANSFERS, transfers())
        reply = await submit_once_available(ledger, Operation.CREATE_TRANSFERS, transfers())
        assert statuses(reply) == {TransferStatus.CREATED}
        await ledger.close()
