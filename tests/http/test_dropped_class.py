"""Orders of a class that the offer has no more, in each state: every page and route serves them."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.http.api.test_api import client_of, event, send
from tests.offers import OFFER
from tests.shops import OpenShop
from tigerfans.payments.mockpay import SIGNATURE_HEADER
from tigerfans.settings.settings import DEFAULT_ADMIN_PASSWORD, Settings
from tigerfans.shop.checkout import Checkout
from tigerfans.shop.shop import Shop

WITHOUT_B = replace(OFFER, listings=OFFER.listings[:1])
EMAIL = "fan@example.org"
OPERATOR = ("admin", DEFAULT_ADMIN_PASSWORD)

# What is told of the order, each word after the other.
STATES = {
    "PENDING": (),
    "EXPIRED": (),
    "PAID": ("succeeded",),
    "PAID_UNFULFILLED": ("succeeded",),
    "FAILED": ("failed",),
    "CANCELED": ("canceled",),
}


async def order_in(state: str, open_shop: OpenShop) -> tuple[Shop, Checkout]:
    """A shop that sells B no more, and an order of B that an older worker took."""
    old: Shop = await open_shop(tickets_b=1, hold_seconds=1 if state == "EXPIRED" else 300)
    new: Shop = await open_shop(offer=WITHOUT_B)
    checkout = await old.checkout("B", EMAIL, "key of an order")
    if state == "PAID_UNFULFILLED":
        order_id = checkout.order_id
        await old.hear(*signed(old, checkout, "canceled"))
        other = await old.checkout("B", "other@example.org")
        await old.hear(*signed(old, other, "succeeded"))
        assert order_id != other.order_id
    return new, checkout


def signed(shop: Shop, checkout: Checkout, kind: str) -> tuple[Mapping[str, str], bytes]:
    body = event(told(checkout), kind)
    return {SIGNATURE_HEADER: shop.provider.sign(body)}, body  # type: ignore[attr-defined]


def told(checkout: Checkout) -> dict[str, object]:
    return {
        "order_id": checkout.order_id,
        "redirect_url": checkout.redirect_url,
        "amount": checkout.amount_cents,
        "currency": "eur",
    }


@pytest.mark.parametrize("state", STATES)
async def test_an_order_of_a_class_that_is_gone_is_told_served_and_told_again(
    open_shop: OpenShop, state: str
) -> None:
    shop, checkout = await order_in(state, open_shop)
    order = checkout.order_id
    async with client_of(shop, Settings(offer=WITHOUT_B)) as client:
        for kind in STATES[state]:
            # The second time it is a replay.
            for _ in range(2):
                answer = await send(client, shop, event(told(checkout), kind))
                assert (answer.status_code, answer.json()["order_status"]) == (200, state)
        while (status := await client.get(f"/api/orders/{order}")).json()["status"] != state:
            pass
        assert (status.json()["cls"], status.json()["amount"]) == ("B", 3500)
        for address in (
            f"/demo/success?order_id={order}",
            f"/demo/checkout?status=failed&order_id={order}",
            f"/demo/checkout?cls=B&order_id={order}",
            f"{checkout.redirect_url}",
            f"/api/orders/{order}/qr.png",
            f"/api/orders/{order}/qr.svg",
            f"/api/orders/{order}/ticket.png",
            f"/api/orders/{order}/calendar.ics",
        ):
            page = await client.get(address, headers={"accept": "text/html,*/*"})
            assert page.status_code < 500, (address, page.text)
        for address in (
            f"/admin/orders/{order}",
            f"/api/admin/orders/{order}",
            "/api/admin/orders?cls=B",
            "/api/admin/orders.csv",
            "/api/pending",
            "/admin",
        ):
            page = await client.get(address, auth=OPERATOR)
            # A filter by a class that is not on offer is refused in a sentence.
            assert page.status_code in (200, 400), (address, page.text)
            if state in ("PAID", "PAID_UNFULFILLED") and address.endswith(".csv"):
                assert order in page.text
        again = await client.post(
            "/api/checkout",
            json={"cls": "B", "customer_email": EMAIL},
            headers={"idempotency-key": "key of an order"},
        )
        assert again.status_code == 400
        assert again.json()["detail"] == "Please choose ticket class A."
