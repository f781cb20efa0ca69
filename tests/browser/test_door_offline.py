"""The door without a network: what a device decides alone, what it keeps, and what becomes of it
when the shop is there again.
"""

import json
import os
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from playwright.sync_api import Error as PlaywrightError

from tests.browser.box_office import BoxOffice, Held
from tests.browser.conftest import OPERATOR_LOGIN, OpenTab, new_context, watch
from tests.browser.test_door import SCANS, expect_verdict, open_door
from tests.harness.needs import TIGERBEETLE
from tests.offers import OFFER
from tests.stack.running_shop import until
from tigerfans.booking.door_codes import (
    SIGNS,
    DoorCodeError,
    DoorKeys,
    ForgedError,
    OtherShopError,
    SignedTicket,
    UnknownKeyError,
)
from tigerfans.booking.ends import Ticket
from tigerfans.booking.ids import OrderId
from tigerfans.booking.scan_texts import read_scan_text
from tigerfans.http.door.scanning import end_key
from tigerfans.offer.catalog import Catalog
from tigerfans.settings.settings import DEFAULT_TICKET_SECRET

READY: Final = "Without a network, codes are checked here by what it knew"
AWAY: Final = "Offline: this device decides alone"
# Of each device at the two doors.
TICKETS: Final = 200
KNOWN: Final = 20
BUYERS: Final = 4

# Holds tickets up, one after the other; resolves to the kinds of their verdicts.
HOLD_UP: Final = """
    async (codes) => {
        const field = document.querySelector("#text");
        const wait = document.querySelector("[data-wait]");
        const verdict = document.querySelector("[data-verdict]");
        const kinds = [];
        for (const code of codes) {
            field.value = code;
            field.form.requestSubmit();
            while (wait.textContent) await new Promise((resolve) => setTimeout(resolve, 0));
            kinds.push(verdict.dataset.kind);
        }
        return kinds;
    }
"""
# What the device keeps in one of its stores.
KEPT: Final = """
    (name) => new Promise((resolve) => {
        indexedDB.open("tigerfans-door").onsuccess = ({ target: { result: database } }) => {
            const stores = database.transaction([name]).objectStore(name);
            stores.getAll().onsuccess = ({ target }) => (database.close(), resolve(target.result));
        };
    })
"""


NO_STORE: Final = "Object.defineProperty(window, 'indexedDB', { value: undefined })"
NO_ED25519: Final = """
    SubtleCrypto.prototype.importKey =
        () => Promise.reject(new DOMException("", "NotSupportedError"));
"""
# As where the device is full.
FULL: Final = """
    IDBObjectStore.prototype.add = function () { queueMicrotask(() => this.transaction.abort()); };
"""
# What the page would wait for in seconds is over sooner.
IMPATIENT: Final = """
    const { setTimeout } = window;
    window.setTimeout = (act, ms) => setTimeout(act, ms === 4000 ? 400 : ms);
"""


def keys_of(office: BoxOffice, number: int = 1) -> DoorKeys:
    told = office.client.get("/api/door/keys").raise_for_status().json()
    return DoorKeys(DEFAULT_TICKET_SECRET, told["shop"], number)


def code_of(held: Held, keys: DoorKeys) -> str:
    """What the QR code of an order's ticket says."""
    order_id = OrderId.parse(held.order_id)
    assert order_id is not None
    return keys.sign(order_id, 0, Catalog.build(OFFER).classes[0].tickets.ledger)


def show(tab: Page, code: str) -> None:
    """Holds a ticket up."""
    tab.get_by_label("Ticket code").fill(code)
    tab.get_by_label("Ticket code").press("Enter")


def offline_words(tab: Page) -> Any:
    return tab.locator("[data-offline-words]")


def expect_ready(tab: Page) -> None:
    """The device has the keys and the list of ends, and the page is kept."""
    expect(offline_words(tab)).to_contain_text(READY)
    until(lambda: bool(tab.evaluate("caches.match('/door', { ignoreVary: true }).then(Boolean)")))


def expect_told(tab: Page) -> None:
    """The shop knows of all that the device decided alone."""
    expect(offline_words(tab)).to_contain_text(READY)
    expect(offline_words(tab)).not_to_contain_text("sent")


def figures(office: BoxOffice) -> Any:
    return office.client.get("/api/door/figures").raise_for_status().json()


