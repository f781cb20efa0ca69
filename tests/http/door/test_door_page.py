"""The door's page over the real application: what it says where no script runs."""

import re
from collections.abc import AsyncIterator
from typing import get_args

import httpx
import pytest

from tests.http.api.test_api import client_of
from tests.http.office.test_admin import OPERATOR
from tigerfans.http.door.door_page import PATH, WORKER_PATH
from tigerfans.http.door.scanning import Result
from tigerfans.http.door.verdicts import VERDICTS
from tigerfans.http.pages.rendering import SECURITY_HEADERS
from tigerfans.shop.shop import Shop

FORM = OPERATOR | {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(shop) as client:
        yield client


def test_every_result_has_words() -> None:
    assert set(get_args(Result)) < set(VERDICTS)


async def test_only_this_page_may_have_the_camera(client: httpx.AsyncClient) -> None:
    headers = (await client.get(PATH, headers=OPERATOR)).headers
    assert "camera=(self)" in headers["permissions-policy"]
    for name, value in SECURITY_HEADERS.items():
        opened = value.replace("camera=()", "camera=(self)")
        assert headers[name] == opened.replace("types 'none'", "types door-worker")
    landing = await client.get("/")
    assert "camera=()" in landing.headers["permissions-policy"]


async def test_what_keeps_the_page_is_there_without_a_login_and_is_asked_for_each_time(
    client: httpx.AsyncClient,
) -> None:
    worker = await client.get(WORKER_PATH)
    assert worker.status_code == 200
    assert worker.headers["content-type"].startswith("text/javascript")
    assert worker.headers["cache-control"] == "no-cache"
    assert "connect-src 'self'" in worker.headers["content-security-policy"]


async def test_a_form_that_is_sent_twice_is_one_scan(client: httpx.AsyncClient) -> None:
    page = (await client.get(PATH, headers=OPERATOR)).text
    found = re.search(r'name="scan_id" value="([^"]+)"', page)
    assert found is not None
    form = {"scan_id": found[1], "gate": " North ", "text": "TF-0000-0000-0000"}
    for _ in range(2):
        answer = await client.post(PATH, data=form, headers=FORM)
        assert answer.status_code == 200
        assert "Not one of our tickets" in answer.text
        # It comes back with the gate, and as another scan.
        assert 'value="North"' in answer.text
        assert found[1] not in answer.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gate": " "}, "Please say where you are"),
        ({"gate": "x" * 41}, "Please say where you are"),
        ({"scan_id": "1"}, "Please open this page again"),
    ],
)
async def test_a_form_that_lacks_something_says_so(
    client: httpx.AsyncClient, changes: dict[str, str], words: str
) -> None:
    form = {"scan_id": "0" * 32, "gate": "North", "text": "TF-0000-0000-0000"} | changes
    answer = await client.post(PATH, data=form, headers=FORM)
    assert answer.status_code == 400
    assert words in answer.text


async def test_no_other_site_scans_with_the_login_of_who_is_at_the_door(
    client: httpx.AsyncClient,
) -> None:
    form = {"scan_id": "0" * 32, "gate": "North", "text": "TF-0000-0000-0000"}
    answer = await client.post(PATH, data=form, headers=FORM | {"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
