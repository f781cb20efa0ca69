"""Stripe by its unmodified library, against the server that behaves like it: a shop sells by it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest
import stripe

from tests.http.asgi import client_of_app
from tests.offers import OFFER
from tests.shop.test_inquiry import end_holds
from tests.shops import OpenShop, payment
from tests.stripe_server.control import Control
from tests.stripe_server.misbehaviour import Rule
from tests.stripe_server.server import TEST_KEY
from tests.stripe_server.shopping import Library
from tigerfans.booking.ids import OrderId
from tigerfans.doctor.provider import check_provider
from tigerfans.errors import NotYourTurnError, ProviderError
from tigerfans.http.app import create_app
from tigerfans.offer.offer import Offer
from tigerfans.payments import stripe_checkout, stripe_opening
from tigerfans.payments.base import EventType, InvalidWebhookError, UnreadableWebhookError
from tigerfans.payments.providers import MAKERS, Parts
from tigerfans.payments.stripe_amounts import from_minor_units, problems, to_minor_units
from tigerfans.payments.stripe_checkout import SIGNATURE_HEADER, Stripe
from tigerfans.payments.stripe_requests import Kind
from tigerfans.payments.stripe_words import (
    SIGNATURE_SECONDS_MAX,
    Account,
    read_event,
)
from tigerfans.settings.settings import (
    DEFAULT_ADMIN_PASSWORD,
    HttpSettings,
    PaymentSettings,
    Settings,
    SettingsError,
)
from tigerfans.settings.stripe_settings import StripeSettings
from tigerfans.shop.inquiry import inquire
from tigerfans.shop.shop import Shop
from tigerfans.stores.database import Database
from tigerfans.stores.identity import IdentityRow
from tigerfans.stores.shop_redis import ShopRedis
from tigerfans.stores.token_bucket import SharedTokenBucket
from tigerfans.stores.waiting_line import Place

NEW, OLD = "whsec_new", "whsec_old"
SHOP = "01" * 16
ORDER_ID = "01" * 15 + "00"
ACCOUNT = Account(SHOP, False, (NEW, OLD))
EMAIL = "fan@example.com"
SESSIONS = "POST /v1/checkout/sessions"
REFUNDS = "POST /v1/refunds"


# --- Webhooks ------------------------------------------------------------------------------------


def told(kind: str = "completed", **changes: Any) -> dict[str, Any]:
    """An event of Stripe's about a session of the shop."""
    session = {
        "id": "cs_test_1",
        "object": "checkout.session",
        "status": "complete",
        "payment_status": "paid",
        "amount_total": 6500,
        "currency": "eur",
        "payment_intent": "pi_1",
        "customer_email": EMAIL,
        "metadata": {"shop": SHOP, "order_id": ORDER_ID, "cls": "A", "hold_ends": "1000"},
    }
    return {
        "id": "evt_1",
        "object": "event",
        "type": f"checkout.session.{kind}",
        "livemode": False,
        "created": 2000,
        "data": {"object": session | changes},
    }


def signed(body: bytes, *secrets: str, age_seconds: int = 0) -> str:
    """As the library itself signs."""
    at = int(time.time()) - age_seconds
    headers = [
        stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at)
        for secret in secrets
    ]
    return ",".join([headers[0], *(header.partition(",")[2] for header in headers[1:])])


def read(event: dict[str, Any], account: Account = ACCOUNT) -> Any:
    body = orjson.dumps(event)
    return read_event(account, signed(body, NEW), body)


@pytest.mark.parametrize("secrets", [(NEW,), (OLD,), (OLD, NEW), ("whsec_another", OLD)])
def test_a_webhook_is_believed_under_any_of_its_signatures_and_either_secret(
    secrets: tuple[str, ...],
) -> None:
    body = orjson.dumps(told())
    event = read_event(ACCOUNT, signed(body, *secrets), body)
    assert event is not None
    assert (event.type, event.order_id, event.amount) == (EventType.SUCCEEDED, ORDER_ID, 6500)
    assert (event.currency, event.cls, event.customer_email) == ("eur", "A", EMAIL)
    assert (event.reference, event.payment_session_id) == ("pi_1", f"stripe_{ORDER_ID}")


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "é",
        "t=1,v1=é",
        "v1=0",
        "t=now,v1=0",
        signed(b"{}", NEW),
        signed(orjson.dumps(told()), "whsec_another"),
        signed(orjson.dumps(told()), NEW, age_seconds=SIGNATURE_SECONDS_MAX + 10),
        signed(orjson.dumps(told()), NEW).replace("v1=", "v0="),
    ],
    # One that has the time in it would be another one in each process that collects.
    ids=[
        *("none", "empty", "no ASCII", "no hex", "no signature", "no time"),
        *("another body", "another secret", "too old", "another scheme"),
    ],
)
def test_a_webhook_that_is_not_signed_or_too_old_is_refused(signature: str | None) -> None:
    with pytest.raises(InvalidWebhookError):
        read_event(ACCOUNT, signature, orjson.dumps(told()))


