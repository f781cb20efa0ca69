"""What a test has of the server, wherever that runs: how it is reached, and what it is told."""

from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Final, Self

import httpx

from tests.stripe_server.account import How, Outcome
from tests.stripe_server.misbehaviour import Rule
from tests.stripe_server.store import Thing
from tests.stripe_server.verbs import CONTROL
from tests.stripe_server.webhooks import Endpoint, Manners
from tests.stripe_server.wire import NO_AUTHORITIES

# On a machine that is busy with other things.
ANSWER_SECONDS_MAX: Final = 60.0


class Control:
    """To be closed; raises `RefusedError` with the sentence of a verb that cannot be done."""

    def __init__(self, url: str) -> None:
        # Which is what the library's `base_addresses` takes as `api` too.
        self.url = url
        self._client = httpx.AsyncClient(
            base_url=url, timeout=ANSWER_SECONDS_MAX, verify=NO_AUTHORITIES
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    # What a buyer and a bank do

    async def attempt(self, session_id: str, how: How = "card") -> Thing:
        """Presses a button of the hosted page; the session as it is then."""
        return dict(await self._do("attempt", session_id=session_id, how=how))

    async def settle(self, session_id: str, outcome: Outcome = "succeeded") -> Thing:
        """Decides a debit."""
        return dict(await self._do("settle", session_id=session_id, outcome=outcome))

    async def fail_refund(self, refund_id: str) -> Thing:
        """The money of a refund comes back, since the buyer's bank does not take it."""
        return dict(await self._do("fail_refund", refund_id=refund_id))

    async def dispute(self, session_id: str) -> Thing:
        """The buyer's bank asks for a payment back."""
        return dict(await self._do("dispute", session_id=session_id))

    async def pass_time(self, seconds: float) -> None:
        """As if all there is were so much older: what is due by that is done."""
        await self._do("pass_time", seconds=seconds)

    # What there is

    async def payments(self) -> list[Thing]:
        """Of each session, the oldest first: `session`, `client_reference_id`, `metadata`,
        `currency`, `amount`, `status`, `payment_status`, `payment_intent`, `charged`, `refunded`.
        """
        return list(await self._do("payments"))

    async def money(self, *, is_live: bool = False) -> dict[str, dict[str, int]]:
        """By currency: `charged`, `refunded`, and what is `left`, in the smallest unit."""
        return dict(await self._do("money", is_live=is_live))

    async def events(self, types: Sequence[str] | None = None) -> list[Thing]:
        """The oldest first."""
        return list(await self._do("events", types=types))

    async def answers(self) -> dict[tuple[str, int], int]:
        """How many requests of each endpoint were answered by each status; 0 is none, a cut."""
        return {(name, status): count for name, status, count in await self._do("answers")}

    async def under_way(self) -> dict[str, int]:
        """How many requests of each endpoint wait for their answer."""
        return dict(await self._do("under_way"))

    # Webhooks

    async def send_to(self, *endpoints: Endpoint) -> None:
        """Events go to these from now on, and no longer to others."""
        await self._do("send_to", endpoints=[asdict(endpoint) for endpoint in endpoints])

    async def behave(self, manners: Manners) -> None:
        """How webhooks are sent from now on. What is held is sent as soon as they are `on`."""
        await self._do("behave", **asdict(manners))

    async def undelivered(self) -> list[Thing]:
        """What was not confirmed yet: `event`, `url`, `attempts`, `due_at`."""
        return list(await self._do("undelivered"))

    async def hurry(self) -> None:
        """Sends now what waits for its next attempt, or is delayed."""
        await self._do("hurry")

    async def deliver(
        self, events: Sequence[str], *, age_seconds: int = 0, secret: str | None = None
    ) -> list[int | None]:
        """Sends these events now, one after the other, once more or in another order; the statuses
        that they were answered with. `age_seconds` makes the timestamp older, `secret` signs.
        """
        return list(
            await self._do("deliver", events=list(events), age_seconds=age_seconds, secret=secret)
        )

    async def tell(self, kind: str, thing: Thing, *, is_live: bool = False) -> Thing:
        """Sends an event of any type about any object, which is all that is said of it."""
        return dict(await self._do("tell", kind=kind, thing=thing, is_live=is_live))

    # Misbehaviour

    async def misbehave(self, *rules: Rule) -> None:
        """These rules hold from now on, and none of before."""
        await self._do("misbehave", rules=[asdict(rule) for rule in rules])

    async def limit(self, per_endpoint: float | None = None, overall: float | None = None) -> None:
        """Requests a second; None is no limit."""
        await self._do("limit", per_endpoint=per_endpoint, overall=overall)

    async def _do(self, verb: str, **arguments: Any) -> Any:
        response = await self._client.post(CONTROL + verb, json=arguments)
        if response.is_error:
            raise RefusedError(response.json()["detail"])
        return response.json()


class RefusedError(Exception):
    """The server cannot do that; the message says why."""