def test_a_signed_code_gets_in_once_without_a_network_and_the_shop_hears_of_it_later(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    code = code_of(patient.buy(), keys_of(patient))
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    open_door(tab, "Lake")
    expect_ready(tab)
    tab.context.set_offline(True)
    # It opens, and knows the gate.
    tab.reload()
    expect(tab.get_by_text("Gate Lake")).to_be_visible()
    show(tab, code)
    expect_verdict(tab, "Come in")
    expect(tab.get_by_label("Verdict").get_by_text("Checked offline")).to_be_visible()
    expect(offline_words(tab)).to_contain_text("1 scan waits")
    # Closed, and opened again: it knows.
    tab.reload()
    show(tab, code)
    expect_verdict(tab, "Already inside")
    expect(tab.get_by_text("at Lake").first).to_be_visible()
    tab.context.set_offline(False)
    expect_told(tab)
    until(lambda: any(gate["name"] == "Lake" for gate in figures(patient)["gates"]))
    show(tab, code)
    expect_verdict(tab, "Already inside")


@pytest.mark.parametrize(
    "script", [NO_STORE, NO_ED25519, FULL], ids=["no store", "no Ed25519", "full"]
)
def test_nobody_is_let_in_by_a_browser_that_cannot_check_or_keep_anything(
    patient: BoxOffice, open_tab: OpenTab, script: str
) -> None:
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    tab.add_init_script(script)
    open_door(tab)
    words = READY if script == FULL else "nothing is checked offline"
    expect(offline_words(tab)).to_contain_text(words)
    tab.context.set_offline(True)
    show(tab, code_of(Held(OrderId.new().hex_digits, ""), keys_of(patient)))
    expect_verdict(tab, "Cannot be checked")
    show(tab, "TF-7K3M-92QX-HD4W")
    expect(
        tab.get_by_label("Verdict")
        .get_by_text("Nobody is let in")
        .or_(tab.get_by_label("Verdict").get_by_text(words))
    ).to_be_visible()


def test_a_scan_that_the_shop_does_not_take_keeps_no_other_one_and_no_tab_lets_a_ticket_in_twice(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    keys = keys_of(patient)
    codes = [code_of(patient.buy(email=f"pier{n}@example.org"), keys) for n in range(5)]
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    open_door(tab, "Pier")
    expect_ready(tab)
    other = tab.context.new_page()
    other.goto("/door")
    expect_ready(other)
    tab.context.set_offline(True)
    for code in codes:
        show(tab, code)
        expect_verdict(tab, "Come in")
        tab.keyboard.press("Escape")
    show(other, codes[1])
    expect_verdict(other, "Already inside")
    other.close()

    def answer(route: Route) -> None:
        if any(code in (route.request.post_data or "") for code in codes[:3]):
            route.fulfill(status=500, json={"detail": "It went wrong."})
        else:
            route.fallback()

    tab.route(SCANS, answer)
    tab.context.set_offline(False)
    expect(tab.get_by_text("Not taken by the shop")).to_have_count(3)
    expect(tab.get_by_text("It went wrong.")).to_have_count(3)
    expect_told(tab)
    until(lambda: admitted(patient, "Pier") == 2)
    tab.unroute(SCANS)
    # The shop knows nothing of it, and the device does.
    show(tab, codes[0])
    expect_verdict(tab, "Already inside")
    tab.keyboard.press("Escape")
    for left in (2, 1, 0):
        tab.get_by_role("button", name="Send again").first.click()
        expect(tab.get_by_text("Not taken by the shop")).to_have_count(left)
    until(lambda: admitted(patient, "Pier") == 5)
    expect_told(tab)


def test_a_shop_that_breaks_under_a_queue_of_scans_has_all_of_them_wait(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    keys = keys_of(patient)
    codes = [code_of(Held(OrderId.new().hex_digits, ""), keys) for _ in range(130)]
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    open_door(tab, "Broken")
    expect_ready(tab)
    tab.context.set_offline(True)
    assert tab.evaluate(HOLD_UP, codes) == ["checked"] * len(codes)
    asked: list[int] = []

    def answer(route: Route) -> None:
        scans = json.loads(route.request.post_data or "[]")
        asked.append(len(scans))
        if len(asked) > 2:
            route.fulfill(status=500, json={"detail": "It went wrong."})
        elif len(asked) == 2:
            # Something else that answers in its place.
            route.fulfill(json=[{} for _ in scans])
        else:
            route.fulfill(
                json=[{"scan_id": each["scan_id"], "result": "admitted"} for each in scans]
            )

    tab.route(SCANS, answer)
    tab.context.set_offline(False)
    expect(offline_words(tab)).to_contain_text("30 scans wait to be sent. It went wrong.")
    assert not tab.evaluate(KEPT, "aside")
    tab.unroute(SCANS)
    until(lambda: told_all(tab))
    # The shop has no such orders, and the device has to say so.
    assert len(tab.evaluate(KEPT, "aside")) == 30
    # Somebody has come in by it all the same.
    tab.context.set_offline(True)
    tab.reload()
    show(tab, codes[-1])
    expect_verdict(tab, "Already inside")


def test_a_shop_that_is_slow_is_none_and_its_late_answer_is_the_same_admission(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    code = code_of(patient.buy(email="slow@example.org"), keys_of(patient))
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    tab.add_init_script(IMPATIENT)
    open_door(tab, "Slow")
    expect_ready(tab)
    told: list[dict[str, Any]] = []
    held: list[Route] = []

    def answer(route: Route) -> None:
        told.extend(json.loads(route.request.post_data or ""))
        if len(told) == 1:
            # It gets there, and no answer comes back.
            route.fetch()
            held.append(route)
        else:
            route.fallback()

    tab.route(SCANS, answer)
    show(tab, code)
    expect_verdict(tab, "Come in")
    expect(tab.get_by_label("Verdict").get_by_text("Checked offline")).to_be_visible()
    with suppress(PlaywrightError):
        held[0].abort()
    expect(tab.locator("[data-last] [data-kind=good]")).to_have_text("Come in")
    assert [scan["offline"] for scan in told[:2]] == [False, True]
    assert len({scan["scan_id"] for scan in told}) == 1
    assert admitted(patient, "Slow") == 1
    assert not tab.evaluate(KEPT, "aside")


def test_a_device_reads_codes_as_the_shop_does(patient: BoxOffice, tab: Page) -> None:
    keys = keys_of(patient)
    held = Held(OrderId.new().hex_digits, "")
    code = code_of(held, keys)
    others = (DoorKeys("another", keys.shop), DoorKeys(DEFAULT_TICKET_SECRET, "0badcafe"))
    texts = [
        code,
        f"]Q1{code.lower()}\r\n",
        " ".join(code),
        *(code_of(held, other) for other in others),
        code_of(held, keys_of(patient, 2)),
        *(
            code[:at] + ("0" if code[at] != "0" else "1") + code[at + 1 :]
            for at in range(len(code))
        ),
        *(code[:length] for length in range(0, len(code), 9)),
        code + "0",
        "TF-7K3M-92QX-HD4W",
        "7k3m 92qx hd4w",
        f"TIGERFANS:{held.order_id}:TF-7K3M-92QX-HD4W",
        "https://example.org/",
        "x" * 513,
    ]
    tab.goto("/")
    styles = tab.locator("link[href*='/style.css']").get_attribute("href") or ""
    script = styles.replace("style.css", "js/door/signed.js")
    public = patient.client.get("/api/door/keys").json()
    read = tab.evaluate(
        """async ([script, texts, keys]) => {
            const { readText } = await import(script);
            return Promise.all(texts.map((text) => readText(text, keys)));
        }""",
        [script, texts, public],
    )
    for text, said in zip(texts, read, strict=True):
        assert (said["result"], said.get("key")) == read_by_the_shop(text, keys), text


def read_by_the_shop(text: str, keys: DoorKeys) -> tuple[str, str | None]:
    try:
        said = read_scan_text(text, keys)
    except OtherShopError:
        return "wrong_shop", None
    except UnknownKeyError:
        return ("newer" if SIGNS.index(text[6]) or text[7] >= "8" else "forged"), None
    except ForgedError:
        return "forged", None
    except DoorCodeError:
        return "unknown", None
    if isinstance(said, SignedTicket):
        return "valid", end_key(Ticket(said.order_id, said.ticket))
    return "short", None


def admitted(office: BoxOffice, name: str) -> int:
    return sum(gate["admitted"] for gate in figures(office)["gates"] if gate["name"] == name)


# --- Two doors -------------------------------------------------------------------------------


class Killing:
    """Between a device and the shop: kills one of the shop's processes under the first scans that
    are told, loses the answer to the second ones, and leaves the others alone.
    """

    def __init__(self, pid: int) -> None:
        self.told = 0
        self._pid = pid

    def __call__(self, route: Route) -> None:
        self.told += 1
        if self.told == 1:
            os.kill(self._pid, signal.SIGKILL)
        elif self.told == 2:
            with suppress(PlaywrightError):
                route.fetch()
            route.abort()
            return
        route.fallback()


@contextmanager
def open_with_ledger(root: Path) -> Iterator[BoxOffice]:
    """A shop whose ledger is TigerBeetle, where there is one."""
    settings = {"TIGERFANS_WORKERS": "2", "TIGERFANS_HOLD_SECONDS": "3600"}
    if TIGERBEETLE is not None:
        settings["TIGERBEETLE_BIN"] = str(TIGERBEETLE)
    office = BoxOffice(root, settings)
    with office.client:
        office.open()
        try:
            yield office
        finally:
            office.shop.close()


def told_all(tab: Page) -> bool:
    """Whether the shop has answered each scan of a device; it is asked at once."""
    tab.evaluate("window.dispatchEvent(new Event('online'))")
    return not tab.evaluate(KEPT, "waiting")


def test_two_doors_that_were_offline_let_each_ticket_in_once_on_the_ledger_and_name_each_double(
    browser: Browser, tmp_path: Path
) -> None:
    faults: list[str] = []
    with open_with_ledger(tmp_path) as office, ExitStack() as stack:
        keys = keys_of(office)
        with ThreadPoolExecutor(BUYERS) as pool:
            emails = (f"fan{number}@example.org" for number in range(TICKETS))
            held = list(pool.map(lambda email: office.buy(email=email), emails))
        codes = [code_of(each, keys) for each in held]
        doors = {}
        for gate in ("North", "South"):
            options = {"http_credentials": OPERATOR_LOGIN}
            context = stack.enter_context(new_context(browser, office, **options))
            doors[gate] = tab = context.new_page()
            watch(tab, faults)
            open_door(tab, gate)
            expect_ready(tab)
        north, south = doors.values()
        assert north.evaluate(HOLD_UP, codes[:KNOWN]) == ["good"] * KNOWN
        # It learns of these at once.
        south.reload()
        until(lambda: len(south.evaluate(KEPT, "known")) == KNOWN)

        for tab in doors.values():
            tab.context.set_offline(True)
        refused, let_in = ["bad"] * KNOWN, ["checked"] * (TICKETS - KNOWN)
        half = TICKETS // 2
        assert north.evaluate(HOLD_UP, codes[:half]) == (refused + let_in)[:half]
        # Closed, and opened again.
        context = north.context
        north.close()
        doors["North"] = north = context.new_page()
        watch(north, faults)
        north.goto("/door")
        assert north.evaluate(HOLD_UP, codes[half:]) == let_in[: TICKETS - half]
        assert south.evaluate(HOLD_UP, codes[::-1]) == let_in + refused
        assert north.evaluate(HOLD_UP, codes[:KNOWN]) == refused

        pids = {process["name"]: process["pid"] for process in office.shop.ps()}
        killed = {"North": pids["sequencer"], "South": pids["worker-1"]}
        killings = {gate: Killing(pid) for gate, pid in killed.items()}
        for gate, tab in doors.items():
            tab.route(SCANS, killings[gate])
            tab.context.set_offline(False)
        if "tigerbeetle" in pids:
            os.kill(pids["tigerbeetle"], signal.SIGKILL)
        until(lambda: all(told_all(tab) for tab in doors.values()))
        assert all(killing.told > 2 for killing in killings.values())
        until(office.shop.is_ready)

        for tab in doors.values():
            expect_told(tab)
        asides = {gate: tab.evaluate(KEPT, "aside") for gate, tab in doors.items()}
        doubles = [each for aside in asides.values() for each in aside]
        assert len({each["item"]["key"] for each in doubles}) == len(doubles) == TICKETS - KNOWN
        for gate, aside in asides.items():
            [other] = doors.keys() - {gate}
            for each in aside:
                assert each["answer"]["incident"]
                assert (each["item"]["scan"]["gate"], each["answer"]["gate"]) == (gate, other)
                assert each["item"]["scan"]["text"] is None
        # Nobody is inside but by the ledger, and the office hears of each double.
        double = {gate: len(aside) for gate, aside in asides.items()}
        until(lambda: is_told(figures(office), double))
        again = [scan_of(code) for code in codes]
        answers = office.client.post("/api/door/scans", json=again).raise_for_status().json()
        assert {answer["result"] for answer in answers} == {"already_inside"}
        rows = doors["South"].locator("[data-aside] li")
        if asides["South"]:
            expect(rows.filter(has_text="Let in twice").first).to_be_visible()
    assert not faults


def is_told(told: Any, double: Mapping[str, int]) -> bool:
    """Whether the figures, which each worker keeps for a moment, say that all are inside once."""
    at_gates = {gate["name"]: gate["incidents"] for gate in told["gates"]}
    admitted = sum(gate["admitted"] for gate in told["gates"])
    return told["inside"] == told["sold"] == admitted == TICKETS and at_gates == double


def scan_of(text: str) -> dict[str, Any]:
    return {"scan_id": str(uuid4()), "text": text, "gate": "East", "device": "e", "scanned_at": 0}
