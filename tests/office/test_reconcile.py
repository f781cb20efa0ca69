"""Reconciliation, over a real ledger and real orders that were made to differ."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from tests.offers import UP_TO_FOUR
from tests.shops import OpenShop, event, latest
from tigerfans.booking.ends import Ticket
from tigerfans.booking.ids import OrderId
from tigerfans.door.door import Door, Presentation
from tigerfans.errors import ProviderError, UnavailableError
from tigerfans.office import reconcile
from tigerfans.office.reconcile import Reconciler, Report
from tigerfans.office.reconcile_command import show
from tigerfans.payments.base import EventType
from tigerfans.shop.refund import finish
from tigerfans.shop.shop import Shop
from tigerfans.stores.door_scans import DoorScan, DoorScans, ScanResult
from tigerfans.stores.orders import Order

EMAIL = "fan@example.org"
Execute = Callable[..., Awaitable[str]]


@pytest.fixture
def execute(database_url: str) -> Execute:
    """Does to the orders what nobody should."""

    async def run(statement: str, *arguments: object) -> str:
        connection = await asyncpg.connect(database_url)
        try:
            status: str = await connection.execute(statement, *arguments)
            return status
        finally:
            await connection.close()

    return run


async def buy(shop: Shop, cls: str = "A") -> str:
    checkout = await shop.checkout(cls, EMAIL)
    await shop.settle(event(checkout))
    return checkout.order_id


async def report_of(shop: Shop, *, repair: bool = False) -> Report:
    return await Reconciler(shop, repair=repair, second_look_seconds=0).run()


async def test_a_shop_that_sold_failed_held_and_sold_late_is_clean(shop: Shop) -> None:
    for cls in "AAABB":
        await buy(shop, cls)
    await shop.checkout("A", EMAIL)
    failed = await shop.checkout("A", EMAIL)
    await shop.settle(event(failed, EventType.FAILED))
    await shop.settle(event(failed))
    report = await report_of(shop)
    assert report.differences == []
    assert report.is_clean
    assert (report.sales, report.orders, report.goodies) == (6, 6, 2)
    stock = {row.name: (row.held, row.sold) for row in report.stock if row.held or row.sold}
    assert stock == {"A": (1, 4), "B": (0, 2), "goodies": (0, 2)}


async def test_many_pages_are_read_to_the_end(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "PAGE_MAX", 3)
    shop = await open_shop(goodies=8)
    for _ in range(10):
        await buy(shop)
    report = await report_of(shop)
    assert report.is_clean
    assert (report.sales, report.orders) == (10, 10)


async def test_whoever_waits_sees_every_record_that_is_read(shop: Shop) -> None:
    for cls in "AB":
        await buy(shop, cls)
    read: list[int] = []
    await Reconciler(shop, second_look_seconds=0, progress=read.append).run()
    # A hold, a sale and an order of each, and two goodies come without being counted.
    assert sum(read) >= 6


async def test_a_shop_that_sells_all_the_while_is_clean(open_shop: OpenShop) -> None:
    shop = await open_shop(tickets_a=1_000, goodies=20)
    stopping = asyncio.Event()

    async def buy_again_and_again() -> int:
        bought = 0
        while not stopping.is_set():
            await buy(shop)
            bought += 1
        return bought

    buying = [asyncio.create_task(buy_again_and_again(), name=f"fan {n}") for n in range(10)]
    reports = [await Reconciler(shop, second_look_seconds=0.5).run() for _ in range(3)]
    stopping.set()
    bought = sum(await asyncio.gather(*buying))
    assert [report.differences for report in reports] == [[], [], []]
    assert (await report_of(shop)).sales == bought


async def test_an_order_that_comes_a_moment_after_its_sale_is_no_difference(
    shop: Shop, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    await buy(shop)
    await execute("CREATE TABLE on_its_way AS TABLE orders")
    await execute("DELETE FROM orders")
    waited = []

    async def arrive(seconds: float) -> None:
        waited.append(seconds)
        await execute("INSERT INTO orders SELECT * FROM on_its_way")

    monkeypatch.setattr("tigerfans.office.reconcile.asyncio.sleep", arrive)
    assert (await Reconciler(shop).run()).differences == []
    assert waited == [reconcile.SECOND_LOOK_SECONDS]


async def test_past_a_bound_differences_are_counted_and_not_named(
    open_shop: OpenShop, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "DIFFERENCES_MAX", 3)
    monkeypatch.setattr(reconcile, "SUSPECTS_MAX", 5)
    shop = await open_shop()
    for _ in range(8):
        await buy(shop)
    await execute("DELETE FROM orders")
    report = await report_of(shop)
    assert (len(report.differences), report.differences_not_named) == (3, 5)
    assert not report.is_clean


async def test_a_sale_without_its_order_is_named_and_repaired(shop: Shop, execute: Execute) -> None:
    order_id = await buy(shop)
    await execute("DELETE FROM orders")
    report = await report_of(shop)
    assert not report.is_clean
    assert [(d.what, d.order_id) for d in report.differences] == [
        ("a sale on the ledger has no order", order_id)
    ]
    repaired = await report_of(shop, repair=True)
    assert [d.repaired for d in repaired.differences] == [True]
    assert repaired.is_clean
    assert (await report_of(shop)).differences == []
    parsed = OrderId.parse(order_id)
    assert parsed is not None
    order = await shop.orders.find(parsed)
    assert order is not None
    assert (order.email, order.got_goodie) == (EMAIL, True)


async def test_a_repair_waits_for_redis_which_has_the_email(
    shop: Shop, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = OrderId.parse(await buy(shop))
    assert order_id is not None
    await execute("DELETE FROM orders")

    async def away(_: OrderId) -> None:
        raise UnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(shop.sessions, "find", away)
        with pytest.raises(UnavailableError):
            await report_of(shop, repair=True)
    assert await shop.orders.find(order_id) is None
    assert (await report_of(shop, repair=True)).is_clean
    order = await shop.orders.find(order_id)
    assert order is not None
    assert order.email == EMAIL


async def test_more_than_one_round_looks_at_is_repaired_round_by_round(
    shop: Shop, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "SUSPECTS_MAX", 2)
    for _ in range(3):
        await buy(shop)
    await execute("DELETE FROM orders")
    assert not (await report_of(shop)).has_more_to_repair
    first = await report_of(shop, repair=True)
    assert (first.repaired, first.is_clean, first.has_more_to_repair) == (2, False, True)
    second = await report_of(shop, repair=True)
    assert (second.repaired, second.is_clean, second.has_more_to_repair) == (1, True, False)


async def test_a_paid_order_without_its_sale_is_named(shop: Shop, execute: Execute) -> None:
    checkout = await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout, EventType.FAILED))
    await execute("UPDATE orders SET status = 'PAID', paid_at = now() - interval '1 minute'")
    report = await report_of(shop, repair=True)
    assert [(d.what, d.repaired) for d in report.differences] == [
        ("a paid order has 0 sales on the ledger", False)
    ]
    assert report.stock[0].sold == 0


async def test_a_sale_of_several_tickets_is_one_order_and_one_goodie(
    open_shop: OpenShop, execute: Execute
) -> None:
    shop = await open_shop(offer=UP_TO_FOUR)
    checkout = await shop.checkout("A", EMAIL, qty=3)
    await shop.settle(event(checkout))
    report = await report_of(shop)
    assert (report.is_clean, report.sales, report.goodies) == (True, 1, 1)
    assert report.stock[0].sold == 3
    await execute("DELETE FROM orders")
    assert (await report_of(shop, repair=True)).is_clean
    [order] = await latest(shop.orders)
    assert (order.qty, len(set(order.ticket_codes))) == (3, 3)


@pytest.mark.parametrize("change", ["got_goodie = false", "qty = 2"])
async def test_an_order_that_differs_from_its_sale_is_named(
    shop: Shop, execute: Execute, change: str
) -> None:
    await buy(shop)
    await execute(f"UPDATE orders SET {change}")  # noqa: S608
    report = await report_of(shop)
    assert "a sale and its order differ in class, number, goodie or time" in [
        d.what for d in report.differences
    ]
    assert not report.is_clean


async def test_a_payment_that_fits_no_order_is_named_until_it_is_resolved(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    checkout = await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout, amount=1))
    [payment], _ = await shop.unmatched.waiting(1)
    report = await report_of(shop, repair=True)
    assert [(d.what, d.order_id) for d in report.differences] == [
        (f"payment {payment.id} fits no order (amount)", checkout.order_id)
    ]
    assert (report.unmatched, report.is_clean, report.says_the_same) == (1, False, True)
    show(report)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"payment {payment.id} fits no order (amount) {checkout.order_id}" in shown
    assert "Unmatched payments: 1. Give them back or dismiss them in the box office." in shown
    assert shown.endswith("Both sides say the same.")
    await shop.dismiss_unmatched(payment.id, "admin")
    assert (await report_of(shop)).is_clean


async def test_past_a_bound_unmatched_payments_are_counted_and_not_named(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "DIFFERENCES_MAX", 2)
    checkout = await shop.checkout("A", EMAIL)
    for amount in range(1, 6):
        await shop.settle(event(checkout, amount=amount))
    report = await report_of(shop)
    assert (len(report.differences), report.differences_not_named, report.unmatched) == (2, 3, 5)
    assert report.says_the_same


async def test_what_is_sold_while_it_looks_does_not_count(shop: Shop) -> None:
    await buy(shop)
    reconciler = Reconciler(shop, second_look_seconds=0)
    await buy(shop)
    report = await reconciler.run()
    assert report.differences == []
    assert report.sales == 1


# --- Refunds ---------------------------------------------------------------------------------


async def order_of(shop: Shop, order_id: OrderId) -> Order:
    order = await shop.orders.find(order_id)
    assert order is not None
    return order


async def buy_several(shop: Shop, qty: int) -> OrderId:
    checkout = await shop.checkout("A", EMAIL, qty=qty)
    await shop.settle(event(checkout))
    order_id = OrderId.parse(checkout.order_id)
    assert order_id is not None
    return order_id


async def test_a_shop_that_gave_back_orders_and_tickets_is_clean(open_shop: OpenShop) -> None:
    shop = await open_shop(offer=UP_TO_FOUR)
    whole, one_of_it = await buy_several(shop, 3), await buy_several(shop, 2)
    await shop.refund(whole, "owner")
    await shop.refund(one_of_it, "owner", [1])
    report = await report_of(shop)
    assert report.differences == []
    assert (report.sales, report.orders, report.refunds) == (2, 2, 4)
    assert [(row.available, row.sold) for row in report.stock if row.name == "A"] == [(9, 1)]


async def test_a_refund_that_the_orders_lost_is_restored_and_its_money_given_back_once(
    open_shop: OpenShop, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await open_shop(offer=UP_TO_FOUR)
    order_id = await buy_several(shop, 4)
    await shop.refund(order_id, "owner", [1, 3])
    await shop.refund(order_id, "owner", [0])
    # As after a backup of before was restored.
    await execute("DELETE FROM ticket_refunds")
    await execute("UPDATE orders SET tickets_refunded_at = NULL")
    [difference] = (await report_of(shop)).differences
    assert difference.what == (
        "the ledger took tickets 1, 2 and 4 back, and the order has no refund of it"
    )
    report = await report_of(shop, repair=True)
    assert report.is_clean
    order = await shop.orders.find(order_id)
    assert order is not None
    assert order.tickets_valid == [2]
    keys = []

    async def give_back(order_id: str, reference: str | None, amount: int, key: str) -> None:
        keys.append((key.rpartition("-")[2], amount))

    monkeypatch.setattr(shop.provider, "refund", give_back)
    # The provider is asked under the keys that it knows.
    await finish(shop, order)
    assert sorted(keys) == [("0", 6500), ("1", 2 * 6500)]
    assert (await report_of(shop)).is_clean


async def test_a_refund_that_the_ledger_lost_is_named_and_done_there(
    open_shop: OpenShop, execute: Execute
) -> None:
    shop = await open_shop(offer=UP_TO_FOUR)
    order_id = await buy_several(shop, 2)
    # As if the ledger were the backup of before: all is said to be done.
    await execute(
        "INSERT INTO ticket_refunds (order_id, ticket, first, amount_cents, asked_by,"
        " taken_back_at, given_back_at, next_attempt_at)"
        " VALUES ($1, 1, 1, 6500, 'owner', now() - interval '1 s', now(), now())",
        order_id.hex_digits,
    )
    [difference] = (await report_of(shop)).differences
    assert difference.what == "ticket 2 of the order is refunded, and still sold on the ledger"
    assert (await report_of(shop, repair=True)).is_clean
    report = await report_of(shop)
    assert report.is_clean
    assert report.refunds == 1


# --- The door --------------------------------------------------------------------------------


def scan_of(shop: Shop, order: Order, ticket: int, gate: str = "North") -> Presentation:
    return Presentation(os.urandom(16), shop.door_code(order, ticket), gate, "phone", 1_000, False)


async def test_a_shop_that_let_people_in_and_out_and_gave_money_back_is_clean(
    open_shop: OpenShop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = await open_shop(offer=UP_TO_FOUR)
    order = await order_of(shop, await buy_several(shop, 4))
    door = Door(shop, DoorScans(shop.orders.database))
    first, again, refunded = (scan_of(shop, order, n) for n in (0, 0, 1))
    other = scan_of(shop, order, 2)
    await door.scan([first, refunded, other], "gate 1")
    for each in (first, refunded):
        await door.undo(each.scan_id, "phone", "gate 1")
    await door.scan([again], "gate 1")
    await shop.refund(order.id, "owner", [1])
    report = await report_of(shop)
    assert report.differences == []
    assert (report.sales, report.refunds, report.inside) == (1, 1, 2)
    assert [(row.available, row.sold) for row in report.stock if row.name == "A"] == [(7, 3)]
    show(report)
    assert "2 of the tickets are inside." in capsys.readouterr().out


async def test_scans_that_postgresql_lost_are_written_again_from_the_ledger(
    open_shop: OpenShop, execute: Execute
) -> None:
    shop = await open_shop(offer=UP_TO_FOUR)
    order = await order_of(shop, await buy_several(shop, 3))
    scans = DoorScans(shop.orders.database)
    door = Door(shop, scans)
    first, second, third = (scan_of(shop, order, n) for n in (0, 0, 1))
    await door.scan([first], "gate 1")
    undone = await door.undo(first.scan_id, "phone", "gate 1")
    told = await door.scan([second, third], "gate 1")
    await execute("DELETE FROM door_scans WHERE scan_id <> $1", UUID(bytes=first.scan_id))
    await execute("UPDATE door_scans SET undone_at = NULL")
    [difference] = (await report_of(shop)).differences
    assert difference.what == (
        "the ledger let tickets 1 and 2 in, and no scan of it is stored;"
        " the ledger let ticket 1 out again, and its scan does not say so"
    )
    assert (await report_of(shop, repair=True)).is_clean
    assert (await report_of(shop)).differences == []
    stored = {scan.scan_id: scan for scan in await scans.of(order.id)}
    assert stored[first.scan_id].undone_at == undone.at
    for case in told:
        scan = stored[case.presentation.scan_id]
        assert (scan.admitted_at, scan.who, scan.undone_at) == (case.at, "reconcile", None)
    assert [stored[each.scan_id].attempt for each in (first, second, third)] == [0, 1, 0]
    assert (await door.figures()).gates[0].gate == "North"
    # All of them, at once.
    await execute("DELETE FROM door_scans")
    assert (await report_of(shop, repair=True)).is_clean
    restored = {scan.scan_id: scan for scan in await scans.of(order.id)}
    assert {id_: (scan.attempt, scan.undone_at) for id_, scan in restored.items()} == {
        id_: (scan.attempt, scan.undone_at) for id_, scan in stored.items()
    }


async def test_an_admission_that_the_ledger_lost_is_named_and_made_again(
    open_shop: OpenShop, execute: Execute
) -> None:
    shop = await open_shop(offer=UP_TO_FOUR)
    order = await order_of(shop, await buy_several(shop, 2))
    scans = DoorScans(shop.orders.database)
    # As if the ledger were the backup of before.
    at = datetime.now(UTC) - timedelta(seconds=1)
    lost = DoorScan(
        scan_id=os.urandom(16),
        ticket=Ticket(order.id, 1),
        cls="A",
        gate=7,
        device="phone",
        who="gate 1",
        scanned_at=at,
        offline=False,
        result=ScanResult.ADMITTED,
        attempt=0,
        admitted_at=at,
    )
    undone = replace(lost, scan_id=os.urandom(16), ticket=Ticket(order.id, 0))
    await scans.write([lost, undone])
    await scans.undone(undone, at, "gate 1")
    [difference] = (await report_of(shop)).differences
    assert difference.what == (
        "a stored scan let tickets 1 and 2 in or out, and the ledger did not"
    )
    assert (await report_of(shop, repair=True)).is_clean
    report = await report_of(shop)
    assert (report.differences, report.inside) == ([], 1)


async def test_a_refund_of_a_later_attempt_that_a_side_lost_is_told_again(
    open_shop: OpenShop, execute: Execute
) -> None:
    shop = await open_shop(offer=UP_TO_FOUR)
    order = await order_of(shop, await buy_several(shop, 2))
    door = Door(shop, DoorScans(shop.orders.database))
    both = [scan_of(shop, order, number) for number in range(2)]
    await door.scan(both, "gate 1")
    for each in both:
        await door.undo(each.scan_id, "phone", "gate 1")
    await shop.refund(order.id, "owner", [0])
    await execute("DELETE FROM ticket_refunds")
    await execute(
        "INSERT INTO ticket_refunds (order_id, ticket, first, amount_cents, asked_by,"
        " taken_back_at, given_back_at, next_attempt_at)"
        " VALUES ($1, 1, 1, 6500, 'owner', now() - interval '1 s', now(), now())",
        order.id.hex_digits,
    )
    [difference] = (await report_of(shop)).differences
    assert difference.what == (
        "the ledger took ticket 1 back, and the order has no refund of it;"
        " ticket 2 of the order is refunded, and still sold on the ledger"
    )
    assert (await report_of(shop, repair=True)).is_clean
    report = await report_of(shop)
    assert (report.differences, report.refunds, report.inside) == ([], 2, 0)


async def test_a_refund_that_is_under_way_is_no_difference(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await open_shop(offer=UP_TO_FOUR)
    order_id = await buy_several(shop, 2)
    await shop.ticket_refunds.ask(order_id, [0], "owner")
    assert (await report_of(shop)).is_clean
    order = await shop.orders.find(order_id)
    assert order is not None

    async def fails(*asked: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as without_provider:
        without_provider.setattr(shop.provider, "refund", fails)
        with pytest.raises(ProviderError):
            await finish(shop, order)
    assert (await report_of(shop)).is_clean
