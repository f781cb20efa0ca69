"""Keys, limits and mishaps, as the unmodified library meets them: each is one of its exceptions."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import stripe

from tests.harness.patience import until
from tests.stripe_server.control import Control
from tests.stripe_server.misbehaviour import Bucket, Rule
from tests.stripe_server.server import TEST_KEY
from tests.stripe_server.shopping import Library, session_params

CREATE = "POST /v1/checkout/sessions"
REFUND = "POST /v1/refunds"


@pytest.fixture
async def stubborn(
    stripe_server: Control, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Library]:
    """Tries again by itself, as the library does where it is told to; soon."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
    async with Library(stripe_server.url, TEST_KEY, tries_again=2) as library:
        yield library


async def test_the_same_key_is_the_same_session(library: Library, stripe_server: Control) -> None:
    params = session_params("one")
    first = await library.open(key="one", **params)
    again = await library.open(key="one", **params)
    assert again == first
    assert again.last_response is not None
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert len(await stripe_server.payments()) == 1


async def test_the_same_key_with_other_parameters_is_refused(
    library: Library, stripe_server: Control
) -> None:
    session = await library.open("one", key="one")
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        await library.open("other", key="one")
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        await library.v1.checkout.sessions.expire_async(session.id, {}, {"idempotency_key": "one"})
    assert len(await stripe_server.payments()) == 1


async def test_a_key_whose_request_is_under_way_is_a_conflict(
    library: Library, stripe_server: Control
) -> None:
    await stripe_server.misbehave(Rule("slow", CREATE, seconds=3600))
    params = session_params("one")
    first = asyncio.create_task(library.open(key="one", **params))

    async def is_under_way() -> bool:
        return (await stripe_server.under_way()).get(CREATE) == 1

    await until(is_under_way)
    with pytest.raises(stripe.APIError, match="another in-progress request") as raised:
        await library.open(key="one", **params)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert raised.value.http_status == 409
    assert raised.value.error is not None
    assert raised.value.error.code == "idempotency_key_in_use"


async def test_what_could_not_be_read_is_not_kept_with_its_key(library: Library) -> None:
    params = session_params("one")
    with pytest.raises(stripe.InvalidRequestError):
        await library.open(key="one", **{**params, "line_items": []})
    assert (await library.open(key="one", **params)).status == "open"


async def test_a_refusal_is_kept_with_its_key(library: Library, stripe_server: Control) -> None:
    session = await library.open()
    intent = (await stripe_server.attempt(session.id))["payment_intent"]
    await library.refund(intent, amount=6000)
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
            await library.refund(intent, amount=1000, key="more")


async def test_a_refund_with_the_same_key_gives_back_once(
    library: Library, stripe_server: Control
) -> None:
    session = await library.open()
    intent = (await stripe_server.attempt(session.id))["payment_intent"]
    first = await library.refund(intent, amount=100, key="ticket 0")
    assert await library.refund(intent, amount=100, key="ticket 0") == first
    assert (await stripe_server.money())["eur"]["refunded"] == 100


async def test_who_has_no_key_is_told_so(stripe_server: Control) -> None:
    async with Library(stripe_server.url, "sk_test_somebody_else") as library:
        with pytest.raises(stripe.AuthenticationError, match="Invalid API Key") as raised:
            await library.open()
    assert "somebody" not in str(raised.value)


async def test_each_endpoint_has_a_limit_of_its_own(
    library: Library, stripe_server: Control
) -> None:
    session = await library.open()
    # One at once, and no other for a long time.
    await stripe_server.limit(per_endpoint=0.001)
    opening = [library.open(str(number)) for number in range(4)]
    results = await asyncio.gather(*opening, return_exceptions=True)
    limited = [each for each in results if isinstance(each, stripe.RateLimitError)]
    assert len(limited) == 3
    assert limited[0].headers is not None
    assert limited[0].headers["stripe-rate-limited-reason"] == "endpoint-rate"
    assert await library.session(session.id)
    assert (await stripe_server.answers())[CREATE, 429] == 3


