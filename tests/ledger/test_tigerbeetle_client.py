"""Packets: against the native client that echoes what it is sent, and one without a server."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop
from tigerbeetle import bindings

from tests.harness.patience import PATIENCE_SECONDS
from tests.harness.ports import free_port
from tigerfans.ledger.base import (
    LedgerBusyError,
    LedgerOpenError,
    LedgerTimeoutError,
    LedgerUnavailableError,
    TooManyRecordsError,
)
from tigerfans.ledger.tigerbeetle_client import OUTSTANDING_MAX, TigerBeetleClient
from tigerfans.ledger.wire import TRANSFER_SIZE, Operation

SOON_SECONDS = 0.01


def echoing_client() -> TigerBeetleClient:
    return TigerBeetleClient("127.0.0.1:3000", 0, init=bindings.tb_client_init_echo)


@pytest.fixture
async def echo() -> AsyncIterator[TigerBeetleClient]:
    client = echoing_client()
    yield client
    await client.close()


@pytest.fixture
async def lonely() -> AsyncIterator[TigerBeetleClient]:
    """A client whose server is not there: packets stay outstanding."""
    client = TigerBeetleClient(f"127.0.0.1:{free_port()}", 0)
    yield client
    await client.close()


def transfers(fill: int, count: int = 1) -> bytes:
    return fill.to_bytes(4, "little") * (count * TRANSFER_SIZE // 4)


def submit(
    client: TigerBeetleClient, records: bytes, deadline_seconds: float = PATIENCE_SECONDS
) -> asyncio.Future[bytes]:
    return client.submit(Operation.CREATE_TRANSFERS, records, deadline_seconds)


@pytest.mark.parametrize("count", [1, 2, 100, 8189])
async def test_a_reply_comes_back_byte_for_byte(echo: TigerBeetleClient, count: int) -> None:
    assert await submit(echo, transfers(7, count)) == transfers(7, count)


async def test_concurrent_submissions_each_get_their_own_reply(echo: TigerBeetleClient) -> None:
    records = [transfers(number, 1 + number % 5) for number in range(OUTSTANDING_MAX)]
    operations = [Operation.CREATE_TRANSFERS, Operation.LOOKUP_TRANSFERS]
    futures = [
        echo.submit(operations[number % 2], sent, PATIENCE_SECONDS)
        for number, sent in enumerate(records)
    ]
    assert await asyncio.gather(*futures) == records


async def test_thousands_of_submissions_leave_nothing_behind(echo: TigerBeetleClient) -> None:
    records = transfers(7, 3)
    references = sys.getrefcount(records)
    for _ in range(5_000 // OUTSTANDING_MAX):
        await asyncio.gather(*(submit(echo, records) for _ in range(OUTSTANDING_MAX)))
    assert echo.outstanding == 0
    assert sys.getrefcount(records) == references


async def test_more_data_than_a_message_holds_is_refused_and_the_client_stays_in_use(
    echo: TigerBeetleClient,
) -> None:
    with pytest.raises(TooManyRecordsError):
        await submit(echo, transfers(7, 8190))
    assert await submit(echo, transfers(8)) == transfers(8)


async def test_at_the_bound_of_outstanding_packets_a_submission_is_refused_at_once(
    echo: TigerBeetleClient,
) -> None:
    futures = [submit(echo, transfers(7)) for _ in range(OUTSTANDING_MAX)]
    with pytest.raises(LedgerBusyError):
        submit(echo, transfers(8))
    await asyncio.gather(*futures)
    assert await submit(echo, transfers(8)) == transfers(8)


async def test_a_cancelled_waiter_leaves_its_packet_outstanding_and_the_others_alone(
    echo: TigerBeetleClient,
) -> None:
    cancelled, other = submit(echo, transfers(7)), submit(echo, transfers(8))
    cancelled.cancel()
    assert echo.outstanding == 2
    assert await other == transfers(8)
    assert echo.outstanding == 0


async def test_past_a_deadline_all_that_is_in_flight_is_unknown_and_the_client_is_lost(
    lonely: TigerBeetleClient,
) -> None:
    late = submit(lonely, transfers(7), SOON_SECONDS)
    other = submit(lonely, transfers(8))
    for future in (late, other):
        with pytest.raises(LedgerTimeoutError, match="did not answer within"):
            await future
    assert await lonely.lost == "did not answer within 0.01 s"
    assert lonely.outstanding == 2
    with pytest.raises(LedgerUnavailableError, match="did not answer within"):
        submit(lonely, transfers(9))


async def test_a_deadline_counts_also_when_the_waiter_is_gone(lonely: TigerBeetleClient) -> None:
    submit(lonely, transfers(7), SOON_SECONDS).cancel()
    assert await lonely.lost == "did not answer within 0.01 s"


async def test_closing_fails_what_is_in_flight_and_gets_every_packet_back() -> None:
    client = TigerBeetleClient(f"127.0.0.1:{free_port()}", 0)
    futures = [submit(client, transfers(number)) for number in range(10)]
    await client.close()
    assert client.outstanding == 0
    for future in futures:
        with pytest.raises(LedgerTimeoutError, match="was disconnected"):
            await future


@pytest.mark.parametrize("new_event_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_completion_after_the_event_loop_is_closed_is_dropped(
    new_event_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def submit_and_leave() -> TigerBeetleClient:
        client = echoing_client()
        submit(client, transfers(7)).cancel()  # nobody is left to ask for it
        return client

    loop = new_event_loop()
    client = loop.run_until_complete(submit_and_leave())
    loop.close()
    asyncio.run(client.close())  # the packet completes at the latest now


@pytest.mark.parametrize(
    "addresses", ["", "localhost:3000", "127.0.0.1:99999", "127.0.0.1:3000,", "::1", "caf\u00e9"]
)
async def test_addresses_that_are_not_ip_addresses_are_explained(addresses: str) -> None:
    with pytest.raises(LedgerOpenError, match=r"IP addresses with ports, such as 127\.0\.0\.1:"):
        TigerBeetleClient(addresses, 0)


async def test_more_addresses_than_a_cluster_has_replicas_are_explained() -> None:
    with pytest.raises(LedgerOpenError, match="fewer replicas"):
        TigerBeetleClient(",".join(["127.0.0.1:3000"] * 7), 0)


async def test_a_cluster_id_of_more_than_128_bits_is_explained() -> None:
    with pytest.raises(LedgerOpenError, match="128 bits"):
        TigerBeetleClient("127.0.0.1:3000", 2**128)
