"""The pages of a shop where an order may have several tickets, and of such an order."""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from tests.http.pages.test_shop_pages import (
    ORDER_ID,
    PAID,
    PENDING,
    SCRIPT,
    SUCCESS,
    Client,
    FakeShop,
    Page,
    get,
    on_hold,
    open_client,
    remember,
    session_of,
)
from tests.offers import OFFER
from tigerfans.errors import InvalidQtyError, TooFewLeftError
from tigerfans.http.pages.rendering import Renderer
from tigerfans.stores.orders import OrderStatus

CODES = ("TF-7K3M-92QX-HD4W", "TF-2222-2222-2222", "TF-3333-3333-3333")
THREE_PENDING = replace(PENDING, qty=3, amount_cents=3 * 6500)
THREE = replace(PAID, qty=3, amount_cents=3 * 6500, more_ticket_codes=CODES[1:])
FORM = {"cls": "A", "customer_email": "ada@example.org"}


@pytest.fixture
def shop() -> FakeShop:
    return FakeShop(tickets_per_order=4)


@pytest.fixture
async def client(shop: FakeShop) -> AsyncIterator[Client]:
    async with open_client(shop, Renderer(OFFER)) as client:
        yield client


def chosen_qty(page: Page) -> list[int]:
    """Which of the numbers is chosen, from 1 on; of a page that does not ask, none."""
    options = page.all("option")
    return [number for number, each in enumerate(options, 1) if "selected" in each]


async def test_a_buyer_is_asked_how_many_only_where_there_may_be_more_than_one(
    client: Client, shop: FakeShop
) -> None:
    page = await get(client, "/demo/checkout")
    assert "How many?" in page.text
    assert len(page.all("option")) == 4
    assert chosen_qty(page) == [1]
    assert "tickets off the shelf" in (await get(client, "/")).text
    assert "first 100 paid orders" in (await get(client, "/")).text
    shop.tickets_per_order = 1
    page = await get(client, "/demo/checkout")
    assert "How many?" not in page.text
    assert not page.all("select")
    assert "takes one ticket off the shelf" in (await get(client, "/")).text


@pytest.mark.parametrize(
    ("typed", "asked"),
    [("3", 3), ("04", 4), ("", 0), ("-1", 0), ("two", 0), ("²", 0), ("9" * 9, 0)],
)
async def test_the_form_asks_for_as_many_as_were_chosen(
    client: Client, shop: FakeShop, typed: str, asked: int
) -> None:
    await client.post("/demo/checkout", data=FORM | {"qty": typed}, follow_redirects=False)
    assert shop.quantities == [asked]


async def test_a_form_that_does_not_say_how_many_asks_for_one(
    client: Client, shop: FakeShop
) -> None:
    await client.post("/demo/checkout", data=FORM, follow_redirects=False)
    assert shop.quantities == [1]


@pytest.mark.parametrize(
    "error", [InvalidQtyError("Please choose 1 to 4 tickets."), TooFewLeftError(2)]
)
async def test_a_refused_number_is_said_and_stays_chosen(
    client: Client, shop: FakeShop, error: InvalidQtyError | TooFewLeftError
) -> None:
    shop.error = error
    response = await client.post("/demo/checkout", data=FORM | {"qty": "3"})
    assert response.status_code == error.status
    page = Page(response.text)
    assert page.message == str(error)
    assert chosen_qty(page) == [3]


async def test_several_tickets_on_hold_are_one_card(client: Client, shop: FakeShop) -> None:
    shop.holds = [on_hold(THREE_PENDING)]
    remember(client)
    page = await get(client, "/demo/checkout")
    assert "You have 3 tickets on hold" in page.text
    assert "3 × Premium , €195.00 , for ada@example.org" in page.text
    assert "Nobody else can buy them until" in page.text
    assert "Give them back" in page.text
    assert chosen_qty(page) == [3]
    [told] = (await client.get("/demo/checkout/held", headers=SCRIPT)).json()
    assert (told["qty"], told["class_name"], told["amount"]) == (3, "3 × Premium", "€195.00")


async def test_the_payment_page_says_how_many_are_paid_for(client: Client, shop: FakeShop) -> None:
    shop.found = THREE_PENDING
    shop.session = session_of(THREE_PENDING, 200)
    page = await get(client, "/mockpay/psid-1")
    assert "3 × Premium, Night of the Whales" in page.text
    assert "Your tickets are held for" in page.text
    assert "Pay €195.00" in page.text


@pytest.mark.parametrize("status", [OrderStatus.FAILED, OrderStatus.CANCELED, OrderStatus.EXPIRED])
async def test_an_order_of_several_tickets_that_came_to_nothing_speaks_of_all_of_them(
    client: Client, shop: FakeShop, status: OrderStatus
) -> None:
    shop.found = replace(THREE_PENDING, status=status)
    for path in (SUCCESS, f"/demo/checkout?order_id={ORDER_ID.hex_digits}"):
        assert "the tickets went back on sale" in (await get(client, path)).text


async def test_each_ticket_of_a_paid_order_has_its_code_and_its_qr_code(
    client: Client, shop: FakeShop
) -> None:
    shop.found = THREE
    page = await get(client, SUCCESS)
    assert "3 tickets, €195.00 in all" in " ".join(page.text.replace(" ,", ",").split())
    api = f"/api/orders/{ORDER_ID.hex_digits}"
    codes = [image for image in page.all("img") if "data-qr" in image]
    assert [image["src"] for image in codes] == [f"{api}/tickets/{n}/qr.svg" for n in range(3)]
    for number, code in enumerate(CODES, 1):
        assert code in page.text
        assert f"Ticket {number} of 3" in page.text
    assert page.text.count("€65.00") == 3
    assert page.text.count("Paper whale included") == 1
    assert "Has no mail come with them? Have them sent again" in page.text
    links = [link["href"] for link in page.all("a")]
    assert {f"{api}/ticket.pdf", f"{api}/ticket.ics", f"{api}/tickets/2/ticket.png"} <= set(links)
    assert f"{api}/ticket.png" not in links


async def test_the_page_that_waits_for_several_tickets_has_room_for_each(
    client: Client, shop: FakeShop
) -> None:
    shop.found = THREE_PENDING
    page = await get(client, SUCCESS)
    assert len([attributes for _, attributes in page.tags if "data-ticket" in attributes]) == 3
    assert not [image for image in page.all("img") if "data-qr" in image and "src" in image]
