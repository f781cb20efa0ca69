"""The people of the box office over the real application: who may do what, and who says so."""

import re
from base64 import b64encode
from collections.abc import AsyncIterator
from html import unescape
from typing import Final

import httpx
import pytest

from tests.http.api.test_api import client_of
from tests.http.office.test_admin import OPERATOR, unmatched
from tests.shops import OpenShop
from tigerfans.booking.ids import OrderId
from tigerfans.errors import UnavailableError
from tigerfans.http.office import admin_people, logins
from tigerfans.http.office.navigation import OFFICE_PAGES
from tigerfans.office.passwords import hash_password
from tigerfans.office.permissions import MAY, Permission, roles_with
from tigerfans.shop.shop import Shop
from tigerfans.stores.audit import Audit
from tigerfans.stores.people import People, Role

PASSWORD = "correct:hörse battery"
BROWSER = {"Accept": "text/html"}
# One route for each permission.
ROUTES = {
    Permission.ENTER: ("GET", "/admin"),
    Permission.SCAN: ("GET", "/door"),
    Permission.SEE: ("GET", "/api/admin/orders"),
    Permission.MAIL: ("POST", f"/api/admin/orders/{'0' * 32}/mail"),
    Permission.REFUND: ("POST", f"/api/admin/orders/{'0' * 32}/refund"),
    Permission.STOCK: ("POST", "/api/admin/stock/A"),
    Permission.EXPORT: ("GET", "/api/admin/orders.csv"),
    Permission.SCAN: ("GET", "/api/door/figures"),
    Permission.PEOPLE: ("GET", "/admin/people"),
}


