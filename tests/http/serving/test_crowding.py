"""A worker that has most of its connections taken hangs up after each answer."""

import errno
import os
from contextlib import ExitStack

import httpx
import pytest
from litestar.types import Receive, Scope, Send

from tests.http.asgi import client_of_app
from tigerfans.http.api.raw import respond
from tigerfans.http.serving.crowding import (
    KEPT_SHARE,
    REQUESTS_PER_LOOK,
    Crowding,
    open_files_min,
)

PLENTY = 1_000_000


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, b'"hello"')


async def answers(app: Crowding) -> list[str | None]:
    """What each of some clients is told of its connection."""
    client: httpx.AsyncClient
    async with client_of_app(app) as client:
        asked = [await client.get("/") for _ in range(2 * REQUESTS_PER_LOOK)]
    return [answer.headers.get("connection") for answer in asked]


async def test_while_there_is_room_connections_are_kept() -> None:
    assert set(await answers(Crowding(hello, PLENTY))) == {None}


async def test_once_there_is_little_left_each_answer_ends_its_connection() -> None:
    told = await answers(Crowding(hello, 1))
    before = REQUESTS_PER_LOOK - 1
    assert told[:before] == [None] * before
    assert set(told[before:]) == {"close"}


async def test_when_there_is_room_again_connections_are_kept_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = iter([int(KEPT_SHARE * PLENTY), 10])
    monkeypatch.setattr("tigerfans.http.serving.crowding.open_files_min", lambda: next(taken))
    told = await answers(Crowding(hello, PLENTY))
    assert told[REQUESTS_PER_LOOK - 1] == "close"
    assert told[-1] is None


async def test_a_worker_that_may_have_no_more_files_open_answers_and_hangs_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def open_files_min() -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("tigerfans.http.serving.crowding.open_files_min", open_files_min)
    assert (await answers(Crowding(hello, PLENTY)))[-1] == "close"


def test_it_is_seen_how_many_files_are_open_at_least() -> None:
    before = open_files_min()
    with ExitStack() as stack:
        for _ in range(50):
            file = os.open(os.devnull, os.O_RDONLY)
            stack.callback(os.close, file)
        # Whatever was free below is taken by the first of them.
        assert open_files_min() > before
        assert open_files_min() >= 50
    assert open_files_min() == before
