"""The page of a buyer who has lost the ticket: it is sent again, by the email it was bought with.

It never says whether an address has orders: what is asked for is stored, and the answer is given
before anybody has looked (`stores.mail_requests`). Who asks too often is told so by where they ask
from, never by which address they ask about.
"""

import math
from hashlib import blake2b
from typing import Any, Final

from litestar import Request, Response, Router, get, post
from litestar.params import FromQuery
from litestar.response import Redirect

from tigerfans.booking.email_address import EMAIL_CHARACTERS_MAX, folded, read_email
from tigerfans.booking.ids import hash_key
from tigerfans.errors import InvalidEmailError, TooManyRequestsError
from tigerfans.http.client_address import ClientAddresses
from tigerfans.http.pages.rendering import Renderer
from tigerfans.http.pages.shop_pages import FORM_SIZE_BYTES_MAX, read_form, text_of
from tigerfans.http.problems import Problem, explain
from tigerfans.http.reading import body_in_time
from tigerfans.stores.mail_requests import MailRequests
from tigerfans.stores.token_bucket import Rate, RunScript, SharedTokenBucket, TokenBucket

PATH: Final = "/demo/again"
DIGEST_BYTES: Final = 16
# A household asks for a few addresses at once, and whoever is in doubt for one of them twice.
CLIENT_RATE: Final = Rate(1 / 60, 5)
EMAIL_RATE: Final = Rate(1 / 600, 2)


class Askers:
    """Who asks how often. In Redis, which forgets them, they are digests that only we can make."""

    def __init__(self, run: RunScript, secret: str, workers: int) -> None:
        self._run = run
        self._workers = workers
        self._digest = blake2b(digest_size=DIGEST_BYTES, key=hash_key(secret), person=b"again")
        # While Redis is away: of all together, in this worker.
        self._own = {
            rate: TokenBucket(rate.shared_by(workers)) for rate in (CLIENT_RATE, EMAIL_RATE)
        }

    async def wait_seconds(self, rate: Rate, who: str) -> float:
        """How long they have to wait before they may ask; 0 where they may, and have by that."""
        digest = self._digest.copy()
        digest.update(who.encode())
        key = f"again:{digest.hexdigest()}"
        bucket = SharedTokenBucket(self._run, key, rate, self._workers)
        token = await bucket.take()
        if not token.is_shared:
            token = await self._own[rate].take()
        if token.wait_seconds > 0:
            await (bucket if token.is_shared else self._own[rate]).give_back(token)
        return token.wait_seconds


def again_router(
    *, requests: MailRequests, askers: Askers, renderer: Renderer, clients: ClientAddresses
) -> Router:
    """The page and its form."""

    def page(
        email: str = "", *, asked: bool = False, problem: Problem | None = None
    ) -> Response[str]:
        return renderer.page(
            "again.html",
            status_code=problem.status_code if problem else 200,
            headers=problem.headers if problem else None,
            email=email,
            email_max=EMAIL_CHARACTERS_MAX,
            asked=asked,
            problem=problem,
        )

    @get(PATH)
    async def again_page(asked: FromQuery[str] = "") -> Response[str]:
        return page(asked=bool(asked))

    @post(PATH, request_max_body_size=FORM_SIZE_BYTES_MAX, middleware=[body_in_time])
    async def ask(request: Request[Any, Any, Any]) -> Response[Any]:
        typed = text_of((await read_form(request)).get("customer_email"))
        try:
            email = read_email(typed)
            client = clients.of(request.scope)
            if client is not None and (
                wait := await askers.wait_seconds(CLIENT_RATE, f"client:{client}")
            ):
                raise TooManyRequestsError(math.ceil(wait))
            # Whoever asks about one address again and again hears what everybody hears.
            if not await askers.wait_seconds(EMAIL_RATE, f"email:{folded(email)}"):
                await requests.add(email)
        except Exception as error:
            problem = explain(error)
            if problem is None:
                raise
            return page(typed if isinstance(error, InvalidEmailError) else email, problem=problem)
        # By another address, so that who loads the page again asks no second time.
        return Redirect(f"{PATH}?asked=1", status_code=303)

    return Router("/", route_handlers=[again_page, ask], include_in_schema=False)
