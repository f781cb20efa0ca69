"""The ticket's code, its QR code and its calendar entry."""

import io
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import png

from tests.offers import SHOW
from tigerfans.booking.door_codes import DoorKeys
from tigerfans.booking.ids import OrderId
from tigerfans.booking.tickets import (
    ICS_LINE_OCTETS_MAX,
    QR_PNG_MODULE_PIXELS,
    QR_QUIET_ZONE_MODULES,
    calendar_entry,
    qr_modules,
    qr_png,
    qr_svg,
    ticket_code,
    ticket_codes,
)

CODE = "TF-7K3M-92QX-HD4W"
ORDER = OrderId(b"\0" + bytes(range(1, 16)))
ORDER_ID = "01a2035a2cca0102030405060708a900"
KEYS = DoorKeys("secret", "0badcafe")
DOOR_CODE = KEYS.sign(ORDER, 0, 1)
# 41 squares a side, and the quiet zone.
MODULES = 41 + 2 * QR_QUIET_ZONE_MODULES
ISSUED_AT = datetime(2026, 11, 22, 13, 2, 51, tzinfo=timezone(timedelta(hours=1)))

SVG = "{http://www.w3.org/2000/svg}"


def rows_of(picture: bytes) -> list[list[int]]:
    """The picture's rows; 0 is black, 1 is white."""
    _, _, rows, _ = png.Reader(file=io.BytesIO(picture)).read()
    return [list(row) for row in rows]


def modules_of(picture: bytes) -> list[list[int]]:
    """One pixel for each module."""
    middle = QR_PNG_MODULE_PIXELS // 2
    return [
        row[middle::QR_PNG_MODULE_PIXELS] for row in rows_of(picture)[middle::QR_PNG_MODULE_PIXELS]
    ]


def test_every_ticket_has_as_many_squares() -> None:
    for number in range(64):
        modules = qr_modules(KEYS.sign(OrderId.new(), number, 65_535))
        assert {len(modules), *map(len, modules)} == {MODULES}


def test_the_png_is_square_and_has_its_quiet_zone() -> None:
    rows = rows_of(qr_png(DOOR_CODE))
    assert {len(row) for row in rows} == {len(rows)}
    quiet = QR_QUIET_ZONE_MODULES * QR_PNG_MODULE_PIXELS
    for row in rows:
        assert set(row[:quiet] + row[-quiet:]) == {1}
    assert {pixel for row in rows[:quiet] + rows[-quiet:] for pixel in row} == {1}


def test_every_module_of_the_png_is_one_plain_square() -> None:
    rows = rows_of(qr_png(DOOR_CODE))
    size = QR_PNG_MODULE_PIXELS
    for y in range(0, len(rows), size):
        assert len({tuple(row) for row in rows[y : y + size]}) == 1
        for x in range(0, len(rows), size):
            assert len(set(rows[y][x : x + size])) == 1


def test_png_and_svg_show_the_same_modules() -> None:
    modules = modules_of(qr_png(DOOR_CODE))
    drawing = ET.fromstring(qr_svg(DOOR_CODE))  # noqa: S314
    assert drawing.get("viewBox") == f"0 0 {len(modules)} {len(modules)}"
    path = drawing.find(f"{SVG}path")
    assert path is not None
    drawn = {
        tuple(int(number) for number in square.split("H")[0].split(","))
        for square in path.attrib["d"].split("M")[1:]
    }
    dark = {(x, y) for y, row in enumerate(modules) for x, pixel in enumerate(row) if pixel == 0}
    assert drawn == dark


def test_the_svg_has_a_white_ground_of_its_own() -> None:
    drawing = ET.fromstring(qr_svg(DOOR_CODE))  # noqa: S314
    ground = drawing.find(f"{SVG}rect")
    assert ground is not None
    assert (ground.get("fill"), ground.get("width")) == ("white", "100%")


def test_another_ticket_has_another_code_and_the_picture_is_small() -> None:
    assert len(qr_png(DOOR_CODE)) < 5_000
    assert len(qr_svg(DOOR_CODE)) < 25_000
    assert qr_png(DOOR_CODE) == qr_png(DOOR_CODE)
    assert qr_png(DOOR_CODE) != qr_png(KEYS.sign(ORDER, 1, 1))


def test_the_calendar_entry_is_the_show_in_utc() -> None:
    lines = calendar_entry([CODE], ORDER_ID, "Premium", ISSUED_AT, SHOW).split("\r\n")
    assert lines[0] == "BEGIN:VCALENDAR"
    assert lines[-2:] == ["END:VCALENDAR", ""]
    assert f"UID:{ORDER_ID}@tigerfans" in lines
    assert "DTSTAMP:20261122T120251Z" in lines
    assert "DTSTART:20990619T180000Z" in lines
    assert "DTEND:20990620T000000Z" in lines
    assert r"LOCATION:Harbour Dome\, Lübeck" in lines
    assert f"DESCRIPTION:Premium ticket {CODE}. Bring its QR code." in lines


def test_the_calendar_entry_of_several_tickets_names_each_of_them() -> None:
    codes = [CODE, "TF-2222-2222-2222"]
    text = calendar_entry(codes, ORDER_ID, "Premium", ISSUED_AT, SHOW).replace("\r\n ", "")
    named = rf"DESCRIPTION:2 Premium tickets: {codes[0]}\, {codes[1]}. Bring the QR code of each."
    assert named in text.split("\r\n")
    assert text.count("BEGIN:VEVENT") == 1


def test_a_long_line_of_the_calendar_entry_is_folded_between_characters() -> None:
    show = replace(SHOW, venue="Große Halle; " + "ä" * 100 + "\nHamburg")
    text = calendar_entry([CODE], ORDER_ID, "Premium", ISSUED_AT, show)
    assert all(len(line.encode()) <= ICS_LINE_OCTETS_MAX for line in text.split("\r\n"))
    location = r"LOCATION:Große Halle\; " + "ä" * 100 + r"\nHamburg"
    assert location in text.replace("\r\n ", "").split("\r\n")


def test_a_ticket_code_depends_on_the_order_and_the_secret() -> None:
    code = ticket_code(ORDER, "secret")
    assert code == ticket_code(ORDER, "secret")
    assert len(code) == len("TF-0000-0000-0000")
    assert code != ticket_code(ORDER, "another secret")
    assert code != ticket_code(OrderId.new(), "secret")


def test_each_ticket_of_an_order_has_a_code_of_its_own() -> None:
    codes = ticket_codes(ORDER, "secret", 64)
    assert len(set(codes)) == 64
    assert codes == tuple(ticket_code(ORDER, "secret", number) for number in range(64))
    # As orders had it when they were of one ticket each.
    assert codes[0] == ticket_code(ORDER, "secret") == "TF-VZKM-PGGA-9T3K"
