"""Webhooks, read by the library's own `Webhook`: signed, sent again, twice, late, in any order."""

import time
from collections import Counter

import pytest
import stripe

from tests.harness.patience import until
from tests.stripe_server.conftest import QUICK, SECRETS
from tests.stripe_server.control import Control
from tests.stripe_server.receiver import CUT, Receiver
from tests.stripe_server.server import LIVE_KEY
from tests.stripe_server.shopping import Library
from tests.stripe_server.webhooks import (
    SIGNATURE_HEADER,
    Endpoint,
    Manners,
    pause_seconds,
    signature,
)
from tests.stripe_server.wire import Request

COMPLETED = "checkout.session.completed"
# Of a payment by card: created, charged, succeeded, completed.
EVENTS = 4


def read(request: Request, secret: str) -> stripe.Event:
    return stripe.Webhook.construct_event(  # type: ignore[no-any-return]
        request.body, request.headers[SIGNATURE_HEADER], secret
    )


async def pay(library: Library, server: Control, order: str = "order") -> str:
    session = await library.open(order)
    await server.attempt(session.id)
    return session.id


def test_a_signature_is_the_one_that_the_library_computes() -> None:
    body = '{"id": "evt_1", "name": "Tïger"}'
    theirs = stripe.WebhookSignature.generate_signature_header(body, "whsec_x", 1_700_000_000)
    assert signature(["whsec_x"], body.encode(), 1_700_000_000) == theirs


async def test_what_is_paid_is_told_and_the_library_reads_it(
    library: Library, stripe_server: Control, receiver: Receiver
) -> None:
    session = await pay(library, stripe_server)
    await receiver.wait_for(EVENTS)
    [request] = [each for each in receiver.received if COMPLETED in each.body.decode()]
    # By both, while one is rolled.
    for secret in SECRETS:
        event = read(request, secret)
        assert event.id.startswith("evt_")
        assert (event.type, event.livemode) == (COMPLETED, False)
        assert event.data.object.id == session
        assert event.data.object.payment_status == "paid"
    with pytest.raises(stripe.SignatureVerificationError):
        read(request, "whsec_other")
    # What no shop waits for comes too.
    assert "charge.succeeded" in receiver.types


async def test_an_event_is_sent_until_it_is_confirmed_with_a_new_timestamp(
    library: Library, stripe_server: Control, receiver: Receiver
) -> None:
    await stripe_server.send_to(Endpoint(receiver.url, SECRETS, [COMPLETED]))
    receiver.to_next.extend([500, CUT, 404, 302])
    await pay(library, stripe_server)
    await receiver.wait_for(5)
    assert len({event["id"] for event in receiver.events}) == 1
    for request in receiver.received:
        assert read(request, SECRETS[0]).type == COMPLETED

    async def is_confirmed() -> bool:
        return not await stripe_server.undelivered()

    await until(is_confirmed)
    assert len(receiver.received) == 5


def test_pauses_grow_from_a_minute_to_half_a_day() -> None:
    pauses = [pause_seconds(attempts) for attempts in (1, 2, 3, 4, 5, 6, 1000)]
    assert pauses == [60, 240, 960, 3840, 15_360, 43_200, 43_200]


async def test_an_event_that_nobody_confirms_waits_for_its_pause(
    library: Library, stripe_server: Control, receiver: Receiver
) -> None:
    await stripe_server.send_to(Endpoint(receiver.url, SECRETS, [COMPLETED]))
    await stripe_server.behave(Manners())
    receiver.to_next.append(503)
    await pay(library, stripe_server)

    async def is_late() -> bool:
        return any(each["attempts"] for each in await stripe_server.undelivered())

    await until(is_late)
    [delivery] = await stripe_server.undelivered()
    assert delivery["due_at"] - delivery["began_at"] >= 60


async def test_events_come_twice_when_they_are_asked_to(
    library: Library, stripe_server: Control, receiver: Receiver
) -> None:
    await stripe_server.behave(Manners(copies=2))
    await pay(library, stripe_server)
    await receiver.wait_for(2 * EVENTS)
    counted = Counter(event["id"] for event in receiver.events)
    assert set(counted.values()) == {2}


async def test_events_are_held_and_sent_in_any_order(
    library: Library, stripe_server: Control, receiver: Receiver
) -> None:
    await stripe_server.behave(Manners(mode="held"))
    await pay(library, stripe_server)
    events = await stripe_server.events()
    backwards = [event["id"] for event in reversed(events)]
    assert await stripe_server.deliver(backwards) == [200] * EVENTS
    assert receiver.types == [event["type"] for event in reversed(events)]
    # What was held comes all the same, as an event may.
    await stripe_server.behave(QUICK)
    await receiver.wait_for(2 * EVENTS)


async def test_webhooks_stop_and_are_lost(
    library: Library, stripe_server: Control, receiver: Receiver
) -> None:
    await stripe_server.behave(Manners(mode="lost"))
    session = await pay(library, stripe_server)
    assert await stripe_server.undelivered() == []
    # Who asks learns it.
    assert (await library.session(session)).payment_status == "paid"
    listed = await library.v1.events.list_async({"type": COMPLETED})
    assert len(listed.data) == 1
    await stripe_server.behave(QUICK)
    assert receiver.received == []


async def test_events_can_be_delayed(
    library: Library, stripe_server: Control, receiver: Receiver
) -> None:
    await stripe_server.behave(Manners(delay_seconds=3600, shuffle_seconds=60))
    await pay(library, stripe_server)
    waiting = await stripe_server.undelivered()
    assert len(waiting) == EVENTS
    assert all(each["due_at"] > time.time() + 3500 for each in waiting)
    assert len({each["due_at"] for each in waiting}) == EVENTS


async def test_an_old_signature_and_a_foreign_one_are_none(
    library: Library, stripe_server: Control, receiver: Receiver
) -> None:
    await stripe_server.behave(Manners(mode="held"))
    await pay(library, stripe_server)
    [event] = await stripe_server.events([COMPLETED])
    await stripe_server.deliver([event["id"]], age_seconds=301)
    await stripe_server.deliver([event["id"]], secret="whsec_other")
    for request in receiver.received:
        with pytest.raises(stripe.SignatureVerificationError):
            read(request, SECRETS[0])


async def test_an_endpoint_hears_of_its_own_mode(
    library: Library, stripe_server: Control, receiver: Receiver
) -> None:
    async with Library(stripe_server.url, LIVE_KEY) as live:
        await pay(live, stripe_server)
    await stripe_server.tell("customer.created", {"id": "cus_1", "object": "customer"})
    await receiver.wait_for(1)
    assert receiver.types == ["customer.created"]
    await stripe_server.send_to(Endpoint(receiver.url, SECRETS, livemode=True))
    [event] = await stripe_server.events([COMPLETED])
    await stripe_server.deliver([event["id"]])
    assert read(receiver.received[-1], SECRETS[0]).livemode


async def test_what_waits_for_its_next_attempt_is_sent_at_once_where_a_test_is_in_a_hurry(
    library: Library, stripe_server: Control, receiver: Receiver
) -> None:
    await stripe_server.send_to(Endpoint(receiver.url, SECRETS, [COMPLETED]))
    # A minute and more from attempt to attempt.
    await stripe_server.behave(Manners())
    receiver.to_next.append(500)
    await pay(library, stripe_server)
    await receiver.wait_for(1)

    async def waits() -> bool:
        return any(each["attempts"] for each in await stripe_server.undelivered())

    await until(waits)
    await stripe_server.hurry()
    await receiver.wait_for(2)
