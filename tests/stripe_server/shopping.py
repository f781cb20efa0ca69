"""What a shop asks of the library, in the words of the tests."""

import time
from types import TracebackType
from typing import Any, Self, cast

import stripe
from stripe.checkout import Session
from stripe.params import RefundCreateParams
from stripe.params.checkout import SessionCreateParams

PRICE = 6500
SUCCESS_URL = "http://shop.test/demo/success?session={CHECKOUT_SESSION_ID}"
CANCEL_URL = "http://shop.test/demo/checkout"
# More than the least, which is counted from when the server reads it.
SESSION_SECONDS = 31 * 60


class Library:
    """The library's client for one server; `v1` is the library's own. It tries nothing twice."""

    def __init__(self, url: str, key: str, *, tries_again: int = 0) -> None:
        self._http = stripe.HTTPXClient(verify_ssl_certs=False)
        self._client = stripe.StripeClient(
            key,
            base_addresses={"api": url},
            http_client=self._http,
            max_network_retries=tries_again,
        )
        self.v1 = self._client.v1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def open(self, order: str = "order", *, key: str | None = None, **params: Any) -> Session:
        """Opens a session for one ticket; `params` take the place of what it has."""
        wanted = cast(SessionCreateParams, {**session_params(order), **params})
        return await self.v1.checkout.sessions.create_async(wanted, _options(key))

    async def refund(
        self, payment_intent: str, *, key: str | None = None, **params: Any
    ) -> stripe.Refund:
        wanted = cast(RefundCreateParams, {"payment_intent": payment_intent, **params})
        return await self.v1.refunds.create_async(wanted, _options(key))

    async def session(self, session_id: str) -> Session:
        return await self.v1.checkout.sessions.retrieve_async(session_id)


def _options(key: str | None) -> stripe.RequestOptions:
    return {} if key is None else {"idempotency_key": key}


def session_params(order: str) -> dict[str, Any]:
    return {
        "mode": "payment",
        "line_items": [line_item()],
        "client_reference_id": order,
        "metadata": {"order_id": order, "cls": "A"},
        "customer_email": "fan@example.com",
        "success_url": SUCCESS_URL,
        "cancel_url": CANCEL_URL,
        "expires_at": int(time.time()) + SESSION_SECONDS,
        "payment_intent_data": {"metadata": {"order_id": order}},
    }


def line_item(unit_amount: int = PRICE, currency: str = "eur", quantity: int = 1) -> dict[str, Any]:
    product = {"name": "Class A ticket"}
    price = {"currency": currency, "unit_amount": unit_amount, "product_data": product}
    return {"price_data": price, "quantity": quantity}
