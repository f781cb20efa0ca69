"""An order's id, and what derives from it: the ids of its transfers.

An order is one 128-bit number. Its transfers take the order's id with the last byte replaced by
their purpose, so a retry after any crash sends the very same ids and the ledger answers `exists`.
In TigerBeetle's little-endian bytes that last byte comes first.

A hold that was refused has used its id up. So an idempotency key has not one order but a short row
of them, its attempts: the first one that was not refused is the key's order.

Ids are asked for by anybody. So a part of each is a keyed digest of the rest, and what somebody
makes up is refused without asking a store.
"""

import os
import re
import time
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Final
from uuid import UUID

ORDER_ID_RANDOM_BYTES: Final = 9
ORDER_ID_BYTES: Final = 16
ORDER_ID_HEX_DIGITS: Final = 2 * ORDER_ID_BYTES
KEY_ATTEMPTS_MAX: Final = 16
# So many of its digits name an order to the operator; the others, 56 bits, open its ticket.
SHORT_HEX_DIGITS: Final = 16
# Of an order's id, what derives from a key: all but its purpose.
DIGEST_BYTES: Final = 15
# Of 16 million ids that somebody makes up, one passes.
CHECK_BYTES: Final = 3
# The last byte of the id under which an order's first ticket ends, and of the one under which that
# is undone; the others' follow.
FIRST_END: Final = 0x80
FIRST_UNDO: Final = 0xC0
# How often a ticket can be let in, the first time included: all but the last can be undone.
END_ATTEMPTS_MAX: Final = 16

# An id and what came along as it was copied: the end of a sentence, a bracket, a space.
_COPIED: Final = re.compile(rf"[\W_]*([0-9A-Fa-f]{{{ORDER_ID_HEX_DIGITS}}})[\W_]*")


class Purpose(IntEnum):
    """The last byte of a transfer's id."""

    HOLD = 0x00
    SALE_WITH_GOODIE = 0x01
    GOODIE = 0x02
    SALE = 0x03
    RELEASE = 0x04
    LATE_HOLD = 0x05
    LATE_SALE_WITH_GOODIE = 0x06
    LATE_GOODIE = 0x07
    LATE_SALE = 0x08
    GIVE_BACK = 0x09


class OrderId(bytes):
    """16 little-endian bytes, the first of which, the purpose, is zero."""

    @classmethod
    def new(cls) -> "OrderId":
        """48 bits of milliseconds, 72 random bits, 8 zero bits."""
        milliseconds = time.time_ns() // 1_000_000
        return cls(b"\0" + os.urandom(ORDER_ID_RANDOM_BYTES) + milliseconds.to_bytes(6, "little"))

    @classmethod
    def of_uuid(cls, uuid: UUID) -> "OrderId":
        """The id that PostgreSQL has as a UUID of the same hex digits."""
        return cls(uuid.bytes[::-1])

    @classmethod
    def parse(cls, text: str) -> "OrderId | None":
        """The id that `text` shows as 32 lowercase hex digits; None where it shows none."""
        try:
            shown = bytes.fromhex(text)
        except ValueError:
            return None
        # It reads capitals as well, and passes over spaces.
        if len(shown) != ORDER_ID_BYTES or shown[-1] != 0 or shown.hex() != text:
            return None
        return cls(shown[::-1])

    @classmethod
    def read(cls, text: str) -> "OrderId | None":
        """The id that a person typed, copied or scanned: in capitals too, with signs around it."""
        order_id = cls.parse(text)
        if order_id is None and (copied := _COPIED.fullmatch(text)):
            order_id = cls.parse(copied[1].lower())
        return order_id

    @property
    def hex_digits(self) -> str:
        return self[::-1].hex()

    @property
    def short(self) -> str:
        """How a log names the order: the box office finds it by that, and nobody its ticket."""
        return self.hex_digits[:SHORT_HEX_DIGITS]

    def transfer_id(self, purpose: Purpose) -> bytes:
        return _PURPOSE_BYTE[purpose] + self[1:]

    def end_id(self, ticket: int, attempt: int = 0) -> bytes:
        """The id of the transfer that ends a ticket of the order, whose first one is 0.

        Whatever it is that ends it: so the ledger itself lets it end once. Where that was undone,
        the next end takes the next attempt.
        """
        return bytes([FIRST_END + ticket]) + self._end(ticket, attempt)

    def undo_id(self, ticket: int, attempt: int = 0) -> bytes:
        """The id of the transfer by which such an end is undone."""
        return bytes([FIRST_UNDO + ticket]) + self._end(ticket, attempt)

    def _end(self, ticket: int, attempt: int) -> bytes:
        if attempt == 0:
            return self[1:]
        named = self + bytes([ticket, attempt])
        return blake2b(named, digest_size=len(self) - 1, person=b"ticket end").digest()


class OrderIds:
    """The ids of a shop's orders: makes them, and tells those that it cannot have made.

    A shop that was opened before ids were checked has orders without; it goes on as it began, for a
    key has to lead to the same order for ever.
    """

    def __init__(self, secret: str, *, are_checked: bool) -> None:
        self._are_checked = are_checked
        # Copied for each id: to make them anew would cost a checkout 2 µs for each of both.
        self._check = blake2b(digest_size=CHECK_BYTES, key=hash_key(secret), person=b"order id")
        self._attempts = [_digest_of_keys(secret, attempt) for attempt in range(KEY_ATTEMPTS_MAX)]

    def new(self) -> OrderId:
        """48 bits of milliseconds, 48 random bits, 24 of their digest, 8 zero bits."""
        return self._checked(OrderId.new())

    def of_key(self, idempotency_key: str, attempt: int) -> OrderId:
        """The id of a key's attempt, 0 to 15, always the same one; not to be guessed without the
        secret.
        """
        digest = self._attempts[attempt].copy()
        digest.update(idempotency_key.encode())
        return self._checked(b"\0" + digest.digest())

    def may_have_made(self, order_id: OrderId) -> bool:
        return order_id == self._checked(order_id)

    def _checked(self, unchecked: bytes) -> OrderId:
        """The id that is made of these 16 bytes."""
        if not self._are_checked:
            return OrderId(unchecked)
        rest = unchecked[1 + CHECK_BYTES :]
        check = self._check.copy()
        check.update(rest)
        return OrderId(b"\0" + check.digest() + rest)


def _digest_of_keys(secret: str, attempt: int) -> blake2b:
    """Where a key goes in, and what its order's id is made of comes out."""
    # Zeros are no salt: attempt 0 has the id that keys had before there were attempts.
    salt = bytes([attempt])
    return blake2b(digest_size=DIGEST_BYTES, key=hash_key(secret), salt=salt)


_PURPOSE_BYTE: Final = {purpose: bytes([purpose]) for purpose in Purpose}


@lru_cache(maxsize=1)
def hash_key(secret: str) -> bytes:
    """A key for BLAKE2b, which takes at most 64 bytes, from a secret of any length."""
    return blake2b(secret.encode()).digest()
