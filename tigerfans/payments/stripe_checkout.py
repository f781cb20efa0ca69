"""Stripe: the buyer pays at its Checkout, and webhooks tell the shop.

The hold decides. A session has to be payable for at least 30 minutes (from Stripe's documentation),
which is far longer than a ticket should wait for somebody in a rush. So it outlives its hold, and
is ended by the API when the hold has ended (`expire`, asked for by a clerk); Stripe ends it by
itself half an hour later. Who pays in between is served as any who pays late: with a ticket while
there are any, else with the money back. `TIGERFANS_HOLD_SECONDS` is the one setting of it.

Stripe bounds how much it is asked a second, of each kind: all workers together keep to a rate below
that, by Redis, with a bucket for each. Before that of opening there is a line, somewhat slower than
it: a buyer's place there is the time from which on the session may be opened, and whoever comes
then finds a token, or nearly. Where many are late, since the shop was away say, those who are the
latest come first, by waiting longer for a token.

What is answered with 429, 409, 5xx or not at all is asked again after pauses, by us and not by the
library, which passes over 429 and knows no deadline. A session or refund is made under an
idempotency key; as Stripe documents, that may repeat a 5xx as well, by a header that says so, and
then the next key is taken. Two sessions do no harm, for a buyer is only sent to the one that is
stored; and before a refund is made, those there are are read, for Stripe forgets its keys after a
day.

Authorising first (`capture_method=manual`) is left out: the ledger has held the tickets before
anybody pays, so it would only help who pays after the hold, and only by card, while every sale
would take a second request within the rush.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from math import inf
from typing import Any, Final, TypeVar, cast

import orjson
import stripe

from tigerfans.errors import NotYourTurnError, ProviderError
from tigerfans.payments.base import PAY_PAGE, Books, EventType, Headers, Payment, PaymentEvent
from tigerfans.payments.provider_sessions import ProviderSession, ProviderSessions
from tigerfans.payments.stripe_amounts import to_minor_units
from tigerfans.payments.stripe_words import (
    NO_REFUND,
    SESSION_PREFIX,
    Account,
    CheckoutSession,
    decided,
    event_of,
    read_event,
    read_session,
)
from tigerfans.stores.token_bucket import Tokens
from tigerfans.stores.waiting_line import WaitingLine

SIGNATURE_HEADER: Final = "stripe-signature"

# To find the card, type its number, and tell the bank's app that it is meant.
HOLD_SECONDS_MIN: Final = 60
# How long a session has to be payable at least, counted from when it is opened, and at most.
SESSION_SECONDS_MIN: Final = 30 * 60
SESSION_SECONDS_MAX: Final = 24 * 3600
# For clocks that differ, and the way.
CLOCK_SECONDS: Final = 120

# Of one request. It may have been done all the same, and is asked again under the same key.
REQUEST_SECONDS_MAX: Final = 4.0
PAUSES_SECONDS: Final = (0.3, 0.8, 2.0)
# Whose turn comes within that waits for it in the request, and sees no page that says so. As long
# is waited behind the turn, for a token; who is late waits for somewhat longer, by that share of
# it, up to as long as a page can wait.
WAIT_HERE_SECONDS_MAX: Final = 2.0
LATE_SHARE: Final = 0.05
WAIT_LATE_SECONDS_MAX: Final = 4.0
# Of one payment, which has fewer.
REFUNDS_READ_AT_ONCE: Final = 100
FAILURE_STATUS: Final = 500
# It has an answer that was given under the same key before.
REPLAYED_HEADER: Final = "idempotent-replayed"
# All of the payment's money went back before: by hand at Stripe's Dashboard, say.
ALL_GIVEN_BACK: Final = "charge_already_refunded"
# What a payment intent is whose money does not come any more.
REFUSED: Final = ("requires_payment_method", "canceled")
# A conflict, with the same request under way, and too many.
ASKED_AGAIN: Final = (409, 429)
DIGEST_DIGITS: Final = 16

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

    The line goes on somewhat more slowly than there are tokens to open with: the rest is for what
    is asked twice, and lets who is late catch up. `openings` are as many as a process opens at the
    same time: a Stripe that is slow is not asked for more and more, until all of it comes too late.
    """

    line: WaitingLine
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


