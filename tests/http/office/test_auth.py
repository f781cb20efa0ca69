"""The operator's login: who gets in, and what a wrong guess costs."""

import asyncio
from base64 import b64encode
from unittest.mock import create_autospec

import pytest
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler

from tigerfans.http.office.auth import (
    FAILED_LOGIN_SECONDS,
    FAILED_LOGIN_SECONDS_MAX,
    basic_auth_guard,
)
from tigerfans.settings.settings import AdminSettings

GUARD = basic_auth_guard(AdminSettings("admin", "pässword:with:colons"))


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the login has made somebody wait."""
    seconds: list[float] = []

    async def sleep(delay: float) -> None:
        seconds.append(delay)

    monkeypatch.setattr("tigerfans.http.office.auth.asyncio.sleep", sleep)
    return seconds


async def log_in(header: str | None) -> None:
    headers = {} if header is None else {"authorization": header}
    connection = create_autospec(ASGIConnection, instance=True)
    connection.headers = headers
    result = GUARD(connection, create_autospec(BaseRouteHandler, instance=True))
    if asyncio.iscoroutine(result):
        await result


def basic(credentials: bytes) -> str:
    return f"Basic {b64encode(credentials).decode()}"


async def test_the_operator_gets_in_without_waiting(slept: list[float]) -> None:
    await log_in(basic("admin:pässword:with:colons".encode()))
    assert slept == []


@pytest.mark.parametrize(
    "credentials", [b"", b"admin:", b"admin:guess", b"Admin:p", b"admin", b"\xff\xfe:\x00"]
)
async def test_a_wrong_guess_is_refused_and_slowed(slept: list[float], credentials: bytes) -> None:
    with pytest.raises(NotAuthorizedException):
        await log_in(basic(credentials))
    assert slept == [FAILED_LOGIN_SECONDS]


async def test_many_guesses_at_once_are_slowed_more(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds: list[float] = []
    guessing = asyncio.Event()

    async def sleep(delay: float) -> None:
        seconds.append(delay)
        await guessing.wait()

    monkeypatch.setattr("tigerfans.http.office.auth.asyncio.sleep", sleep)
    guesses = [asyncio.create_task(log_in(basic(b"admin:guess")), name="guess") for _ in range(30)]
    await asyncio.wait(guesses, timeout=0)
    guessing.set()
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {NotAuthorizedException}
    assert seconds[:3] == [1 * FAILED_LOGIN_SECONDS, 2 * FAILED_LOGIN_SECONDS, 1.5]
    assert seconds[-1] == FAILED_LOGIN_SECONDS_MAX
    with pytest.raises(NotAuthorizedException):
        await log_in(basic(b"admin:guess"))
    assert seconds[-1] == FAILED_LOGIN_SECONDS


@pytest.mark.parametrize("header", [None, "", "Basic !", "Bearer abc", "Basic \xe9"])
async def test_what_is_no_guess_is_asked_for_the_login_at_once(
    slept: list[float], header: str | None
) -> None:
    with pytest.raises(NotAuthorizedException) as refused:
        await log_in(header)
    assert refused.value.headers is not None
    assert refused.value.headers["WWW-Authenticate"].startswith("Basic ")
    assert slept == []
