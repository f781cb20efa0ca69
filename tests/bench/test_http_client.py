import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.http_client import Address, Connection, HttpError, Response, ResponseReader
from tests.bench.fake_shop import Answer, FakeShop, Request

ANSWER = b"HTTP/1.1 303 See Other\r\nLocation: /there\r\ncontent-LENGTH: 5\r\n\r\nhello"
GET = b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n"


@given(st.lists(st.integers(0, len(ANSWER)), max_size=5))
def test_an_answer_is_read_however_it_is_split(cuts: list[int]) -> None:
    reader = ResponseReader()
    bounds = [0, *sorted(cuts), len(ANSWER)]
    answers = [reader.feed(ANSWER[a:b]) for a, b in itertools.pairwise(bounds)]
    read = [answer for answer in answers if answer is not None]
    assert read == [Response(303, ANSWER[:-5], b"hello")]


def test_one_answer_after_the_other_is_read() -> None:
    reader = ResponseReader()
    assert reader.feed(ANSWER) == reader.feed(ANSWER)


def test_a_header_is_found_whatever_its_case() -> None:
    response = ResponseReader().feed(ANSWER)
    assert response is not None
    assert (response.header("location"), response.header("x-other")) == ("/there", None)


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ANSWER + b"HTTP/1.1",
        bytes(5 * 1024 * 1024),
    ],
)
def test_what_is_not_one_answer_with_a_length_is_an_error(garbage: bytes) -> None:
    with pytest.raises(HttpError):
        ResponseReader().feed(garbage)


async def test_a_connection_is_used_again(shop: FakeShop, address: Address) -> None:
    shop.answers("/", Answer(200, b"first"), Answer(503, b"second"))
    connection = await Connection.open(address)
    first, second = await connection.request(GET), await connection.request(GET)
    assert [(r.status, r.body) for r in (first, second)] == [(200, b"first"), (503, b"second")]
    connection.close()
    assert not connection.is_open


async def test_a_request_on_a_closed_connection_is_an_error(address: Address) -> None:
    connection = await Connection.open(address)
    connection.close()
    with pytest.raises(HttpError):
        await connection.request(GET)


async def test_a_shop_that_hangs_up_fails_the_request(shop: FakeShop, address: Address) -> None:
    async def hang_up(_: Request) -> Answer:
        raise ConnectionError

    shop.routes["/"] = hang_up
    connection = await Connection.open(address)
    with pytest.raises(HttpError, match="closed"):
        await connection.request(GET)
    assert not connection.is_open


async def test_a_connection_is_not_used_again_once_the_shop_said_goodbye(
    shop: FakeShop, address: Address
) -> None:
    shop.answers("/", Answer(headers="Connection: close\r\n"))
    connection = await Connection.open(address)
    assert (await connection.request(GET)).status == 200
    assert not connection.is_open


async def test_a_cancelled_request_closes_its_connection(shop: FakeShop, address: Address) -> None:
    asked, released = asyncio.Event(), asyncio.Event()

    async def wait(_: Request) -> Answer:
        asked.set()
        await released.wait()
        return Answer()

    shop.routes["/"] = wait
    connection = await Connection.open(address)
    request = asyncio.create_task(connection.request(GET))
    await asked.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert not connection.is_open
    released.set()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8000", Address("127.0.0.1", 8000)),
        ("http://[::1]:8000/", Address("::1", 8000)),
        ("http://shop.example", Address("shop.example", 80)),
    ],
)
def test_an_address_is_read_from_a_url(url: str, address: Address) -> None:
    assert Address.parse(url) == address


@pytest.mark.parametrize("url", ["shop", "https://shop", "http://shop:x", "http://shop/path", ""])
def test_anything_else_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(BenchError, match="URL"):
        Address.parse(url)
