"""Who a name and a password are: the owner that the settings name, or one of the people.

A worker knows the people for `PEOPLE_SECONDS`, so who is removed, or has another password or role,
is that on every worker and host within as long. What a right password is remembered by has the hash
in it that it was compared with, so nothing of before is good for another password.

Whether there is somebody of a name is told by nothing, not by the time that an answer takes either:
whoever is not let in has cost one comparison.
"""

import hmac
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tigerfans.caching import Cached
from tigerfans.errors import UnavailableError
from tigerfans.http.office.passes import Passes
from tigerfans.office.passwords import Passwords
from tigerfans.office.permissions import Person
from tigerfans.settings.settings import AdminSettings
from tigerfans.stores.people import Listed, People, Role

PEOPLE_SECONDS: Final = 2.0
# A program that logs in with each request, and takes no pass, costs a comparison so often.
REMEMBERED_SECONDS: Final = 300.0
REMEMBERED_MAX: Final = 1_024


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody who gave the right password; a pass is theirs for as long as `proof` is the same."""

    person: Person
    proof: bytes = field(repr=False)


class Logins:
    """Reads what was given at a login: `name:password`."""

    def __init__(
        self,
        admin: AdminSettings,
        people: People,
        passwords: Passwords,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._owners = admin.username.encode()
        self._expected = f"{admin.username}:{admin.password}".encode()
        self._owner = Login(Person(admin.username, Role.OWNER), b"operator " + self._expected)
        self._people = people
        self._known = Cached(self._read, PEOPLE_SECONDS)
        self._passwords = passwords
        self._clock = clock
        # By a digest of the proof, until when.
        self._remembered: dict[bytes, float] = {}
        self._key = os.urandom(32)

    def forget(self) -> None:
        """The people were changed here: the next login reads them again."""
        self._known.forget()

    async def with_pass(
        self, given: bytes, given_pass: str | None, passes: Passes
    ) -> tuple[Login | None, float]:
        """Who has logged in before with the very same, and for how long the pass is still good.

        Raises `UnavailableError` where that takes PostgreSQL and it is away.
        """
        if given_pass is None:
            return None, 0
        login: Login | None = self._owner
        if not hmac.compare_digest(given, self._expected):
            listed = await self._find(given)
            login = None if listed is None else _login(given, listed)
        seconds = 0 if login is None else passes.seconds_left(given_pass, login.proof)
        return (login, seconds) if seconds else (None, 0)

    async def compare(self, given: bytes) -> Login | None:
        """Whose login this is; None where it is nobody's. It takes long; `UnavailableError`."""
        if hmac.compare_digest(given, self._expected):
            return self._owner
        listed = await self._find(given)
        login = None if listed is None else _login(given, listed)
        if login is not None and self._is_remembered(login):
            return login
        _, _, password = given.partition(b":")
        password_hash = None if listed is None else listed.password_hash
        is_right = await self._passwords.is_right(password, password_hash)
        if login is None or not is_right:
            return None
        self._remember(login)
        return login

    async def _find(self, given: bytes) -> Listed | None:
        name, _, _ = given.partition(b":")
        try:
            people = await self._known.get()
        except UnavailableError as error:
            raise UnavailableError(
                "While PostgreSQL is away, only the owner that ADMIN_USERNAME names can log in."
            ) from error
        # Whoever the settings name is nobody else, whom they named before included.
        return None if name == self._owners else people.get(name)

    async def _read(self) -> dict[bytes, Listed]:
        return {listed.name.encode(): listed for listed in await self._people.all()}

    def _is_remembered(self, login: Login) -> bool:
        return self._remembered.get(self._digest(login), 0) > self._clock()

    def _remember(self, login: Login) -> None:
        if len(self._remembered) >= REMEMBERED_MAX:
            del self._remembered[next(iter(self._remembered))]
        # The one that was compared last comes last.
        self._remembered.pop(digest := self._digest(login), None)
        self._remembered[digest] = self._clock() + REMEMBERED_SECONDS

    def _digest(self, login: Login) -> bytes:
        return hmac.digest(self._key, login.proof, "sha256")


def _login(given: bytes, listed: Listed) -> Login:
    """What it is where the password is right."""
    proof = b"person %b\n%b" % (given, listed.password_hash.encode())
    return Login(Person(listed.name, listed.role), proof)
