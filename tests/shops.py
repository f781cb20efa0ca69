"""Shops for tests: the real thing over an embedded ledger, PostgreSQL and Redis, in one process."""

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.harness.patience import PATIENCE_SECONDS
from tests.offers import OFFER
from tigerfans.booking.transfers import Booking
from tigerfans.ledger import open_ledger
from tigerfans.ledger.base import Ledger
from tigerfans.offer.catalog import Catalog, ClassCode
from tigerfans.offer.offer import Offer
from tigerfans.office.order_search import OrderSearch, Search
from tigerfans.payments.base import EventType, Payment, PaymentEvent, PaymentProvider
from tigerfans.payments.mockpay import MockPay
from tigerfans.payments.outbox import Outbox
from tigerfans.payments.unmatched import UnmatchedPayments
from tigerfans.shop.checkout import Checkout
from tigerfans.shop.hold_limits import HoldLimits
from tigerfans.shop.shop import Shop
from tigerfans.stores import shop_redis
from tigerfans.stores.database import Database
from tigerfans.stores.identity import IdentityRow
from tigerfans.stores.orders import Order, Orders
from tigerfans.stores.sessions import Sessions
from tigerfans.stores.show_cancellation import ShowCancellation
from tigerfans.stores.ticket_refunds import TicketRefunds
from tigerfans.telemetry.steps import OnStep, ignore_step

OpenShop = Callable[..., Any]
TICKET_SECRET = "ticket secret"
NOBODY_LISTENS = "http://127.0.0.1:1/payments/webhook"

# Loading the usual ones for each shop takes longer than most tests.
_NO_AUTHORITIES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = await open_ledger(f"embedded:{tmp_path}")
    yield ledger
    await ledger.close()


@pytest.fixture
async def open_shop(
    ledger: Ledger, redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OpenShop]:
    """Opens shops over the same stores, as several workers are.

    They wait for Redis: where it is taken to be away the ledger answers in its place, without an
    email, and on a machine that has no time for it nothing else would tell a test so.
    """
    monkeypatch.setattr(shop_redis, "DEADLINE_SECONDS", PATIENCE_SECONDS)
    opened: list[Shop] = []
    databases: list[Database] = []
    client = httpx.AsyncClient(verify=_NO_AUTHORITIES)

    async def open_one(
        tickets_a: int = 10,
        tickets_b: int = 10,
        goodies: int = 2,
        hold_seconds: int = 300,
        on_step: OnStep = ignore_step,
        provider: PaymentProvider | None = None,
        limits: HoldLimits | None = None,
        *,
        opens: bool = True,
        prices: Mapping[ClassCode, int] | None = None,
        offer: Offer = OFFER,
        to_look: bool = False,
        on: Ledger | None = None,
        door_key: int = 1,
    ) -> Shop:
        database = await Database.connect(database_url)
        databases.append(database)
        find_identity = IdentityRow.find if to_look else IdentityRow.claim
        identity = await find_identity(database, TICKET_SECRET)
        shop = Shop(
            Booking(
                catalog_at(prices or {}, {"A": tickets_a, "B": tickets_b}, goodies, offer),
                hold_seconds,
            ),
            on or ledger,
            Sessions.connect(redis_url, identity.id.key_prefix),
            Orders(database),
            UnmatchedPayments(database),
            TicketRefunds(database),
            ShowCancellation(database),
            provider or MockPay(("secret",), NOBODY_LISTENS, client, Outbox(database)),
            TICKET_SECRET,
            identity,
            on_step=on_step,
            limits=limits,
            door_key=door_key,
        )
        opened.append(shop)
        if opens:
            await (shop.check() if to_look else shop.open())
        return shop

    yield open_one
    for shop in opened:
        if isinstance(shop.provider, MockPay):
            await shop.provider.close()
        await shop.sessions.close()
        await shop.orders.close()
    for database in databases:
        await database.close()
    await client.aclose()


def catalog_at(
    prices: Mapping[ClassCode, int],
    tickets: Mapping[ClassCode, int],
    goodies: int = 0,
    offer: Offer = OFFER,
) -> Catalog:
    """An offer at other prices, in cents; a class that is not named keeps its own."""
    repriced = tuple(
        replace(listing, price_cents=prices.get(listing.code, listing.price_cents))
        for listing in offer.listings
    )
    return Catalog.build(replace(offer, listings=repriced), tickets, goodies)


def payment(order_id: str, email: str = "fan@example.com", **changes: Any) -> Payment:
    """What the buyer of an order is asked to pay."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "order_id": order_id,
        "cls": "A",
        "name": "Premium, Test Conf",
        "qty": 1,
        "price": 6500,
        "amount": 6500,
        "currency": "eur",
        "email": email,
        "held_at": now,
        "expires_at": now + timedelta(seconds=300),
        "success_url": f"http://127.0.0.1:1/pay/{order_id}/return",
        "cancel_url": f"http://127.0.0.1:1/demo/checkout?status=canceled&order_id={order_id}",
    }
    return Payment(**fields | changes)


def event(
    checkout: Checkout, event_type: EventType = EventType.SUCCEEDED, **changes: Any
) -> PaymentEvent:
    """What MockPay says of a checkout."""
    fields: dict[str, Any] = {
        "type": event_type,
        "payment_session_id": f"mock_{checkout.order_id}",
        "order_id": checkout.order_id,
        "amount": checkout.amount_cents,
        "currency": "eur",
    }
    return PaymentEvent(**fields | changes)


async def latest(orders: Orders, limit: int = 10) -> list[Order]:
    """The orders recorded last, newest first."""
    page = await OrderSearch(orders.database).page(Search(), None, limit)
    return [stored.order for stored in page.orders]


@pytest.fixture
async def shop(open_shop: OpenShop) -> Shop:
    shop: Shop = await open_shop()
    return shop
