"""The ticket as a picture and as a page to print."""

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from PIL import Image, ImageChops

from tests.offers import SHOW
from tigerfans.booking.door_codes import DoorKeys
from tigerfans.booking.ids import OrderId
from tigerfans.booking.ticket_sheet import SIZE, Sheet, lines, qr_box, ticket_pdf, ticket_png
from tigerfans.booking.tickets import qr_modules

KEYS = DoorKeys("secret", "0badcafe")
SHEET = Sheet(
    code="TF-7K3M-92QX-HD4W",
    door_code=KEYS.sign(OrderId(b"\0" + bytes(range(1, 16))), 0, 1),
    class_name="Premium",
    paid_at=datetime(2026, 11, 22, 13, 2, 51, tzinfo=UTC),
    show=SHOW,
)


def picture(sheet: Sheet) -> Image.Image:
    image = Image.open(io.BytesIO(ticket_png(sheet)))
    assert image.format == "PNG"
    return image.convert("L")


def changed(sheet: Sheet) -> tuple[int, int, int, int] | None:
    """Where the picture differs from that of `SHEET`: left, top, right, bottom."""
    return ImageChops.difference(picture(SHEET), picture(sheet)).getbbox()


def test_the_picture_is_of_a6_for_a_telephone_and_for_paper() -> None:
    image = picture(SHEET)
    assert image.size == SIZE
    width_mm, height_mm = (side / 300 * 25.4 for side in SIZE)
    assert (round(width_mm), round(height_mm)) == (105, 148)
    assert len(ticket_png(SHEET)) < 100_000


def test_the_qr_code_is_on_it_module_by_module() -> None:
    image, modules = picture(SHEET), qr_modules(SHEET.door_code)
    side = len(modules)
    found = image.crop(qr_box(SHEET)).resize((side, side), Image.Resampling.NEAREST)
    dark = [grey == 0 for grey in found.tobytes()]
    assert dark == [module for line in modules for module in line]


def test_a_ticket_says_when_where_and_of_which_class_it_is() -> None:
    assert [text for _, text in lines(SHEET)] == [
        "Friday 19 June 2099, 20:00 CEST",
        "Harbour Dome, Lübeck",
        "Premium",
    ]


def test_one_of_several_tickets_says_which_it_is() -> None:
    assert lines(SHEET._replace(number=1, qty=3))[-1] == ("Ticket", "Premium, 2 of 3")


def test_several_tickets_are_a_page_each() -> None:
    pages = ticket_pdf([SHEET._replace(number=number, qty=3) for number in range(3)])
    assert pages.count(b"/Type /Page\n") == 3
    assert len(pages) < 150_000


@pytest.mark.parametrize(
    "other",
    [
        SHEET._replace(show=replace(SHOW, name="LionFans 2027")),
        SHEET._replace(show=replace(SHOW, starts_at=datetime(2027, 6, 19, tzinfo=UTC))),
        SHEET._replace(show=replace(SHOW, venue="Lion Hall, Hamburg")),
        SHEET._replace(class_name="Standard"),
        SHEET._replace(code="TF-7K3M-92QX-HD4X"),
        SHEET._replace(door_code=KEYS.sign(OrderId.new(), 0, 1)),
        SHEET._replace(qty=3),
    ],
)
def test_all_that_a_ticket_says_can_be_seen(other: Sheet) -> None:
    assert changed(other)


def test_a_long_name_stays_on_the_ticket_and_letters_of_other_languages_are_drawn() -> None:
    long = replace(
        SHOW, name="Ein sehr langer Name " * 5, venue="Große Halle, Łódź · Αθήνα · Москва"
    )
    image = picture(SHEET._replace(show=long))
    left, _, right, _ = ImageChops.invert(image.crop((0, 300, *SIZE))).getbbox() or (0, 0, 0, 0)
    assert 50 < left < right < SIZE[0] - 50
    # What a font does not have is drawn as the same box each time.
    venues = [replace(SHOW, venue=letter * 3) for letter in "ßŁźΑМ€"]
    drawn = {picture(SHEET._replace(show=venue)).tobytes() for venue in venues}
    assert len(drawn) == len(venues)


def test_the_same_ticket_yields_the_same_bytes() -> None:
    assert ticket_png(SHEET) == ticket_png(SHEET)
    assert ticket_pdf([SHEET]) == ticket_pdf([SHEET])
    assert ticket_pdf(3 * [SHEET]) == ticket_pdf(3 * [SHEET])


def test_the_page_is_a_small_pdf_of_a6() -> None:
    page = ticket_pdf([SHEET])
    assert page.startswith(b"%PDF-")
    assert b"/MediaBox [ 0 0 297.6 419.52 ]" in page
    assert page.count(b"/Type /Page\n") == 1
    assert len(page) < 50_000
