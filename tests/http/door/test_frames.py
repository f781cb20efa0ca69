"""Pictures of a camera over the real application: an answer to each, whatever it is."""

import httpx
import pytest

from tests.http.api.test_api import client_of
from tests.http.office.test_admin import OPERATOR
from tests.http.office.test_people import login, people_of
from tigerfans.booking.tickets import qr_png
from tigerfans.door import pictures
from tigerfans.door.pictures import PICTURE_BYTES_MAX
from tigerfans.http.door.frames import FRAMES_PATH
from tigerfans.office.passwords import hash_password
from tigerfans.shop.shop import Shop
from tigerfans.stores.people import Role

CODE = "TIGER1045STJPW1U70S30B184GG1Q60"


@pytest.fixture
async def client(shop: Shop) -> httpx.AsyncClient:
    return client_of(shop)


@pytest.mark.parametrize(
    ("picture", "status"),
    [
        (b"", 400),
        (b"\xff\xd8\xff\xe0 and no more", 400),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 400),
        (bytes(PICTURE_BYTES_MAX + 1), 413),
        (bytes(5 * 1024 * 1024), 400),
    ],
)
async def test_what_is_no_picture_is_said_in_a_sentence(
    client: httpx.AsyncClient, picture: bytes, status: int
) -> None:
    async with client:
        answer = await client.post(FRAMES_PATH, content=picture, headers=OPERATOR)
    assert answer.status_code == status
    assert answer.json()["detail"].endswith(".")


async def test_a_picture_is_read_for_who_may_scan_and_for_no_other_page(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    pytest.importorskip("zxingcpp")
    for role in Role:
        await people_of(shop).add(role, role, hash_password("correct horse"), "root")
    picture = qr_png(CODE)
    async with client:
        for role in Role:
            headers = login(role, "correct horse")
            answer = await client.post(FRAMES_PATH, content=picture, headers=headers)
            if role is Role.OFFICE:
                assert answer.status_code == 403
            else:
                assert answer.json() == {"texts": [CODE]}
        elsewhere = OPERATOR | {"Sec-Fetch-Site": "cross-site"}
        answer = await client.post(FRAMES_PATH, content=picture, headers=elsewhere)
        assert answer.status_code == 403


async def test_a_shop_that_reads_no_pictures_says_what_is_missing(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise pictures.NoReaderError

    monkeypatch.setattr(pictures, "_zxing", missing)
    async with client:
        answer = await client.post(FRAMES_PATH, content=qr_png(CODE), headers=OPERATOR)
    assert answer.status_code == 404
    assert "the extra `door`" in answer.json()["detail"]
