"""Stripe: the buyer pays at its Checkout, and webhooks tell the shop.

The hold decides. A session has to be payable for at least 30 minutes (from Stripe's documentation),
which is far longer than a ticket should wait for somebody in a rush. So it outlives its hold, and
is ended by the API when the hold has ended (`expire`, asked for by a clerk); Stripe ends it by
itself half an hour later. Who pays in between is served as any who pays late: with a ticket while
there are any, else with the money back. `TIGERFANS_HOLD_SECONDS` is the one setting of it.

How much Stripe is asked a second is bounded (`stripe_requests`). Before the bucket of openings
there is a line, somewhat slower than it: a buyer's place there is the time from which on the
session may be opened, and whoever comes then finds a token, or nearly. Where many are late, since
the shop was away say, those who are the latest come first, by waiting longer for a token. Two
sessions of an order do no harm, for a buyer is only sent to the one that is stored.

Authorising first (`capture_method=manual`) is left out: the ledger has held the tickets before
anybody pays, so it would only help who pays after the hold, and only by card, while every sale
would take a second request within the rush.
"""

import asyncio
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import orjson

from tigerfans.errors import NotYourTurnError, ProviderError
from tigerfans.payments.base import PAY_PAGE, Books, EventType, Headers, Payment, PaymentEvent
from tigerfans.payments.provider_sessions import ProviderSession, ProviderSessions
from tigerfans.payments.stripe_amounts import to_minor_units
from tigerfans.payments.stripe_requests import StripeRequests, code_of
from tigerfans.payments.stripe_words import (
    NO_REFUND,
    SESSION_PREFIX,
    Account,
    CheckoutSession,
    decided,
    event_of,
    read_event,
)
from tigerfans.stores.waiting_line import WaitingLine

SIGNATURE_HEADER: Final = "stripe-signature"

# To find the card, type its number, and tell the bank's app that it is meant.
HOLD_SECONDS_MIN: Final = 60
# How long a session has to be payable at least, counted from when it is opened, and at most.
SESSION_SECONDS_MIN: Final = 30 * 60
SESSION_SECONDS_MAX: Final = 24 * 3600
# For clocks that differ, and the way.
CLOCK_SECONDS: Final = 120

# Whose turn comes within that waits for it in the request, and sees no page that says so. As long
# is waited behind the turn, for a token; who is late waits for somewhat longer, by that share of
# it, up to as long as a page can wait.
WAIT_HERE_SECONDS_MAX: Final = 2.0
LATE_SHARE: Final = 0.05
WAIT_LATE_SECONDS_MAX: Final = 4.0
# All of the payment's money went back before: by hand at Stripe's Dashboard, say.
ALL_GIVEN_BACK: Final = "charge_already_refunded"
# What a payment intent is whose money does not come any more.
REFUSED: Final = ("requires_payment_method", "canceled")
DIGEST_DIGITS: Final = 16


class Stripe:
    """Implements `PaymentProvider`; what it asks raises `ProviderError` where Stripe refuses, or
    does not answer.
    """

    name: Final = "Stripe"
    signature_header: Final = SIGNATURE_HEADER

    def __init__(
        self,
        requests: StripeRequests,
        line: WaitingLine,
        account: Account,
        sessions: ProviderSessions,
        books: Books,
        currency: str,
        hold_seconds_min: int = HOLD_SECONDS_MIN,
    ) -> None:
        self._requests = requests
        # Where buyers wait for their session.
        self.line: Final = line
        self._account = account
        self._sessions = sessions
        self.books: Final = books
        # The shop's: what is given back is told in it.
        self._currency = currency
        self.hold_seconds_min: Final = hold_seconds_min

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
        place = await self.line.join(payment.order_id)
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
        session = await self._requests.open_session(params, key, patience)
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
        session = await self._requests.session(stored.session_id)
        event = decided(session)
        if session.status == "expired":
            await self._sessions.end(order_id)
        elif event is None and session.status == "complete":
            await self._sessions.submit(order_id)
            return await self._refused(session)
        return event

    async def _refused(self, session: CheckoutSession) -> PaymentEvent | None:
        """What the bank has decided of a debit, where that is no: its session stays as it was."""
        if session.payment_intent is None:
            return None
        intent = await self._requests.payment_intent(session.payment_intent)
        return event_of(session, EventType.FAILED) if intent.status in REFUSED else None

    async def is_under_way(self, order_id: str) -> bool:
        stored = await self._sessions.find(order_id)
        return stored is not None and stored.submitted_at is not None

    async def expire(self, order_id: str) -> None:
        stored = await self._sessions.find(order_id)
        if stored is None or stored.ended_at is not None:
            return
        if await self._requests.expire_session(stored.session_id):
            await self._sessions.end(order_id)

    async def refund(self, order_id: str, reference: str | None, amount: int, key: str) -> None:
        intent_id = reference or await self._payment_intent(order_id)
        params = {
            "amount": to_minor_units(amount, self._currency),
            "metadata": {"shop": self._account.shop},
        }
        try:
            made = await self._requests.refund(intent_id, params, key)
        except ProviderError as error:
            # The buyer has all of it, and more is never due of a payment than it brought.
            if code_of(error) == ALL_GIVEN_BACK:
                return
            raise
        if made.status in NO_REFUND:
            raise ProviderError(f"Stripe could not give the money back: it says {made.status}.")

    async def _payment_intent(self, order_id: str) -> str:
        """What the payment of an order is called; raises `ProviderError` where there is none."""
        stored = await self._sessions.find(order_id)
        intent = None
        if stored is not None:
            intent = (await self._requests.session(stored.session_id)).payment_intent
        if intent is None:
            raise ProviderError("Stripe knows of no payment of this order.")
        return intent

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


def _digest(params: dict[str, Any]) -> str:
    """Under one key Stripe takes no other parameters: of another release, say."""
    return sha256(orjson.dumps(params, option=orjson.OPT_SORT_KEYS)).hexdigest()[:DIGEST_DIGITS]
