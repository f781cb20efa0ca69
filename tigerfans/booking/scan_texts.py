"""What comes from a scanner, a camera or a keyboard at the door, read as what a ticket says.

A hand scanner types as if it were a keyboard, mostly an English one, and a computer with a German
one reads `-` as `ß`, `:` as `Ö`, and Y and Z as each other. Others put something before what they
read, or type small letters. So of a text only letters and digits count; a signed code has neither Y
nor Z, and where the short code has them, it may be one of two. Pure.
"""

import re
from typing import Final, NamedTuple

from tigerfans.booking.door_codes import (
    PREFIX,
    DoorKeys,
    NotACodeError,
    SignedTicket,
    named_order,
)
from tigerfans.booking.ids import OrderId

# More than any of them needs, with spaces between its groups.
SCAN_CHARACTERS_MAX: Final = 512

_IGNORED: Final = re.compile(r"[^0-9A-Za-z]+")
# `]Q1` and the like: the kind of a code, which scanners can be told to put before it.
_KIND: Final = r"(?:Q[0-9])?"
_SIGNED: Final = re.compile(rf"{_KIND}({PREFIX}[0-9].*)")
# As tickets had it before their codes were signed: their printouts are still good.
_OLD: Final = re.compile(rf"{_KIND}TIGERFANS([0-9A-F]{{32}})TF([0-9A-Z]{{12}})")
_SHORT: Final = re.compile(rf"(?:{_KIND}TF)?([0-9A-Z]{{12}})")
# Letters that no short code has, read as those that it has.
_MISREAD: Final = str.maketrans("OIL", "011")
_SWAPPED: Final = str.maketrans("YZ", "ZY")


class NamedTicket(NamedTuple):
    """A ticket of an order by its short code, which is one of `codes`; nothing of it is checked."""

    order_id: OrderId
    codes: tuple[str, ...]


class ShortCode(NamedTuple):
    """A ticket by its short code alone, which is one of `codes`, the likelier one first."""

    codes: tuple[str, ...]


def read_scan_text(text: str, keys: DoorKeys) -> SignedTicket | NamedTicket | ShortCode:
    """What a text from the door says; a signed code is checked, the others name what to look up.

    Raises a `DoorCodeError` where it is none of them, and nothing else.
    """
    if len(text) > SCAN_CHARACTERS_MAX:
        raise NotACodeError
    plain = _plain(text)
    if signed := _SIGNED.fullmatch(plain):
        return keys.read(signed[1])
    if old := _OLD.fullmatch(plain):
        order_id = OrderId.parse(old[1].lower())
        if order_id is None:
            raise NotACodeError
        return NamedTicket(order_id, _codes(old[2]))
    if short := _SHORT.fullmatch(plain):
        return ShortCode(_codes(short[1]))
    raise NotACodeError


def signed_order(text: str) -> OrderId | None:
    """The order that a signed code names, whoever signed it; None where the text is none."""
    signed = _SIGNED.fullmatch(_plain(text)) if len(text) <= SCAN_CHARACTERS_MAX else None
    return named_order(signed[1]) if signed else None


def _plain(text: str) -> str:
    # First, for the capitals of `ß` are two letters.
    return _IGNORED.sub("", text).upper()


def _codes(signs: str) -> tuple[str, ...]:
    """The codes that may be meant, as tickets show them."""
    typed = signs.translate(_MISREAD)
    if "U" in typed:
        raise NotACodeError
    both = dict.fromkeys((typed, typed.translate(_SWAPPED)))
    return tuple(f"TF-{each[:4]}-{each[4:8]}-{each[8:]}" for each in both)
