"""The door in the box office over the real application: figures, incidents, devices, the export."""

import csv
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from tests.http.api.test_api import client_of
from tests.http.door.test_scanning import SAME_ORIGIN, scan, sold, tell, undo
from tests.http.office.test_admin import OPERATOR
from tests.http.office.test_people import PASSWORD, login
from tests.offers import UP_TO_FOUR
from tests.shops import OpenShop
from tigerfans.booking.ids import OrderId
from tigerfans.http.office.admin_door import (
    DevicesAnswer,
    DoorAnswer,
    IncidentsAnswer,
    UndoneAnswer,
)
from tigerfans.http.office.answers import OrdersAnswer, StoryAnswer
from tigerfans.office.door_log import COLUMNS, MINUTES, DoorLog
from tigerfans.office.passwords import hash_password
from tigerfans.shop.shop import Shop
from tigerfans.stores.people import People, Role


@pytest.fixture
async def shop(open_shop: OpenShop) -> Shop:
    return await open_shop(offer=UP_TO_FOUR)  # type: ignore[no-any-return]


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(shop) as client:
        client.headers.update({**OPERATOR, **SAME_ORIGIN})
        yield client


async def asked(client: httpx.AsyncClient, path: str, answer: type[Any]) -> Any:
    told = await client.get(path)
    assert told.status_code == 200, told.text
    return msgspec.json.decode(told.content, type=answer)


async def incidents(client: httpx.AsyncClient, *, seen: bool = False) -> IncidentsAnswer:
    query = "?seen=true" if seen else ""
    answer: IncidentsAnswer = await asked(
        client, f"/api/admin/door/incidents{query}", IncidentsAnswer
    )
    return answer


async def story(client: httpx.AsyncClient, order_id: OrderId) -> StoryAnswer:
    path = f"/api/admin/orders/{order_id.hex_digits}"
    answer: StoryAnswer = await asked(client, path, StoryAnswer)
    return answer


async def test_nobody_inside_is_told_as_nothing_rather_than_as_a_fault(
    client: httpx.AsyncClient,
) -> None:
    door: DoorAnswer = await asked(client, "/api/admin/door", DoorAnswer)
    assert (door.figures.inside, door.figures.gates, door.minutes) == (0, [], {})
    assert await incidents(client) == IncidentsAnswer([], 200, 0)
    for name, answer in (("devices", DevicesAnswer), ("undone", UndoneAnswer)):
        assert (await asked(client, f"/api/admin/door/{name}", answer)).items == []
    lines = (await client.get("/api/admin/scans.csv")).text.removeprefix("\ufeff").splitlines()
    assert lines == [",".join(COLUMNS)]


async def test_who_came_in_is_told_by_gate_and_minute_without_those_who_were_let_out(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop, qty=3)
    first, *others = (scan(shop.door_code(order, number), "North") for number in range(3))
    others[1]["gate"] = "South"
    await tell(client, first, *others)
    assert (await undo(client, first)).status_code == 200
    door: DoorAnswer = await asked(client, "/api/admin/door", DoorAnswer)
    assert (door.figures.inside, door.figures.sold) == (2, 3)
    assert {gate: sum(minutes) for gate, minutes in door.minutes.items()} == {
        "North": 1,
        "South": 1,
    }
    assert {len(minutes) for minutes in door.minutes.values()} == {MINUTES}
    # All of it in the last minutes: somebody may have looked at the turn of one.
    assert sum(door.minutes["South"][-2:]) == 1
    [undone] = (await asked(client, "/api/admin/door/undone", UndoneAnswer)).items
    assert (undone.scan_id, undone.order_id, undone.ticket, undone.gate, undone.undone_by) == (
        first["scan_id"],
        order.id.hex_digits,
        1,
        "North",
        "admin",
    )


async def test_the_minutes_after_the_show_are_those_up_to_its_last_admission(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop)
    await tell(client, scan(shop.door_code(order, 0)))
    yesterday = datetime.now(UTC) - timedelta(days=1)
    async with shop.orders.database.connection(writes=True) as connection:
        await connection.execute("UPDATE door_scans SET admitted_at = $1", yesterday)
    minutes = await DoorLog(shop.orders.database).minutes()
    assert minutes.gates == {"North": [0] * (MINUTES - 1) + [1]}
    assert minutes.first == yesterday.replace(second=0, microsecond=0) - timedelta(
        minutes=MINUTES - 1
    )


async def test_an_incident_names_both_gates_and_times_until_somebody_has_seen_to_it(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop, qty=2)
    code = shop.door_code(order, 1)
    first, second = scan(code, "North", offline=True), scan(code, "South", offline=True)
    second |= {"device": "device 2", "scanned_at": first["scanned_at"] - 60_000}
    await tell(client, first)
    [answer] = await tell(client, second)
    assert answer.incident
    told = await incidents(client)
    [incident] = told.items
    assert told.total == 1
    assert (incident.order_id, incident.ticket, incident.email) == (
        order.id.hex_digits,
        2,
        order.email,
    )
    assert (incident.gate, incident.device, incident.result) == (
        "South",
        "device 2",
        "already_inside",
    )
    assert incident.other
    assert (incident.other.gate, incident.other.device, incident.other.offline) == (
        "North",
        "device 1",
        True,
    )
    assert incident.since_iso == answer.admitted_at_iso
    minute = datetime.fromisoformat(incident.other.scanned_at_iso) - datetime.fromisoformat(
        incident.scanned_at_iso
    )
    assert minute == timedelta(minutes=1)

    path = f"/api/admin/door/incidents/{second['scan_id']}/seen"
    for _ in range(2):
        assert (await client.post(path)).status_code == 200
    assert (await incidents(client)).items == []
    [seen] = (await incidents(client, seen=True)).items
    assert (seen.scan_id, seen.seen_by) == (second["scan_id"], "admin")
    # It is told again by its device, and stays seen to.
    await tell(client, second)
    assert (await incidents(client)).total == 0
    told_of = [event.what for event in (await story(client, order.id)).events]
    assert told_of.count("Incident seen to") == 1