@pytest.mark.parametrize("body", [b"\xff", b"[", b"{}", b'{"type": 1}'])
def test_what_is_signed_and_cannot_be_read_is_told_from_what_is_forged(body: bytes) -> None:
    if body == b"\xff":
        with pytest.raises(InvalidWebhookError):
            read_event(ACCOUNT, "t=1,v1=0", body)
        return
    with pytest.raises(UnreadableWebhookError):
        read_event(ACCOUNT, signed(body, NEW), body)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (told(), EventType.SUCCEEDED),
        (told(payment_status="unpaid"), None),
        (told("async_payment_succeeded"), EventType.SUCCEEDED),
        (told("async_payment_failed", payment_status="unpaid"), EventType.FAILED),
        # After its hold, and before.
        (told("expired", status="expired", payment_status="unpaid"), None),
        (
            told("expired", status="expired", payment_status="unpaid") | {"created": 900},
            EventType.CANCELED,
        ),
        # Another shop of the account, somebody else who sells by it, and what is no session.
        (told(metadata={"shop": "another"}), None),
        (told(metadata={}), None),
        (told(metadata=None), None),
        (told() | {"type": "charge.dispute.created", "data": {"object": {"id": "dp_1"}}}, None),
        (told() | {"type": "invoice.paid"}, None),
    ],
)
def test_each_type_of_event_says_what_it_does(
    event: dict[str, Any], expected: EventType | None
) -> None:
    heard = read(event)
    assert (heard and heard.type) == expected


@pytest.mark.parametrize("is_live", [False, True])
def test_test_and_live_mode_never_mix(is_live: bool) -> None:
    event = told() | {"livemode": not is_live}
    with pytest.raises(InvalidWebhookError, match="mode"):
        read(event, ACCOUNT._replace(is_live=is_live))


@pytest.mark.parametrize(
    ("currency", "amount", "units"),
    [("eur", 6500, 6500), ("jpy", 6500, 6500), ("isk", 6500, 650_000), ("kwd", 6500, 6500)],
)
def test_an_amount_is_what_stripe_takes_for_the_minor_unit(
    currency: str, amount: int, units: int
) -> None:
    assert to_minor_units(amount, currency) == units
    assert from_minor_units(units, currency) == amount


def test_what_stripe_says_of_an_amount_that_the_shop_has_not_cannot_be_read() -> None:
    with pytest.raises(UnreadableWebhookError):
        from_minor_units(150, "isk")


def at_price(price: int, currency: str) -> Offer:
    """An offer whose second class costs that."""
    first, second = OFFER.listings
    listings = (replace(first, price_cents=1_000_000), replace(second, price_cents=price))
    return replace(OFFER, currency=currency, listings=listings)


@pytest.mark.parametrize(
    ("currency", "price"),
    [
        ("eur", 50),
        ("jpy", 50),
        ("isk", 1),
        ("ugx", 500),
        ("czk", 1500),
        ("kwd", 5120),
        ("bhd", 10),
        ("nzd", 51),
    ],
)
def test_stripe_takes_a_price(currency: str, price: int) -> None:
    assert not [*problems(at_price(price, currency))]


