"""What the shop asks Stripe: each kind of request within its rate, and again until it is answered.

Stripe bounds how much it is asked a second, of each kind: all workers together keep to a rate below
that, by Redis, with a bucket for each. What is answered with 429, 409, 5xx or not at all is asked
again after pauses, by us and not by the library, which passes over 429 and knows no deadline.

A session or refund is made under an idempotency key; as Stripe documents, that may repeat a 5xx as
well, by a header that says so, and then the next key is taken.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Any, Final, TypeVar

import stripe

from tigerfans.errors import NotYourTurnError, ProviderError
from tigerfans.payments.stripe_words import NO_REFUND, CheckoutSession, read_session
from tigerfans.stores.token_bucket import Tokens

# Of one request. It may have been done all the same, and is asked again under the same key.
REQUEST_SECONDS_MAX: Final = 4.0
PAUSES_SECONDS: Final = (0.3, 0.8, 2.0)
# Where nobody waits for the answer: a list that stops in the middle has to begin anew.
PATIENT_PAUSES_SECONDS: Final = (*PAUSES_SECONDS, 5.0, 15.0, 30.0)
PAYMENTS_READ_AT_ONCE: Final = 100
# Of one payment, which has fewer.
REFUNDS_READ_AT_ONCE: Final = 100
FAILURE_STATUS: Final = 500
# It has an answer that was given under the same key before.
REPLAYED_HEADER: Final = "idempotent-replayed"
# A conflict, with the same request under way, and too many.
ASKED_AGAIN: Final = (409, 429)

logger = logging.getLogger(__name__)

Output = TypeVar("Output")


class Kind(StrEnum):
    """What Stripe is asked, of each so much a second."""

    OPEN = "open"
    LOOK_UP = "look up"
    EXPIRE = "expire"
    LIST_PAYMENTS = "list payments"
    FIND_PAYMENT = "find payment"
    LIST_REFUNDS = "list refunds"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class Limits:
    """How all workers together keep to what Stripe takes.

    `openings` are as many sessions as a process opens at the same time: a Stripe that is slow is
    not asked for more and more, until all of it comes too late.
    """

    tokens: Mapping[Kind, Tokens]
    openings: asyncio.Semaphore

    async def take(self, kind: Kind, wait_seconds_max: float = inf) -> None:
        """Waits for a token; raises `NotYourTurnError` where it would be for longer."""
        tokens = self.tokens[kind]
        token = await tokens.take()
        if token.wait_seconds > wait_seconds_max:
            # It is the next one's: no turn is kept for who may not come back.
            await tokens.give_back(token)
            raise NotYourTurnError(token.wait_seconds)
        await asyncio.sleep(token.wait_seconds)

    @asynccontextmanager
    async def opening(self, wait_seconds_max: float) -> AsyncIterator[None]:
        """Holds one of the openings; raises as `take`."""
        try:
            async with asyncio.timeout(wait_seconds_max):
                await self.openings.acquire()
        except TimeoutError:
            raise NotYourTurnError(wait_seconds_max) from None
        try:
            yield
        finally:
            self.openings.release()


class StripeRequests:
    """Asks Stripe, and again after pauses; every method raises `ProviderError` where it refuses, or
    never answers.
    """

    def __init__(
        self,
        client: stripe.StripeClient,
        limits: Limits,
        pauses_seconds: Sequence[float],
    ) -> None:
        self._api = client.v1
        self._limits = limits
        self._pauses_seconds = pauses_seconds

    async def open_session(
        self, params: Any, key: str, wait_seconds_max: float
    ) -> stripe.checkout.Session:
        """The session that is opened under a key; raises `NotYourTurnError` as `Limits.take`."""

        async def create(failures: int) -> stripe.checkout.Session:
            await self._limits.take(Kind.OPEN, wait_seconds_max)
            return await self._api.checkout.sessions.create_async(
                params, {"idempotency_key": _key(key, failures)}
            )

        async with self._limits.opening(wait_seconds_max):
            return await self._until_answered(create)

    async def session(self, session_id: str) -> CheckoutSession:
        async def retrieve(_: int) -> stripe.checkout.Session:
            await self._limits.take(Kind.LOOK_UP)
            return await self._api.checkout.sessions.retrieve_async(session_id)

        return read_session(await self._until_answered(retrieve))

    async def expire_session(self, session_id: str) -> bool:
        """Ends a session; False where it was not open, for it is paid, or has expired by itself."""

        async def end(_: int) -> None:
            await self._limits.take(Kind.EXPIRE)
            await self._api.checkout.sessions.expire_async(session_id)

        try:
            await self._until_answered(end)
        except ProviderError as error:
            if not is_invalid(error):
                raise
            return False
        return True

    async def payment_intents(self, params: Any) -> stripe.ListObject[stripe.PaymentIntent]:
        async def read(_: int) -> stripe.ListObject[stripe.PaymentIntent]:
            await self._limits.take(Kind.LIST_PAYMENTS)
            return await self._api.payment_intents.list_async(
                params | {"limit": PAYMENTS_READ_AT_ONCE}
            )

        return await self._until_answered(read)

    async def payment_intent(
        self, intent_id: str, expand: Sequence[str] = ()
    ) -> stripe.PaymentIntent:
        async def retrieve(_: int) -> stripe.PaymentIntent:
            await self._limits.take(Kind.FIND_PAYMENT)
            return await self._api.payment_intents.retrieve_async(
                intent_id, {"expand": list(expand)}
            )

        return await self._until_answered(retrieve)

    async def refunds(self, intent_id: str) -> list[stripe.Refund]:
        """All of a payment."""

        async def read(_: int) -> list[stripe.Refund]:
            return await self._list_refunds(intent_id)

        return await self._until_answered(read)

    async def refund(self, intent_id: str, params: Any, key: str) -> stripe.Refund:
        """The refund that was made under a key, unless it came to nothing; else it is made.

        Those there are are read before, each time, for Stripe forgets its keys after a day.
        """

        async def make(failures: int) -> stripe.Refund:
            for made in await self._list_refunds(intent_id):
                told = made.metadata.to_dict() if made.metadata else {}
                if told.get("key") == key and made.status not in NO_REFUND:
                    return made
            await self._limits.take(Kind.REFUND)
            metadata = params.get("metadata", {}) | {"key": key}
            return await self._api.refunds.create_async(
                params | {"payment_intent": intent_id, "metadata": metadata},
                {"idempotency_key": _key(f"refund-{key}", failures)},
            )

        return await self._until_answered(make)

    async def _list_refunds(self, intent_id: str) -> list[stripe.Refund]:
        await self._limits.take(Kind.LIST_REFUNDS)
        made = await self._api.refunds.list_async(
            {"payment_intent": intent_id, "limit": REFUNDS_READ_AT_ONCE}
        )
        return made.data

    async def _until_answered(self, ask: Callable[[int], Awaitable[Output]]) -> Output:
        """What is answered; `ask` takes under how many keys Stripe keeps a 5xx."""
        failures = 0
        for pause_seconds in (*self._pauses_seconds, None):
            try:
                return await ask(failures)
            except stripe.StripeError as error:
                failures += _is_kept(error)
                if pause_seconds is None or not _may_be_asked_again(error):
                    logger.warning("Stripe refused: %s", _told(error))
                    raise ProviderError("Stripe refused, or did not answer.") from error
            await asyncio.sleep(pause_seconds)
        raise AssertionError("the last pause is None")


def is_invalid(error: ProviderError) -> bool:
    """Whether Stripe refused what was asked for as such: it knows of none, or not in that state."""
    return isinstance(error.__cause__, stripe.InvalidRequestError)


def code_of(error: ProviderError) -> str | None:
    """What Stripe calls the reason of its refusal, where it told one."""
    cause = error.__cause__
    return cause.code if isinstance(cause, stripe.StripeError) else None


def _is_kept(error: stripe.StripeError) -> bool:
    """Whether that is what Stripe answers under this key from now on: a 5xx, and not for the first
    time.

    Whoever asks under the next key must know that nothing is done under this one any more, by
    nobody: two who press at once would else give money back twice.
    """
    is_failure = (error.http_status or 0) >= FAILURE_STATUS
    return is_failure and (error.headers or {}).get(REPLAYED_HEADER) == "true"


def _may_be_asked_again(error: stripe.StripeError) -> bool:
    status = error.http_status or 0
    return (
        isinstance(error, stripe.APIConnectionError)
        or status >= FAILURE_STATUS
        or status in ASKED_AGAIN
    )


def _told(error: stripe.StripeError) -> str:
    """What goes to the log: Stripe's own words may have a part of the key in them."""
    return f"{type(error).__name__} {error.http_status} {error.code} ({error.request_id})"


def _key(key: str, failures: int) -> str:
    """The idempotency key behind so many answers that it repeats, and that say nothing."""
    return f"{key}-{failures}" if failures else key
