"""The door without a network: what a device decides alone, what it keeps, and what becomes of it
when the shop is there again.
"""

from typing import Any, Final

from playwright.sync_api import Page, expect

from tests.browser.box_office import BoxOffice, Held
from tests.browser.conftest import OPERATOR_LOGIN, OpenTab
from tests.browser.test_door import expect_verdict, open_door
from tests.offers import OFFER
from tests.stack.running_shop import until
from tigerfans.booking.door_codes import DoorKeys
from tigerfans.booking.ids import OrderId
from tigerfans.offer.catalog import Catalog
from tigerfans.settings.settings import DEFAULT_TICKET_SECRET

READY: Final = "Without a network, codes are checked here by what it knew"
AWAY: Final = "Offline: this device decides alone"


def keys_of(office: BoxOffice, number: int = 1) -> DoorKeys:
    told = office.client.get("/api/door/keys").raise_for_status().json()
    return DoorKeys(DEFAULT_TICKET_SECRET, told["shop"], number)


def codes_of(office: BoxOffice, held: Held, qty: int = 1) -> list[str]:
    """What the QR codes of an order's tickets say."""
    order_id = OrderId.parse(held.order_id)
    assert order_id is not None
    ledger = Catalog.build(OFFER).classes[0].tickets.ledger
    return [keys_of(office).sign(order_id, number, ledger) for number in range(qty)]


def show(tab: Page, code: str) -> None:
    """Holds a ticket up."""
    tab.get_by_label("Ticket code").fill(code)
    tab.get_by_label("Ticket code").press("Enter")


def offline_words(tab: Page) -> Any:
    return tab.locator("[data-offline-words]")


def expect_ready(tab: Page) -> None:
    """The device has the keys and the list of ends, and the page is kept."""
    expect(offline_words(tab)).to_contain_text(READY)
    tab.evaluate("navigator.serviceWorker.ready")
    tab.wait_for_function("() => caches.match('/door', { ignoreVary: true })")


def expect_told(tab: Page) -> None:
    """The shop knows of all that the device decided alone."""
    expect(offline_words(tab)).to_contain_text(READY)
    expect(offline_words(tab)).not_to_contain_text("sent")


def figures(office: BoxOffice) -> Any:
    return office.client.get("/api/door/figures").raise_for_status().json()


def test_a_signed_code_gets_in_once_without_a_network_and_the_shop_hears_of_it_later(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    [code] = codes_of(patient, patient.buy())
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
