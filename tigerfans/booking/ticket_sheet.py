"""A ticket as a picture, and an order's as pages to print: show, date, place, class, code, QR code.

A picture of A6 at 300 dots an inch, in greys; the page is the same in black and white, which stays
sharp and is small. A pure function of what the ticket says, so the same ticket always yields the
same bytes. To draw one takes some tens of milliseconds: not on an event loop.
"""

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from tigerfans.booking.tickets import qr_modules
from tigerfans.offer.show import Show

DOTS_PER_INCH: Final = 300
# A6, upright: as wide as a telephone, and four of them on a sheet of paper.
SIZE: Final = (1240, 1748)

# Of different sizes, as long texts need them.
FONTS_MAX: Final = 32

_MARGIN: Final = 90
_HEAD: Final = 290
_FOOT: Final = 130
_WIDTH: Final = SIZE[0] - 2 * _MARGIN
# Of a module of the QR code, which with its quiet zone is 980 wide.
_MODULE: Final = 20
_INK: Final = 0
_PAPER: Final = 255
_MUTED: Final = 90
# Where a text is too long for its line: how small it gets before it is broken.
_SHRUNK: Final = 0.6
# Latin, Greek and Cyrillic letters. The package has nothing but the files.
_FONTS: Final = "font_source_sans_pro"
_PLAIN: Final = "SourceSansPro-Regular.ttf"
_BOLD: Final = "SourceSansPro-Bold.ttf"


class Sheet(NamedTuple):
    """What stands on a ticket, which is the one of that `number`, from 0 on, of an order of `qty`.

    Its QR code says the signed `door_code`. `paid_at` must carry its offset from UTC.
    """

    code: str
    door_code: str
    class_name: str
    paid_at: datetime
    show: Show
    number: int = 0
    qty: int = 1

    @property
    def what(self) -> str:
        """Such as `Premium`, or `Premium, 2 of 3`."""
        place = "" if self.qty == 1 else f", {self.number + 1} of {self.qty}"
        return f"{self.class_name}{place}"


def ticket_png(sheet: Sheet) -> bytes:
    """The ticket as a PNG."""
    stream = io.BytesIO()
    dots = (DOTS_PER_INCH, DOTS_PER_INCH)
    # To compress it by a tenth more takes ten times as long as all the rest.
    _drawn(sheet).save(stream, "PNG", dpi=dots)
    return stream.getvalue()


def ticket_pdf(sheets: Sequence[Sheet]) -> bytes:
    """The tickets of an order as a PDF, of a page for each."""
    stream = io.BytesIO()
    first = sheets[0]
    made = first.paid_at.astimezone(UTC).timetuple()
    what = first.code if len(sheets) == 1 else f"{len(sheets)} tickets"
    page, *more = [_drawn(sheet).convert("1", dither=Image.Dither.NONE) for sheet in sheets]
    page.save(
        stream,
        "PDF",
        resolution=DOTS_PER_INCH,
        save_all=bool(more),
        append_images=more,
        title=f"{first.show.name}: {first.class_name} {what}",
        creationDate=made,
        modDate=made,
    )
    return stream.getvalue()


def lines(sheet: Sheet) -> list[tuple[str, str]]:
    """What a ticket says beside its code, each line with what it is about."""
    show = sheet.show
    return [
        ("When", f"{show.day}, {show.time}"),
        ("Where", show.venue),
        ("Ticket", sheet.what),
    ]


def qr_box(sheet: Sheet) -> tuple[int, int, int, int]:
    """Where the QR code is, with its quiet zone: left, top, right, bottom."""
    side = len(qr_modules(sheet.door_code)) * _MODULE
    left, bottom = (SIZE[0] - side) // 2, SIZE[1] - _FOOT
    return left, bottom - side, left + side, bottom


def _drawn(sheet: Sheet) -> Image.Image:
    image = Image.new("L", SIZE, _PAPER)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, SIZE[0], _HEAD), fill=_INK)
    _write(draw, sheet.show.name, (_BOLD, 120), (_MARGIN, _HEAD // 2), _WIDTH, _PAPER)
    for row, (about, text) in enumerate(lines(sheet)):
        middle = _HEAD + 95 + 110 * row
        _write(draw, about, (_PLAIN, 44), (_MARGIN, middle), 160, _MUTED)
        _write(draw, text, (_BOLD, 60), (_MARGIN + 180, middle), _WIDTH - 180, _INK)
    image.paste(_qr(sheet), qr_box(sheet)[:2])
    _write(draw, sheet.code, (_BOLD, 84), (SIZE[0] // 2, SIZE[1] - 110), _WIDTH, _INK, "mm")
    return image


def _qr(sheet: Sheet) -> Image.Image:
    modules = qr_modules(sheet.door_code)
    side = len(modules)
    bits = bytes(_INK if dark else _PAPER for line in modules for dark in line)
    small = Image.frombytes("L", (side, side), bits)
    return small.resize((side * _MODULE, side * _MODULE), Image.Resampling.NEAREST)


def _write(
    draw: ImageDraw.ImageDraw,
    text: str,
    look: tuple[str, int],
    at: tuple[int, int],
    width: int,
    ink: int,
    anchor: str = "lm",
) -> None:
    """Writes a text as large as it fits into its width; a very long one on several lines."""
    name, size = look
    room = min(1.0, width / max(1.0, _font(name, size).getlength(text)))
    font = _font(name, int(size * max(room, _SHRUNK)))
    broken = list(_broken(text, font, width)) if room < _SHRUNK else [text]
    height = sum(font.getmetrics())
    first = at[1] - height * (len(broken) - 1) // 2
    for number, line in enumerate(broken):
        draw.text((at[0], first + number * height), line, fill=ink, font=font, anchor=anchor)


def _broken(text: str, font: ImageFont.FreeTypeFont, width: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            yield line
            longer = word
        line = longer
    yield line


@lru_cache(maxsize=FONTS_MAX)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    font = files(_FONTS).joinpath("files", name).read_bytes()
    return ImageFont.truetype(io.BytesIO(font), size)
