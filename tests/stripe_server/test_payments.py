"""What becomes of a payment: paid, declined, decided later, authorised first, refunded; and the
balance of it all, to the cent.
"""

import pytest
import stripe

from tests.stripe_server.control import Control, RefusedError
from tests.stripe_server.shopping import PRICE, Library
from tests.stripe_server.test_page import press


async def paid(library: Library, server: Control, order: str = "order") -> str:
    """The payment intent of an order that is paid."""
    session = await library.open(order)
    return str((await server.attempt(session.id))["payment_intent"])


async def authorised(library: Library, server: Control) -> tuple[str, str]:
    """A session and its payment intent, which nobody has captured."""
    session = await library.open(payment_intent_data={"capture_method": "manual"})
    return session.id, str((await server.attempt(session.id))["payment_intent"])


async def types(server: Control) -> list[str]:
    return [event["type"] for event in await server.events()]


async def test_what_is_paid_is_charged_once(library: Library, stripe_server: Control) -> None:
    session = await library.open("one")
    await press(session, "card")
    await press(session, "card")
    complete = await library.session(session.id)
    assert (complete.status, complete.payment_status) == ("complete", "paid")
    intent = await library.v1.payment_intents.retrieve_async(str(complete.payment_intent))
    assert (intent.status, intent.amount_received) == ("succeeded", PRICE)
    assert intent.metadata["order_id"] == "one"
    assert await stripe_server.money() == {"eur": {"charged": PRICE, "refunded": 0, "left": PRICE}}
    [payment] = await stripe_server.payments()
    assert (payment["client_reference_id"], payment["charged"]) == ("one", PRICE)
    assert (await types(stripe_server)) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ]


async def test_a_declined_card_leaves_the_session_open_and_its_intent_waits(
    library: Library, stripe_server: Control
) -> None:
    session = await library.open()
    declined = await stripe_server.attempt(session.id, "declined")
    assert (declined["status"], declined["payment_status"]) == ("open", "unpaid")
    intent = await library.v1.payment_intents.retrieve_async(declined["payment_intent"])
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error is not None
    assert intent.last_payment_error.decline_code == "generic_decline"
    again = await stripe_server.attempt(session.id)
    # One intent, a charge for each attempt.
    assert again["payment_intent"] == intent.id
    charges = await library.v1.charges.list_async({"payment_intent": intent.id})
    assert [charge.status for charge in charges.data] == ["succeeded", "failed"]


async def test_a_debit_is_complete_and_unpaid_until_the_bank_has_decided(
    library: Library, stripe_server: Control
) -> None:
    session = await library.open()
    begun = await stripe_server.attempt(session.id, "debit")
    assert (begun["status"], begun["payment_status"]) == ("complete", "unpaid")
    assert await stripe_server.money() == {}
    [completed] = await stripe_server.events(["checkout.session.completed"])
    assert completed["data"]["object"]["payment_status"] == "unpaid"
    await stripe_server.settle(session.id)
    assert (await library.session(session.id)).payment_status == "paid"
    [told] = await stripe_server.events(["checkout.session.async_payment_succeeded"])
    assert told["data"]["object"]["payment_status"] == "paid"
    with pytest.raises(RefusedError, match="Nothing of this session is under way"):
        await stripe_server.settle(session.id)


async def test_a_debit_that_the_bank_refuses_is_told_and_brings_nothing(
    library: Library, stripe_server: Control
) -> None:
    session = await library.open()
    await stripe_server.attempt(session.id, "debit")
    await stripe_server.settle(session.id, "failed")
    refused = await library.session(session.id)
    assert (refused.status, refused.payment_status) == ("complete", "unpaid")
    assert await stripe_server.money() == {}
    assert "checkout.session.async_payment_failed" in await types(stripe_server)


async def test_what_is_authorised_is_charged_when_it_is_captured(
    library: Library, stripe_server: Control
) -> None:
    session, intent = await authorised(library, stripe_server)
    assert (await library.session(session)).payment_status == "unpaid"
    assert await stripe_server.money() == {}
    captured = await library.v1.payment_intents.capture_async(intent)
    assert (captured.status, captured.amount_received) == ("succeeded", PRICE)
    assert (await library.session(session)).payment_status == "paid"
    assert (await stripe_server.money())["eur"]["charged"] == PRICE
    with pytest.raises(stripe.InvalidRequestError) as raised:
        await library.v1.payment_intents.capture_async(intent)
    assert raised.value.code == "payment_intent_unexpected_state"


