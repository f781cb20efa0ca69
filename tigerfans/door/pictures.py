"""The QR codes on a picture, for devices whose browser does not find them by itself.

A picture comes from whoever is logged in at the door, and may be anything. So its kind, its bytes
and the pixels that its head announces are bounded before anything is decoded, and those that are
read one after the other, in a thread: neither many of them nor a large one keeps buyers waiting.
What is found is only a text; `booking.scan_texts` says what it is worth.

`zxing-cpp`, which finds the codes, comes with the extra `door`.
"""

import asyncio
import io
import math
import struct
from collections.abc import Mapping
from types import ModuleType
from typing import Final

from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from tigerfans.booking.scan_texts import SCAN_CHARACTERS_MAX
from tigerfans.errors import InvalidRequestError, ShopError, TooLargeError, UnavailableError
from tigerfans.process.quiet_threads import in_a_quiet_thread

# A telephone's photograph has 2 to 6 MB; what the page sends has a fiftieth of that.
PICTURE_BYTES_MAX: Final = 8 * 1024 * 1024
# By kind: a telephone's photograph has up to 5712 by 4284, and a screenshot 5120 by 2880, each of
# which takes four times the memory.
PIXELS_MAX: Final[Mapping[str, int]] = {"JPEG": 25_000_000, "PNG": 15_000_000}
# What is larger is made as small before codes are looked for: a picture of nothing but corners of
# codes takes a second then, and four times as long with twice as many pixels.
SEARCHED_PIXELS_MAX: Final = 2_000_000
# More than any picture of a ticket has, and fewer than make the search fail.
SEARCHED_SIDE_MAX: Final = 16_384
# A JPEG of a hundred bytes more can ask for all its pixels to be gone over once more; those of
# cameras and browsers do so ten times.
PASSES_MAX: Final = 40
# On one picture: a printed page has four.
TEXTS_MAX: Final = 8
# Who waits for a picture to be read, the one that is read included: it takes them seconds.
WAITING_MAX: Final = 40

_START_OF_SCAN: Final = b"\xff\xda"
_TOO_MANY_PIXELS: Final = "This picture has too many pixels: please send a smaller one."


class NoReaderError(ShopError):
    """This shop reads no pictures: its operator can install the extra `door`."""

    status = 404


class PictureReader:
    """Reads pictures one at a time, off the event loop, in a thread that gives way to it."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0

    def __repr__(self) -> str:
        return f"<PictureReader: {self._waiting} waiting>"

    async def read(self, picture: bytes) -> list[str]:
        """As `read_picture`; raises `UnavailableError` where too many wait."""
        _check_bytes(picture)
        if self._waiting >= WAITING_MAX:
            raise UnavailableError("Many pictures are being read: please try again.")
        self._waiting += 1
        try:
            async with self._turn:
                return await in_a_quiet_thread("pictures", lambda: read_picture(picture))
        finally:
            self._waiting -= 1


def read_picture(picture: bytes) -> list[str]:
    """The texts of the QR codes on a JPEG or PNG, of which there may be none.

    Raises `TooLargeError` and `InvalidRequestError` where it is none that can be read, and
    `NoReaderError`.
    """
    zxing = _zxing()
    _check_bytes(picture)
    grey = _decoded(picture)
    found = zxing.read_barcodes(grey, formats=zxing.BarcodeFormat.QRCode)
    # A longer text is no ticket's; it is told all the same, and cut.
    texts = (each.text[: SCAN_CHARACTERS_MAX + 1] for each in found)
    return list(dict.fromkeys(texts))[:TEXTS_MAX]


def _check_bytes(picture: bytes) -> None:
    if len(picture) > PICTURE_BYTES_MAX:
        raise TooLargeError(f"A picture has at most {PICTURE_BYTES_MAX >> 20} MiB.")


def _decoded(picture: bytes) -> Image.Image:
    """The picture in greys, and as small as it is searched."""
    try:
        # This reads no more than its head.
        with Image.open(io.BytesIO(picture), formats=tuple(PIXELS_MAX)) as image:
            _check_work(picture, image)
            smaller = min(1.0, math.sqrt(SEARCHED_PIXELS_MAX / (image.width * image.height)))
            size = _side(image.width * smaller), _side(image.height * smaller)
            # A JPEG has its greys already, and itself by halves and quarters.
            image.draft("L", size)
            return image.convert("L").resize(size, Image.Resampling.BOX)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooLargeError(_TOO_MANY_PIXELS) from None
    except UnidentifiedImageError:
        raise InvalidRequestError("This is no picture in JPEG or PNG.") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Warning) as error:
        # What decoders say of bytes that make no sense.
        raise InvalidRequestError("This picture is damaged, or not all of it is there.") from error


def _side(pixels: float) -> int:
    return min(max(1, int(pixels)), SEARCHED_SIDE_MAX)


def _check_work(picture: bytes, image: ImageFile) -> None:
    """Raises `TooLargeError` where it would take too long to decode."""
    # A JPEG with more pictures behind the first, as telephones make them, is one of its own.
    kind = "PNG" if image.format == "PNG" else "JPEG"
    if image.width * image.height > PIXELS_MAX[kind]:
        raise TooLargeError(_TOO_MANY_PIXELS)
    if kind == "JPEG" and picture.count(_START_OF_SCAN) > PASSES_MAX:
        raise TooLargeError("This picture takes too long to read: please take another one.")


def _zxing() -> ModuleType:
    try:
        import zxingcpp
    except ImportError:
        raise NoReaderError from None
    return zxingcpp
