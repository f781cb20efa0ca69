"""The public keys of the door: whoever has them checks what the shop's pictures say."""

import base64
import io
from collections.abc import Sequence

import httpx
import zxingcpp
from nacl.signing import VerifyKey
from PIL import Image

from tests.http.api.test_api import client_of
from tests.offers import UP_TO_FOUR
from tests.shops import OpenShop
from tigerfans.booking.door_codes import SIGNS, VERSION
from tigerfans.booking.ids import OrderId
from tigerfans.shop.shop import Shop

BUY_A = {"cls": "A", "customer_email": "fan@example.com"}


async def bought(client: httpx.AsyncClient, qty: int = 1) -> str:
    """An order that is paid."""
    held = (await client.post("/api/checkout", json=BUY_A | {"qty": qty})).json()
    await client.post(f"{held['redirect_url']}/emit", data={"t": "succeeded"})
    return str(held["order_id"])


def codes_on(picture: bytes) -> Sequence[str]:
    image = Image.open(io.BytesIO(picture)).convert("L")
    return [found.text for found in zxingcpp.read_barcodes(image)]


async def test_a_stranger_with_the_keys_checks_what_each_picture_says(open_shop: OpenShop) -> None:
    shop: Shop = await open_shop(offer=UP_TO_FOUR)
    async with client_of(shop) as client:
        told = (await client.get("/api/door/keys")).json()
        order_id = await bought(client, 3)
        for ticket in range(3):
            for name in ("qr.png", "ticket.png"):
                picture = await client.get(f"/api/orders/{order_id}/tickets/{ticket}/{name}")
                (code,) = codes_on(picture.content)
                assert code.startswith(told["prefix"])
                rfc = str.maketrans(SIGNS, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
                said = base64.b32decode(code.removeprefix(told["prefix"]).translate(rfc) + "====")
                (key,) = [each for each in told["keys"] if each["id"] == said[0]]
                public = base64.urlsafe_b64decode(key["public_key"] + "=")
                VerifyKey(public).verify(told["prefix"].encode() + said[:23], said[23:])
                assert said[1:5].hex() == told["shop"]
                assert said[5:20].hex() + "00" == order_id
                assert said[20] == ticket
                assert int.from_bytes(said[21:23], "big") == shop.classes["A"].tickets.ledger


async def test_the_keys_are_public_and_may_be_kept_for_a_minute(shop: Shop) -> None:
    async with client_of(shop) as client:
        answer = await client.get("/api/door/keys")
    assert answer.headers["cache-control"] == "public, max-age=60"
    told = answer.json()
    assert (told["version"], told["shop"]) == (VERSION, shop.identity.id.key_prefix)
    assert [key["id"] for key in told["keys"]] == [1]


async def test_after_a_rotation_old_pictures_open_the_door_and_new_ones_are_signed_anew(
    open_shop: OpenShop,
) -> None:
    before: Shop = await open_shop()
    after: Shop = await open_shop(door_key=2)
    async with client_of(before) as client, client_of(after) as new_client:
        address = f"/api/orders/{await bought(client)}/qr.png"
        (old,), (new,) = [
            codes_on((await each.get(address)).content) for each in (client, new_client)
        ]
        told = (await new_client.get("/api/door/keys")).json()
    assert [key["id"] for key in told["keys"]] == [2, 1]
    assert old != new
    assert after.door_keys.read(old) == after.door_keys.read(new)
    assert isinstance(after.door_keys.read(new).order_id, OrderId)
