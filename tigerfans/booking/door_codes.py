"""What a ticket's QR code says: a record that the shop has signed, so that anybody can check it.

A record has a fixed length: which key signed it, which shop's it is, order, number of the ticket,
number of its class, and an Ed25519 signature of all that. It stands behind `TIGER` and the version,
in 32 signs that QR codes store in two thirds of the space, that nobody misreads, and that a German
keyboard has where an English one has them. The keys derive from the ticket secret and a number;
whoever has the public ones checks a code with nothing else, and cannot make one.

Pure. To sign takes tens of microseconds, so it is done where a code is shown or mailed, and not
where it is sold. docs/door.md has the bytes for who reads them elsewhere.
"""

import base64
import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from tigerfans.booking.ids import OrderId, hash_key

VERSION: Final = 1
PREFIX: Final = "TIGER"
# Of 16 bytes, 4: as many as the shop's keys in Redis begin with.
SHOP_BYTES: Final = 4
# What is signed: key, shop, order without its zero byte, ticket, class.
RECORD_BYTES: Final = 1 + SHOP_BYTES + 15 + 1 + 2
SIGNATURE_BYTES: Final = 64
# Of a whole code: 146, which fit into a QR code of version 6.
CODE_CHARACTERS: Final = len(PREFIX) + 1 + -(-8 * (RECORD_BYTES + SIGNATURE_BYTES) // 5)

# No I and no O, which are misread, and no Y and no Z, which change places.
SIGNS: Final = "0123456789ABCDEFGHJKLMNPQRSTUVWX"
_BASE_32: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_WRITTEN: Final = str.maketrans(_BASE_32, SIGNS)
_READ: Final = str.maketrans(SIGNS, _BASE_32)
_BEGINS: Final = re.compile(rf"{PREFIX}([0-9])")
_SIGNED: Final = re.compile(
    rf"{PREFIX}{VERSION}([{SIGNS}]{{{CODE_CHARACTERS - len(PREFIX) - 1}}})", re.ASCII
)
# What base 32 fills up to whole groups of five bytes.
_PADDING: Final = "=" * (-(CODE_CHARACTERS - len(PREFIX) - 1) % 8)
# In what is signed, so that no record of another version is one of this.
_HEAD: Final = f"{PREFIX}{VERSION}".encode()


class DoorCodeError(Exception):
    """This text opens no door."""

    def __str__(self) -> str:
        return self.__doc__ or ""


class NotACodeError(DoorCodeError):
    """This is no ticket's code, or not all of one."""


class UnknownVersionError(DoorCodeError):
    """This code is of another version of the shop."""


class OtherShopError(DoorCodeError):
    """This ticket is for another event."""


class UnknownKeyError(DoorCodeError):
    """This code was signed by a key that is not valid any more: its order has a new one."""


class ForgedError(DoorCodeError):
    """This code was not signed by the shop."""


class SignedTicket(NamedTuple):
    """What a code says: the ticket of that number, from 0 on, of an order, and which number its
    class has on the ledger.
    """

    order_id: OrderId
    ticket: int
    class_number: int


class DoorKeys:
    """The keys of a shop's door: the one that signs, and the one before, whose codes are out.

    `shop` is what its id begins with, in 8 hex digits, and `number` that of the key that signs.
    """

    def __init__(self, secret: str, shop: str, number: int = 1) -> None:
        self.shop: Final = shop
        self.number: Final = number
        self._shop = bytes.fromhex(shop)
        self._signing = _key(secret, number)
        self._verifying: Mapping[int, VerifyKey] = {
            each: _key(secret, each).verify_key for each in (number, number - 1) if each > 0
        }

    def __repr__(self) -> str:
        return f"<DoorKeys of {self.shop}: {self.number} signs>"

    @property
    def public(self) -> Mapping[int, bytes]:
        """The public keys whose codes are valid, 32 bytes each; the one that signs comes first."""
        return {number: bytes(key) for number, key in self._verifying.items()}

    def sign(self, order_id: OrderId, ticket: int, class_number: int) -> str:
        """The code of a ticket: the same one each time."""
        record = (
            bytes([self.number])
            + self._shop
            + order_id[:0:-1]
            + bytes([ticket])
            + class_number.to_bytes(2, "big")
        )
        return _written(record + self._signing.sign(_HEAD + record).signature)

    def read(self, code: str) -> SignedTicket:
        """What a code says that is valid in this shop.

        Raises a `DoorCodeError` that says what is wrong with it, and nothing else.
        """
        signed = _bytes_of(code)
        record, signature = signed[:RECORD_BYTES], signed[RECORD_BYTES:]
        if record[1 : 1 + SHOP_BYTES] != self._shop:
            raise OtherShopError
        key = self._verifying.get(record[0])
        if key is None:
            raise UnknownKeyError
        try:
            key.verify(_HEAD + record, signature)
        except BadSignatureError:
            raise ForgedError from None
        return _said(record)


def named_order(code: str) -> OrderId | None:
    """The order that a code names, whoever has signed it; None where it is no code."""
    try:
        return _said(_bytes_of(code)).order_id
    except DoorCodeError:
        return None


def _bytes_of(code: str) -> bytes:
    """The record and its signature."""
    # What is longer is not looked at.
    if len(code) > CODE_CHARACTERS or not (begins := _BEGINS.match(code)):
        raise NotACodeError
    if int(begins[1]) != VERSION:
        raise UnknownVersionError
    if not (signed := _SIGNED.fullmatch(code)):
        raise NotACodeError
    read = base64.b32decode(signed[1].translate(_READ) + _PADDING)
    # Some bits of the last sign are of no byte: one record has one text.
    if _written(read) != code:
        raise NotACodeError
    return read


def _written(signed: bytes) -> str:
    text = base64.b32encode(signed).decode().rstrip("=")
    return f"{PREFIX}{VERSION}{text.translate(_WRITTEN)}"


def _said(record: bytes) -> SignedTicket:
    order, rest = record[1 + SHOP_BYTES : 1 + SHOP_BYTES + 15], record[1 + SHOP_BYTES + 15 :]
    return SignedTicket(OrderId(b"\0" + order[::-1]), rest[0], int.from_bytes(rest[1:3], "big"))


@lru_cache(maxsize=4)
def _key(secret: str, number: int) -> SigningKey:
    seed = blake2b(bytes([number]), digest_size=32, key=hash_key(secret), person=b"door key")
    return SigningKey(seed.digest())
