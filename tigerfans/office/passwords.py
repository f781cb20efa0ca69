"""Passwords of people: kept as Argon2id hashes, by the parameters that the library proposes.

A comparison takes 64 MiB and a tenth of a second of a core, one at a time in a process, however
many ask. It is made in a thread that gives way to the event loop's, for Argon2 makes four of it.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tigerfans.errors import InvalidRequestError
from tigerfans.process.quiet_threads import in_a_quiet_thread

PASSWORD_CHARACTERS_MIN: Final = 10
PASSWORD_CHARACTERS_MAX: Final = 256
# Of one that is made: 144 bits.
MADE_BYTES: Final = 18

HASHER: Final = PasswordHasher()

Result = TypeVar("Result")


class Passwords:
    """Hashes and compares, one after the other."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        # What a password is compared with where nobody has the name: it has to take as long.
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """As `hash_password`, while others are served."""
        async with self._turn:
            return await _in_a_thread(lambda: hash_password(password))

    async def is_right(self, password: bytes, password_hash: str | None) -> bool:
        """Whether it is the password of that hash; never of None, which takes as long to say."""
        async with self._turn:
            if password_hash is not None:
                return await _in_a_thread(lambda: _is_right(password, password_hash))
            nobodys = self._nobodys
            if nobodys is None:
                # To make it is the work of a comparison.
                self._nobodys = await _in_a_thread(lambda: hash_password(make_password()))
            else:
                await _in_a_thread(lambda: _is_right(password, nobodys))
            return False


def _in_a_thread(work: Callable[[], Result]) -> Awaitable[Result]:
    return in_a_quiet_thread("argon2", work)


def hash_password(password: str) -> str:
    """What is kept of a password; another one each time."""
    return HASHER.hash(password)


def _is_right(password: bytes, password_hash: str) -> bool:
    try:
        return HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def make_password() -> str:
    """A password that nobody has to think of."""
    return secrets.token_urlsafe(MADE_BYTES)


def check_password(password: str) -> None:
    """Raises `InvalidRequestError` for what is no password."""
    if not PASSWORD_CHARACTERS_MIN <= len(password) <= PASSWORD_CHARACTERS_MAX:
        raise InvalidRequestError(
            f"A password has {PASSWORD_CHARACTERS_MIN} to {PASSWORD_CHARACTERS_MAX} characters."
        )
    if not password.isprintable():
        raise InvalidRequestError("A password has characters that can be printed, and no others.")
