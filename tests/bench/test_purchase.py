import orjson
import pytest

from bench.http_client import Address
from bench.purchase import (
    BUSY,
    ON_HOLD,
    POLLING,
    SOLD_OUT,
    UNRESOLVED,
    Buyer,
    Polling,
    Record,
    Requests,
    Via,
    Wish,
    event,
    sign,
)
from tests.bench.fake_shop import ORDER, Answer, FakeShop
from tigerfans.payments.base import EventType
from tigerfans.payments.mockpay import MockPay

SECRET = "secret"
WISH = Wish("A", "fan@example.org", "succeeded")
STATUS = f"/api/orders/{ORDER['order_id']}"


async def buy(
    address: Address, via: Via = Via.PROVIDER, wish: Wish = WISH, polling: Polling = POLLING
) -> Record:
    record = Record()
    buyer = Buyer(address, Requests(address, SECRET), via, record, polling)
    await buyer.buy(wish)
    buyer.close()
    return record


def paths(shop: FakeShop) -> list[tuple[str, str]]:
    return [(request.method, request.path) for request in shop.requests]


async def test_a_browser_presses_the_button_and_opens_the_page(
    shop: FakeShop, address: Address
) -> None:
    shop.sells()
    record = await buy(address, Via.BROWSER)
    assert paths(shop) == [
        ("POST", "/api/checkout"),
        ("POST", f"{ORDER['redirect_url']}/emit"),
        ("GET", f"/demo/success?order_id={ORDER['order_id']}"),
        ("GET", STATUS),
    ]
    assert shop.requests[1].body == b"t=succeeded"
    assert dict(record.outcomes) == {"PAID": 1}
    assert set(record.seconds) == {"checkout", "pay", "page", "status", "purchase"}


async def test_each_purchase_has_a_key_of_its_own(shop: FakeShop, address: Address) -> None:
    shop.sells()
    await buy(address)
    await buy(address)
    keys = [r.headers["idempotency-key"] for r in shop.requests if r.path == "/api/checkout"]
    assert len(set(keys)) == 2


async def test_a_provider_sends_a_webhook_that_the_shop_takes(
    shop: FakeShop, address: Address
) -> None:
    shop.sells()
    await buy(address)
    assert paths(shop) == [
        ("POST", "/api/checkout"),
        ("POST", "/payments/webhook"),
        ("GET", STATUS),
    ]
    webhook = shop.requests[1]
    mockpay = MockPay((SECRET,), "", None, None)  # type: ignore[arg-type]
    read = mockpay.read_webhook(webhook.headers, webhook.body)
    assert (read.type, read.order_id, read.amount) == (EventType.SUCCEEDED, ORDER["order_id"], 6500)


def test_a_payment_that_fails_is_told_as_such() -> None:
    body = event(ORDER, Wish("A", "fan@example.org", "failed"))
    assert orjson.loads(body)["type"] == EventType.FAILED
    assert sign(b"secret", body) != sign(b"other", body)


async def test_a_pending_order_is_asked_for_until_it_is_final(
    shop: FakeShop, address: Address
) -> None:
    shop.sells()
    pending, paid = (Answer(body=orjson.dumps({"status": s})) for s in ("PENDING", "PAID"))
    shop.answers("/api/orders/", pending, pending, paid)
    record = await buy(address)
    assert dict(record.outcomes) == {"PAID": 1}
    assert len(record.seconds["status"]) == 3


async def test_an_order_that_is_written_down_late_is_asked_for_until_it_is_there(
    shop: FakeShop, address: Address
) -> None:
    shop.sells()
    paid = Answer(body=orjson.dumps({"status": "PAID"}))
    shop.answers("/api/orders/", Answer(404), paid)
    assert dict((await buy(address)).outcomes) == {"PAID": 1}


async def test_an_order_that_stays_pending_is_unresolved_and_no_purchase(
    shop: FakeShop, address: Address
) -> None:
    shop.sells("PENDING")
    record = await buy(address, polling=Polling(interval_seconds=0.001, seconds_max=0.01))
    assert dict(record.outcomes) == {UNRESOLVED: 1}
    assert record.seconds["status"]
    assert "purchase" not in record.seconds


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(409), SOLD_OUT),
        (Answer(409, headers="Retry-After: 10\r\n"), ON_HOLD),
        (Answer(503), BUSY),
    ],
)
async def test_a_refusal_is_an_outcome(
    shop: FakeShop, address: Address, answer: Answer, outcome: str
) -> None:
    shop.answers("/api/checkout", answer)
    record = await buy(address)
    assert dict(record.outcomes) == {outcome: 1}
    assert record.fulfilled == 0
    assert "purchase" not in record.seconds


async def test_an_answer_that_should_not_be_names_its_step(
    shop: FakeShop, address: Address
) -> None:
    shop.sells()
    shop.answers("/payments/webhook", Answer(400))
    assert dict((await buy(address)).outcomes) == {"error: 400 to pay": 1}


async def test_a_shop_that_is_not_there_is_an_error_and_not_the_end(address: Address) -> None:
    nobody = Address("127.0.0.1", 1)
    record = await buy(nobody)
    assert record.total == 1
    assert next(iter(record.outcomes)).startswith("error: ")


async def test_only_what_was_wished_for_is_fulfilled(shop: FakeShop, address: Address) -> None:
    shop.sells("CANCELED")
    canceled = await buy(address, wish=Wish("B", "fan@example.org", "canceled"))
    failed = await buy(address, wish=Wish("B", "fan@example.org", "failed"))
    assert (canceled.fulfilled, failed.fulfilled) == (1, 0)


async def test_latency_counts_from_the_moment_that_was_meant(
    shop: FakeShop, address: Address
) -> None:
    shop.sells()
    record = Record()
    buyer = Buyer(address, Requests(address, SECRET), Via.PROVIDER, record)
    await buyer.buy(WISH, started=-1e9)
    buyer.close()
    assert record.seconds["purchase"][0] > 1e9
    assert record.seconds["checkout"][0] < 1e9
