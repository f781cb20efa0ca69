"""The codes on pictures of the shop's own tickets, as telephones take them; and other pictures.

What a camera does to a ticket is done here by arithmetic, the same each time: it is turned, tilted,
out of focus, far away, in bad light and in the noise of a cheap sensor, and packed as a JPEG.
"""

import asyncio
import io
import random
import struct
import sys
import threading
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageEnhance, ImageFilter

from tests.offers import SHOW
from tigerfans.booking.door_codes import DoorKeys
from tigerfans.booking.ids import OrderId
from tigerfans.booking.scan_texts import SCAN_CHARACTERS_MAX
from tigerfans.booking.ticket_sheet import Sheet, ticket_pdf, ticket_png
from tigerfans.booking.tickets import qr_png
from tigerfans.door import pictures
from tigerfans.door.pictures import (
    PASSES_MAX,
    PICTURE_BYTES_MAX,
    PIXELS_MAX,
    SEARCHED_PIXELS_MAX,
    TEXTS_MAX,
    NoReaderError,
    PictureReader,
    read_picture,
)
from tigerfans.errors import InvalidRequestError, ShopError, TooLargeError, UnavailableError

KEYS = DoorKeys("secret", "0badcafe")
CODE = KEYS.sign(OrderId(b"\0" + bytes(range(1, 16))), 0, 1)
PAID_AT = datetime(2026, 11, 22, 13, 2, 51, tzinfo=UTC)
SHEET = Sheet("TF-7K3M-92QX-HD4W", CODE, "Premium", PAID_AT, SHOW)

# What a page sends of a camera's picture, and what lies around the ticket on it.
FRAME = (1280, 960)
GREY = 150
SMOOTH = Image.Resampling.BICUBIC
# The QR code and its quiet zone are 49 squares wide.
SQUARES = 49

Camera = Callable[[Image.Image], Image.Image]


def opened(picture: bytes) -> Image.Image:
    return Image.open(io.BytesIO(picture)).convert("L")