@pytest.mark.parametrize(
    ("currency", "price", "sentence"),
    [
        # The last of thousandths has to be 0.
        *((code, 5124, "last digit has to be 0") for code in ("bhd", "jod", "kwd", "omr", "tnd")),
        # What is charged at least.
        ("eur", 49, "€0.50 at least, and class B costs €0.49"),
        ("gbp", 29, "£0.30 at least"),
        ("jpy", 49, "¥50 at least"),
        ("czk", 1499, "15.00 at least"),
        ("ugx", 0, "1 at least"),
        # Whole at Stripe, or in hundredths where the shop has thousandths.
        ("mga", 5000, "does not take MGA"),
        ("iqd", 5000, "does not take IQD"),
    ],
)
async def test_a_shop_does_not_start_with_a_price_that_stripe_does_not_take(
    currency: str, price: int, sentence: str
) -> None:
    offer = at_price(price, currency)
    assert [sentence in problem for problem in problems(offer)] == [True]
    settings = Settings(payments=PaymentSettings("stripe", (NEW,)), offer=offer)
    # Nothing is opened by then.
    nothing: Any = None
    parts = Parts(AsyncExitStack(), settings, nothing, nothing, nothing)
    with pytest.raises(SettingsError) as refused:
        await MAKERS["stripe"](parts)
    assert sentence in str(refused.value)


# --- Settings ------------------------------------------------------------------------------------

SET = {
    "TIGERFANS_PAYMENT_PROVIDER": "stripe",
    "STRIPE_SECRET_KEY": TEST_KEY,
    "STRIPE_WEBHOOK_SECRETS": f"{NEW},{OLD}",
}


def test_a_shop_that_sells_by_stripe_knows_keys_by_their_form() -> None:
    settings = Settings.from_environment(SET)
    assert settings.payments.secrets == (NEW, OLD)
    assert settings.payments.stripe == StripeSettings(TEST_KEY)
    assert Settings.from_environment(settings.to_environment()) == settings
    assert not settings.payments.takes_money
    live = Settings.from_environment(SET | {"STRIPE_SECRET_KEY": "rk_live_1"})
    assert live.payments.takes_money
    for secret in (TEST_KEY, NEW, OLD):
        assert secret not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"STRIPE_SECRET_KEY": ""}, "STRIPE_SECRET_KEY must be set"),
        ({"STRIPE_SECRET_KEY": "pk_live_1"}, "STRIPE_SECRET_KEY must be a secret key"),
        ({"STRIPE_SECRET_KEY": "sk_live_é"}, "STRIPE_SECRET_KEY must be a secret key"),
        ({"STRIPE_WEBHOOK_SECRETS": ""}, "STRIPE_WEBHOOK_SECRETS must be set"),
        ({"STRIPE_WEBHOOK_SECRETS": "secret"}, "STRIPE_WEBHOOK_SECRETS must be one signing"),
        ({"STRIPE_WEBHOOK_SECRETS": "whsec_1,whsec_2,whsec_3"}, "STRIPE_WEBHOOK_SECRETS must be"),
        ({"STRIPE_API_BASE": "ftp://here"}, "STRIPE_API_BASE"),
        ({"STRIPE_SESSIONS_PER_SECOND": "0"}, "STRIPE_SESSIONS_PER_SECOND"),
        ({"TIGERFANS_DEMO": "1", "STRIPE_SECRET_KEY": "sk_live_1"}, "TIGERFANS_DEMO=1"),
    ],
)
def test_what_cannot_be_sold_with_is_refused_in_a_sentence_without_the_secret(
    changes: dict[str, str], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence) as refused:
        Settings.from_environment(SET | changes)
    assert not [value for value in changes.values() if "_live_" in value and value in str(refused)]


def test_production_takes_live_keys_a_public_address_and_no_test_server() -> None:
    own = {
        "TIGERFANS_ENV": "production",
        "TIGERFANS_TICKET_SECRET": "tickets of our own",
        "ADMIN_PASSWORD": "our own",
        "STRIPE_SECRET_KEY": "sk_live_1",
        "TIGERFANS_PUBLIC_URL": "https://tickets.example.org",
    }
    assert Settings.from_environment(SET | own).payments.takes_money
    for changes, sentence in (
        ({"STRIPE_SECRET_KEY": TEST_KEY}, "STRIPE_SECRET_KEY is a test key"),
        ({"STRIPE_API_BASE": "http://127.0.0.1:1"}, "STRIPE_API_BASE names a test server"),
        ({"TIGERFANS_PUBLIC_URL": ""}, "TIGERFANS_PUBLIC_URL must be set"),
    ):
        with pytest.raises(SettingsError, match=sentence):
            Settings.from_environment(SET | own | changes)


