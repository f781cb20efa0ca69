"""Scans over the real application: who gets in, what is answered, and what is no scan at all."""

import asyncio
import json
import random
import string
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import httpx
import msgspec
import pytest

from tests.http.api.test_api import client_of
from tests.http.office.test_admin import OPERATOR
from tests.offers import UP_TO_FOUR
from tests.shops import OpenShop, event
from tigerfans.booking.door_codes import DoorKeys
from tigerfans.booking.ends import Ticket
from tigerfans.booking.ids import END_ATTEMPTS_MAX, OrderId
from tigerfans.door import door
from tigerfans.door.door import SCANS_MAX
from tigerfans.http.door.scanning import (
    BODY_BYTES_MAX,
    EndItem,
    EndsAnswer,
    FiguresAnswer,
    ScanAnswer,
    UndoAnswer,
    end_key,
)
from tigerfans.ledger.wire import Operation
from tigerfans.payments.base import EventType
from tigerfans.shop.shop import Shop
from tigerfans.stores.audit import Audit
from tigerfans.stores.door_scans import EndState
from tigerfans.stores.orders import Order

EMAIL: Final = "fan@example.org"
DEVICE: Final = "device 1"
SAME_ORIGIN: Final = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def shop(open_shop: OpenShop) -> Shop:
    return await open_shop(offer=UP_TO_FOUR)  # type: ignore[no-any-return]


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(shop) as client:
        client.headers.update({**OPERATOR, **SAME_ORIGIN})
        yield client


async def sold(shop: Shop, qty: int = 1, cls: str = "A") -> Order:
    checkout = await shop.checkout(cls, EMAIL, qty=qty)
    await shop.settle(event(checkout))
    order_id = OrderId.parse(checkout.order_id)
    assert order_id is not None
    order = await shop.orders.find(order_id)
    assert order is not None
    return order


def scan(text: str, gate: str = "North", **fields: Any) -> dict[str, Any]:
    return {
        "scan_id": str(uuid4()),
        "text": text,
        "gate": gate,
        "device": DEVICE,
        "scanned_at": time.time_ns() // 1_000_000,
        **fields,
    }


async def tell(client: httpx.AsyncClient, *scans: Any) -> list[ScanAnswer]:
    told = await client.post("/api/door/scans", json=list(scans))
    assert told.status_code == 200, told.text
    answers = msgspec.json.decode(told.content, type=list[ScanAnswer])
    assert len(answers) == len(scans)
    return answers


async def undo(client: httpx.AsyncClient, scan: Any, device: str = DEVICE) -> httpx.Response:
    body = {"scan_id": scan["scan_id"], "device": device}
    return await client.post("/api/door/undo", json=body)


async def figures(client: httpx.AsyncClient) -> FiguresAnswer:
    told = await client.get("/api/door/figures")
    assert told.status_code == 200, told.text
    return msgspec.json.decode(told.content, type=FiguresAnswer)


async def test_a_ticket_gets_in_once_and_whoever_shows_it_again_hears_when_and_where(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop, qty=2)
    first = scan(shop.door_code(order, 1))
    [admitted] = await tell(client, first)
    assert (admitted.scan_id, admitted.result, admitted.detail) == (
        first["scan_id"],
        "admitted",
        None,
    )
    assert (admitted.cls, admitted.class_name) == ("A", "Premium")
    assert (admitted.ticket, admitted.tickets, admitted.email_initial) == (2, 2, "f")
    assert (admitted.order, admitted.gate) == (order.id.short, "North")
    assert admitted.admitted_at_iso is not None
    for _ in range(2):
        [again] = await tell(client, scan(shop.door_code(order, 1), "South"))
        assert (again.result, again.gate) == ("already_inside", "North")
        assert again.admitted_at_iso == admitted.admitted_at_iso
        # The same scan has the same answer, whatever came after it.
        assert await tell(client, first) == [admitted]
    assert (await tell(client, scan(shop.door_code(order, 0))))[0].result == "admitted"


