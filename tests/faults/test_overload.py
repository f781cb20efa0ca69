"""Too much of everything: requests, connections, bodies, and clients that do not finish theirs."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.faults.exchange import HOST, exchange, request
from tests.faults.loads import CHECKOUT, Connection, checkout_request, new_key
from tests.faults.stack import FaultyShop
from tigerfans.http.reading import BODY_SECONDS_MAX
from tigerfans.http.serving.server import HEADER_SECONDS_MAX
from tigerfans.ipc.client import DEADLINE_SECONDS, IN_FLIGHT_MAX

TOO_MANY = 300
PROBES = 20
# The admitted wait for their deadline; where it takes longer to ask, nothing shows of them.
ASKING_SECONDS_MAX = DEADLINE_SECONDS / 2
CONNECTIONS = 2_000
CONNECTIONS_AT_ONCE = 200
ROUNDS_TO_WARM_UP = 2
ROUNDS = 2
GROWTH_MAX = 1.15
# The server's own limits, and patience with a busy machine.
HANG_UP_SECONDS_MAX = max(HEADER_SECONDS_MAX, BODY_SECONDS_MAX) + 60

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BODY_BYTES = 10_000_000
LARGE_BODY = request("POST", "/api/checkout", bytes(BODY_BYTES)) + bytes(BODY_BYTES)
HALF_REQUESTS = {
    "nothing": (b"", b""),
    "half a head": (b"GET /healthz HTTP/1.1\r\nHos", b""),
    "half a body": (request("POST", "/api/checkout", bytes(99)) + b"{", b"HTTP/1.1 408 "),
    "half a webhook": (request("POST", "/payments/webhook", bytes(99)) + b"{", b"HTTP/1.1 408 "),
    "half a form": (
        request("POST", "/mockpay/mock_1/emit", bytes(99), FORM) + b"t=",
        b"HTTP/1.1 408 ",
    ),
}


@pytest.fixture(scope="module")
def half_requests(shop: FaultyShop) -> Iterator[dict[str, socket.socket]]:
    """Clients that stop in the middle; they stand around while the other tests run."""
    clients = {}
    for name, (data, _) in HALF_REQUESTS.items():
        clients[name] = socket.create_connection((HOST, shop.port))
        clients[name].sendall(data)
    yield clients
    for client in clients.values():
        client.close()


@pytest.mark.usefixtures("half_requests", "many_files")
async def test_past_the_bound_the_answer_is_503_at_once_and_the_admitted_finish(
    shop: FaultyShop,
) -> None:
    clients = await connect(shop, IN_FLIGHT_MAX + TOO_MANY)
    began = time.monotonic()
    with shop.standing_still("sequencer"):
        for client in clients:
            client.send(checkout_request())
        waiting = [asyncio.create_task(client.answer()) for client in clients]
        probes = [
            await exchange(shop.port, "POST", "/api/checkout", CHECKOUT, new_key())
            for _ in range(PROBES)
        ]
        # At once is while all those who were admitted before them still wait.
        still_waiting = sum(not task.done() for task in waiting)
        is_in_time = time.monotonic() - began < ASKING_SECONDS_MAX
    statuses = Counter(answer.status for answer in await asyncio.gather(*waiting))
    assert {answer.headers.get("retry-after") for answer in probes if answer.status == 503} == {"1"}
    assert set(statuses) == {200, 503}
    if is_in_time:
        assert {answer.status for answer in probes} == {503}
        assert still_waiting >= IN_FLIGHT_MAX
        assert statuses == {200: IN_FLIGHT_MAX, 503: TOO_MANY}
    for client in clients:
        client.close()


@pytest.mark.usefixtures("many_files")
async def test_two_thousand_connections_again_and_again_take_no_more_memory(
    shop: FaultyShop,
) -> None:
    resident = [await rush(shop) for _ in range(ROUNDS_TO_WARM_UP + ROUNDS)]
    assert resident[-1] < GROWTH_MAX * resident[ROUNDS_TO_WARM_UP - 1], resident
    assert (await shop.get("/readyz")).is_success


async def test_a_body_of_ten_megabytes_is_refused_before_it_is_read(shop: FaultyShop) -> None:
    client = await Connection.open(shop.port)
    client.send(LARGE_BODY)
    # It hangs up on the rest, which may also take the answer away.
    said = await client.until_closed()
    assert said == b"" or said.startswith(b"HTTP/1.1 413 ")
    client.close()
    assert (await shop.get("/readyz")).is_success


async def test_a_head_without_end_is_refused(shop: FaultyShop) -> None:
    client = await Connection.open(shop.port)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + bytes([65]) * 2_000_000)
    said = await client.until_closed()
    assert said == b"" or said.startswith(b"HTTP/1.1 431 ")
    client.close()


@pytest.mark.parametrize("name", HALF_REQUESTS)
def test_a_client_that_does_not_finish_its_request_is_hung_up_on(
    half_requests: dict[str, socket.socket], name: str
) -> None:
    client = half_requests[name]
    client.settimeout(HANG_UP_SECONDS_MAX)
    said = b""
    while data := client.recv(4096):
        said += data
    assert said.startswith(HALF_REQUESTS[name][1])


async def connect(shop: FaultyShop, count: int) -> list[Connection]:
    clients: list[Connection] = []
    while len(clients) < count:
        at_once = min(CONNECTIONS_AT_ONCE, count - len(clients))
        opening = (Connection.open(shop.port) for _ in range(at_once))
        clients += await asyncio.gather(*opening)
    return clients


async def rush(shop: FaultyShop) -> int:
    """Two thousand buyers at once, each on a connection; what the shop has in memory then."""
    clients = await connect(shop, CONNECTIONS)
    for client in clients:
        client.send(checkout_request())
    answers = await asyncio.gather(*(client.answer() for client in clients))
    assert {answer.status for answer in answers} <= {200, 503}
    for client in clients:
        client.close()
    return sum(shop.memory_kib(name) for name in ("worker-1", "sequencer"))