@pytest.mark.parametrize("scan_id", [str(UUID(int=1)), "0", "first"])
async def test_what_is_no_incident_is_not_seen_to(
    client: httpx.AsyncClient, shop: Shop, scan_id: str
) -> None:
    admitted = scan(shop.door_code(await sold(shop), 0))
    await tell(client, admitted)
    scan_id = admitted["scan_id"] if scan_id == "first" else scan_id
    told = await client.post(f"/api/admin/door/incidents/{scan_id}/seen")
    assert told.status_code == 404


async def test_a_device_is_listed_once_with_its_last_scan(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop, qty=2)
    codes = [shop.door_code(order, number) for number in range(2)]
    await tell(client, scan(codes[0], "North"))
    await tell(client, scan(codes[0], "South"))
    await tell(client, scan(codes[1], "East", device="another"))
    told: DevicesAnswer = await asked(client, "/api/admin/door/devices", DevicesAnswer)
    assert [(each.device, each.gate, each.result, each.who) for each in told.items] == [
        ("another", "East", "admitted", "admin"),
        ("device 1", "South", "already_inside", "admin"),
    ]


async def test_all_scans_are_exported_and_no_gate_is_a_formula(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop)
    code = shop.door_code(order, 0)
    first, second = scan(code, "=1+1"), scan(code, "South", offline=True)
    await tell(client, first)
    await tell(client, second)
    answer = await client.get("/api/admin/scans.csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="tigerfans-scans.csv"'
    rows = list(csv.DictReader(answer.text.removeprefix("\ufeff").splitlines()))
    assert [(row["scan_id"], row["result"], row["incident"]) for row in rows] == [
        (first["scan_id"], "admitted", "no"),
        (second["scan_id"], "already_inside", "yes"),
    ]
    assert {row["order_id"] for row in rows} == {order.id.hex_digits}
    assert (rows[0]["gate"], rows[0]["ticket"], rows[0]["who"]) == ("'=1+1", "1", "admin")
    assert (rows[1]["other_gate"], rows[1]["other_at"]) == ("'=1+1", rows[0]["admitted_at"])


async def test_a_story_has_each_scan_in_the_order_of_time(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop)
    code = shop.door_code(order, 0)
    first = scan(code, "North")
    await tell(client, first)
    await tell(client, scan(code, "South"))
    await tell(client, scan(code, "South", offline=True))
    await undo(client, first)
    await tell(client, scan(code, "East"))
    told = [(e.what, e.detail) for e in (await story(client, order.id)).events]
    names = [what for what, _ in told if what.startswith(("Ticket 1", "Incident", "Admission"))]
    assert names == [
        "Ticket 1 used",
        "Ticket 1 refused",
        "Incident: ticket 1 was let in offline",
        "Ticket 1 let out",
        "Admission undone",
        "Ticket 1 used",
    ]
    details = dict(told)
    assert details["Ticket 1 used"] == "at East, by admin"
    assert details["Ticket 1 refused"].startswith("at South, by admin: it was inside already since")
    assert details["Ticket 1 refused"].endswith(", at North")


async def test_scans_are_counted_by_what_they_came_to(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    code = shop.door_code(await sold(shop), 0)
    await tell(client, scan(code), scan(code), scan("no code"))
    await tell(client, scan(code, offline=True))
    assert dict(+shop.counters.scans) == {
        ("admitted", False): 1,
        ("already_inside", False): 1,
        ("already_inside", True): 1,
        ("unknown", False): 1,
    }


async def test_who_scans_does_not_see_the_box_offices_door_and_the_office_exports_none(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    people = People(shop.orders.database, "admin")
    for role in (Role.DOOR, Role.OFFICE):
        await people.add(role, role, hash_password(PASSWORD), "root")
    statuses = {
        (role, path): (await client.get(path, headers=login(role))).status_code
        for role in (Role.DOOR, Role.OFFICE)
        for path in ("/admin/door", "/api/admin/door/incidents", "/api/admin/scans.csv")
    }
    assert list(statuses.values()) == [403, 403, 403, 200, 200, 403]


async def test_a_found_order_says_how_many_of_its_tickets_are_inside(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order, other = await sold(shop, qty=3), await sold(shop)
    await tell(client, *(scan(shop.door_code(order, number)) for number in range(2)))
    found: OrdersAnswer = await asked(client, "/api/admin/orders", OrdersAnswer)
    inside = {item.id: item.inside for item in found.items}
    assert inside == {order.id.hex_digits: 2, other.id.hex_digits: 0}