def login(name: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"}


def people_of(shop: Shop) -> People:
    return People(shop.orders.database, "admin")


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    """Of a shop that has somebody of each role, called like it, and knows nobody yet."""
    for role in Role:
        await people_of(shop).add(role, role, hash_password(PASSWORD), "root")
    async with client_of(shop) as client:
        yield client


# --- Who may do what -------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
async def test_a_role_may_do_what_the_table_says_and_is_told_who_may_do_the_rest(
    client: httpx.AsyncClient, role: Role
) -> None:
    for permission, (method, path) in ROUTES.items():
        answer = await client.request(method, path, headers=login(role))
        if permission in MAY[role]:
            assert answer.status_code in (200, 303, 400, 404), path
        else:
            assert answer.status_code == 403, path
            roles = " or ".join(roles_with(permission))
            assert answer.json()["detail"] == (
                f"{role} may not do this: it takes a login with the role {roles}."
            )


async def test_a_page_leads_to_and_offers_what_its_reader_may_do(client: httpx.AsyncClient) -> None:
    for role in Role:
        # Who may only scan is led to where that is.
        answer = await client.get("/admin", headers=login(role), follow_redirects=True)
        assert answer.url.path == ("/door" if role is Role.DOOR else "/admin")
        page = answer.text
        for each in OFFICE_PAGES:
            assert (f'href="{each.path}"' in page) == (each.permission in MAY[role])
        assert ("Download CSV" in page) == (role is Role.OWNER)
        assert ('data-cell="refund"' in page) == (role is Role.OWNER)
        assert f"<bdi>{role}</bdi> ({role})" in page


async def test_what_is_resolved_says_which_person_it_was(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    client.headers.update(login(Role.OWNER))
    item = await unmatched(client, shop)
    for _ in range(2):
        path = f"/api/admin/unmatched/{item['id']}/dismiss"
        assert (await client.post(path)).json()["resolved_by"] == "owner"
    [deed, *_] = await Audit(shop.orders.database).page(None, 10)
    assert (deed.by, deed.what, deed.detail) == (
        "owner",
        "Unmatched payment dismissed",
        f"Payment {item['id']}",
    )
    assert len(await Audit(shop.orders.database).page(None, 10)) == len(Role) + 1


# --- Changes, on every worker ----------------------------------------------------------------


@pytest.fixture
async def workers(
    client: httpx.AsyncClient, open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """The client's, which knows people for longer than a test takes, and another one, which looks
    each time.
    """
    monkeypatch.setattr(logins, "PEOPLE_SECONDS", 3_600.0)
    known = client_of(await open_shop())
    monkeypatch.setattr(logins, "PEOPLE_SECONDS", 0.0)
    looks = client_of(await open_shop())
    yield [known, looks]
    for each in (known, looks):
        await each.aclose()


async def enters(client: httpx.AsyncClient, name: str, password: str = PASSWORD) -> bool:
    status = (await client.get("/admin", headers=login(name, password))).status_code
    assert status in (200, 303, 401)
    return status != 401


async def change(client: httpx.AsyncClient, what: str, **form: str) -> httpx.Response:
    # Only what a browser sends with the page's own form.
    headers = {**OPERATOR, "Sec-Fetch-Site": "same-origin", "Cookie": ""}
    return await client.post(f"/admin/people/{what}", data=form, headers=headers)


async def test_who_is_removed_gets_in_nowhere_with_or_without_a_pass(
    workers: list[httpx.AsyncClient],
) -> None:
    for worker in workers:
        assert await enters(worker, "office")
        # The second time with a pass.
        assert await enters(worker, "office")
    assert (await change(workers[0], "remove", name="office")).status_code == 303
    for worker in workers:
        assert not await enters(worker, "office")
        assert await enters(worker, "door")


async def test_another_password_ends_the_one_before_and_its_passes(
    workers: list[httpx.AsyncClient],
) -> None:
    for worker in workers:
        assert await enters(worker, "office")
    answer = await change(workers[0], "password", name="office")
    made = made_password(answer)
    for worker in workers:
        assert not await enters(worker, "office")
        assert await enters(worker, "office", made)


async def test_another_role_is_one_at_once(workers: list[httpx.AsyncClient]) -> None:
    for worker in workers:
        assert await enters(worker, "door")
    assert (await change(workers[0], "role", name="door", role="owner")).status_code == 303
    for worker in workers:
        answer = await worker.get("/admin/people", headers=login("door"))
        assert answer.status_code == 200


async def test_while_postgresql_is_away_the_owner_of_the_settings_gets_in_and_others_are_told_so(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: People) -> None:
        raise UnavailableError

    monkeypatch.setattr(People, "all", away)
    assert (await client.get("/admin", headers=OPERATOR)).status_code == 200
    for name in ("owner", "nobody", "admin"):
        answer = await client.get("/admin", headers=login(name))
        assert answer.status_code == 503
        assert "only the owner that ADMIN_USERNAME names" in answer.json()["detail"]


# --- The page --------------------------------------------------------------------------------


def made_password(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found = re.search(r"<code>(\S+)</code>", answer.text)
    assert found
    return unescape(found[1])


async def test_who_is_added_gets_in_with_the_password_that_is_shown_once(
    client: httpx.AsyncClient,
) -> None:
    made = made_password(await change(client, "add", name="Åda <b>", role="door"))
    assert await enters(client, "Åda <b>", made)
    page = (await client.get("/admin/people", headers=OPERATOR)).text
    assert made not in page
    assert "<bdi>Åda &lt;b&gt;</bdi>" in page
    assert "Person added" in page
    assert "Åda &lt;b&gt;, door" in page


REFUSED: Final[list[tuple[str, dict[str, str], int, str]]] = [
    ("add", {"name": "door", "role": "door"}, 409, "somebody called door already"),
    ("add", {"name": "a:b", "role": "door"}, 400, "no colon"),
    ("add", {"name": "a\nb", "role": "door"}, 400, "can be printed"),
    ("add", {"name": " ada", "role": "door"}, 400, "no space at its ends"),
    ("add", {"name": "", "role": "door"}, 400, "A name has 1 to 64"),
    ("add", {"name": "x" * 65, "role": "door"}, 400, "A name has 1 to 64"),
    ("add", {"name": "admin", "role": "door"}, 400, "ADMIN_USERNAME names"),
    ("add", {"name": "ada", "role": "boss"}, 400, "There is no role 'boss'"),
    ("role", {"name": "door", "role": ""}, 400, "it is owner, office, door"),
    ("role", {"name": "Door", "role": "door"}, 404, "nobody called Door"),
    ("remove", {"name": "admin"}, 400, "ADMIN_USERNAME names"),
    ("remove", {}, 404, "nobody called"),
    ("remove", {"name": "\0"}, 404, "nobody called"),
    ("password", {"name": "nobody"}, 404, "nobody called nobody"),
]


async def test_what_cannot_be_done_is_a_sentence_and_nothing_is_done(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    before = await people_of(shop).all()
    for what, form, status, sentence in REFUSED:
        answer = await change(client, what, **form)
        assert answer.status_code == status, form
        assert sentence in answer.json()["detail"]
        assert await people_of(shop).all() == before


async def test_another_sites_form_lets_nobody_in(client: httpx.AsyncClient) -> None:
    for what in ("add", "role", "password", "remove"):
        answer = await client.post(
            f"/admin/people/{what}",
            data={"name": "door", "role": "owner"},
            headers={**OPERATOR, "Sec-Fetch-Site": "cross-site"},
        )
        assert answer.status_code == 403


async def test_the_audit_leads_from_page_to_page_and_to_the_orders(
    client: httpx.AsyncClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_people, "DEEDS_ON_A_PAGE", 2)
    order_id = OrderId.new()
    await Audit(shop.orders.database).note("ada", "Mail sent again", order_id, "<i>")
    first = (await client.get("/admin/people", headers=OPERATOR)).text
    assert "&lt;i&gt;" in first
    assert f'href="/admin/orders/{order_id.hex_digits}"' in first
    assert "Newest" not in first
    older = re.search(r'href="(/admin/people\?before=\d+)#deeds"', first)
    assert older
    last = (await client.get(older[1], headers=OPERATOR)).text
    assert "Newest" in last
    assert "?before=" not in last
    answer = await client.get("/api/admin/audit?limit=3", headers=OPERATOR)
    items = answer.json()["items"]
    assert [item["what"] for item in items] == ["Mail sent again", "Person added", "Person added"]
    answer = await client.get(f"/api/admin/audit?before={items[-1]['number']}", headers=OPERATOR)
    assert [item["detail"] for item in answer.json()["items"]] == ["owner, owner"]


async def test_a_page_of_the_audit_that_cannot_be_is_a_400(client: httpx.AsyncClient) -> None:
    for before in ("0", "x", str(2**63)):
        for path in ("/admin/people", "/api/admin/audit"):
            answer = await client.get(f"{path}?before={before}", headers=OPERATOR)
            assert answer.status_code == 400
