"""The HTTP contract of the shop, as FastAPI serves it, over a `Peer` that sells.

Tuned as somebody would who has measured it: a body is read by pydantic in one step, an answer is
written by orjson and handed to the framework as it is, and an order's id derives from the
Idempotency-Key, so that a retry needs no table of keys.
"""

import asyncio
import hmac
import logging
import os
from base64 import b32encode, b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal, NamedTuple, Protocol, Self, TypeVar
from uuid import UUID, uuid4

import orjson
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, StringConstraints, ValidationError

PRICES: Final = {"A": 6500, "B": 3500}
CURRENCY: Final = "eur"
GOODIES: Final = 100
SIGNATURE_HEADER: Final = "x-mockpay-signature"
SESSION_PREFIX: Final = "mock_"
EXPIRE_PAUSE_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 1
ON_HOLD_RETRY_SECONDS: Final = 10
TICKETS_PER_ORDER_MAX: Final = 10
# Orders that are over unpaid: their key places no second hold behind the buyer's back.
ENDED: Final = ("FAILED", "CANCELED", "EXPIRED")
PAID: Final = ("PAID", "PAID_UNFULFILLED")

Body = TypeVar("Body", bound=BaseModel)

logger = logging.getLogger("peer")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a peer is told by its environment; `tickets` are there of each class."""

    database_url: str = "postgresql:///peer"
    redis_url: str = "redis://localhost"
    tickets: int = 100_000
    hold_seconds: float = 300.0
    # Connections to PostgreSQL of each worker.
    connections: int = 10
    secret: str = "supersecret"  # noqa: S105 - the demonstration's own

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        usual = cls()
        return cls(
            environ.get("PEER_DATABASE_URL", usual.database_url),
            environ.get("PEER_REDIS_URL", usual.redis_url),
            int(environ.get("PEER_TICKETS", usual.tickets)),
            float(environ.get("PEER_HOLD_SECONDS", usual.hold_seconds)),
            int(environ.get("PEER_CONNECTIONS", usual.connections)),
            environ.get("MOCK_SECRET", usual.secret),
        )

    def order_id(self, key: str | None) -> UUID:
        """The order of an Idempotency-Key, always the same one; without a key a new one."""
        if key is None:
            return uuid4()
        digest = blake2b(key.encode(), digest_size=16, key=self.secret.encode()[:64]).digest()
        return UUID(bytes=digest)

    def ticket_codes(self, order_id: UUID, qty: int) -> list[str]:
        """Derived, so that a replay repeats them."""
        key = self.secret.encode()[:64]
        seeds = (order_id.bytes + bytes([number]) for number in range(qty))
        digests = (blake2b(seed, digest_size=10, key=key).digest() for seed in seeds)
        return [f"TF-{b32encode(digest).decode()}" for digest in digests]


class Wish(BaseModel):
    """The body of a checkout."""

    cls: Literal["A", "B"]
    customer_email: Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]
    qty: int = 1


class Event(BaseModel):
    """The body of a webhook."""

    type: Literal["payment.succeeded", "payment.failed", "payment.canceled"]
    order_id: UUID
    amount: int
    currency: str
    cls: Literal["A", "B"] = "A"
    customer_email: str = ""

    @property
    def status(self) -> str:
        """What an order that is pending becomes by it."""
        ends = {"payment.failed": "FAILED", "payment.canceled": "CANCELED"}
        return ends.get(self.type, "PAID")


class Order(NamedTuple):
    id: UUID
    status: str
    cls: str
    qty: int
    email: str
    amount: int
    paid_at: datetime | None = None
    got_goodie: bool = False


class Stock(NamedTuple):
    """Of a class."""

    capacity: int
    available: int
    held: int


class ContractError(Exception):
    """Becomes an answer: a status and a sentence, and when to ask again."""

    status = 400
    retry_seconds: int | None = None


class UnknownOrderError(ContractError):
    """There is no such order."""

    status = 404


class NoneLeftError(ContractError):
    """No ticket can be held; with `is_on_hold` some may come back."""

    status = 409

    def __init__(self, *, is_on_hold: bool) -> None:
        super().__init__("The last tickets are on hold." if is_on_hold else "Sold out.")
        self.retry_seconds = ON_HOLD_RETRY_SECONDS if is_on_hold else None


class UsedKeyError(ContractError):
    status = 409


class AwayError(ContractError):
    """A store is away, and whether something was done is not known: to be sent again."""

    status = 503
    retry_seconds = RETRY_SECONDS


class Peer(Protocol):
    """Sells tickets. Whatever a method has returned is durable; all raise `AwayError`."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def hold(self, order: Order) -> Order:
        """Holds an order's tickets, or finds what became of it; raises `NoneLeftError`."""

    async def settle(self, event: Event) -> tuple[str, bool]:
        """The order's status after an event, and whether it was so before."""

    async def order(self, order_id: UUID) -> Order | None: ...

    async def stock(self) -> dict[str, Stock]: ...

    async def expire(self) -> None:
        """Gives back what was held for too long."""