async def test_part_of_what_is_authorised_can_be_captured_and_no_more(
    library: Library, stripe_server: Control
) -> None:
    _, intent = await authorised(library, stripe_server)
    with pytest.raises(stripe.InvalidRequestError) as raised:
        await library.v1.payment_intents.capture_async(intent, {"amount_to_capture": PRICE + 1})
    assert raised.value.code == "amount_too_large"
    await library.v1.payment_intents.capture_async(intent, {"amount_to_capture": 1000})
    await library.refund(intent)
    assert await stripe_server.money() == {"eur": {"charged": 1000, "refunded": 1000, "left": 0}}


async def test_a_canceled_authorisation_is_no_refund(
    library: Library, stripe_server: Control
) -> None:
    _, intent = await authorised(library, stripe_server)
    canceled = await library.v1.payment_intents.cancel_async(
        intent, {"cancellation_reason": "abandoned"}
    )
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    assert await stripe_server.money() == {}
    assert (await library.v1.refunds.list_async()).data == []
    with pytest.raises(stripe.InvalidRequestError):
        await library.v1.payment_intents.capture_async(intent)


async def test_the_intent_of_an_open_session_is_not_canceled_by_itself(
    library: Library, stripe_server: Control
) -> None:
    session = await library.open()
    intent = (await stripe_server.attempt(session.id, "declined"))["payment_intent"]
    with pytest.raises(stripe.InvalidRequestError, match="Expire the Checkout Session instead"):
        await library.v1.payment_intents.cancel_async(intent)
    await library.v1.checkout.sessions.expire_async(session.id)
    assert (await library.v1.payment_intents.retrieve_async(intent)).status == "canceled"


async def test_refunds_are_of_what_is_left_to_the_cent(
    library: Library, stripe_server: Control
) -> None:
    intent = await paid(library, stripe_server)
    await library.refund(intent, amount=2501)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount") as more:
        await library.refund(intent, amount=4000)
    assert more.value.param == "amount"
    rest = await library.refund(intent)
    assert rest.amount == PRICE - 2501
    assert await stripe_server.money() == {"eur": {"charged": PRICE, "refunded": PRICE, "left": 0}}
    with pytest.raises(stripe.InvalidRequestError) as again:
        await library.refund(intent)
    assert again.value.code == "charge_already_refunded"
    balance = await library.v1.balance.retrieve_async()
    assert [(each.currency, each.amount) for each in balance.available] == [("eur", 0)]


async def test_a_refund_that_fails_later_is_the_shop_s_money_again(
    library: Library, stripe_server: Control
) -> None:
    intent = await paid(library, stripe_server)
    refund = await library.refund(intent)
    await stripe_server.fail_refund(refund.id)
    assert (await library.v1.refunds.retrieve_async(refund.id)).status == "failed"
    assert (await stripe_server.money())["eur"]["left"] == PRICE
    await library.refund(intent)
    assert (await stripe_server.money())["eur"]["left"] == 0


async def test_what_was_not_paid_is_not_refunded(library: Library, stripe_server: Control) -> None:
    session = await library.open()
    intent = (await stripe_server.attempt(session.id, "declined"))["payment_intent"]
    for payment, words in ((intent, "does not have a successful charge"), ("pi_none", "No such")):
        with pytest.raises(stripe.InvalidRequestError, match=words):
            await library.refund(payment)


async def test_refunds_are_listed_in_pages_by_payment(
    library: Library, stripe_server: Control
) -> None:
    one = await paid(library, stripe_server, "one")
    other = await paid(library, stripe_server, "other")
    refunds = [(await library.refund(one, amount=100 + number)).id for number in range(3)]
    await library.refund(other, amount=200)
    page = await library.v1.refunds.list_async({"payment_intent": one, "limit": 2})
    assert page.has_more
    assert [refund.id async for refund in page.auto_paging_iter()] == refunds[::-1]
    intents = await library.v1.payment_intents.list_async()
    assert [intent.id for intent in intents.data] == [other, one]
