"""Every object that the server shows, held to the class that the library has for it."""

from collections.abc import Iterator
from typing import Any

import stripe

from tests.stripe_server.control import Control
from tests.stripe_server.library_types import differences
from tests.stripe_server.shopping import Library, session_params

KINDS: dict[str, Any] = {
    "checkout.session": stripe.checkout.Session,
    "payment_intent": stripe.PaymentIntent,
    "charge": stripe.Charge,
    "refund": stripe.Refund,
    "balance": stripe.Balance,
    "event": stripe.Event,
}


def wrong(*things: stripe.StripeObject) -> list[str]:
    return sorted(set(_wrong(things)))


def _wrong(things: tuple[stripe.StripeObject, ...]) -> Iterator[str]:
    for thing in things:
        shown = thing.to_dict()
        kind = shown["object"]
        yield from differences(KINDS[kind], shown, kind)


def test_a_difference_is_found() -> None:
    session = {"object": "session", "created": "today", "status": "lost", "colour": "red"}
    found = "; ".join(differences(stripe.checkout.Session, session, "session"))
    assert "session.id is missing" in found
    assert "session.created is 'today', no int" in found
    assert "session.status is 'lost', which is none of ('complete', 'expired', 'open')" in found
    assert "session.colour is none of the library's fields" in found


async def test_every_object_has_what_the_library_knows_of_it(
    library: Library, stripe_server: Control
) -> None:
    expand = ["line_items"]
    opened = await library.open("open", expand=expand)
    declined = await library.open("declined")
    await stripe_server.attempt(declined.id, "declined")
    debit = await library.open("debit")
    await stripe_server.attempt(debit.id, "debit")
    refused = await library.open("refused")
    await stripe_server.attempt(refused.id, "debit")
    await stripe_server.settle(refused.id, "failed")
    paid = await library.open("paid")
    intent = (await stripe_server.attempt(paid.id))["payment_intent"]
    refund = await library.refund(intent, amount=100, reason="requested_by_customer")
    failed = await library.refund(intent, amount=200)
    await stripe_server.fail_refund(failed.id)
    data = {**session_params("manual")["payment_intent_data"], "capture_method": "manual"}
    for order in ("captured", "canceled"):
        manual = await library.open(order, payment_intent_data=data)
        authorised = (await stripe_server.attempt(manual.id))["payment_intent"]
        if order == "captured":
            await library.v1.payment_intents.capture_async(authorised)
        else:
            await library.v1.payment_intents.cancel_async(authorised)
    await library.v1.checkout.sessions.expire_async(opened.id)

    v1 = library.v1
    sessions = await v1.checkout.sessions.list_async({"limit": 100})
    intents = await v1.payment_intents.list_async({"limit": 100})
    charges = await v1.charges.list_async({"limit": 100})
    refunds = await v1.refunds.list_async({"limit": 100})
    events = await v1.events.list_async({"limit": 100})
    balance = await v1.balance.retrieve_async()
    assert [len(each.data) for each in (sessions, intents, charges, refunds)] == [7, 6, 6, 2]
    everything: list[stripe.ListObject[Any]] = [sessions, intents, charges, refunds, events]
    assert not wrong(opened, refund, balance, *(each for page in everything for each in page.data))
    for event in events.data:
        what = event.data.object.to_dict()
        assert not list(differences(KINDS[what["object"]], what, event.type))