def serve(peer: Peer, settings: Settings) -> FastAPI:
    """The application of a peer."""
    secret = settings.secret.encode()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await peer.open()
        stopping = asyncio.Event()
        expiring = asyncio.create_task(_expire_until(stopping, peer), name="expire")
        try:
            yield
        finally:
            # Not cancelled: a client library might take that for its own timeout.
            stopping.set()
            await expiring
            await peer.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None)

    @app.exception_handler(ContractError)
    async def explain(_: Request, error: ContractError) -> Response:
        seconds = error.retry_seconds
        headers = None if seconds is None else {"retry-after": str(seconds)}
        return _json({"detail": str(error) or error.__doc__}, error.status, headers)

    @app.post("/api/checkout")
    async def checkout(request: Request) -> Response:
        wish = _read(Wish, await request.body())
        if not 1 <= wish.qty <= TICKETS_PER_ORDER_MAX:
            raise ContractError(f"Please choose 1 to {TICKETS_PER_ORDER_MAX} tickets.")
        order_id = settings.order_id(request.headers.get("idempotency-key"))
        amount = wish.qty * PRICES[wish.cls]
        wanted = Order(order_id, "PENDING", wish.cls, wish.qty, wish.customer_email, amount)
        order = await peer.hold(wanted)
        if (order.cls, order.qty, order.email) != (wanted.cls, wanted.qty, wanted.email):
            raise UsedKeyError("This Idempotency-Key was sent with another order.")
        if order.status in ENDED:
            raise UsedKeyError("This order has ended unpaid. Please start a new one.")
        answer = {
            "order_id": order_id.hex,
            "redirect_url": f"/mockpay/{SESSION_PREFIX}{order_id.hex}",
            "amount": amount,
            "currency": CURRENCY,
        }
        return _json(answer)

    @app.post("/payments/webhook")
    async def webhook(request: Request) -> Response:
        body = await request.body()
        signature = b64encode(hmac.digest(secret, body, "sha256"))
        told = request.headers.get(SIGNATURE_HEADER, "").encode()
        if not hmac.compare_digest(signature, told):
            raise ContractError("The signature is not valid.")
        status, is_replay = await peer.settle(_read(Event, body))
        answer: dict[str, Any] = {"ok": True, "order_status": status}
        return _json(answer | {"idempotent": True} if is_replay else answer)

    @app.get("/api/orders/{order_id}")
    async def order_status(order_id: str) -> Response:
        try:
            order = await peer.order(UUID(order_id))
        except ValueError:
            order = None
        if order is None:
            raise UnknownOrderError
        codes = settings.ticket_codes(order.id, order.qty) if order.status == "PAID" else []
        answer = {
            "order_id": order.id.hex,
            "status": order.status,
            "cls": order.cls,
            "qty": order.qty,
            "amount": order.amount,
            "currency": CURRENCY,
            "paid_at": order.paid_at,
            "ticket_code": codes[0] if codes else None,
            "got_goodie": order.got_goodie,
            "tickets": [{"code": code, "refunded_at": None} for code in codes],
        }
        return _json(answer)

    @app.get("/api/inventory")
    async def inventory() -> Response:
        timestamp = datetime.now(UTC)
        stock = await peer.stock()
        return _json({cls: _stock_answer(stock[cls], timestamp) for cls in sorted(stock)})

    return app


def _stock_answer(stock: Stock, timestamp: datetime) -> dict[str, Any]:
    sold = stock.capacity - stock.available - stock.held
    state = "on_hold" if stock.held else "sold_out"
    return {
        "capacity": stock.capacity,
        "sold": sold,
        "active_holds": stock.held,
        "available": stock.available,
        "state": "on_sale" if stock.available > 0 else state,
        "sold_out": sold >= stock.capacity,
        "timestamp": timestamp,
    }


async def _expire_until(stopping: asyncio.Event, peer: Peer) -> None:
    while not stopping.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(EXPIRE_PAUSE_SECONDS):
                await stopping.wait()
        try:
            await peer.expire()
        # Whatever it was, the next round finds the same holds.
        except Exception as error:
            logger.warning("nothing expires now: %r", error)


def _read(model: type[Body], body: bytes) -> Body:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ContractError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from None


def _json(answer: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(answer), status, headers, media_type="application/json")


def factory(peer: Callable[[Settings], Peer]) -> FastAPI:
    """What uvicorn calls, by a peer's `create`."""
    settings = Settings.from_environment(os.environ)
    return serve(peer(settings), settings)
