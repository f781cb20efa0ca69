"""What the provider has charged, compared with the orders: by Stripe's library, to the cent."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import asyncpg
import pytest

from tests.payments.test_stripe import (
    REFUNDS,
    StripeShop,
    deliver,
    quick,
    selling,
)
from tests.stripe_server.control import Control
from tests.stripe_server.misbehaviour import Rule
from tigerfans.booking.ids import OrderId
from tigerfans.errors import InvalidRequestError, ProviderError
from tigerfans.office import provider_reconcile
from tigerfans.office.provider_reconcile import ProviderReconciler, ProviderReport
from tigerfans.office.reconcile_command import show_provider
from tigerfans.payments import stripe_opening, stripe_requests
from tigerfans.payments.base import EventType, PaymentEvent, ProviderPayment

__all__ = ["quick", "selling"]

INTENTS = "GET /v1/payment_intents"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe_opening, "PATIENT_PAUSES_SECONDS", (0.01,) * 4)


async def report_of(selling: StripeShop, *, repair: bool = False) -> ProviderReport:
    books = selling.provider.books
    return await ProviderReconciler(selling.shop, books, repair=repair, grace_seconds=0).run()


def amounts(report: ProviderReport, currency: str = "eur") -> dict[str, int]:
    """What is not nothing, by its name."""
    told = report.as_dict()["currencies"][currency]
    flat = {name: row if name == "difference" else row["amount"] for name, row in told.items()}
    return {name: amount for name, amount in flat.items() if amount}


def differences(report: ProviderReport) -> list[tuple[str, str, bool]]:
    return [(each.what, each.order_id, each.repaired) for each in report.differences]


async def pay(selling: StripeShop, server: Control, qty: int = 1) -> str:
    """Pays an order, and tells nobody."""
    order_id = await selling.hold(qty)
    await server.attempt(await selling.open(order_id))
    return order_id


def read(order_id: str) -> OrderId:
    parsed = OrderId.read(order_id)
    assert parsed is not None
    return parsed


async def refund(selling: StripeShop, order_id: str, *tickets: int) -> None:
    await selling.shop.refund(read(order_id), "ada", tickets or None)


async def test_all_that_was_charged_is_sold_due_refunded_or_unmatched(
    selling: StripeShop, stripe_server: Control, capsys: pytest.CaptureFixture[str]
) -> None:
    sold, refunded, partly = [await pay(selling, stripe_server, qty) for qty in (1, 1, 1)]
    await deliver(selling, stripe_server, "completed")
    await refund(selling, refunded)
    # Nobody is charged for what is declined, held, or on its way as a debit.
    await stripe_server.attempt(await selling.open(await selling.hold()), "declined")
    await stripe_server.attempt(await selling.open(await selling.hold()), "debit")
    # It was asked for, and the provider does not answer.
    await stripe_server.misbehave(Rule("error", REFUNDS, times=None))
    with pytest.raises(ProviderError):
        await refund(selling, partly)
    await stripe_server.misbehave()
    report = await report_of(selling)
    assert report.is_clean
    assert differences(report) == []
    assert amounts(report) == {
        "charged": 3 * 6500,
        "given_back": 6500,
        "sold": 6500,
        "refund_due": 6500,
        "refunded": 6500,
    }
    show_provider(report)
    printed = capsys.readouterr().out
    assert "All that was charged is in the orders." in printed
    assert "€195.00" in printed
    assert sold not in printed


async def test_a_payment_that_nobody_told_is_named_and_settled_where_that_is_asked_for(
    selling: StripeShop, stripe_server: Control
) -> None:
    order_id = await pay(selling, stripe_server)
    report = await report_of(selling)
    what = "Stripe has charged €65.00, and the shop does not know of it"
    assert differences(report) == [(what, order_id, False)]
    assert (amounts(report)["difference"], report.is_clean) == (6500, False)
    assert await selling.status(order_id) == "PENDING"
    repaired = await report_of(selling, repair=True)
    assert differences(repaired) == [(what, order_id, True)]
    assert (repaired.is_clean, amounts(repaired).get("difference")) == (True, None)
    assert await selling.status(order_id) == "PAID"
    order = await selling.shop.order(read(order_id))
    assert order is not None
    [payment] = await stripe_server.payments()
    assert (order.payment_reference, order.email) == (payment["payment_intent"], "fan@example.com")
    assert differences(await report_of(selling)) == []


async def test_a_session_that_the_shop_lost_is_found_by_its_payment(
    selling: StripeShop, stripe_server: Control, database_url: str
) -> None:
    order_id = await pay(selling, stripe_server)
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM provider_sessions")
    await connection.close()
    assert await selling.provider.look_up(order_id) is None
    assert (await report_of(selling, repair=True)).is_clean
    assert await selling.status(order_id) == "PAID"


async def test_what_fits_no_order_is_in_the_books_as_what_became_of_it(
    selling: StripeShop, stripe_server: Control, database_url: str
) -> None:
    order_ids = [await pay(selling, stripe_server) for _ in range(3)]
    # As if they had agreed on another price.
    for event in await stripe_server.events(["checkout.session.completed"]):
        order_id = event["data"]["object"]["metadata"]["order_id"]
        told = await selling.provider.look_up(order_id)
        assert told is not None
        fields = {name: getattr(told, name) for name in told.__struct_fields__}
        await selling.shop.settle(PaymentEvent(**fields | {"cls": "B"}))
    waiting, total = await selling.shop.unmatched.waiting(3)
    assert (total, sorted(each.order_id for each in waiting)) == (3, sorted(order_ids))
    await selling.shop.refund_unmatched(waiting[0].id, "ada")
    await selling.shop.dismiss_unmatched(waiting[1].id, "ada")
    report = await report_of(selling)
    assert differences(report) == []
    assert amounts(report) == {
        "charged": 3 * 6500,
        "given_back": 6500,
        "refunded": 6500,
        "unmatched": 6500,
        "dismissed": 6500,
    }


async def test_an_order_for_which_nothing_was_charged_is_named(
    selling: StripeShop, stripe_server: Control
) -> None:
    order_id = await selling.hold()
    await selling.shop.settle(
        PaymentEvent(EventType.SUCCEEDED, f"stripe_{order_id}", order_id, 6500, "eur")
    )
    other_id = await selling.hold()
    event = PaymentEvent(
        EventType.SUCCEEDED, f"stripe_{other_id}", other_id, 6500, "eur", reference="pi_unknown"
    )
    await selling.shop.settle(event)
    # There is a session, and nobody has paid there.
    opened_id = await selling.hold()
    await stripe_server.attempt(await selling.open(opened_id), "declined")
    await selling.shop.settle(
        PaymentEvent(EventType.SUCCEEDED, f"stripe_{opened_id}", opened_id, 6500, "eur")
    )
    report = await report_of(selling)
    what = "the order is PAID, and Stripe has charged nothing for it"
    assert sorted(differences(report)) == sorted(
        (what, each, False) for each in (order_id, other_id, opened_id)
    )
    assert amounts(report) == {"sold": 3 * 6500, "difference": -3 * 6500}


async def test_a_payment_from_before_the_days_is_asked_for_by_itself(
    selling: StripeShop, stripe_server: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pay(selling, stripe_server)
    await deliver(selling, stripe_server, "completed")

    async def nothing(*_: Any) -> AsyncGenerator[Sequence[ProviderPayment], None]:
        yield []

    monkeypatch.setattr(selling.provider.books, "payments", nothing)
    report = await report_of(selling)
    assert differences(report) == []
    assert amounts(report) == {"charged": 6500, "sold": 6500}


async def test_a_refund_by_hand_and_one_that_failed_days_later_are_named(
    selling: StripeShop, stripe_server: Control
) -> None:
    order_id, other_id = await pay(selling, stripe_server), await pay(selling, stripe_server)
    await deliver(selling, stripe_server, "completed")
    # More than a charge has along with it.
    for number in range(11):
        await selling.provider.refund(other_id, None, 100, f"by hand {number}")
    by_hand = ("Stripe has given €11.00 back, and the shop €0.00", other_id, False)
    assert differences(await report_of(selling)) == [by_hand]
    await refund(selling, order_id)
    *_, created = await stripe_server.events(["refund.created"])
    await stripe_server.fail_refund(created["data"]["object"]["id"])
    report = await report_of(selling)
    what = "Stripe has given €0.00 back (€65.00 could not be given back), and the shop €65.00"
    assert sorted(differences(report)) == sorted([(what, order_id, False), by_hand])
    # It is charged and accounted for all the same.
    assert "difference" not in amounts(report)
    # Made anew by hand it is right again.
    await selling.provider.refund(order_id, None, 6500, "by hand too")
    assert differences(await report_of(selling)) == [by_hand]


async def test_a_disputed_payment_is_named_and_no_difference(
    selling: StripeShop,
    stripe_server: Control,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order_id = await selling.hold()
    session_id = await selling.open(order_id)
    await stripe_server.attempt(session_id)
    await deliver(selling, stripe_server, "completed")
    await stripe_server.dispute(session_id)
    report = await report_of(selling)
    assert report.is_clean
    assert [each.order_id for each in report.disputed] == [order_id]
    monkeypatch.setattr(provider_reconcile, "DIFFERENCES_MAX", 0)
    show_provider(await report_of(selling))
    assert "… and 1 more." in capsys.readouterr().out
    show_provider(report)
    assert f"back {order_id}" in capsys.readouterr().out


async def test_one_who_paid_twice_is_an_unmatched_payment_that_can_be_given_back(
    selling: StripeShop, stripe_server: Control, database_url: str
) -> None:
    order_id = await pay(selling, stripe_server)
    await deliver(selling, stripe_server, "completed")
    # Another session of the same order, as if the one that was stored had been lost.
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE orders SET payment_reference = 'pi_of_before'")
    await connection.close()
    report = await report_of(selling, repair=True)
    [(_, named, repaired), *_] = differences(report)
    assert (named, repaired) == (order_id, True)
    [unmatched], _ = await selling.shop.unmatched.waiting(1)
    await selling.shop.refund_unmatched(unmatched.id, "ada")
    assert (await stripe_server.money())["eur"]["left"] == 0
    # What the order itself was paid with is its own to give back.
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE orders SET payment_reference = $1", unmatched.reference)
    await connection.execute(
        "UPDATE unmatched_payments SET resolution = NULL, resolved_at = NULL, claimed_until = NULL"
    )
    await connection.close()
    with pytest.raises(InvalidRequestError, match="what the order was paid with"):
        await selling.shop.refund_unmatched(unmatched.id, "ada")


async def test_what_others_sell_by_the_same_account_is_nobodys_business(
    selling: StripeShop, stripe_server: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = await selling.hold()
    monkeypatch.setattr(
        selling.provider, "_account", selling.provider._account._replace(shop="another")
    )
    await stripe_server.attempt(await selling.open(order_id))
    report = await report_of(selling)
    assert (report.as_dict()["currencies"], report.is_clean) == ({}, True)


async def test_many_pages_are_read_to_the_end_whatever_goes_wrong(
    selling: StripeShop, stripe_server: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_requests, "PAYMENTS_READ_AT_ONCE", 2)
    monkeypatch.setattr(provider_reconcile, "PAGE_MAX", 2)
    for _ in range(5):
        await pay(selling, stripe_server)
    await deliver(selling, stripe_server, "completed")
    wrong = (Rule("limited", INTENTS), Rule("error", INTENTS), Rule("cut", INTENTS))
    await stripe_server.misbehave(*wrong)
    report = await report_of(selling)
    assert differences(report) == []
    assert amounts(report) == {"charged": 5 * 6500, "sold": 5 * 6500}
    answers = await stripe_server.answers()
    assert answers[INTENTS, 200] == 3
    await stripe_server.misbehave(Rule("error", INTENTS, times=None))
    with pytest.raises(ProviderError):
        await report_of(selling)


async def test_past_a_bound_differences_are_counted_and_not_named(
    selling: StripeShop, stripe_server: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_reconcile, "SUSPECTS_MAX", 2)
    monkeypatch.setattr(provider_reconcile, "DIFFERENCES_MAX", 1)
    for _ in range(4):
        await pay(selling, stripe_server)
    report = await report_of(selling)
    assert (len(report.differences), report.differences_not_named) == (1, 3)
    assert amounts(report)["difference"] == 4 * 6500
    repaired = await report_of(selling, repair=True)
    assert repaired.has_more_to_repair
    assert (await report_of(selling, repair=True)).is_clean


async def test_what_is_under_way_while_it_is_compared_is_nobodys_fault(
    selling: StripeShop, stripe_server: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid, refunded = await pay(selling, stripe_server), await pay(selling, stripe_server)
    await selling.shop.settle(await told(selling, refunded))
    slept: list[float] = []
    sleep = asyncio.sleep

    async def meanwhile(seconds: float) -> None:
        if seconds > provider_reconcile.GRACE_SECONDS / 2:
            slept.append(seconds)
            await deliver(selling, stripe_server, "completed")
            await refund(selling, refunded)
            return
        await sleep(seconds)

    monkeypatch.setattr("tigerfans.office.provider_reconcile.asyncio.sleep", meanwhile)
    report = await ProviderReconciler(selling.shop, selling.provider.books).run()
    assert differences(report) == []
    assert len(slept) == 1
    assert await selling.status(paid) == "PAID"
    assert "difference" not in amounts(report)


async def told(selling: StripeShop, order_id: str) -> PaymentEvent:
    event = await selling.provider.look_up(order_id)
    assert isinstance(event, PaymentEvent)
    return event
