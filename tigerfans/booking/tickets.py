"""The ticket as the buyer takes it along: its code, as QR code too, and its calendar entry.

Everything here is a pure function of the order, so the same ticket always yields the same bytes.
The QR code says what `door_codes` signs, in capitals throughout: QR codes store those in two thirds
of the space, and the squares stay large enough for a cheap phone's camera.
"""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import repeat
from typing import Final

import png
from qrcode import QRCode
from qrcode.constants import ERROR_CORRECT_M
from qrcode.image.svg import SvgPathFillImage

from tigerfans.booking.ids import OrderId, hash_key
from tigerfans.offer.show import Show

QR_QUIET_ZONE_MODULES: Final = 4
# A multiple of 8, so that each module is whole bytes of a picture with one bit for a pixel.
QR_PNG_MODULE_PIXELS: Final = 16

# Trying all eight masks for the prettiest code takes five times as long as the code itself, and
# readers accept each of them. The checkerboard breaks up plain areas reliably.
QR_MASK_CHECKERBOARD: Final = 0

ICS_LINE_OCTETS_MAX: Final = 75


def ticket_codes(order_id: OrderId, secret: str, qty: int) -> tuple[str, ...]:
    """The codes of an order's tickets, by their number from 0 on."""
    first = ticket_code(order_id, secret)
    # Nearly all orders: what costs them nothing is left out.
    if qty == 1:
        return (first,)
    return first, *(ticket_code(order_id, secret, number) for number in range(1, qty))


def ticket_code(order_id: OrderId, secret: str, number: int = 0) -> str:
    """The code on a ticket, such as `TF-7K3M-92QX-HD4W`: derived, so a replay repeats it.

    The order's first ticket, number 0, has the code that orders had when they had no other.
    """
    derived = order_id + bytes([number]) if number else order_id
    code = _ticket_hash(secret).copy()
    code.update(derived)
    bits = int.from_bytes(code.digest(), "big")
    return (
        f"TF-{_PAIRS[bits >> 50 & 1023]}{_PAIRS[bits >> 40 & 1023]}"
        f"-{_PAIRS[bits >> 30 & 1023]}{_PAIRS[bits >> 20 & 1023]}"
        f"-{_PAIRS[bits >> 10 & 1023]}{_PAIRS[bits & 1023]}"
    )


@lru_cache(maxsize=1)
def _ticket_hash(secret: str) -> blake2b:
    return blake2b(digest_size=8, key=hash_key(secret), person=b"ticket")


# Base 32 without the letters that people misread, two letters at a time.
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [first + second for first in _CROCKFORD for second in _CROCKFORD]


def qr_svg(door_code: str) -> bytes:
    """The QR code of a signed code as an SVG document, black on white with its quiet zone."""
    image = _qr(door_code).make_image(image_factory=SvgPathFillImage)
    return bytes(image.to_string(encoding="utf-8"))


def qr_png(door_code: str) -> bytes:
    """The same as a PNG, black on white with its quiet zone, around 800 pixels square.

    The library's own PNG factory visits each pixel, which takes ten times as long as this does.
    """
    modules = qr_modules(door_code)
    pixels = len(modules) * QR_PNG_MODULE_PIXELS
    dark, light = bytes(QR_PNG_MODULE_PIXELS // 8), b"\xff" * (QR_PNG_MODULE_PIXELS // 8)
    stream = io.BytesIO()
    png.Writer(pixels, pixels, greyscale=True, bitdepth=1).write_packed(
        stream,
        (
            row
            for line in modules
            for row in repeat(b"".join(dark if m else light for m in line), QR_PNG_MODULE_PIXELS)
        ),
    )
    return stream.getvalue()


def qr_modules(door_code: str) -> list[list[bool]]:
    """The QR code's modules with its quiet zone, row by row; True is a dark one."""
    modules: list[list[bool]] = _qr(door_code).get_matrix()
    return modules


def _qr(door_code: str) -> QRCode:
    code = QRCode(
        error_correction=ERROR_CORRECT_M,
        border=QR_QUIET_ZONE_MODULES,
        mask_pattern=QR_MASK_CHECKERBOARD,
    )
    # In one piece: all of it is of one kind, and every ticket's code has as many squares.
    code.add_data(door_code, optimize=0)
    code.make(fit=True)
    return code


def calendar_entry(
    ticket_codes: Sequence[str],
    order_id: str,
    class_name: str,
    issued_at: datetime,
    show: Show,
    *,
    url: str | None = None,
) -> str:
    """An iCalendar file (RFC 5545) with the show as one entry, which names an order's tickets and
    leads to `url`.

    Its UID is the order's, so that adding it twice still makes one entry. `issued_at` must carry
    its offset from UTC.
    """
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//TigerFans//Ticket//EN",
        "METHOD:PUBLISH",
        "BEGIN:VEVENT",
        f"UID:{order_id}@tigerfans",
        f"DTSTAMP:{_utc(issued_at)}",
        f"DTSTART:{_utc(show.starts_at)}",
        f"DTEND:{_utc(show.ends_at)}",
        f"SUMMARY:{_escaped(show.name)}",
        f"LOCATION:{_escaped(show.venue)}",
        f"DESCRIPTION:{_escaped(_named(ticket_codes, class_name))}",
        *(() if url is None else (f"URL:{url}",)),
        "END:VEVENT",
        "END:VCALENDAR",
    )
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _named(ticket_codes: Sequence[str], class_name: str) -> str:
    if len(ticket_codes) == 1:
        return f"{class_name} ticket {ticket_codes[0]}. Bring its QR code."
    codes = ", ".join(ticket_codes)
    return f"{len(ticket_codes)} {class_name} tickets: {codes}. Bring the QR code of each."


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _escaped(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return escaped.replace("\r\n", "\\n").replace("\n", "\\n")


def _folded(line: str) -> str:
    """The line in pieces of at most 75 octets, as the format wants, never inside a character."""
    pieces, room = [""], ICS_LINE_OCTETS_MAX
    for character in line:
        octets = len(character.encode())
        if octets > room:
            pieces.append("")
            room = ICS_LINE_OCTETS_MAX - 1  # the space that marks a continued line
        pieces[-1] += character
        room -= octets
    return "\r\n ".join(pieces)
