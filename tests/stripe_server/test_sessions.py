"""Checkout Sessions, as the unmodified library sees them: opened, read, listed, expired."""

import time
from typing import Any

import pytest
import stripe

from tests.stripe_server.control import Control
from tests.stripe_server.server import LIVE_KEY
from tests.stripe_server.shopping import PRICE, Library, line_item
from tests.stripe_server.test_page import press


async def test_a_session_says_what_is_to_be_paid_and_where(
    library: Library, stripe_server: Control
) -> None:
    session = await library.open("one", line_items=[line_item(quantity=3)])
    assert session.id.startswith("cs_test_")
    assert (session.status, session.payment_status) == ("open", "unpaid")
    assert (session.amount_total, session.currency) == (3 * PRICE, "eur")
    assert session.client_reference_id == "one"
    assert session.metadata is not None
    assert session.metadata["order_id"] == "one"
    assert session.customer_email == "fan@example.com"
    assert session.url == f"{stripe_server.url}/c/pay/{session.id}"
    assert not session.livemode
    # There is none before somebody tries to pay.
    assert session.payment_intent is None


async def test_a_session_can_be_read_again_and_with_its_items(library: Library) -> None:
    opened = await library.open()
    assert await library.session(opened.id) == opened
    items = await library.v1.checkout.sessions.line_items.list_async(opened.id)
    assert [(item.quantity, item.amount_total) for item in items.data] == [(1, PRICE)]
    expanded = await library.v1.checkout.sessions.retrieve_async(
        opened.id, {"expand": ["line_items"]}
    )
    assert expanded.line_items is not None
    assert expanded.line_items.data == items.data


async def test_a_session_that_is_paid_can_be_read_with_its_payment(
    library: Library, stripe_server: Control
) -> None:
    session = await library.open("one")
    await stripe_server.attempt(session.id)
    paid = await library.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["payment_intent.latest_charge"]}
    )
    intent = paid.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert intent.metadata["order_id"] == "one"
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert intent.latest_charge.amount_captured == PRICE


async def test_what_nobody_opened_is_missing(library: Library) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="No such checkout") as raised:
        await library.session("cs_test_nothing")
    assert (raised.value.http_status, raised.value.code) == (404, "resource_missing")


@pytest.mark.parametrize("minutes", [29, 24 * 60 + 1])
async def test_a_session_lasts_from_half_an_hour_to_a_day(library: Library, minutes: int) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="from Checkout Session creation") as error:
        await library.open(expires_at=int(time.time()) + 60 * minutes)
    assert error.value.param == "expires_at"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"line_items": []}, "parameter_missing"),
        ({"line_items": [line_item(-1)]}, "parameter_invalid_integer"),
        ({"line_items": [line_item(49)]}, "amount_too_small"),
        ({"line_items": [line_item(100_000_000)]}, "amount_too_large"),
        ({"line_items": [line_item(100, "isk"), line_item(100)]}, None),
        ({"line_items": [line_item(150, "isk")]}, None),
        ({"line_items": [line_item(1005, "kwd")]}, None),
        ({"success_url": "demo"}, "url_invalid"),
        ({"metadata": {"n" * 41: "x"}}, None),
        ({"metadata": {"n": "x" * 501}}, None),
        ({"discount": "all"}, "parameter_unknown"),
    ],
)
async def test_what_cannot_be_paid_is_refused(
    library: Library, stripe_server: Control, params: dict[str, Any], code: str | None
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        await library.open(**params)
    assert raised.value.code == code
    assert await stripe_server.payments() == []


@pytest.mark.parametrize(("amount", "currency"), [(50, "jpy"), (500, "isk"), (10, "kwd")])
async def test_amounts_are_in_what_stripe_takes_for_the_minor_unit(
    library: Library, amount: int, currency: str
) -> None:
    session = await library.open(line_items=[line_item(amount, currency)])
    assert (session.amount_total, session.currency) == (amount, currency)


async def test_a_session_is_expired_once_and_not_paid_after_that(
    library: Library, stripe_server: Control
) -> None:
    session = await library.open()
    expired = await library.v1.checkout.sessions.expire_async(session.id)
    assert (expired.status, expired.url) == ("expired", None)
    await press(session, "card")
    with pytest.raises(stripe.InvalidRequestError, match="status of `expired`"):
        await library.v1.checkout.sessions.expire_async(session.id)
    assert await stripe_server.money() == {}


async def test_a_session_that_is_paid_cannot_be_expired(
    library: Library, stripe_server: Control
) -> None:
    session = await library.open()
    await stripe_server.attempt(session.id)
    with pytest.raises(stripe.InvalidRequestError, match="status of `complete`"):
        await library.v1.checkout.sessions.expire_async(session.id)


async def test_a_session_expires_by_itself(library: Library, stripe_server: Control) -> None:
    session = await library.open()
    await stripe_server.pass_time(session.expires_at - time.time() - 60)
    assert (await library.session(session.id)).status == "open"
    await stripe_server.pass_time(61)
    assert (await library.session(session.id)).status == "expired"
    assert [each["type"] for each in await stripe_server.events()] == ["checkout.session.expired"]


async def test_a_list_comes_in_pages_the_newest_first(library: Library) -> None:
    opened = [(await library.open(str(number))).id for number in range(5)]
    first = await library.v1.checkout.sessions.list_async({"limit": 2})
    assert [session.id for session in first.data] == opened[:2:-1]
    assert first.has_more
    all_ = [session.id async for session in first.auto_paging_iter()]
    assert all_ == opened[::-1]
    before = await library.v1.checkout.sessions.list_async({"limit": 2, "ending_before": opened[1]})
    assert [session.id for session in before.data] == [opened[3], opened[2]]
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        await library.v1.checkout.sessions.list_async({"starting_after": "cs_test_nothing"})


async def test_a_list_is_of_a_status_a_payment_and_a_time(
    library: Library, stripe_server: Control
) -> None:
    paid, unpaid = await library.open(), await library.open()
    intent = (await stripe_server.attempt(paid.id))["payment_intent"]
    sessions = library.v1.checkout.sessions
    complete = await sessions.list_async({"status": "complete"})
    assert [session.id for session in complete.data] == [paid.id]
    of_payment = await sessions.list_async({"payment_intent": intent})
    assert [session.id for session in of_payment.data] == [paid.id]
    later = await sessions.list_async({"created": {"gt": unpaid.created}})
    assert later.data == []
    until = await sessions.list_async({"created": {"gte": paid.created, "lte": unpaid.created}})
    assert len(until.data) == 2


async def test_one_mode_sees_nothing_of_the_other(library: Library, stripe_server: Control) -> None:
    session = await library.open()
    async with Library(stripe_server.url, LIVE_KEY) as live:
        with pytest.raises(stripe.InvalidRequestError, match="exists in test mode"):
            await live.session(session.id)
        assert (await live.v1.checkout.sessions.list_async()).data == []
        opened = await live.open()
    assert opened.livemode
    assert opened.id.startswith("cs_live_")
