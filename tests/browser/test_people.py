"""The people of the box office in a browser: let in by a form, and what each then sees."""

import re

from playwright.sync_api import Page, expect

from tests.browser.box_office import BoxOffice
from tests.browser.conftest import OPERATOR_LOGIN, OpenTab

PHONE = {"width": 390, "height": 844}


def let_in(owner: Page, name: str, role: str) -> str:
    """The password that the page shows."""
    owner.goto("/admin/people")
    owner.get_by_label("Name").fill(name)
    owner.get_by_label("Role", exact=True).last.select_option(role)
    owner.get_by_role("button", name="Make a password").click()
    shown = owner.locator(".notice").filter(has_text=f"The password of {name}")
    password: str = shown.locator("code").inner_text()
    return password


def test_an_owner_lets_people_in_on_a_phone_without_a_script_and_each_sees_what_is_theirs(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    owner = open_tab(
        patient, http_credentials=OPERATOR_LOGIN, java_script_enabled=False, viewport=PHONE
    )
    office_password = let_in(owner, "Barbara", "office")
    door_password = let_in(owner, "Ärger & Söhne", "door")

    office = open_tab(
        patient, http_credentials={"username": "Barbara", "password": office_password}
    )
    office.goto("/admin")
    expect(office.get_by_role("status").filter(has_text="Live")).to_be_visible()
    expect(office.get_by_role("link", name="Download CSV")).to_have_count(0)
    expect(office.get_by_role("link", name="People")).to_have_count(0)

    door = open_tab(
        patient, http_credentials={"username": "Ärger & Söhne", "password": door_password}
    )
    door.goto("/admin")
    expect(door).to_have_url(re.compile("/door$"))
    expect(door.get_by_label("Where are you?")).to_be_visible()
    expect(door.get_by_role("link", name="Box office")).to_have_count(0)

    owner.get_by_label("Remove Barbara").click()
    listed = owner.get_by_role("listitem").filter(has_text="Barbara")
    listed.get_by_role("button", name="Remove").click()
    expect(listed).to_have_count(0)
    deed = owner.get_by_role("row").filter(has_text="Person removed")
    expect(deed.first).to_contain_text("Barbara")
