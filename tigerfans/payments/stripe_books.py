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
from tigerfans.payments.stripe_requests import StripeRequests, is_invalid
from tigerfans.payments.stripe_words import Account, PaymentIntent, Refund, payment_of

_CHARGE: Final = "latest_charge.refunds"


class StripeBooks:
    """Implements `Books`."""

    def __init__(
        self,
        requests: StripeRequests,
        account: Account,
        sessions: ProviderSessions,
    ) -> None:
        self._requests = requests
        self._account = account
        self._sessions = sessions

    async def payments(
        self, since: datetime, until: datetime
    ) -> AsyncGenerator[Sequence[ProviderPayment], None]:
        params: Any = {
            "created": {"gte": int(since.timestamp()), "lte": int(until.timestamp())},
            "expand": [f"data.{_CHARGE}"],
        }
        while True:
            page = await self._requests.payment_intents(params)
            payments = [await self._payment(intent) for intent in page.data]
            yield [payment for payment in payments if payment is not None]
            if not page.has_more:
                return
            params["starting_after"] = page.data[-1].id

    async def find(self, order_id: str, reference: str | None) -> ProviderPayment | None:
        intent_id = reference or await self._intent_of_session(order_id)
        if intent_id is None:
            return None
        try:
            intent = await self._requests.payment_intent(intent_id, [_CHARGE])
        except ProviderError as error:
            # Of the other mode, say, or of another account.
            if not is_invalid(error):
                raise
            return None
        return await self._payment(intent)

    async def _intent_of_session(self, order_id: str) -> str | None:
        stored = await self._sessions.find(order_id)
        if stored is None:
            return None
        return (await self._requests.session(stored.session_id)).payment_intent

    async def _payment(self, told: stripe.PaymentIntent) -> ProviderPayment | None:
        """None where nothing was charged, or somebody else sells by the same account."""
        if not told.amount_received or told.metadata.to_dict().get("shop") != self._account.shop:
            return None
        intent = msgspec.convert(told.to_dict(), PaymentIntent)
        charge = intent.latest_charge
        if charge is None or not charge.refunds.has_more:
            return payment_of(intent, charge.refunds.data if charge else ())
        refunds = await self._requests.refunds(intent.id)
        return payment_of(intent, [msgspec.convert(each.to_dict(), Refund) for each in refunds])
