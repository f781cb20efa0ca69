"""The proxy hands a request on where that is safe, and only there."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from tests.faults.exchange import NoAnswerError
from tests.harness.needs import needs_linux
from tests.harness.patience import until
from tests.harness.ports import free_port
from tests.hosts.proxy import Proxy

# Others of this machine's own addresses, one port for all of them.
CUTTING, SERVING, NOBODY = "127.0.0.2", "127.0.0.3", "127.0.0.4"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

pytestmark = needs_linux


@pytest.fixture
def port() -> int:
    return free_port()


@asynccontextmanager
async def host(address: str, port: int, answer: bytes) -> AsyncIterator[list[bytes]]:
    """A host that reads a request, answers it so, and hangs up; what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b"\r\n")[0])
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, address, port)
    try:
        yield asked
    finally:
        server.close()
        await server.wait_closed()


async def test_where_one_takes_no_connection_the_next_one_is_asked(port: int) -> None:
    async with host(SERVING, port, ANSWER) as asked:
        proxy = Proxy([NOBODY, SERVING], port)
        for _ in range(2):
            assert (await proxy.exchange("POST", "/api/checkout")).status == 200
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("method", "path", "headers", "is_repeated"),
    [
        ("POST", "/api/checkout", {"Idempotency-Key": "key"}, True),
        ("POST", "/api/checkout", {}, False),
        ("POST", "/payments/webhook", {}, True),
        ("POST", "/mockpay/mock_1/emit", {}, False),
        ("GET", "/api/inventory", {}, True),
    ],
)
async def test_what_may_have_been_done_is_asked_again_only_where_twice_is_once(
    port: int, method: str, path: str, headers: Mapping[str, str], *, is_repeated: bool
) -> None:
    async with host(CUTTING, port, b"") as cut, host(SERVING, port, ANSWER) as served:
        proxy = Proxy([SERVING, CUTTING], port)
        if is_repeated:
            assert (await proxy.exchange(method, path, headers=headers)).status == 200
        else:
            with pytest.raises(NoAnswerError):
                await proxy.exchange(method, path, headers=headers)
    assert (len(cut), len(served)) == (1, is_repeated)


async def test_a_host_that_is_not_ready_is_asked_last(port: int) -> None:
    refusing = b"HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n"
    async with host(CUTTING, port, refusing), host(SERVING, port, ANSWER):
        proxy = Proxy([CUTTING, SERVING], port)

        async def all_are_served() -> bool:
            # Whoever is taken for ready is asked every other time.
            statuses = {(await proxy.exchange("GET", "/")).status for _ in range(4)}
            return statuses == {200}

        assert not await all_are_served()
        async with proxy.open():
            await until(all_are_served)
