"""The operator's login: who gets in, what a wrong guess is told, and what an attack changes."""

import asyncio
import hmac
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from typing import Any
from unittest.mock import create_autospec

import httpx
import pytest
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, TooManyRequestsException
from litestar.handlers import BaseRouteHandler

from tests.clock import Clock
from tests.http.api.test_api import client_of
from tests.http.office.test_admin import OPERATOR
from tests.shops import OpenShop
from tigerfans.http import app as app_module
from tigerfans.http.client_address import ClientAddresses
from tigerfans.http.office.auth import (
    basic_auth_guard,
)
from tigerfans.http.office.guesses import GUESSES_BURST, WAITING_PER_CLIENT_MAX, Guesses
from tigerfans.http.office.logins import Logins
from tigerfans.http.office.passes import COOKIE, PASS_SECONDS, RENEW_SECONDS, Passes
from tigerfans.office.passwords import Passwords
from tigerfans.office.permissions import Permission
from tigerfans.settings.settings import AdminSettings, LimitSettings, Settings
from tigerfans.stores.people import People
from tigerfans.stores.token_bucket import Rate, Token, TokenBucket

ADMIN = AdminSettings("admin", "pässword:with:colons")
RIGHT = "admin:pässword:with:colons".encode()
# So slow that the time which a test takes does not count.
BURST = 10
SLOW = Rate(per_second=1e-6, burst=BURST)


class CountedTokens:
    """As many as are asked for."""

    def __init__(self) -> None:
        self.taken = 0

    async def take(self) -> Token:
        self.taken += 1
        return Token(0.0, is_shared=False)

    async def give_back(self, token: Token) -> None:
        self.taken -= 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def passes(clock: Clock) -> Passes:
    return Passes("secret", clock)


@pytest.fixture
def tokens() -> CountedTokens:
    return CountedTokens()


@pytest.fixture
def login(passes: Passes, tokens: CountedTokens) -> "Login":
    return Login(passes, Guesses(tokens))


class Login:
    """One worker's login, as a handler's guard."""

    def __init__(self, passes: Passes, guesses: Guesses) -> None:
        nobody: Any = create_autospec(People, instance=True)
        nobody.all.return_value = []
        logins = Logins(ADMIN, nobody, Passwords())
        self._guard = basic_auth_guard(logins, passes, guesses, ClientAddresses())

    async def __call__(self, header: str | None, given_pass: str | None = None) -> str | None:
        """Logs in; the pass that is handed out."""
        connection: Any = create_autospec(ASGIConnection, instance=True)
        connection.headers = {} if header is None else {"authorization": header}
        connection.cookies = {} if given_pass is None else {COOKIE: given_pass}
        connection.scope = {"client": ("198.51.100.1", 1), "headers": []}
        handler: Any = create_autospec(BaseRouteHandler, instance=True)
        handler.opt = {"permission": Permission.ENTER}
        result = self._guard(connection, handler)
        if asyncio.iscoroutine(result):
            await result
        issued: str | None = connection.scope.get("tigerfans.operator_pass")
        return issued


def basic(credentials: bytes) -> str:
    return f"Basic {b64encode(credentials).decode()}"


async def test_the_operator_gets_in_for_no_token(login: Login, tokens: CountedTokens) -> None:
    await login(basic(RIGHT))
    assert tokens.taken == 0


@pytest.mark.parametrize(
    "credentials", [b"", b"admin:", b"admin:guess", b"Admin:p", b"admin", b"\xff\xfe:\x00"]
)
async def test_a_wrong_guess_is_refused_and_costs_a_token(
    login: Login, tokens: CountedTokens, credentials: bytes
) -> None:
    with pytest.raises(NotAuthorizedException):
        await login(basic(credentials))
    assert tokens.taken == 1


@pytest.mark.parametrize("header", [None, "", "Basic !", "Bearer abc", "Basic \xe9"])
async def test_what_is_no_guess_is_asked_for_the_login_at_once(
    login: Login, tokens: CountedTokens, header: str | None
) -> None:
    with pytest.raises(NotAuthorizedException) as refused:
        await login(header)
    assert refused.value.headers is not None
    assert refused.value.headers["WWW-Authenticate"].startswith("Basic ")
    assert tokens.taken == 0


async def test_a_guess_that_waits_too_long_is_told_when_to_come_back(passes: Passes) -> None:
    dry = TokenBucket(Rate(1e-9, 1))
    await dry.take()
    guesses = Guesses(dry, wait_seconds_max=0.01)
    login = Login(passes, guesses)
    with pytest.raises(TooManyRequestsException) as refused:
        await login(basic(RIGHT))
    assert refused.value.headers == {"Retry-After": "10"}
    await guesses.close()


# --- Passes ----------------------------------------------------------------------------------


async def test_who_has_logged_in_before_does_not_wait_while_others_guess(passes: Passes) -> None:
    dry = TokenBucket(Rate(1e-9, 1))
    login = Login(passes, Guesses(dry, wait_seconds_max=0.01))
    issued = await login(basic(RIGHT))
    await dry.take()
    assert issued
    assert await login(basic(RIGHT), issued) is None


async def test_a_pass_alone_opens_nothing(login: Login, tokens: CountedTokens) -> None:
    issued = await login(basic(RIGHT))
    with pytest.raises(NotAuthorizedException):
        await login(None, issued)
    with pytest.raises(NotAuthorizedException):
        await login(basic(b"admin:guess"), issued)
    assert tokens.taken == 1