def packed(image: Image.Image, kind: str = "JPEG", **how: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return stream.getvalue()


QR = opened(qr_png(CODE))


def in_view(image: Image.Image) -> Image.Image:
    """In the middle of what a camera sees."""
    frame = Image.new("L", FRAME, GREY)
    frame.paste(image, ((FRAME[0] - image.width) // 2, (FRAME[1] - image.height) // 2))
    return frame


def at_pixels_a_square(pixels: float) -> Image.Image:
    side = round(SQUARES * pixels)
    return in_view(QR.resize((side, side), Image.Resampling.LANCZOS))


def turned(degrees: float) -> Camera:
    return lambda image: image.rotate(degrees, SMOOTH, fillcolor=GREY)


def tilted(much: float) -> Camera:
    """Its upper edge farther away than the lower one, by so much of the picture's height."""

    def tilt(image: Image.Image) -> Image.Image:
        x, y = image.width / 2, image.height / 2
        k = much / image.height
        nearer = 1 - k * y
        numbers = (1, x * k, -x * k * y, 0, y * k + 1, -y * k * y, 0, k)
        how = tuple(number / nearer for number in numbers)
        return image.transform(image.size, Image.Transform.PERSPECTIVE, how, SMOOTH, fillcolor=GREY)

    return tilt


def out_of_focus(pixels: float) -> Camera:
    return lambda image: image.filter(ImageFilter.GaussianBlur(pixels))


def with_contrast(of_all: float) -> Camera:
    return lambda image: ImageEnhance.Contrast(image).enhance(of_all)


def in_half_shadow(image: Image.Image) -> Image.Image:
    shadow = Image.linear_gradient("L").resize(image.size).rotate(180)
    return ImageChops.multiply(image, shadow.point(lambda light: 60 + light * 195 // 255))


def noisy(sigma: int) -> Camera:
    signs = random.Random(sigma)

    def spoil(image: Image.Image) -> Image.Image:
        noise = bytes(min(255, max(0, int(signs.gauss(128, sigma)))) for _ in range(65_536))
        grain = Image.frombytes("L", (256, 256), noise)
        whole = Image.new("L", image.size)
        for left in range(0, image.width, 256):
            for top in range(0, image.height, 256):
                whole.paste(grain, (left, top))
        return ImageChops.add(image, whole, 1, -128)

    return spoil


# --- Tickets -----------------------------------------------------------------------------------


PHOTOGRAPHS: dict[str, Camera] = {
    **{f"turned by {degrees}": turned(degrees) for degrees in (4, 17, 45, 90, 133, 180)},
    **{f"tilted by {much}": tilted(much) for much in (-0.5, 0.5)},
    **{f"out of focus by {pixels}": out_of_focus(pixels) for pixels in (1, 2)},
    **{f"with {of_all} of the contrast": with_contrast(of_all) for of_all in (0.5, 0.2, 0.08)},
    **{f"with noise of {sigma}": noisy(sigma) for sigma in (20, 60)},
    "in half a shadow": in_half_shadow,
}


@pytest.mark.parametrize("how", PHOTOGRAPHS)
def test_a_ticket_is_read_however_bad_its_photograph(how: str) -> None:
    photograph = PHOTOGRAPHS[how](at_pixels_a_square(6))
    assert read_picture(packed(photograph, quality=60)) == [CODE]


def test_a_ticket_is_read_where_all_of_it_is_bad_at_once() -> None:
    image = at_pixels_a_square(6)
    for spoil in (turned(17), tilted(0.3), out_of_focus(1), with_contrast(0.4), noisy(20)):
        image = spoil(image)
    assert read_picture(packed(image, quality=50)) == [CODE]


@pytest.mark.parametrize("pixels", [2, 2.5, 3, 5, 10, 16])
def test_a_ticket_is_read_far_away_and_near(pixels: float) -> None:
    assert read_picture(packed(at_pixels_a_square(pixels), quality=70)) == [CODE]


@pytest.mark.parametrize("width", [310, 620, 1240])
def test_the_whole_ticket_is_read_as_a_picture_on_a_telephone(width: int) -> None:
    whole = opened(ticket_png(SHEET))
    shown = whole.resize((width, width * whole.height // whole.width), Image.Resampling.LANCZOS)
    assert read_picture(packed(shown, "PNG")) == [CODE]
    assert read_picture(packed(shown, quality=40)) == [CODE]


def test_the_page_to_print_is_read() -> None:
    page = page_of(ticket_pdf([SHEET]))
    # As a hundred and fifty dots an inch would scan it.
    scanned = page.convert("L").resize((620, 874), SMOOTH)
    assert read_picture(packed(turned(2)(in_view(scanned)), quality=60)) == [CODE]


def page_of(pdf: bytes) -> Image.Image:
    """The one picture on it: black and white, as telefax machines pack it."""
    stream = pdf.partition(b"stream\n")[2].partition(b"\nendstream")[0]
    assert b"/CCITTFaxDecode" in pdf
    width, height = Image.open(io.BytesIO(ticket_png(SHEET))).size
    entries = {256: width, 257: height, 258: 1, 259: 4, 262: 0, 273: 0, 278: height, 279: 0}
    head = 8 + 2 + 12 * len(entries) + 4
    entries |= {273: head, 279: len(stream)}
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    count = struct.pack("<H", len(entries))
    tiff = b"II*\0" + struct.pack("<I", 8) + count + table + bytes(4) + stream
    return Image.open(io.BytesIO(tiff))


def test_white_on_black_and_in_colours_it_is_the_same() -> None:
    assert read_picture(packed(ImageChops.invert(at_pixels_a_square(6)))) == [CODE]
    assert read_picture(packed(at_pixels_a_square(6).convert("RGB"))) == [CODE]
    assert read_picture(packed(at_pixels_a_square(6).convert("CMYK"))) == [CODE]
    assert read_picture(packed(at_pixels_a_square(6).convert("RGBA"), "PNG")) == [CODE]
    assert read_picture(packed(at_pixels_a_square(6).convert("P"), "PNG")) == [CODE]


def test_a_photograph_with_more_pictures_behind_it_is_read_as_the_first() -> None:
    nothing = Image.new("L", (64, 64))
    several = packed(at_pixels_a_square(6), "MPO", save_all=True, append_images=[nothing])
    assert Image.open(io.BytesIO(several)).format == "MPO"
    assert read_picture(several) == [CODE]


def test_each_ticket_on_a_picture_is_read_up_to_a_bound() -> None:
    codes = [KEYS.sign(OrderId.new(), 0, 1) for _ in range(TEXTS_MAX + 1)]
    wall = Image.new("L", (3 * 200, 3 * 200), 255)
    for number, code in enumerate(codes):
        place = (number % 3 * 200, number // 3 * 200)
        wall.paste(opened(qr_png(code)).resize((196, 196), SMOOTH), place)
    found = read_picture(packed(wall, "PNG"))
    assert len(found) == TEXTS_MAX
    assert set(found) < set(codes)


# --- Others ------------------------------------------------------------------------------------


def test_a_picture_without_a_code_has_none() -> None:
    assert read_picture(packed(Image.new("L", FRAME, GREY))) == []
    assert read_picture(packed(noisy(60)(Image.new("L", FRAME, GREY)), "PNG")) == []
    for size in ((1, 1), (1, 3_000_000), (3_000_000, 1)):
        assert read_picture(packed(Image.new("L", size), "PNG")) == []


def test_codes_of_other_kinds_are_none_and_a_long_text_is_cut() -> None:
    zxing = pytest.importorskip("zxingcpp")

    def drawn(text: str, kind: Any) -> bytes:
        code = zxing.write_barcode_to_image(zxing.create_barcode(text, kind), scale=4)
        shape = code.shape
        image = Image.frombytes("L", (shape[1], shape[0]), bytes(memoryview(code)))
        return packed(in_view(image), "PNG")

    kinds = zxing.BarcodeFormat
    assert read_picture(drawn("4006381333931", kinds.EAN13)) == []
    assert read_picture(drawn("TIGER1", kinds.Aztec)) == []
    (long,) = read_picture(drawn("7" * 3_000, kinds.QRCode))
    assert len(long) == SCAN_CHARACTERS_MAX + 1


def test_a_photograph_of_five_megabytes_is_read() -> None:
    ticket = QR.resize((800, 800), SMOOTH)
    photograph = noisy(90)(Image.new("L", (4000, 3000), GREY))
    photograph.paste(ticket, (1500, 1000))
    picture = packed(photograph, quality=78)
    assert 5_000_000 < len(picture) < PICTURE_BYTES_MAX
    assert read_picture(picture) == [CODE]


def test_too_many_bytes_are_refused_unread() -> None:
    with pytest.raises(TooLargeError, match="at most 8 MiB"):
        read_picture(bytes(PICTURE_BYTES_MAX + 1))


@pytest.mark.parametrize("side", [5_001, 20_000, 65_000])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_that_says_it_is_huge_is_refused_before_it_is_decoded(
    side: int, kind: str
) -> None:
    picture = bytearray(packed(Image.new("L", (64, 64)), kind))
    if kind == "PNG":
        picture[16:24] = struct.pack(">II", side, side)
        head = bytes(picture[12:29])
        picture[29:33] = struct.pack(">I", zlib.crc32(head))
    else:
        at = picture.index(b"\xff\xc0") + 5
        picture[at : at + 4] = struct.pack(">HH", side, side)
    assert side * side > max(PIXELS_MAX.values())
    with pytest.raises(TooLargeError, match="too many pixels"):
        read_picture(bytes(picture))


def test_a_large_picture_is_searched_as_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []
    zxing = pytest.importorskip("zxingcpp")
    read = zxing.read_barcodes

    def note(image: Image.Image, **how: Any) -> Any:
        searched.append(image.width * image.height)
        return read(image, **how)

    monkeypatch.setattr(zxing, "read_barcodes", note)
    for kind, size in (("JPEG", (5_712, 4_284)), ("PNG", (5_120, 2_880))):
        assert read_picture(packed(Image.new("L", size, GREY), kind)) == []
    assert all(1_000_000 < pixels <= SEARCHED_PIXELS_MAX for pixels in searched)


def test_a_jpeg_that_goes_over_its_pixels_again_and_again_is_refused() -> None:
    ordinary = packed(Image.effect_noise((64, 64), 90).convert("RGB"), progressive=True)
    passes = ordinary.count(b"\xff\xda")
    assert 1 < passes <= PASSES_MAX
    one = ordinary[ordinary.rindex(b"\xff\xda") : -2]
    with pytest.raises(TooLargeError, match="too long"):
        read_picture(ordinary[:-2] + one * PASSES_MAX + ordinary[-2:])


@pytest.mark.parametrize(
    "picture",
    [
        b"",
        b"no picture",
        b"\xff\xd8",
        b"\x89PNG\r\n\x1a\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        packed(Image.new("L", (8, 8)), "GIF"),
        packed(Image.new("L", (8, 8)), "BMP"),
        packed(Image.new("L", (8, 8)), "WEBP"),
        packed(Image.new("L", (8, 8)), "TIFF"),
    ],
    ids=lambda picture: picture[:8],
)
def test_what_is_no_picture_that_telephones_send_is_refused(picture: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="no picture"):
        read_picture(picture)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_that_was_cut_is_refused(kind: str) -> None:
    whole = packed(at_pixels_a_square(6), kind)
    for length in range(0, len(whole) - 20, len(whole) // 50):
        with pytest.raises(InvalidRequestError):
            read_picture(whole[:length])


SMALL = [packed(QR.resize((120, 120)), kind) for kind in ("PNG", "JPEG")]


@given(
    st.sampled_from(SMALL),
    st.lists(st.tuples(st.integers(0, 700), st.binary(max_size=4)), max_size=6),
)
@settings(max_examples=200, deadline=None)
def test_a_picture_with_other_bytes_in_it_is_read_or_refused(
    whole: bytes, changes: list[tuple[int, bytes]]
) -> None:
    spoilt = bytearray(whole)
    for at, others in changes:
        spoilt[at : at + len(others)] = others
    try:
        assert isinstance(read_picture(bytes(spoilt)), list)
    except ShopError as error:
        assert error.status in (400, 413)  # noqa: PT017


# --- One at a time -----------------------------------------------------------------------------


async def test_pictures_are_read_one_after_the_other_and_not_on_the_loops_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[int] = []
    under_way = threading.Lock()

    def read(picture: bytes) -> list[str]:
        assert under_way.acquire(blocking=False)
        threads.append(threading.get_ident())
        under_way.release()
        return [picture.decode()]

    monkeypatch.setattr(pictures, "read_picture", read)
    reader = PictureReader()
    texts = await asyncio.gather(*(reader.read(b"%d" % number) for number in range(5)))
    assert texts == [[str(number)] for number in range(5)]
    assert threading.get_ident() not in threads
    assert repr(reader) == "<PictureReader: 0 waiting>"


async def test_more_pictures_than_the_bound_are_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "WAITING_MAX", 1)
    may_end = threading.Event()

    def read(picture: bytes) -> list[str]:
        may_end.wait()
        return []

    monkeypatch.setattr(pictures, "read_picture", read)
    reader = PictureReader()
    first = asyncio.create_task(reader.read(b""))
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError):
        await reader.read(b"")
    with pytest.raises(TooLargeError):
        await reader.read(bytes(PICTURE_BYTES_MAX + 1))
    may_end.set()
    assert await first == []


def test_without_the_extra_a_shop_says_that_it_reads_no_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "zxingcpp", None)
    with pytest.raises(NoReaderError, match="extra"):
        read_picture(qr_png(CODE))
