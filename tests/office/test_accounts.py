"""Revenue, and the books for an accountant, over real orders and refunds."""

from contextlib import aclosing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from tests.offers import UP_TO_FOUR
from tests.shop.test_refund import Provider, order_of, paid
from tests.shops import OpenShop, event
from tigerfans.office import order_search
from tigerfans.office.accounts import COLUMNS, Accounts, Days, vat_included
from tigerfans.office.order_search import OrderSearch
from tigerfans.office.revenue import Figures, Revenues, Sum
from tigerfans.payments.base import EventType
from tigerfans.shop.shop import Shop

PRICE_A, PRICE_B = 6500, 3500
ZONE: Final = "Europe/Berlin"


@pytest.fixture
async def shop(open_shop: OpenShop) -> Shop:
    shop: Shop = await open_shop(offer=UP_TO_FOUR, provider=Provider())
    return shop


@pytest.mark.parametrize(
    ("gross", "percent", "vat"),
    [
        (6500, "19", 1038),
        (3500, "7", 229),
        (107, "7", 7),
        # Half a cent is rounded up, and of a refund away from 0 as well.
        (119 * 5, "19", 95),
        (3, "20", 1),
        (1, "100", 1),
        (6500, "0", 0),
        (0, "19", 0),
    ],
)
def test_vat_is_what_of_a_gross_amount_is_tax_rounded_half_up(
    gross: int, percent: str, vat: int
) -> None:
    assert vat_included(gross, Decimal(percent)) == vat
    assert vat_included(-gross, Decimal(percent)) == -vat


async def test_the_revenue_is_what_came_in_and_went_back_by_class(shop: Shop) -> None:
    _, of_three = await paid(shop, qty=3)
    await paid(shop, cls="B")
    await shop.refund(of_three, "owner", [1])
    await shop.ticket_refunds.ask(of_three, [2], "owner")
    revenues = Revenues(shop.orders.database, ZONE, "eur", ["A", "B"])
    revenue = await revenues.read()
    assert revenue.day == datetime.now(ZoneInfo(ZONE)).date()
    a, b = revenue.classes
    assert a.total == a.today == Figures(Sum(3, 3 * PRICE_A), Sum(1, PRICE_A))
    assert (a.cls, a.due) == ("A", Sum(1, PRICE_A))
    assert b.total == Figures(Sum(1, PRICE_B))
    [both] = revenue.totals
    assert (both.currency, both.cls) == ("eur", None)
    assert both.total.left_cents == 2 * PRICE_A + PRICE_B
    assert await revenues.get() == revenue


async def test_what_could_not_be_fulfilled_is_due_until_it_is_given_back(
    open_shop: OpenShop,
) -> None:
    shop = await open_shop(tickets_a=1)
    late = await shop.checkout("A", "fan@example.org")
    await shop.settle(event(late, EventType.FAILED))
    await shop.checkout("A", "other@example.org")
    assert (await shop.settle(event(late))).order_status == "PAID_UNFULFILLED"
    revenues = Revenues(shop.orders.database, ZONE, "eur", ["A", "B"])
    [row, _] = (await revenues.read()).classes
    assert (row.total, row.due) == (Figures(Sum(1, PRICE_A)), Sum(1, PRICE_A))
    due, _ = await shop.orders.refunds_due(1)
    await shop.refund(due[0].id, "owner")
    [row, _] = (await revenues.read()).classes
    assert (row.total.refunded, row.total.left_cents, row.due) == (Sum(1, PRICE_A), 0, Sum())


async def test_today_begins_at_the_venues_midnight(shop: Shop, database_url: str) -> None:
    _, order_id = await paid(shop)
    # So many hours ago it was another day there, and may be the same one here.
    zone = ZoneInfo("Pacific/Kiritimati")
    midnight = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    connection = await asyncpg.connect(database_url)
    try:
        for paid_at, tickets in ((midnight, 1), (midnight - timedelta(microseconds=1), 0)):
            await connection.execute("UPDATE orders SET paid_at = $1", paid_at)
            revenues = Revenues(shop.orders.database, zone.key, "eur", ["A"])
            [row] = (await revenues.read()).classes
            assert (row.today.paid.tickets, row.total.paid.tickets) == (tickets, 1)
    finally:
        await connection.close()
    assert (await order_of(shop, order_id)).paid_at == midnight - timedelta(microseconds=1)


async def lines(
    shop: Shop, days: Days | None = None, vat: str | None = "19"
) -> list[dict[str, str]]:
    accounts = Accounts(
        OrderSearch(shop.orders.database),
        shop.provider.session_id,
        ZONE,
        None if vat is None else Decimal(vat),
    )
    found = []
    async with aclosing(accounts.export(days or Days())) as batches:
        async for batch in batches:
            found += [dict(zip(COLUMNS, cells, strict=True)) for cells in batch]
    return found


async def test_the_books_have_a_line_for_each_payment_and_each_refund(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_search, "EXPORT_ROWS", 2)
    checkout, order_id = await paid(shop, qty=3)
    await shop.refund(order_id, "owner", [0, 2])
    await shop.refund(order_id, "owner")
    payment, of_two, of_one = await lines(shop)
    paid_at = (await order_of(shop, order_id)).paid_at
    assert paid_at is not None
    assert payment == {
        "date": paid_at.astimezone(ZoneInfo(ZONE)).isoformat(timespec="seconds"),
        "kind": "payment",
        "order_id": checkout.order_id,
        "payment_session": f"mock_{checkout.order_id}",
        "cls": "A",
        "qty": "3",
        "gross": "195.00",
        "vat_percent": "19",
        "vat": "31.13",
        "net": "163.87",
        "currency": "EUR",
        "payment_reference": "",
    }
    assert (of_two["kind"], of_two["qty"], of_two["gross"]) == ("refund", "2", "-130.00")
    assert (of_two["vat"], of_two["net"]) == ("-20.76", "-109.24")
    assert (of_one["qty"], of_one["gross"], of_one["vat"]) == ("1", "-65.00", "-10.38")
    assert sum(Decimal(line["gross"]) for line in (payment, of_two, of_one)) == 0


async def test_without_a_vat_rate_the_books_have_none(shop: Shop) -> None:
    await paid(shop)
    [line] = await lines(shop, vat=None)
    assert (line["vat_percent"], line["vat"], line["net"]) == ("", "", "65.00")


async def test_a_payment_that_fitted_no_order_is_in_the_books_once_it_was_given_back(
    shop: Shop,
) -> None:
    checkout = await shop.checkout("A", "fan@example.org")
    await shop.settle(event(checkout, amount=123))
    assert await lines(shop) == []
    [payment], _ = await shop.unmatched.waiting(1)
    await shop.refund_unmatched(payment.id, "owner")
    came, went = await lines(shop)
    assert (came["kind"], came["gross"], came["vat"]) == ("payment", "1.23", "")
    assert (went["kind"], went["gross"], went["net"]) == ("refund", "-1.23", "-1.23")
    assert went["payment_session"] == f"mock_{checkout.order_id}"


async def test_the_books_of_some_days_have_both_of_them(shop: Shop) -> None:
    await paid(shop)
    today = datetime.now(UTC).astimezone(ZoneInfo(ZONE)).date()
    yesterday, tomorrow = today - timedelta(days=1), today + timedelta(days=1)
    assert len(await lines(shop, Days(today, today))) == 1
    assert len(await lines(shop, Days(yesterday, tomorrow))) == 1
    assert await lines(shop, Days(None, yesterday)) == []
    assert await lines(shop, Days(tomorrow)) == []
    assert len(await lines(shop, Days(date.min, date.max))) == 1
