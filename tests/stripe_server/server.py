"""The server: the API, the hosted page and the verbs on one port of this machine, and the task that
sends webhooks.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx

from tests.stripe_server.account import SESSION_SECONDS_MIN, Account, Terms
from tests.stripe_server.api import Api
from tests.stripe_server.misbehaviour import OVERALL, PER_ENDPOINT, Misbehaviour
from tests.stripe_server.page import PATH, HostedPage
from tests.stripe_server.store import Store
from tests.stripe_server.verbs import CONTROL, Verbs
from tests.stripe_server.webhooks import ANSWER_SECONDS_MAX, Endpoint, Manners, Webhooks
from tests.stripe_server.wire import NO_AUTHORITIES, Answer, HttpServer, Request

# Nobody but this machine has business with it.
HOST: Final = "127.0.0.1"
TEST_KEY: Final = "sk_test_tigerfans"
LIVE_KEY: Final = "sk_live_tigerfans"
# How late a session may be told to have expired, and a debit to be decided.
LATE_SECONDS_MAX: Final = 0.2


@dataclass(frozen=True)
class Options:
    """How a server is started. `file` keeps what it has over a kill, the endpoints too; `endpoints`
    take the place of those. How it misbehaves is forgotten.
    """

    port: int
    file: Path | None = None
    endpoints: tuple[Endpoint, ...] = ()
    per_endpoint: float | None = PER_ENDPOINT
    overall: float | None = OVERALL
    session_seconds_min: int = SESSION_SECONDS_MIN
    debit_seconds: float | None = None
    manners: Manners = field(default_factory=Manners)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


class StripeServer:
    """To be stopped by whoever started it; the same file may be opened again after that."""

    def __init__(self, options: Options) -> None:
        self.options = options

    async def start(self) -> None:
        options = self.options
        self._store = Store(options.file)
        self._client = httpx.AsyncClient(
            timeout=ANSWER_SECONDS_MAX, verify=NO_AUTHORITIES, trust_env=False
        )
        self._webhooks = Webhooks(self._store, self._client, options.manners)
        if options.endpoints:
            self._webhooks.send_to(options.endpoints)
        terms = Terms(
            page=options.url + PATH,
            session_seconds_min=options.session_seconds_min,
            debit_seconds=options.debit_seconds,
        )
        webhooks = self._webhooks
        self._account = Account(self._store, terms, webhooks.announce, webhooks.receivers)
        misbehaviour = Misbehaviour(options.per_endpoint, options.overall)
        keys = {TEST_KEY: False, LIVE_KEY: True}
        self._api = Api(self._account, self._store, misbehaviour, keys)
        self._page = HostedPage(self._account, self._store)
        self._verbs = Verbs(self._account, self._store, self._api, webhooks, misbehaviour)
        self._http = HttpServer(self._answer)
        try:
            await self._http.start(HOST, options.port)
        except OSError:
            await self._close()
            raise
        self._tasks = [
            asyncio.create_task(self._webhooks.run(), name="webhooks"),
            asyncio.create_task(self._pass_time(), name="time"),
        ]

    async def stop(self) -> None:
        await self._http.stop()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        await self._close()

    async def _close(self) -> None:
        await self._client.aclose()
        self._store.close()

    async def _pass_time(self) -> None:
        while True:
            self._account.pass_due()
            self._store.commit()
            await asyncio.sleep(LATE_SECONDS_MAX)

    async def _answer(self, request: Request) -> Answer:
        if request.path.startswith("/v1/"):
            return await self._api.answer(request)
        if request.path.startswith(CONTROL):
            return await self._verbs.answer(request)
        if request.method in ("GET", "HEAD", "POST"):
            return self._page.answer(request)
        return Answer(HTTPStatus.METHOD_NOT_ALLOWED)
