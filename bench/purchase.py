"""One purchase, request by request, as a buyer's browser or the payment provider makes it.

    browser    checkout, MockPay's button, the page it leads to, the order's status
    provider   checkout, a signed webhook in place of MockPay, the order's status

What becomes of it is an outcome: the order's final status, `sold out`, `all on hold`, `busy`,
`unresolved` where the order never came to a final status, or what went wrong.
"""

import asyncio
import hmac
import secrets
import time
from array import array
from base64 import b64encode
from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from bench.http_client import Address, Connection, HttpError, Response

SOLD_OUT: Final = "sold out"
ON_HOLD: Final = "all on hold"
BUSY: Final = "busy"
PENDING: Final = "PENDING"
UNRESOLVED: Final = "unresolved"
PURCHASE_SECONDS_MAX: Final = 30.0
# A shop that is gone is not asked as fast as the loop turns.
GONE_SECONDS: Final = 0.1

WHOLE: Final = "purchase"
# Of the Idempotency-Key, as many as in the shop's own form.
KEY_BYTES: Final = 16


class Via(StrEnum):
    BROWSER = "browser"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a buyer is about to do; `payment` is succeeded, failed or canceled."""

    cls: str
    email: str
    payment: str
    qty: int = 1

    @property
    def fulfilled(self) -> str:
        """The status in which its order ends if all goes well."""
        return {"succeeded": "PAID", "failed": "FAILED", "canceled": "CANCELED"}[self.payment]


@dataclass(frozen=True, slots=True)
class Polling:
    """How an order is asked for that is still pending, or that is not there yet.

    MockPay sends what was not confirmed again, and a shop may write an order down only when it was
    paid.
    """

    interval_seconds: float = 0.1
    seconds_max: float = 10.0


POLLING: Final = Polling()


class Requests:
    """Whole requests as bytes, for one shop."""

    def __init__(self, address: Address, secret: str) -> None:
        self._host = str(address)
        self._secret = secret.encode()

    def get(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nhost: {self._host}\r\n\r\n".encode()

    def checkout(self, wish: Wish) -> bytes:
        """With a new Idempotency-Key, as the shop's page sends it: sent again, it is a replay."""
        body: dict[str, Any] = {"cls": wish.cls, "customer_email": wish.email}
        if wish.qty != 1:
            body["qty"] = wish.qty
        key = f"idempotency-key: {secrets.token_hex(KEY_BYTES)}\r\n"
        return self._post("/api/checkout", orjson.dumps(body), "application/json", key)

    def press_button(self, payment_page: str, payment: str) -> bytes:
        """A button of MockPay's page."""
        form = "application/x-www-form-urlencoded"
        return self._post(f"{payment_page}/emit", f"t={payment}".encode(), form)

    def webhook(self, order: dict[str, Any], wish: Wish) -> bytes:
        body = event(order, wish)
        signature = f"x-mockpay-signature: {sign(self._secret, body)}\r\n"
        return self._post("/payments/webhook", body, "application/json", signature)

    def _post(self, path: str, body: bytes, media_type: str, header: str = "") -> bytes:
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {self._host}\r\n{header}"
            f"content-type: {media_type}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def event(order: dict[str, Any], wish: Wish) -> bytes:
    """The body of the webhook with which MockPay tells how `order` was paid."""
    psid = order["redirect_url"].rpartition("/")[2]
    return orjson.dumps(
        {
            "type": f"payment.{wish.payment}",
            "payment_session_id": psid,
            "order_id": order["order_id"],
            "amount": order["amount"],
            "currency": order["currency"],
            "created_at": int(time.time()),
            "idempotency_key": f"{psid}:payment.{wish.payment}",
            "cls": wish.cls,
            "customer_email": wish.email,
        }
    )


def sign(secret: bytes, body: bytes) -> str:
    """The webhook's signature: base64 of the body's HMAC-SHA256."""
    return b64encode(hmac.digest(secret, body, "sha256")).decode()


class Record:
    """Outcomes, and latencies in seconds by step; the step `purchase` is the whole of it."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.fulfilled = 0
        self.seconds: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))

    def observe(self, step: str, started: float) -> None:
        """`started` is a moment of `time.perf_counter`."""
        self.seconds[step].append(time.perf_counter() - started)

    def count(self, outcome: str, wish: Wish) -> None:
        self.outcomes[outcome] += 1
        self.fulfilled += outcome == wish.fulfilled

    @property
    def total(self) -> int:
        return self.outcomes.total()


class RefusedError(Exception):
    """The purchase ends here; the message is its outcome."""


class Buyer:
    """Makes one purchase after the other over one connection, which it opens again where needed."""

    def __init__(
        self,
        address: Address,
        requests: Requests,
        via: Via,
        record: Record,
        polling: Polling = POLLING,
    ) -> None:
        self._address = address
        self._requests = requests
        self._via = via
        self._record = record
        self._polling = polling
        self._connection: Connection | None = None

    async def buy(self, wish: Wish, started: float | None = None) -> None:
        """One purchase, recorded; its latency counts from `started`, by default from now."""
        started = time.perf_counter() if started is None else started
        try:
            async with asyncio.timeout(PURCHASE_SECONDS_MAX):
                outcome = await self._buy(wish)
        except RefusedError as refusal:
            outcome = str(refusal)
        except (HttpError, OSError) as error:
            outcome = f"error: {str(error) or type(error).__name__}"
            await asyncio.sleep(GONE_SECONDS)
        else:
            self._record.observe(WHOLE, started)
        self._record.count(outcome, wish)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    async def _buy(self, wish: Wish) -> str:
        placed = await self._step("checkout", self._requests.checkout(wish), 200)
        order = orjson.loads(placed.body)
        if self._via is Via.BROWSER:
            button = self._requests.press_button(order["redirect_url"], wish.payment)
            paid = await self._step("pay", button, 303)
            page = paid.header("location") or "/"
            await self._step("page", self._requests.get(page), 200)
        else:
            await self._step("pay", self._requests.webhook(order, wish), 200)
        return await self._final_status(self._requests.get(f"/api/orders/{order['order_id']}"))

    async def _final_status(self, request: bytes) -> str:
        deadline = time.perf_counter() + self._polling.seconds_max
        while True:
            answer = await self._step("status", request, 200, 404)
            status: str = PENDING if answer.status == 404 else orjson.loads(answer.body)["status"]
            if status != PENDING:
                return status
            if time.perf_counter() >= deadline:
                raise RefusedError(UNRESOLVED)
            await asyncio.sleep(self._polling.interval_seconds)

    async def _step(self, name: str, request: bytes, *expected: int) -> Response:
        if self._connection is None or not self._connection.is_open:
            self._connection = await Connection.open(self._address)
        started = time.perf_counter()
        response = await self._connection.request(request)
        self._record.observe(name, started)
        if response.status in expected:
            return response
        # What is on hold may come back, and the answer says when to ask again.
        none_left = ON_HOLD if response.header("retry-after") else SOLD_OUT
        refusals = {409: none_left, 503: BUSY}
        raise RefusedError(refusals.get(response.status) or f"error: {response.status} to {name}")
