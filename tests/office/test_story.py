"""An order's story, over a real ledger, Redis and PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from tests.harness.patience import patience
from tests.offers import UP_TO_FOUR, catalog_with
from tests.shops import OpenShop, event
from tigerfans.booking.ids import OrderId, Purpose
from tigerfans.errors import UnavailableError, UnknownOrderError
from tigerfans.ledger.base import LedgerUnavailableError
from tigerfans.ledger.wire import Transfer
from tigerfans.office.order_search import OrderSearch
from tigerfans.office.story import Place, Stories, Story, Traces, tell
from tigerfans.payments.base import EventType
from tigerfans.payments.mockpay import MockPay
from tigerfans.payments.outbox import Webhook
from tigerfans.shop.checkout import Checkout
from tigerfans.shop.shop import Shop
from tigerfans.stores.audit import Audit
from tigerfans.stores.mails import MailKey, MailKind, Mails
from tigerfans.stores.orders import OrderStatus

EMAIL = "fan@example.org"
CATALOG = catalog_with({"A": 10, "B": 10}, 10)
LATER = datetime(2100, 1, 1, tzinfo=UTC)


def stories_of(shop: Shop) -> Stories:
    assert isinstance(shop.provider, MockPay)
    return Stories(shop, OrderSearch(shop.orders.database), shop.provider.outbox)


def order_id_of(checkout: Checkout) -> OrderId:
    order_id = OrderId.parse(checkout.order_id)
    assert order_id
    return order_id


async def story_of(shop: Shop, checkout: Checkout) -> Story:
    return await stories_of(shop).of(order_id_of(checkout))


def told(story: Story) -> list[str]:
    return [chapter.what for chapter in story.chapters]


async def test_a_purchase_is_told_from_hold_to_ticket(shop: Shop) -> None:
    checkout = await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout, EventType.SUCCEEDED))
    story = await story_of(shop, checkout)
    assert sorted(told(story)) == [
        "Goodie granted",
        "Mail to be sent",
        "Payment session opened",
        "Payment succeeded",
        "Ticket held",
        "Ticket sold",
    ]
    assert told(story)[-2:] == ["Payment succeeded", "Mail to be sent"]
    milliseconds = [int(chapter.at.timestamp() * 1_000) for chapter in story.chapters]
    assert milliseconds == sorted(milliseconds)
    assert story.away == []
    assert story.order
    assert story.order.status is OrderStatus.PAID
    assert story.order.ticket_code
    assert story.order.ticket_code in story.chapters[-2].detail


async def test_a_mail_is_told_with_where_it_went_or_why_it_did_not(shop: Shop) -> None:
    checkout = await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout, EventType.SUCCEEDED))
    mails, key = Mails(shop.orders.database), MailKey(order_id_of(checkout), MailKind.TICKETS)
    for is_final, what in ((False, "Mail to be sent"), (True, "Mail given up")):
        await mails.failed(key, "550 no such user", is_final=is_final)
        [chapter] = [c for c in (await story_of(shop, checkout)).chapters if "Mail" in c.what]
        assert (chapter.what, chapter.detail) == (what, "with the tickets: 550 no such user")
    await mails.sent(key, EMAIL)
    [chapter] = [c for c in (await story_of(shop, checkout)).chapters if "Mail" in c.what]
    assert (chapter.what, chapter.detail) == ("Mail sent", f"with the tickets, to {EMAIL}")


async def test_what_the_ledger_did_has_the_transfers_id(shop: Shop) -> None:
    checkout = await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout, EventType.SUCCEEDED))
    story = await story_of(shop, checkout)
    by_what = {chapter.what: chapter.transfer_id for chapter in story.chapters}
    digits = checkout.order_id[:-2]
    assert by_what["Ticket held"] == checkout.order_id
    assert by_what["Ticket sold"] == f"{digits}{Purpose.SALE_WITH_GOODIE:02x}"
    assert by_what["Goodie granted"] == f"{digits}{Purpose.GOODIE:02x}"
    assert by_what["Payment succeeded"] is None


async def test_a_payment_that_failed_first_and_succeeded_later_is_told_as_both(
    shop: Shop,
) -> None:
    checkout = await shop.checkout("B", EMAIL)
    await shop.settle(event(checkout, EventType.CANCELED))
    await shop.settle(event(checkout, EventType.SUCCEEDED))
    whats = told(await story_of(shop, checkout))
    in_order = ["Payment canceled", "Ticket held late", "Ticket sold late", "Payment succeeded"]
    assert [what for what in whats if what in in_order] == in_order
    assert "Ticket released" in whats
    assert "Hold expired" not in whats


async def test_a_refund_is_told_from_the_late_payment_to_the_money(open_shop: OpenShop) -> None:
    shop = await open_shop(tickets_a=1)
    late = await shop.checkout("A", EMAIL)
    await shop.settle(event(late, EventType.FAILED))
    await shop.checkout("A", EMAIL)
    await shop.settle(event(late, EventType.SUCCEEDED))
    due = await story_of(shop, late)
    assert told(due)[-2:] == ["Payment succeeded, a refund is due", "Mail to be sent"]
    await shop.refund(order_id_of(late), "admin")
    refunded = told(await story_of(shop, late))
    assert refunded[: len(told(due))] == told(due)
    assert sorted(refunded[len(told(due)) :]) == ["Mail to be sent", "Refund", "Refunded"]


async def test_a_refund_of_one_ticket_is_told_by_who_asked_and_by_what_was_done(
    open_shop: OpenShop,
) -> None:
    shop = await open_shop(offer=UP_TO_FOUR)
    checkout = await shop.checkout("A", EMAIL, qty=2)
    await shop.settle(event(checkout))
    await shop.refund(order_id_of(checkout), "jo", [1])
    story = await story_of(shop, checkout)
    assert story.order
    assert story.order.status is OrderStatus.PAID
    details = {chapter.what: chapter.detail for chapter in story.chapters}
    assert details["Refund asked for"] == "ticket 2, by jo"
    assert details["Ticket 2 taken back"] == "into the stock: its code is not valid any more"
    assert details["Money given back"] == "65.00 EUR for ticket 2"
    by_what = {chapter.what: chapter.transfer_id for chapter in story.chapters}
    assert by_what["Ticket 2 taken back"] == f"{checkout.order_id[:-2]}81"
    await shop.refund(order_id_of(checkout), "jo")
    told_now = told(await story_of(shop, checkout))
    assert "Payment succeeded" in told_now
    assert told_now.count("Money given back") == 2
    assert "Refunded" in told_now


async def test_an_order_nobody_has_paid_yet_has_a_story(shop: Shop) -> None:
    story = await story_of(shop, await shop.checkout("A", EMAIL))
    assert story.order
    assert story.order.status is OrderStatus.PENDING
    assert sorted(told(story)) == ["Payment session opened", "Ticket held"]


async def test_a_webhook_nobody_confirmed_is_a_part_of_it(shop: Shop) -> None:
    checkout = await shop.checkout("A", EMAIL)
    assert isinstance(shop.provider, MockPay)
    webhook = Webhook(uuid4(), b"{}")
    await shop.provider.outbox.add(webhook, checkout.order_id, EventType.SUCCEEDED)
    await shop.provider.outbox.failed(webhook, "status 503")
    last = (await story_of(shop, checkout)).chapters[-1]
    assert last.what == "Webhook payment.succeeded not confirmed"
    assert last.detail.startswith("1 attempt, the next one at ")
    assert last.detail.endswith(": status 503")


async def test_a_payment_that_did_not_fit_is_told_until_it_was_resolved(shop: Shop) -> None:
    checkout = await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout, amount=123))
    [payment], _ = await shop.unmatched.waiting(1)
    came = (await story_of(shop, checkout)).chapters[-1]
    assert came.what == "Payment that does not fit"
    assert came.detail == f"1.23 EUR: It is not what the order costs. Payment {payment.id}"
    await shop.refund_unmatched(payment.id, "admin")
    last = (await story_of(shop, checkout)).chapters[-1]
    assert (last.what, last.detail) == ("Payment that does not fit refunded", "by admin")


async def test_a_payment_for_an_order_nobody_knows_has_a_story(shop: Shop) -> None:
    stranger = Checkout(OrderId.new().hex_digits, "", 6500)
    await shop.settle(event(stranger))
    story = await story_of(shop, stranger)
    assert (story.order, told(story)) == (None, ["Payment that does not fit"])


async def test_an_order_that_no_place_knows_is_unknown(shop: Shop) -> None:
    with pytest.raises(UnknownOrderError):
        await stories_of(shop).of(OrderId.new())


async def test_with_redis_wiped_the_others_still_tell(shop: Shop, redis_url: str) -> None:
    checkout = await shop.checkout("A", EMAIL)
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
    story = await story_of(shop, checkout)
    assert told(story) == ["Ticket held"]
    assert story.away == []


async def away(*_: Any) -> Any:
    raise UnavailableError


async def test_places_that_are_away_are_named_and_the_others_tell(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ledger_away(*_: Any) -> bytes:
        raise LedgerUnavailableError

    checkout = await shop.checkout("A", EMAIL)
    monkeypatch.setattr(shop, "submit", ledger_away)
    monkeypatch.setattr(shop.orders, "find", away)
    monkeypatch.setattr(OrderSearch, "find", away)
    story = await story_of(shop, checkout)
    assert story.away == [Place.LEDGER, Place.POSTGRESQL]
    assert told(story) == ["Payment session opened"]
    assert story.order is None


async def test_while_a_place_is_away_no_order_is_called_unknown(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop.sessions, "find", away)
    story = await stories_of(shop).of(OrderId.new())
    assert (story.order, story.chapters, story.away) == (None, [], [Place.REDIS])


# --- Holds that run out ----------------------------------------------------------------------


def hold(purpose: Purpose = Purpose.HOLD, seconds: int = 300) -> Transfer:
    return Transfer(id=0xABC00 + purpose, timestamp=10**18, timeout=seconds, ledger=1, amount=1)


def test_a_hold_that_nobody_paid_has_expired() -> None:
    held, expired = tell(Traces([hold()]), CATALOG, LATER)
    assert (held.what, held.detail) == ("Ticket held", "Premium, until 01:51:40 UTC")
    assert (expired.what, expired.transfer_id) == ("Hold expired", None)
    assert expired.at - held.at == timedelta(seconds=300)


async def test_an_order_of_several_tickets_says_how_many_and_names_each(
    open_shop: OpenShop,
) -> None:
    shop = await open_shop(offer=UP_TO_FOUR)
    checkout = await shop.checkout("A", EMAIL, qty=3)
    await shop.settle(event(checkout))
    story = await story_of(shop, checkout)
    assert {"3 tickets held", "3 tickets sold", "Goodie granted"} < set(told(story))
    assert story.order is not None
    codes = ", ".join(story.order.ticket_codes)
    [stored] = [c.detail for c in story.chapters if c.what == "Payment succeeded"]
    assert stored == f"stored as PAID, with the 3 tickets {codes}"


def test_a_shop_without_goodies_speaks_of_none() -> None:
    for catalog, detail in (
        (CATALOG, "no goodie was left"),
        (catalog_with({"A": 10, "B": 10}), ""),
    ):
        assert tell(Traces([hold(Purpose.SALE)]), catalog, LATER)[0].detail == detail


def test_a_hold_of_several_tickets_that_nobody_paid_has_expired() -> None:
    held, expired = tell(Traces([hold()._replace(amount=3)]), CATALOG, LATER)
    assert (held.what, expired.detail) == ("3 tickets held", "3 tickets went back on sale")


def test_a_hold_that_still_runs_has_not_expired() -> None:
    just_before = datetime.fromtimestamp(10**9 + 299, UTC)
    assert len(tell(Traces([hold()]), CATALOG, just_before)) == 1


@pytest.mark.parametrize(
    "purpose",
    [Purpose.SALE_WITH_GOODIE, Purpose.SALE, Purpose.RELEASE, Purpose.GIVE_BACK],
)
def test_a_hold_that_was_settled_has_not_expired(purpose: Purpose) -> None:
    settled = replace(Traces(), transfers=[hold(), hold(purpose, seconds=0)])
    assert "Hold expired" not in [e.what for e in tell(settled, CATALOG, LATER)]


async def test_what_people_did_to_an_order_is_told_with_who_it_was(shop: Shop) -> None:
    checkout = await shop.checkout("A", EMAIL)
    order_id = order_id_of(checkout)
    audit = Audit(shop.orders.database)
    await audit.note("ada", "Mail sent again", order_id, "to fan@example.org")
    await audit.note("grace", "Seen", order_id)
    await audit.note("grace", "Seen", OrderId.new())
    deeds = [each for each in (await story_of(shop, checkout)).chapters if "by " in each.detail]
    assert [(each.what, each.detail, each.place) for each in deeds] == [
        ("Mail sent again", "to fan@example.org, by ada", Place.POSTGRESQL),
        ("Seen", "by grace", Place.POSTGRESQL),
    ]


async def test_an_expired_hold_that_was_paid_late_has_expired_and_was_sold(
    open_shop: OpenShop,
) -> None:
    shop = await open_shop(hold_seconds=1)
    checkout = await shop.checkout("A", EMAIL)
    async with patience():
        while (await story_of(shop, checkout)).chapters[-1].what != "Hold expired":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await shop.settle(event(checkout, EventType.SUCCEEDED))
    whats = told(await story_of(shop, checkout))
    assert whats.index("Hold expired") < whats.index("Ticket sold late")