class Stripe:
    """Implements `PaymentProvider`; what it asks raises `ProviderError` where Stripe refuses, or
    does not answer.
    """

    name: Final = "Stripe"
    signature_header: Final = SIGNATURE_HEADER

    def __init__(
        self,
        client: stripe.StripeClient,
        account: Account,
        sessions: ProviderSessions,
        limits: Limits,
        books: Books,
        currency: str,
        hold_seconds_min: int = HOLD_SECONDS_MIN,
    ) -> None:
        self._api = client.v1
        self._account = account
        self._sessions = sessions
        self._limits = limits
        self.books: Final = books
        # The shop's: what is given back is told in it.
        self._currency = currency
        self.hold_seconds_min: Final = hold_seconds_min

    @property
    def line(self) -> WaitingLine:
        """Where buyers wait for their session."""
        return self._limits.line

    def session_id(self, order_id: str) -> str:
        return SESSION_PREFIX + order_id

    def order_id(self, session_id: str) -> str | None:
        order_id = session_id.removeprefix(SESSION_PREFIX)
        return None if order_id == session_id else order_id

    def page_url(self, order_id: str) -> str:
        return PAY_PAGE.format(order_id=order_id)

    def read_webhook(self, headers: Headers, body: bytes) -> PaymentEvent | None:
        return read_event(self._account, headers.get(SIGNATURE_HEADER), body)

    async def open(self, payment: Payment) -> str:
        """The address of the order's session, which is opened where there is none.

        Raises `NotYourTurnError` where others come first.
        """
        place = await self._limits.line.join(payment.order_id)
        # Thousands ask while they wait, and Redis alone answers them.
        if place.wait_seconds > WAIT_HERE_SECONDS_MAX or not place.is_taken:
            raise NotYourTurnError(place.wait_seconds)
        stored = await self._sessions.find(payment.order_id)
        if stored is not None:
            return stored.url
        await asyncio.sleep(place.wait_seconds)
        late_seconds = max(0.0, -place.wait_seconds)
        patience = min(WAIT_HERE_SECONDS_MAX + LATE_SHARE * late_seconds, WAIT_LATE_SECONDS_MAX)
        params = self._session_params(payment)
        key = f"{payment.order_id}-{_digest(params)}"

        async def create(failures: int) -> stripe.checkout.Session:
            await self._limits.take(Kind.OPEN, patience)
            return await self._api.checkout.sessions.create_async(
                cast(Any, params), {"idempotency_key": _key(key, failures)}
            )

        async with self._limits.opening(patience):
            session = await until_answered(create)
        if session.url is None:
            raise ProviderError("Stripe gave a session that cannot be paid.")
        opened = ProviderSession(
            session.id, session.url, datetime.fromtimestamp(session.expires_at, UTC)
        )
        return (await self._sessions.add(payment.order_id, opened)).url

    async def look_up(self, order_id: str) -> PaymentEvent | None:
        stored = await self._sessions.find(order_id)
        # Without a session nobody can have paid: it is stored before its buyer is sent there.
        if stored is None or stored.ended_at is not None:
            return None
        session = read_session(await self._retrieve(stored.session_id))
        event = decided(session)
        if session.status == "expired":
            await self._sessions.end(order_id)
        elif event is None and session.status == "complete":
            await self._sessions.submit(order_id)
            return await self._refused(session)
        return event

    async def _refused(self, session: CheckoutSession) -> PaymentEvent | None:
        """What the bank has decided of a debit, where that is no: its session stays as it was."""
        intent_id = session.payment_intent
        if intent_id is None:
            return None

        async def retrieve(_: int) -> stripe.PaymentIntent:
            await self._limits.take(Kind.FIND_PAYMENT)
            return await self._api.payment_intents.retrieve_async(intent_id)

        intent = await until_answered(retrieve)
        return event_of(session, EventType.FAILED) if intent.status in REFUSED else None

    async def is_under_way(self, order_id: str) -> bool:
        stored = await self._sessions.find(order_id)
        return stored is not None and stored.submitted_at is not None

    async def expire(self, order_id: str) -> None:
        stored = await self._sessions.find(order_id)
        if stored is None or stored.ended_at is not None:
            return

        async def end(_: int) -> None:
            await self._limits.take(Kind.EXPIRE)
            await self._api.checkout.sessions.expire_async(stored.session_id)

        try:
            await until_answered(end)
        except ProviderError as error:
            # Only an open one can be expired: it was paid meanwhile, or has expired by itself.
            if not isinstance(error.__cause__, stripe.InvalidRequestError):
                raise
            return
        await self._sessions.end(order_id)

    async def refund(self, order_id: str, reference: str | None, amount: int, key: str) -> None:
        intent = reference or await self._payment_intent(order_id)
        params: Any = {
            "payment_intent": intent,
            "amount": to_minor_units(amount, self._currency),
            "metadata": {"key": key, "shop": self._account.shop},
        }

        async def make(failures: int) -> stripe.Refund:
            before = await self._refund_under(intent, key)
            if before is not None:
                return before
            await self._limits.take(Kind.REFUND)
            return await self._api.refunds.create_async(
                params, {"idempotency_key": _key(f"refund-{key}", failures)}
            )

        try:
            made = await until_answered(make)
        except ProviderError as error:
            # The buyer has all of it, and more is never due of a payment than it brought.
            if _code(error) == ALL_GIVEN_BACK:
                return
            raise
        if made.status in NO_REFUND:
            raise ProviderError(f"Stripe could not give the money back: it says {made.status}.")

    async def _refund_under(self, intent: str, key: str) -> stripe.Refund | None:
        """The refund that was made under a key, unless it came to nothing."""
        await self._limits.take(Kind.LIST_REFUNDS)
        made = await self._api.refunds.list_async(
            {"payment_intent": intent, "limit": REFUNDS_READ_AT_ONCE}
        )
        for refund in made.data:
            told = refund.metadata.to_dict() if refund.metadata else {}
            if told.get("key") == key and refund.status not in NO_REFUND:
                return refund
        return None

    async def _payment_intent(self, order_id: str) -> str:
        """What the payment of an order is called; raises `ProviderError` where there is none."""
        stored = await self._sessions.find(order_id)
        intent = None
        if stored is not None:
            intent = read_session(await self._retrieve(stored.session_id)).payment_intent
        if intent is None:
            raise ProviderError("Stripe knows of no payment of this order.")
        return intent

    async def _retrieve(self, session_id: str) -> stripe.checkout.Session:
        async def retrieve(_: int) -> stripe.checkout.Session:
            await self._limits.take(Kind.LOOK_UP)
            return await self._api.checkout.sessions.retrieve_async(session_id)

        return await until_answered(retrieve)

    def _session_params(self, payment: Payment) -> dict[str, Any]:
        """The same for the same order, whenever it is asked for: so is the digest of them."""
        ends = int(payment.expires_at.timestamp())
        expires_at = min(
            ends + SESSION_SECONDS_MIN + CLOCK_SECONDS,
            int(payment.held_at.timestamp()) + SESSION_SECONDS_MAX - CLOCK_SECONDS,
        )
        metadata = {
            "shop": self._account.shop,
            "order_id": payment.order_id,
            "cls": payment.cls,
            "hold_ends": str(ends),
        }
        price = {
            "currency": payment.currency,
            "unit_amount": to_minor_units(payment.price, payment.currency),
            "product_data": {"name": payment.name},
        }
        params = {
            "mode": "payment",
            "client_reference_id": payment.order_id,
            "line_items": [{"price_data": price, "quantity": payment.qty}],
            "metadata": metadata,
            "payment_intent_data": {"metadata": metadata},
            "success_url": payment.success_url,
            "cancel_url": payment.cancel_url,
            "expires_at": expires_at,
        }
        return params | ({"customer_email": payment.email} if payment.email else {})


async def until_answered(
    ask: Callable[[int], Awaitable[Output]], pauses_seconds: Sequence[float] | None = None
) -> Output:
    """What Stripe answers, which is asked again after pauses. `ask` takes under how many keys it
    keeps a 5xx.

    Raises `ProviderError` where it refuses, or never answers.
    """
    failures = 0
    for pause_seconds in (*(pauses_seconds or PAUSES_SECONDS), None):
        try:
            return await ask(failures)
        except stripe.StripeError as error:
            failures += _is_kept(error)
            if pause_seconds is None or not _may_be_asked_again(error):
                logger.warning("Stripe refused: %s", _told(error))
                raise ProviderError("Stripe refused, or did not answer.") from error
        await asyncio.sleep(pause_seconds)
    raise AssertionError("the last pause is None")


def _code(error: ProviderError) -> str | None:
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


def _digest(params: dict[str, Any]) -> str:
    """Under one key Stripe takes no other parameters: of another release, say."""
    return sha256(orjson.dumps(params, option=orjson.OPT_SORT_KEYS)).hexdigest()[:DIGEST_DIGITS]