async def test_the_goodie_goes_with_the_first_ticket_of_its_order(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop, qty=2)
    codes = [shop.door_code(order, number) for number in range(2)]
    first, second = await tell(client, scan(codes[0]), scan(codes[1]))
    assert (first.goodie, second.goodie) == (shop.catalog.offer.goodie.name, None)


async def test_a_ticket_is_found_by_its_short_code_and_by_what_codes_said_before(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop, qty=3)
    one, two, three = order.ticket_codes
    old = f"TIGERFANS:{order.id.hex_digits.upper()}:{two}"
    told = await tell(client, scan(one), scan(old), scan(three.lower().replace("-", "ß")))
    assert [(answer.result, answer.ticket) for answer in told] == [
        ("admitted", 1),
        ("admitted", 2),
        ("admitted", 3),
    ]
    assert [answer.result for answer in await tell(client, scan(shop.door_code(order, 2)))] == [
        "already_inside"
    ]


async def test_what_is_no_ticket_of_the_shop_gets_an_answer_that_says_so(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order, unpaid = await sold(shop), await shop.checkout("A", EMAIL)
    code = shop.door_code(order, 0)
    other_shop = DoorKeys("another secret", "0badcafe").sign(order.id, 0, 1)
    forged = DoorKeys("another secret", shop.identity.id.key_prefix).sign(order.id, 0, 1)
    never_sold = shop.door_keys.sign(OrderId.new(), 0, 1)
    no_such_ticket = shop.door_keys.sign(order.id, 1, 1)
    other_code = f"TIGERFANS:{order.id.hex_digits.upper()}:TF-0000-0000-0000"
    not_yet_paid = f"TIGERFANS:{unpaid.order_id.upper()}:TF-0000-0000-0000"
    texts = {
        other_shop: "wrong_shop",
        forged: "forged",
        never_sold: "unknown",
        no_such_ticket: "forged",
        other_code: "forged",
        not_yet_paid: "unknown",
        code[:-1]: "unknown",
        code[:-1] + "X": "unknown",
        code[:-2] + ("0" if code[-2] != "0" else "1") + code[-1]: "forged",
        "TF-0000-0000-0000": "unknown",
        "": "unknown",
        "https://example.org/": "unknown",
        "\0\u202e🐯": "unknown",
        "x" * 100_000: "unknown",
    }
    told = await tell(client, *map(scan, texts))
    assert [answer.result for answer in told] == list(texts.values())
    # Nobody got in, and what is stored is of tickets alone.
    assert (await figures(client)).gates == []


async def test_what_is_not_paid_or_was_refunded_stays_outside(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    refunded = await sold(shop, qty=2)
    await shop.refund(refunded.id, "owner", [0])
    gone, valid = await tell(client, *(scan(shop.door_code(refunded, n)) for n in range(2)))
    assert (gone.result, valid.result) == ("refunded", "admitted")
    assert gone.refunded_at_iso is not None
    assert gone.admitted_at_iso is None
    failed = await shop.checkout("A", EMAIL)
    await shop.settle(event(failed, EventType.FAILED))
    order_id = OrderId.parse(failed.order_id)
    assert order_id is not None
    [refused] = await tell(client, scan(shop.door_keys.sign(order_id, 0, 1)))
    assert refused.result == "not_paid"


async def test_a_refund_that_only_the_ledger_knows_of_keeps_the_ticket_outside(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    """A crash between the two: PostgreSQL hears of it when the refund goes on."""
    order = await sold(shop)
    await shop.submit(Operation.CREATE_TRANSFERS, shop.booking.refund(order.id, "A", [0]))
    [answer] = await tell(client, scan(shop.door_code(order, 0)))
    assert answer.result == "refunded"
    assert answer.refunded_at_iso is not None


async def test_scans_that_cannot_be_read_keep_no_other_from_its_answer(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop)
    good = scan(shop.door_code(order, 0))
    spoiled: list[Any] = [
        {**good, "scan_id": "7"},
        {**good, "scan_id": None},
        {key: value for key, value in good.items() if key != "text"},
        {**good, "gate": ""},
        {**good, "gate": " North"},
        {**good, "gate": "N" * 41},
        {**good, "gate": "No\0rth"},
        {**good, "gate": "North\n"},
        {**good, "gate": "\ud800"},
        {**good, "device": "d" * 65},
        {**good, "device": 7},
        {**good, "scanned_at": -1},
        {**good, "scanned_at": 2**53},
        {**good, "scanned_at": "now"},
        {**good, "offline": "yes"},
        {**good, "text": ["TF"]},
        "TF-0000-0000-0000",
        7,
        None,
        [],
        [good],
    ]
    # As Python writes it; `httpx` would write no half of a pair of surrogates.
    body = json.dumps([*spoiled[:9], good, *spoiled[9:]])
    answer = await client.post("/api/door/scans", content=body)
    assert answer.status_code == 200, answer.text
    told = msgspec.json.decode(answer.content, type=list[ScanAnswer])
    assert len(told) == len(spoiled) + 1
    assert told.pop(9).result == "admitted"
    assert {answer.result for answer in told} == {"invalid"}
    assert all(answer.detail and answer.detail.startswith("This is no scan: ") for answer in told)
    assert told[0].scan_id == "7"
    assert told[2].scan_id == good["scan_id"]
    assert told[-1].scan_id is None


async def test_what_is_no_array_of_scans_is_refused_in_a_sentence(
    client: httpx.AsyncClient,
) -> None:
    bodies = [b"", b"{}", b"null", b"[", b"[]", b'"x"', b"\xff\xfe", b"[" * 5_000, b'[{"a":]']
    for body in bodies:
        refused = await client.post("/api/door/scans", content=body)
        assert refused.status_code == 400, body
        assert refused.json()["detail"].startswith("This takes ")


async def test_a_place_in_the_list_of_ends_that_nobody_was_given_is_refused(
    client: httpx.AsyncClient,
) -> None:
    order_id = "0" * 32
    for after in ("x", f"{10**18 - 1}-{order_id}-0", f"253402300800000000-{order_id}-0"):
        refused = await client.get("/api/door/ends", params={"after": after})
        assert refused.status_code == 400, after
        assert refused.json()["detail"] == "There is no such page of tickets' ends."
    assert (
        await client.get("/api/admin/orders", params={"after": f"{10**18 - 1}-{order_id}"})
    ).status_code == 400


async def test_a_body_that_is_no_json_is_refused_in_a_sentence(client: httpx.AsyncClient) -> None:
    for body in (b'{"scan_id":"\xff"}', b'{"a":' * 3_000, b"{", b"", b"[]", b"null"):
        refused = await client.post("/api/door/undo", content=body)
        assert refused.status_code == 400, body
        assert "form" not in refused.json()["detail"], body
        assert refused.json()["detail"].endswith(".")


async def test_as_many_scans_as_there_may_be_are_answered_and_one_more_is_refused(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop)
    many = [scan(shop.door_code(order, 0)) for _ in range(SCANS_MAX)]
    told = await tell(client, *many)
    assert [answer.result for answer in told] == ["admitted", *["already_inside"] * (SCANS_MAX - 1)]
    # Each again, in whichever order.
    assert list(reversed(await tell(client, *reversed(many)))) == told
    refused = await client.post("/api/door/scans", json=[*many, scan("x")])
    assert (refused.status_code, refused.json()["detail"]) == (
        400,
        "This takes 1 to 500 scans, not 501.",
    )
    large = await client.post("/api/door/scans", content=b"[" + b" " * BODY_BYTES_MAX + b"]")
    assert large.status_code == 413
    assert large.json()["detail"] == "The request's body is larger than this takes."


async def test_ten_thousand_random_texts_get_an_answer_each_and_leave_nothing_behind(
    client: httpx.AsyncClient,
) -> None:
    dice = random.Random(7)
    signs = string.printable + "äöüßÄÖÜ€🐯\u202e"
    for _ in range(20):
        texts = ["".join(dice.choices(signs, k=dice.randrange(200))) for _ in range(SCANS_MAX)]
        told = await tell(client, *map(scan, texts))
        assert {answer.result for answer in told} == {"unknown"}
    assert (await figures(client)).gates == []


async def test_scans_from_the_future_and_from_1970_are_scans(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop, qty=2)
    codes = [shop.door_code(order, number) for number in range(2)]
    told = await tell(client, scan(codes[0], scanned_at=2**53 - 1), scan(codes[1], scanned_at=0))
    assert [answer.result for answer in told] == ["admitted", "admitted"]
    now = datetime.now(UTC)
    for answer in told:
        assert answer.admitted_at_iso is not None
        at = datetime.fromisoformat(answer.admitted_at_iso)
        assert now - timedelta(minutes=5) < at < now + timedelta(minutes=5)
    # Told again, a clock that has been set makes no difference.
    again = scan(codes[0], scanned_at=5) | {"scan_id": told[0].scan_id}
    assert await tell(client, again) == [told[0]]


async def test_one_ticket_by_two_scans_of_a_request_gets_in_once(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop)
    code = shop.door_code(order, 0)
    told = await tell(client, scan(code, "North"), scan(order.ticket_codes[0], "South"))
    assert [(answer.result, answer.gate) for answer in told] == [
        ("admitted", "North"),
        ("already_inside", "North"),
    ]


async def test_a_scan_that_is_told_twice_in_a_request_has_one_answer(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop)
    once = scan(shop.door_code(order, 0))
    first, second = await tell(client, once, once)
    assert first == second
    assert first.result == "admitted"


async def test_a_scans_id_is_of_one_ticket_in_a_request_and_after_it(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop, qty=2)
    first = scan(shop.door_code(order, 0))
    second = {**first, "text": shop.door_code(order, 1)}
    for told in (await tell(client, first, second), await tell(client, first, second)):
        assert [answer.result for answer in told] == ["admitted", "invalid"]
        assert told[1].detail == "This scan's id was used for another ticket."
    [later] = await tell(client, second)
    assert later.result == "invalid"
    # Nobody has used that ticket up.
    assert (await tell(client, scan(second["text"])))[0].result == "admitted"


async def test_of_fifty_doors_one_lets_the_ticket_in(client: httpx.AsyncClient, shop: Shop) -> None:
    order = await sold(shop)
    code = shop.door_code(order, 0)
    # Once logged in, whoever asks is remembered.
    await tell(client, scan(""))
    told = await asyncio.gather(*(tell(client, scan(code, f"Gate {n}")) for n in range(50)))
    results = [answer.result for [answer] in told]
    assert sorted(results) == ["admitted", *["already_inside"] * 49]
    [winner] = {answer.gate for [answer] in told}
    assert winner == f"Gate {results.index('admitted')}"


async def test_what_was_let_in_offline_twice_is_an_incident_that_names_both(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop)
    code = shop.door_code(order, 0)
    first, second = scan(code, "North", offline=True), scan(code, "South", offline=True)
    [admitted] = await tell(client, first)
    assert (admitted.result, admitted.incident) == ("admitted", False)
    [twice] = await tell(client, second)
    assert (twice.result, twice.incident, twice.gate) == ("already_inside", True, "North")
    assert twice.admitted_at_iso == admitted.admitted_at_iso
    assert await tell(client, second) == [twice]
    told = await figures(client)
    assert {gate.name: gate.incidents for gate in told.gates} == {"North": 0, "South": 1}
    assert told.incidents == 1


async def test_what_a_device_let_in_before_the_answer_came_is_an_incident_too(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    code = shop.door_code(await sold(shop), 0)
    await tell(client, scan(code, "North"))
    # The answer is lost, and the device decides by itself.
    late = scan(code, "South")
    [refused] = await tell(client, late)
    assert (refused.result, refused.incident) == ("already_inside", False)
    [twice] = await tell(client, {**late, "offline": True})
    assert (twice.result, twice.incident) == ("already_inside", True)
    assert (await figures(client)).incidents == 1


async def test_an_admission_is_undone_once_and_the_next_scan_lets_the_ticket_in(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop)
    code = shop.door_code(order, 0)
    first, second = scan(code), scan(code, "South")
    [admitted] = await tell(client, first)
    undone = msgspec.json.decode((await undo(client, first)).content, type=UndoAnswer)
    assert undone.scan_id == first["scan_id"]
    assert (await undo(client, first)).json() == msgspec.to_builtins(undone)
    # Told again, the scan was what it was, and lets nobody in any more.
    [again] = await tell(client, first)
    assert (again.result, again.undone, again.admitted_at_iso) == (
        "admitted",
        True,
        admitted.admitted_at_iso,
    )
    [second_in] = await tell(client, second)
    assert (second_in.result, second_in.gate) == ("admitted", "South")
    assert (await tell(client, scan(code)))[0].gate == "South"
    assert (await undo(client, first)).json() == msgspec.to_builtins(undone)
    assert [answer.undone for answer in await tell(client, first, second)] == [True, False]
    deeds = await Audit(shop.orders.database).of_order(order.id)
    assert [(deed.what, deed.by) for deed in deeds] == [("Admission undone", "admin")]


async def test_only_the_device_that_let_it_in_undoes_that_and_only_for_a_while(
    client: httpx.AsyncClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await sold(shop)
    code = shop.door_code(order, 0)
    first, too_late = scan(code), scan(code)
    await tell(client, first)
    await tell(client, too_late)
    for refused, words in (
        (await undo(client, first, "device 2"), "Only the device that has let it in"),
        (await undo(client, too_late), "This scan has let nobody in."),
    ):
        assert refused.status_code == 409
        assert refused.json()["detail"].startswith(words)
    assert (await undo(client, scan(code))).status_code == 404
    assert (await undo(client, {"scan_id": "7"})).status_code == 400
    monkeypatch.setattr(door, "UNDO_SECONDS_MAX", -1)
    refused = await undo(client, first)
    assert refused.status_code == 409
    assert refused.json()["detail"].endswith("minutes ago: now it stays.")
    assert (await tell(client, scan(code)))[0].result == "already_inside"


async def test_the_last_admission_there_is_stays(client: httpx.AsyncClient, shop: Shop) -> None:
    order = await sold(shop)
    code = shop.door_code(order, 0)
    for attempt in range(END_ATTEMPTS_MAX):
        each = scan(code)
        assert (await tell(client, each))[0].result == "admitted"
        answer = await undo(client, each)
        assert answer.status_code == (200 if attempt < END_ATTEMPTS_MAX - 1 else 409)
    assert answer.json()["detail"] == "This was taken back too often: now it stays."


async def test_what_was_undone_can_be_refunded_and_then_nobody_gets_in(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop)
    first = scan(shop.door_code(order, 0))
    await tell(client, first)
    assert (await client.post(f"/api/admin/orders/{order.id.hex_digits}/refund")).status_code == 409
    await undo(client, first)
    assert (await client.post(f"/api/admin/orders/{order.id.hex_digits}/refund")).status_code == 200
    [refused] = await tell(client, scan(shop.door_code(order, 0)))
    assert refused.result == "refunded"
    # Also by the scan that once let it in.
    assert (await tell(client, first))[0].result == "refunded"


async def test_the_figures_are_the_ledgers_and_those_of_each_gate(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    premium, standard = await sold(shop, qty=3), await sold(shop, qty=2, cls="B")
    scans = [scan(shop.door_code(premium, n), "North") for n in range(2)]
    scans.append(scan(shop.door_code(standard, 0), "South"))
    scans.append(scan(shop.door_code(standard, 0), "North"))
    await tell(client, *scans)
    await undo(client, scans[0])
    told = await figures(client)
    assert (told.inside, told.sold, told.places, told.incidents) == (2, 5, None, 0)
    assert [(each.cls, each.inside, each.sold) for each in told.classes] == [
        ("A", 1, 3),
        ("B", 1, 2),
    ]
    assert [
        (gate.name, gate.admitted, gate.undone, gate.refused, gate.classes) for gate in told.gates
    ] == [("North", 1, 1, 1, {"A": 1, "B": 0}), ("South", 1, 0, 0, {"B": 1})]
    # The stock takes who is inside for sold.
    stock = (await client.get("/api/inventory")).json()
    assert {cls: each["sold"] for cls, each in stock.items()} == {"A": 3, "B": 2}


async def test_a_device_learns_which_tickets_have_ended_and_what_changes_afterwards(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order, refunded = await sold(shop, qty=4), await sold(shop)
    scans = [scan(shop.door_code(order, n)) for n in range(3)]
    await tell(client, *scans)
    await undo(client, scans[1])
    await shop.refund(refunded.id, "owner")
    told = await ends(client)
    keys = [end_key(Ticket(order.id, n)) for n in range(3)]
    assert {item.key: (item.state, item.gate) for item in told.items} == {
        keys[0]: (EndState.INSIDE, "North"),
        keys[1]: (EndState.VALID, "North"),
        keys[2]: (EndState.INSIDE, "North"),
        end_key(Ticket(refunded.id, 0)): (EndState.REFUNDED, ""),
    }
    assert not told.more
    # In pages, nothing is left out.
    items: list[EndItem] = []
    cursor, more = "", True
    while more:
        page = await ends(client, limit=1, **({"after": cursor} if cursor else {}))
        items, cursor, more = items + list(page.items), page.next, page.more
    assert items == list(told.items)
    # One that got in again is inside, and not what it was in between.
    await tell(client, scan(shop.door_code(order, 1), "South"))
    news = await ends(client, after=told.next)
    assert [item.state for item in news.items if item.key == keys[1]] == [EndState.INSIDE]
    for nonsense in ("x", "1-2-3", f"1-{order.id.hex_digits}-x", f"{'9' * 30}-{'0' * 32}-0"):
        refused = await client.get("/api/door/ends", params={"after": nonsense})
        assert refused.status_code == 400


async def ends(client: httpx.AsyncClient, **params: Any) -> EndsAnswer:
    told = await client.get("/api/door/ends", params=params)
    assert told.status_code == 200, told.text
    return msgspec.json.decode(told.content, type=EndsAnswer)


async def test_the_hall_takes_as_many_as_the_event_says(open_shop: OpenShop) -> None:
    shop: Shop = await open_shop(offer=replace(UP_TO_FOUR, people_inside=2))
    async with client_of(shop) as client:
        client.headers.update({**OPERATOR, **SAME_ORIGIN})
        order = await sold(shop, qty=4)
        scans = [scan(shop.door_code(order, n)) for n in range(3)]
        told = await tell(client, *scans)
        assert [answer.result for answer in told] == ["admitted", "admitted", "hall_full"]
        # Who is inside is told so, and the hall that is full keeps nobody's ticket.
        [inside] = await tell(client, scan(shop.door_code(order, 0)))
        assert inside.result == "already_inside"
        assert (await undo(client, scans[0])).status_code == 200
        [still] = await tell(client, scans[2])
        assert still.result == "hall_full"
        [let_in] = await tell(client, scan(shop.door_code(order, 2)))
        assert let_in.result == "admitted"
        told_figures = await figures(client)
        assert (told_figures.places, told_figures.places_left) == (2, 0)
        assert told_figures.inside == 2
        # What was undone and gets in again takes a place as others do.
        [full] = await tell(client, scan(shop.door_code(order, 0)))
        assert full.result == "hall_full"
        assert (await undo(client, scans[1])).status_code == 200
        [again] = await tell(client, scan(shop.door_code(order, 0)))
        assert again.result == "admitted"


async def test_other_sites_and_who_may_not_scan_let_nobody_in(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await sold(shop)
    body = [scan(shop.door_code(order, 0))]
    foreign = await client.post(
        "/api/door/scans", json=body, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert foreign.status_code == 403
    client.headers.pop("Authorization")
    assert (await client.post("/api/door/scans", json=body)).status_code == 401
    for path in ("figures", "ends"):
        assert (await client.get(f"/api/door/{path}")).status_code == 401