async def test_the_doctor_asks_stripe_whether_it_takes_the_key(stripe_server: Control) -> None:
    async def found(key: str, url: str = stripe_server.url) -> tuple[str, str]:
        told = StripeSettings(key, api_base=url)
        settings = Settings(payments=PaymentSettings("stripe", (NEW,), stripe=told))
        [finding] = await check_provider(settings)
        assert key not in str(finding)
        return finding.verdict, finding.found

    assert await found(TEST_KEY) == ("good", "Stripe takes it")
    assert await found("sk_test_unknown") == ("bad", "Stripe does not know the key")
    nobody = "http://127.0.0.1:1"
    assert await found(TEST_KEY, nobody) == ("bad", "Stripe does not answer: APIConnectionError")
    assert await check_provider(Settings()) == []


# --- A shop --------------------------------------------------------------------------------------


class StripeShop:
    """A shop, its provider, and its pages, which ask the test's server."""

    def __init__(self, shop: Shop, provider: Stripe, client: httpx.AsyncClient) -> None:
        self.shop = shop
        self.provider = provider
        self.client = client

    async def hold(self, qty: int = 1) -> str:
        return (await self.shop.checkout("A", EMAIL, qty=qty)).order_id

    async def open(self, order_id: str) -> str:
        """The id of the order's session, as the page leads to it."""
        led = await self.client.get(f"/pay/{order_id}")
        assert led.status_code == 303, led.text
        return led.headers["location"].rpartition("/")[2]

    async def page(self, order_id: str) -> str:
        return (await self.client.get(f"/demo/success?order_id={order_id}")).text

    async def status(self, order_id: str) -> str:
        status: str = (await self.client.get(f"/api/orders/{order_id}")).json()["status"]
        return status


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe_opening, "PAUSES_SECONDS", (0.01, 0.01, 0.01))
    monkeypatch.setattr(stripe, "enable_telemetry", False)


@pytest.fixture
async def selling(
    open_shop: OpenShop, stripe_server: Control, redis_url: str, database_url: str, quick: None
) -> AsyncIterator[StripeShop]:
    settings = Settings(
        payments=PaymentSettings(
            "stripe", (NEW, OLD), stripe=StripeSettings(TEST_KEY, 1000, stripe_server.url)
        ),
        http=HttpSettings(workers=1),
    )
    async with AsyncExitStack() as stack:
        database = await Database.connect(database_url)
        stack.push_async_callback(database.close)
        identity = await IdentityRow.claim(database, "ticket secret")
        redis = ShopRedis.connect(redis_url, identity.id.key_prefix)
        stack.push_async_callback(redis.close)
        parts = Parts(stack, settings, database, redis, identity.id)
        provider = await MAKERS["stripe"](parts)
        assert isinstance(provider, Stripe)
        shop = await open_shop(provider=provider)
        app = create_app(settings, shop, None)
        client = await stack.enter_async_context(client_of_app(app))
        yield StripeShop(shop, provider, client)


