"""What Stripe has charged for a shop, to be compared with the orders.

Payment intents are listed, each with its last charge and that one's refunds: so a hundred payments
take one request, and those are among them of whose sessions the shop knows nothing. From Stripe's
documentation (lists, expansions, refunds):

- A list has the newest first, in pages of up to 100, each from the one behind an id on; so what is
  begun meanwhile moves nothing. `created` is when a payment was begun: one by a debit is charged
  days later. A list has what is of the key's mode alone.
- `data.latest_charge.refunds` is expanded into each, three of four levels deep; the newest ten
  refunds of a charge, and where there are more they are listed.
- A refund that is `pending` may still be `failed`, days later: then its money is the account's
  again, and the buyer has to have it another way. `disputed` says of a charge that the buyer's bank
  has asked for it back, whatever came of that.
"""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import stripe

from tigerfans.errors import ProviderError
from tigerfans.payments.base import ProviderPayment
from tigerfans.payments.provider_sessions import ProviderSessions
from tigerfans.payments.stripe_checkout import (
    PAUSES_SECONDS,
    REFUNDS_READ_AT_ONCE,
    Kind,
    Limits,
    until_answered,
)
from tigerfans.payments.stripe_words import (
    Account,
    PaymentIntent,
    Refund,
    payment_of,
    read_session,
)

PAYMENTS_READ_AT_ONCE: Final = 100
# Nobody waits for a list, and one that stops in the middle has to begin anew.
PATIENT_PAUSES_SECONDS: Final = (*PAUSES_SECONDS, 5.0, 15.0, 30.0)
_CHARGE: Final = "latest_charge.refunds"


class StripeBooks:
    """Implements `Books`."""

    def __init__(
        self,
        client: stripe.StripeClient,
        account: Account,
        sessions: ProviderSessions,
        limits: Limits,
    ) -> None:
        self._api = client.v1
        self._account = account
        self._sessions = sessions
        self._limits = limits

    async def payments(
        self, since: datetime, until: datetime
    ) -> AsyncGenerator[Sequence[ProviderPayment], None]:
        params: Any = {
            "created": {"gte": int(since.timestamp()), "lte": int(until.timestamp())},
            "limit": PAYMENTS_READ_AT_ONCE,
            "expand": [f"data.{_CHARGE}"],
        }

        async def read(_: int) -> stripe.ListObject[stripe.PaymentIntent]:
            await self._limits.take(Kind.LIST_PAYMENTS)
            return await self._api.payment_intents.list_async(params)

        while True:
            page = await until_answered(read, PATIENT_PAUSES_SECONDS)
            payments = [await self._payment(intent) for intent in page.data]
            yield [payment for payment in payments if payment is not None]
            if not page.has_more:
                return
            params["starting_after"] = page.data[-1].id

    async def find(self, order_id: str, reference: str | None) -> ProviderPayment | None:
        intent_id = reference or await self._intent_of_session(order_id)
        if intent_id is None:
            return None

        async def retrieve(_: int) -> stripe.PaymentIntent:
            await self._limits.take(Kind.FIND_PAYMENT)
            return await self._api.payment_intents.retrieve_async(intent_id, {"expand": [_CHARGE]})

        try:
            intent = await until_answered(retrieve, PATIENT_PAUSES_SECONDS)
        except ProviderError as error:
            # Of the other mode, say, or of another account.
            if not isinstance(error.__cause__, stripe.InvalidRequestError):
                raise
            return None
        return await self._payment(intent)

    async def _intent_of_session(self, order_id: str) -> str | None:
        stored = await self._sessions.find(order_id)
        if stored is None:
            return None

        async def retrieve(_: int) -> stripe.checkout.Session:
            await self._limits.take(Kind.LOOK_UP)
            return await self._api.checkout.sessions.retrieve_async(stored.session_id)

        session = await until_answered(retrieve, PATIENT_PAUSES_SECONDS)
        return read_session(session).payment_intent

    async def _payment(self, told: stripe.PaymentIntent) -> ProviderPayment | None:
        """None where nothing was charged, or somebody else sells by the same account."""
        if not told.amount_received or told.metadata.to_dict().get("shop") != self._account.shop:
            return None
        intent = msgspec.convert(told.to_dict(), PaymentIntent)
        charge = intent.latest_charge
        if charge is None or not charge.refunds.has_more:
            return payment_of(intent, charge.refunds.data if charge else ())
        return payment_of(intent, await self._refunds(intent.id))

    async def _refunds(self, intent_id: str) -> list[Refund]:
        """All of a payment, which has fewer than are read at once."""

        async def read(_: int) -> stripe.ListObject[stripe.Refund]:
            await self._limits.take(Kind.LIST_REFUNDS)
            return await self._api.refunds.list_async(
                {"payment_intent": intent_id, "limit": REFUNDS_READ_AT_ONCE}
            )

        made = await until_answered(read, PATIENT_PAUSES_SECONDS)
        return [msgspec.convert(each.to_dict(), Refund) for each in made.data]