async def test_the_account_has_a_limit_for_all(library: Library, stripe_server: Control) -> None:
    session = await library.open()
    await stripe_server.limit(overall=0.001)
    await library.session(session.id)
    with pytest.raises(stripe.RateLimitError) as raised:
        await library.open()
    assert raised.value.headers is not None
    assert raised.value.headers["stripe-rate-limited-reason"] == "global-rate"


def test_a_limit_is_so_many_at_once_and_as_many_each_second() -> None:
    now = 0.0
    bucket = Bucket(25.0, lambda: now)
    assert sum(bucket.take() for _ in range(100)) == 25
    for _ in range(100):
        now += 0.1
        assert sum(bucket.take() for _ in range(100)) in (2, 3)
    now += 60
    assert sum(bucket.take() for _ in range(100)) == 25


@pytest.mark.parametrize("what", ["error", "error_after", "cut", "cut_after"])
async def test_the_library_tries_again_and_finds_one_session(
    stubborn: Library, stripe_server: Control, what: str
) -> None:
    await stripe_server.misbehave(Rule(what, CREATE))  # type: ignore[arg-type]
    session = await stubborn.open("one", key="one")
    assert [each["session"] for each in await stripe_server.payments()] == [session.id]


@pytest.mark.parametrize(("what", "opened"), [("error", 0), ("error_after", 1)])
async def test_an_error_comes_before_the_work_or_after_it(
    library: Library, stripe_server: Control, what: str, opened: int
) -> None:
    await stripe_server.misbehave(Rule(what, CREATE))  # type: ignore[arg-type]
    with pytest.raises(stripe.APIError) as raised:
        await library.open()
    assert raised.value.http_status == 500
    assert len(await stripe_server.payments()) == opened


@pytest.mark.parametrize(("what", "opened"), [("cut", 0), ("cut_after", 1)])
async def test_a_connection_is_cut_before_the_work_or_after_it(
    library: Library, stripe_server: Control, what: str, opened: int
) -> None:
    await stripe_server.misbehave(Rule(what, CREATE))  # type: ignore[arg-type]
    with pytest.raises(stripe.APIConnectionError):
        await library.open()
    assert len(await stripe_server.payments()) == opened
    assert (await stripe_server.answers())[CREATE, 0] == 1


async def test_an_error_that_is_kept_is_the_answer_of_its_key_for_good(
    library: Library, stripe_server: Control
) -> None:
    await stripe_server.misbehave(Rule("error_kept", CREATE))
    params = session_params("one")
    for _ in range(2):
        with pytest.raises(stripe.APIError) as raised:
            await library.open(key="one", **params)
        assert raised.value.http_status == 500
    # The work was done all the same, which a list tells.
    assert len((await library.v1.checkout.sessions.list_async()).data) == 1


async def test_a_slow_answer_comes_late_and_its_work_is_done_at_once(
    library: Library, stripe_server: Control
) -> None:
    await stripe_server.misbehave(Rule("slow_after", CREATE, seconds=60))
    opening = asyncio.create_task(library.open())

    async def is_done() -> bool:
        return len(await stripe_server.payments()) == 1

    await until(is_done)
    assert not opening.done()
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)


async def test_a_limit_can_be_met_on_demand_and_then_no_more(
    library: Library, stripe_server: Control
) -> None:
    await stripe_server.misbehave(Rule("limited", REFUND, times=2))
    session = await library.open()
    intent = (await stripe_server.attempt(session.id))["payment_intent"]
    for _ in range(2):
        with pytest.raises(stripe.RateLimitError):
            await library.refund(intent, key="one")
    assert (await library.refund(intent, key="one")).status == "succeeded"


async def test_what_the_server_does_not_know_is_said(library: Library) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        await library.v1.customers.list_async()