async def test_a_pass_that_is_a_day_old_is_replaced(login: Login, clock: Clock) -> None:
    first = await login(basic(RIGHT))
    clock.seconds += RENEW_SECONDS + 1
    second = await login(basic(RIGHT), first)
    assert second not in (None, first)
    assert await login(basic(RIGHT), second) is None


def test_a_pass_is_good_for_a_month(passes: Passes, clock: Clock) -> None:
    issued = passes.issue(b"operator " + RIGHT)
    assert passes.seconds_left(issued, b"operator " + RIGHT) == PASS_SECONDS
    clock.seconds += PASS_SECONDS
    assert passes.seconds_left(issued, b"operator " + RIGHT) == 0


async def test_a_pass_of_the_release_before_is_good(passes: Passes, clock: Clock) -> None:
    key = hmac.digest(b"secret", b"operator " + RIGHT, "sha256")
    ends_at = str(int(clock.seconds) + 7)
    issued = f"{ends_at}.{hmac.digest(key, ends_at.encode(), 'sha256').hex()}"
    dry = TokenBucket(Rate(1e-9, 1))
    await dry.take()
    assert await Login(passes, Guesses(dry, wait_seconds_max=0.01))(basic(RIGHT), issued)


@pytest.mark.parametrize(
    ("secret", "proof"),
    [("secret", b"operator admin:another password"), ("another secret", b"operator " + RIGHT)],
    ids=["password", "secret"],
)
def test_a_pass_of_another_password_or_shop_is_none(
    passes: Passes, secret: str, proof: bytes
) -> None:
    assert passes.seconds_left(Passes(secret).issue(proof), b"operator " + RIGHT) == 0


@pytest.mark.parametrize("given", ["", ".", "99999999999.", "99999999999.00", "é.é", "x" * 99])
def test_what_is_no_pass_is_none(passes: Passes, given: str) -> None:
    assert passes.seconds_left(given, b"operator " + RIGHT) == 0


# --- Two workers under attack ----------------------------------------------------------------


@pytest.fixture
async def workers(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Two workers over the same Redis, of one host or of two, for all they know; in it, there is a
    burst of guesses and no more.
    """
    monkeypatch.setattr(app_module, "GUESS_RATE", SLOW)
    clients = [client_of(await open_shop()) for _ in range(2)]
    yield clients
    for client in clients:
        await client.aclose()


def guess(client: httpx.AsyncClient, i: int) -> asyncio.Task[httpx.Response]:
    headers = {"Authorization": basic(b"admin:guess %d" % i), "X-Forwarded-For": "203.0.113.7"}
    request = client.get("/api/admin/goodies", headers=headers)
    return asyncio.create_task(request, name=f"guess {i}")


async def test_two_workers_compare_no_more_guesses_than_one(
    workers: list[httpx.AsyncClient],
) -> None:
    guesses = [guess(workers[i % 2], i) for i in range(2 * WAITING_PER_CLIENT_MAX)]
    answered: set[asyncio.Task[httpx.Response]] = set()
    while len(answered) < BURST:
        answered, _ = await asyncio.wait(guesses, timeout=0.1)
    # Whatever else would be compared is compared before the answer to this.
    for worker in workers:
        assert (await worker.get("/healthz")).status_code == 200
    answered, waiting = await asyncio.wait(guesses, timeout=0)
    assert len(answered) == BURST
    assert {task.result().status_code for task in answered} == {401}
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


async def test_the_operator_gets_in_while_others_guess_at_both_workers(
    workers: list[httpx.AsyncClient],
) -> None:
    first, second = workers
    known = await first.get("/api/admin/goodies", headers=OPERATOR)
    assert known.status_code == 200
    assert "HttpOnly; SameSite=Strict" in known.headers["set-cookie"]
    guesses = [guess(workers[i % 2], i) for i in range(2 * WAITING_PER_CLIENT_MAX)]
    await asyncio.wait(guesses, return_when=asyncio.FIRST_COMPLETED)
    answered: set[asyncio.Task[httpx.Response]] = set()
    while len(answered) < BURST:
        answered, _ = await asyncio.wait(guesses, timeout=0.1)
    # The bucket is dry for days, and this browser is known to either worker.
    second.cookies.update(first.cookies)
    for worker in workers:
        let_in = await worker.get("/api/admin/goodies", headers=OPERATOR)
        assert let_in.status_code == 200
        assert "set-cookie" not in let_in.headers
    for task in guesses:
        task.cancel()
    await asyncio.wait(guesses)


async def test_an_operator_nobody_knows_is_next_in_line(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "GUESS_RATE", Rate(per_second=20.0, burst=GUESSES_BURST))
    behind_a_proxy = LimitSettings(trusted_proxies=(ip_network("127.0.0.1"),))
    settings = replace(Settings(), limits=behind_a_proxy)
    workers = [client_of(await open_shop(), settings) for _ in range(2)]
    guesses = [guess(workers[i % 2], i) for i in range(400)]
    await asyncio.wait(guesses, return_when=asyncio.FIRST_COMPLETED)
    let_in = await workers[0].get(
        "/api/admin/goodies", headers=OPERATOR | {"X-Forwarded-For": "198.51.100.1"}
    )
    assert let_in.status_code == 200
    # Those before it are still in line.
    assert not all(task.done() for task in guesses)
    for task in guesses:
        task.cancel()
    await asyncio.wait(guesses)
    for worker in workers:
        await worker.aclose()
