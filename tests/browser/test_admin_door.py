"""The door in the box office, in a browser: what happens there shows by itself, and an incident
stays until somebody has seen to it.
"""

from playwright.sync_api import expect

from tests.browser.box_office import BoxOffice
from tests.browser.conftest import OPERATOR_LOGIN, OpenTab


def test_who_comes_in_shows_by_itself_and_an_incident_stays_until_it_is_seen_to(
    open_tab: OpenTab, patient: BoxOffice
) -> None:
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    tab.goto("/admin/door")
    expect(tab.locator("[data-live]")).to_have_attribute("data-state", "live")
    held = patient.buy()
    code = patient.ticket_code(held)
    patient.scan("Door <b>", code)
    gate = tab.locator("[data-table=gates] tbody tr", has_text="Door <b>")
    expect(gate.locator("[data-cell=admitted]")).to_have_text("1")
    expect(gate.locator("[data-cell=lately]")).to_have_text("1")
    assert gate.locator("[data-cell=bars]").get_attribute("d")
    tab.get_by_text("As a table, by ten minutes").click()
    numbers = tab.locator("[data-minutes-table] tbody tr", has_text="Door <b>")
    expect(numbers.locator("td")).to_have_count(12)

    patient.scan("Second door", code, "already_inside", offline=True)
    found = tab.locator("[data-table=incidents] tbody tr", has_text="Second door")
    expect(found.locator("[data-cell=first]")).to_contain_text("Door <b>")
    expect(found.locator("[data-cell=id]")).to_have_attribute(
        "href", f"/admin/orders/{held.order_id}"
    )
    found.get_by_role("button").press("Enter")
    expect(found).to_have_count(0)
    tab.get_by_text("Seen to already").click()
    seen = tab.locator("[data-table=seen] tbody tr", has_text="Second door")
    expect(seen.locator("[data-cell=seen_by]")).to_have_text("admin")

    tab.goto(f"/admin?q={held.order_id}")
    row = tab.locator("[data-table=orders] tbody tr")
    expect(row.locator("[data-cell=inside]")).to_have_text("1 of 1 inside")
    row.get_by_role("link").click()
    expect(tab.get_by_role("heading", name="Incident: ticket 1 was let in offline")).to_be_visible()
