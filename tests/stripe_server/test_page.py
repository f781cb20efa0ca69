"""The hosted page: each button, by the forms that a browser sends, and once in a browser."""

import httpx
from stripe.checkout import Session

from tests.stripe_server.control import Control
from tests.stripe_server.shopping import CANCEL_URL, Library
from tests.stripe_server.wire import NO_AUTHORITIES


async def press(session: Session, how: str, **fields: str) -> httpx.Response:
    """Presses a button of an open session's page; where it leads, not followed."""
    assert session.url is not None
    async with httpx.AsyncClient(verify=NO_AUTHORITIES, trust_env=False) as client:
        return await client.post(session.url, data={"how": how} | fields)


async def read(session: Session) -> str:
    assert session.url is not None
    async with httpx.AsyncClient(verify=NO_AUTHORITIES, trust_env=False) as client:
        return (await client.get(session.url)).text


async def test_the_page_says_what_is_paid_and_that_no_money_moves(library: Library) -> None:
    session = await library.open()
    page = await read(session)
    assert "65.00 EUR" in page
    assert "1 × Class A ticket" in page
    assert "No money moves." in page
    assert CANCEL_URL in page


async def test_who_has_paid_is_led_back_with_the_session_s_id(library: Library) -> None:
    session = await library.open()
    answer = await press(session, "card")
    assert answer.status_code == 303
    back = f"http://shop.test/demo/success?session={session.id}"
    assert answer.headers["location"] == back
    assert (await library.session(session.id)).payment_status == "paid"
    assert "This payment is finished." in await read(session)
    # Pressed again in another tab: it is not paid twice.
    assert (await press(session, "card")).headers["location"] == back


async def test_a_buyer_is_asked_for_the_email_that_the_shop_did_not_give(library: Library) -> None:
    assert 'name="email"' not in await read(await library.open())
    session = await library.open(customer_email=None)
    assert 'name="email"' in await read(session)
    await press(session, "card", email="other@example.com")
    paid = await library.session(session.id)
    assert paid.customer_email is None
    assert paid.customer_details is not None
    assert paid.customer_details.email == "other@example.com"


async def test_a_declined_card_leaves_the_buyer_on_the_page(
    library: Library, stripe_server: Control
) -> None:
    session = await library.open()
    answer = await press(session, "insufficient_funds")
    assert answer.headers["location"] == f"/c/pay/{session.id}"
    assert "Your card has insufficient funds." in await read(session)
    assert (await library.session(session.id)).status == "open"
    await press(session, "card")
    assert (await stripe_server.money())["eur"]["charged"] == session.amount_total


async def test_a_debit_is_decided_on_the_page_of_a_session_that_is_complete(
    library: Library, stripe_server: Control
) -> None:
    session = await library.open()
    await press(session, "debit")
    assert (await library.session(session.id)).status == "complete"
    assert "The bank has the debit" in await read(session)
    assert await stripe_server.money() == {}
    async with httpx.AsyncClient(verify=NO_AUTHORITIES, trust_env=False) as client:
        for _ in range(2):
            await client.post(f"{session.url}/bank", data={"outcome": "succeeded"})
    assert (await library.session(session.id)).payment_status == "paid"
    assert (await stripe_server.money())["eur"]["charged"] == session.amount_total


async def test_the_page_of_an_expired_session_takes_no_money(
    library: Library, stripe_server: Control
) -> None:
    session = await library.open()
    await library.v1.checkout.sessions.expire_async(session.id)
    assert "This payment page has expired." in await read(session)
    assert (await press(session, "card")).headers["location"] == f"/c/pay/{session.id}"
    assert await stripe_server.money() == {}


async def test_there_is_no_page_of_what_nobody_opened_and_no_other_button(
    library: Library, stripe_server: Control
) -> None:
    session = await library.open()
    assert (await press(session, "free")).status_code == 400
    async with httpx.AsyncClient(
        base_url=stripe_server.url, verify=NO_AUTHORITIES, trust_env=False
    ) as client:
        assert (await client.get("/c/pay/cs_test_nothing")).status_code == 404
        assert "No money moves." in (await client.get("/")).text