async def deliver(selling: StripeShop, server: Control, *kinds: str) -> list[dict[str, Any]]:
    """Tells the shop what the server has to tell, of these kinds; its answers."""
    answers = []
    for event in await server.events([f"checkout.session.{kind}" for kind in kinds]):
        body = orjson.dumps(event)
        headers = {SIGNATURE_HEADER: signed(body, OLD, NEW)}
        answer = await selling.client.post("/payments/webhook", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        answers.append(answer.json())
    return answers


async def test_a_ticket_is_sold_once_however_often_it_is_told(
    selling: StripeShop, stripe_server: Control
) -> None:
    order_id = await selling.hold(qty=1)
    session_id = await selling.open(order_id)
    # The same session, also for who presses twice.
    assert await selling.open(order_id) == session_id
    await stripe_server.attempt(session_id, "declined")
    assert await selling.status(order_id) == "PENDING"
    await stripe_server.attempt(session_id)
    first, again = [await deliver(selling, stripe_server, "completed") for _ in range(2)]
    assert first == [{"ok": True, "order_status": "PAID"}]
    assert again == [{"ok": True, "order_status": "PAID", "idempotent": True}]
    [payment] = await stripe_server.payments()
    assert (payment["client_reference_id"], payment["charged"]) == (order_id, 6500)
    parsed = OrderId.read(order_id)
    assert parsed is not None
    order = await selling.shop.order(parsed)
    assert order is not None
    assert order.payment_reference == payment["payment_intent"]
    assert order.email == EMAIL


async def test_who_comes_back_has_the_ticket_without_any_webhook(
    selling: StripeShop, stripe_server: Control
) -> None:
    order_id = await selling.hold()
    await stripe_server.attempt(await selling.open(order_id))
    assert (await selling.client.get(f"/pay/{order_id}/return")).status_code == 303
    assert await selling.status(order_id) == "PAID"


async def test_a_debit_is_sold_when_the_money_is_there(
    selling: StripeShop, stripe_server: Control
) -> None:
    order_id = await selling.hold()
    session_id = await selling.open(order_id)
    await stripe_server.attempt(session_id, "debit")
    assert await deliver(selling, stripe_server, "completed") == [
        {"ok": True, "order_status": None}
    ]
    assert await selling.status(order_id) == "PENDING"
    assert "Waiting for your payment" in await selling.page(order_id)
    # By now the provider was asked.
    assert (await selling.client.get(f"/pay/{order_id}/return")).status_code == 303
    assert "Your payment is under way" in await selling.page(order_id)
    await stripe_server.settle(session_id)
    [answer] = await deliver(selling, stripe_server, "async_payment_succeeded")
    assert answer["order_status"] == "PAID"


async def test_a_session_whose_hold_ended_is_asked_about_and_then_not_paid_any_more(
    selling: StripeShop, stripe_server: Control
) -> None:
    order_id, paid_id = await selling.hold(), await selling.hold()
    session_id, paid_session_id = await selling.open(order_id), await selling.open(paid_id)
    never_opened = await selling.hold()
    await stripe_server.attempt(paid_session_id)
    await end_holds(selling.shop)
    await inquire(selling.shop)
    assert await selling.status(paid_id) == "PAID"
    statuses = {p["session"]: p["status"] for p in await stripe_server.payments()}
    assert statuses == {session_id: "expired", paid_session_id: "complete"}
    # It is known by now that nobody paid: nobody is asked again.
    answers = await stripe_server.answers()
    assert await selling.provider.look_up(order_id) is None
    assert await selling.provider.look_up(never_opened) is None
    await selling.provider.expire(order_id)
    # What was paid, or has expired by itself, cannot be ended any more: that is no error.
    await selling.provider.expire(paid_id)
    asked = await stripe_server.answers()
    assert sum(asked.values()) == sum(answers.values()) + 1


async def test_money_goes_back_once_for_a_key_and_to_the_cent(
    selling: StripeShop, stripe_server: Control
) -> None:
    order_id = await selling.hold(qty=1)
    await stripe_server.attempt(await selling.open(order_id))
    await deliver(selling, stripe_server, "completed")
    [payment] = await stripe_server.payments()
    for key, reference in (("one", payment["payment_intent"]), ("one", None), ("two", None)):
        await selling.provider.refund(order_id, reference, 2000, key)
    assert (await stripe_server.money())["eur"] == {"charged": 6500, "refunded": 4000, "left": 2500}
    # A day later Stripe has forgotten its keys.
    await stripe_server.pass_time(2 * 24 * 3600)
    await selling.provider.refund(order_id, None, 2000, "one")
    assert (await stripe_server.money())["eur"]["refunded"] == 4000
    with pytest.raises(ProviderError):
        await selling.provider.refund(order_id, None, 2501, "three")
    with pytest.raises(ProviderError, match="knows of no payment"):
        await selling.provider.refund(ORDER_ID, None, 1, "four")


async def test_what_was_given_back_at_the_dashboard_is_not_owed_any_more(
    selling: StripeShop, stripe_server: Control
) -> None:
    order_id = await selling.hold()
    await stripe_server.attempt(await selling.open(order_id))
    await deliver(selling, stripe_server, "completed")
    [payment] = await stripe_server.payments()
    async with Library(stripe_server.url, TEST_KEY) as dashboard:
        for amount in (3000, 3500):
            await dashboard.refund(payment["payment_intent"], amount=amount)
    parsed = OrderId.read(order_id)
    assert parsed is not None
    assert (await selling.shop.refund(parsed, "admin")).status == "REFUNDED"
    assert (await stripe_server.money())["eur"]["refunded"] == 6500


@pytest.mark.parametrize(
    "what", ["limited", "cut", "cut_after", "error", "error_after", "error_kept"]
)
async def test_whatever_goes_wrong_a_buyer_has_one_session_and_money_goes_back_once(
    selling: StripeShop, stripe_server: Control, what: Any
) -> None:
    order_id = await selling.hold()
    await stripe_server.misbehave(Rule(what, SESSIONS), Rule(what, REFUNDS))
    session_id = await selling.open(order_id)
    assert await selling.open(order_id) == session_id
    await stripe_server.attempt(session_id)
    await selling.provider.refund(order_id, None, 6500, "one")
    assert (await stripe_server.money())["eur"] == {"charged": 6500, "refunded": 6500, "left": 0}


async def test_two_who_press_at_once_give_money_back_once_where_stripe_fails_one_of_them(
    selling: StripeShop, stripe_server: Control
) -> None:
    order_id = await selling.hold()
    await stripe_server.attempt(await selling.open(order_id))
    # The second is under way still when the first asks again, perhaps until that gives up.
    await stripe_server.misbehave(Rule("error", REFUNDS), Rule("slow", REFUNDS, seconds=1.0))
    presses = (selling.provider.refund(order_id, None, 2000, "one") for _ in range(2))
    await asyncio.gather(*presses, return_exceptions=True)
    await selling.provider.refund(order_id, None, 2000, "one")
    assert (await stripe_server.money())["eur"]["refunded"] == 2000


async def test_a_key_under_which_stripe_keeps_failing_is_left_for_the_next(
    selling: StripeShop, stripe_server: Control
) -> None:
    order_id = await selling.hold()
    await stripe_server.attempt(await selling.open(order_id))
    await stripe_server.misbehave(Rule("error_kept", REFUNDS, times=2))
    await selling.provider.refund(order_id, None, 2000, "one")
    assert (await stripe_server.money())["eur"]["refunded"] == 2000


async def test_a_stripe_that_stays_away_is_told_as_such_and_loses_nothing(
    selling: StripeShop, stripe_server: Control
) -> None:
    order_id = await selling.hold()
    await stripe_server.misbehave(Rule("error", SESSIONS, times=None))
    refused = await selling.client.get(f"/pay/{order_id}")
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    assert "is slow right now" in refused.json()["detail"]
    page = await selling.client.get(f"/pay/{order_id}", headers={"Accept": "text/html"})
    assert (page.status_code, "Your ticket is yours" in page.text) == (200, True)
    await stripe_server.misbehave()
    assert await selling.open(order_id)


async def test_who_opens_the_same_order_at_once_is_led_to_one_session(
    selling: StripeShop, stripe_server: Control
) -> None:
    order_id = await selling.hold()
    opened = await asyncio.gather(*(selling.open(order_id) for _ in range(5)))
    assert len(set(opened)) == 1
    assert len(await stripe_server.payments()) == 1


async def test_a_buyer_keeps_the_place_in_the_line_and_nobody_overtakes(
    selling: StripeShop, stripe_server: Control
) -> None:
    line = selling.provider.line
    line._interval = line._at_once = 100 * 1_000_000
    opened, waiting = await selling.hold(), await selling.hold()
    await selling.open(opened)

    async def wait_seconds() -> int:
        page = await selling.client.get(f"/pay/{waiting}")
        assert page.status_code == 503
        return int(page.headers["retry-after"])

    first, later, again = await wait_seconds(), await line.join("later"), await wait_seconds()
    assert again <= first <= 100 < later.wait_seconds <= 200
    assert (await line.join("later")).wait_seconds <= later.wait_seconds
    assert len(await stripe_server.payments()) == 1


async def test_nothing_is_held_that_could_not_be_paid_before_its_hold_ends(
    selling: StripeShop,
) -> None:
    line = selling.provider.line
    # Of holds of five minutes: the second can pay in time, and who comes then cannot.
    line._interval = line._at_once = 100 * 1_000_000
    line_wait = selling.shop.line_wait
    assert line_wait is not None
    body = {"cls": "A", "customer_email": EMAIL}
    keyed = {"Idempotency-Key": "before the rush"}
    first = await selling.client.post("/api/checkout", json=body, headers=keyed)
    line_wait.forget()
    assert (await selling.client.post("/api/checkout", json=body)).status_code == 200
    line_wait.forget()
    refused = await selling.client.post("/api/checkout", json=body)
    assert refused.status_code == 503
    # When half of a hold is left.
    assert 5 < int(refused.headers["retry-after"]) <= 200 - 150
    assert "could not be paid in time" in refused.json()["detail"]
    assert (await selling.shop.inventory())["A"].held == 2
    # What was held before stays so, for whoever has not heard of it yet.
    again = await selling.client.post("/api/checkout", json=body, headers=keyed)
    assert (again.status_code, again.json()) == (200, first.json())
    operator = ("admin", DEFAULT_ADMIN_PASSWORD)
    pending = (await selling.client.get("/api/pending", auth=operator)).json()
    assert 150 < pending["payment_wait_seconds"] <= 200
    assert pending["payment_wait_seconds_max"] == 150


async def test_who_comes_after_the_turn_needs_no_other_place_and_costs_nobody_one(
    selling: StripeShop,
) -> None:
    line = selling.provider.line
    late = await selling.hold()
    assert (await line.join(late)).wait_seconds <= 0
    line._interval = line._at_once = 100 * 1_000_000
    waits = [(await line.join(name)).wait_seconds for name in "ab"]
    assert await selling.open(late)
    assert (await line.join("b")).wait_seconds <= waits[1]
    assert await line.seconds() <= 200


async def test_without_a_token_nobody_opens_and_the_token_is_the_next_ones(
    selling: StripeShop, stripe_server: Control
) -> None:
    tokens = selling.provider._requests._limits.tokens[Kind.OPEN]
    assert isinstance(tokens, SharedTokenBucket)
    tokens._interval = 30 * 1_000_000
    tokens._arguments = (tokens._interval, tokens._interval, 10**9)
    first, second = await selling.hold(), await selling.hold()
    await selling.open(first)
    for _ in range(3):
        refused = await selling.client.get(f"/pay/{second}")
        # Nobody has it, however often it was asked for.
        assert refused.status_code == 503
        assert 20 <= int(refused.headers["retry-after"]) <= 30
    assert len(await stripe_server.payments()) == 1


async def test_a_stripe_that_is_slow_is_asked_for_no_more_than_a_seconds_worth_at_once(
    selling: StripeShop, stripe_server: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = selling.provider._requests._limits
    selling.provider._requests._limits = replace(limits, openings=asyncio.Semaphore(2))
    monkeypatch.setattr(stripe_checkout, "WAIT_HERE_SECONDS_MAX", 0.2)
    await stripe_server.misbehave(Rule("slow", SESSIONS, times=None, seconds=1.5))
    orders = [await selling.hold() for _ in range(4)]
    answers = await asyncio.gather(*(selling.client.get(f"/pay/{each}") for each in orders))
    assert sorted(answer.status_code for answer in answers) == [303, 303, 503, 503]
    assert len(await stripe_server.payments()) == 2


async def test_nobody_waits_long_inside_a_request(
    selling: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def far_behind(name: str, wait_seconds_max: float = 0) -> Place:
        return Place(90.5, is_taken=True)

    monkeypatch.setattr(selling.provider.line, "join", far_behind)
    parsed = OrderId.read(await selling.hold())
    assert parsed is not None
    with pytest.raises(NotYourTurnError) as told_to_wait:
        await selling.shop.open_payment(parsed, "")
    assert told_to_wait.value.retry_after_seconds == 90


@pytest.mark.parametrize("currency", ["kwd", "isk", "jpy"])
async def test_of_an_order_of_several_tickets_stripe_gives_back_any_of_them(
    selling: StripeShop, stripe_server: Control, currency: str
) -> None:
    offer = at_price(5120, currency)
    assert not [*problems(offer)]
    selling.provider._currency = currency
    order_id = "02" * 15 + "00"
    price = offer.listings[1].price_cents
    asked = payment(order_id, currency=currency, qty=3, price=price, amount=3 * price)
    session_id = (await selling.provider.open(asked)).rpartition("/")[2]
    await stripe_server.attempt(session_id)
    for ticket in range(2):
        await selling.provider.refund(order_id, None, price, f"{order_id}-{ticket}")
    charged = to_minor_units(3 * price, currency)
    money = (await stripe_server.money())[currency]
    assert (money["charged"], money["left"]) == (charged, charged // 3)


async def test_without_its_library_stripe_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(__import__("sys").modules, "tigerfans.payments.stripe_opening", False)
    monkeypatch.setitem(__import__("sys").modules, "stripe", None)
    parts: Any = replace(Settings(), payments=PaymentSettings("stripe"))
    with pytest.raises(SettingsError, match=r"pip install 'tigerfans\[stripe\]'"):
        await MAKERS["stripe"](parts)
