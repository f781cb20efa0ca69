"""What a login costs, what is remembered of it, and what its answer tells: nothing."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import create_autospec

import pytest

from tests.clock import Clock
from tigerfans.http.office import logins as logins_module
from tigerfans.http.office.logins import REMEMBERED_SECONDS, Logins
from tigerfans.http.office.passes import Passes
from tigerfans.office.passwords import Passwords, hash_password
from tigerfans.settings.settings import AdminSettings
from tigerfans.stores.people import Listed, People, Role

ADMIN = AdminSettings("admin", "of the settings")
ADA = Listed("ada", Role.OFFICE, datetime(2026, 11, 28, tzinfo=UTC), hash_password("of ada"))


class CountedPasswords(Passwords):
    def __init__(self) -> None:
        super().__init__()
        self.compared = 0

    async def is_right(self, password: bytes, password_hash: str | None) -> bool:
        self.compared += 1
        return await super().is_right(password, password_hash)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def passwords() -> CountedPasswords:
    return CountedPasswords()


@pytest.fixture
def people() -> Any:
    people: Any = create_autospec(People, instance=True)
    people.all.return_value = [ADA]
    return people


@pytest.fixture
def logins(people: Any, passwords: CountedPasswords, clock: Clock) -> Logins:
    return Logins(ADMIN, people, passwords, clock)


async def who(logins: Logins, given: str) -> tuple[str, Role] | None:
    login = await logins.compare(given.encode())
    return None if login is None else (login.person.name, login.person.role)


async def test_a_right_password_is_compared_once_in_a_while(
    logins: Logins, passwords: CountedPasswords, clock: Clock
) -> None:
    for _ in range(3):
        assert await who(logins, "ada:of ada") == ("ada", Role.OFFICE)
    assert passwords.compared == 1
    clock.seconds += REMEMBERED_SECONDS
    assert await who(logins, "ada:of ada")
    assert passwords.compared == 2


async def test_the_owner_of_the_settings_takes_neither_a_comparison_nor_postgresql(
    logins: Logins, people: Any, passwords: CountedPasswords
) -> None:
    assert await who(logins, "admin:of the settings") == ("admin", Role.OWNER)
    assert passwords.compared == 0
    people.all.assert_not_awaited()


@pytest.mark.parametrize(
    "given", ["ada:wrong", "nobody:wrong", "admin:wrong", "ADA:of ada", "ada", "", ":", "ada:"]
)
async def test_whoever_is_not_let_in_has_cost_one_comparison_whatever_the_name(
    logins: Logins, passwords: CountedPasswords, given: str
) -> None:
    for compared in (1, 2):
        assert await who(logins, given) is None
        assert passwords.compared == compared


async def test_bytes_that_are_no_text_are_nobodys(logins: Logins) -> None:
    assert await logins.compare(b"\xff:\x00") is None


async def test_somebody_who_is_called_like_the_settings_owner_is_not_let_in(
    logins: Logins, people: Any
) -> None:
    people.all.return_value = [replace(ADA, name="admin")]
    assert await who(logins, "admin:of ada") is None


async def test_what_is_remembered_is_of_one_password_alone(
    logins: Logins, people: Any, passwords: CountedPasswords
) -> None:
    assert await who(logins, "ada:of ada")
    people.all.return_value = [replace(ADA, password_hash=hash_password("of ada"))]
    logins.forget()
    assert await who(logins, "ada:of ada")
    assert passwords.compared == 2
    people.all.return_value = []
    logins.forget()
    assert await who(logins, "ada:of ada") is None


async def test_no_more_is_remembered_than_may_be(
    logins: Logins, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins_module, "REMEMBERED_MAX", 2)
    people.all.return_value = [replace(ADA, name=name) for name in "abc"]
    for name in "abc":
        assert await who(logins, f"{name}:of ada")
    assert len(logins._remembered) == 2


async def test_a_pass_is_good_on_another_worker_and_only_with_its_password(
    logins: Logins, people: Any
) -> None:
    login = await logins.compare(b"ada:of ada")
    assert login
    passes, other = Passes("secret"), CountedPasswords()
    issued = passes.issue(login.proof)
    worker = Logins(ADMIN, people, other)
    let_in, seconds_left = await worker.with_pass(b"ada:of ada", issued, passes)
    assert let_in == login
    assert seconds_left > 0
    for given in (b"ada:wrong", b"admin:of the settings", b"nobody:of ada", b"ada"):
        assert await worker.with_pass(given, issued, passes) == (None, 0)
    assert other.compared == 0


def test_neither_a_hash_nor_a_proof_is_in_what_is_printed() -> None:
    assert ADA.password_hash not in repr(ADA)


async def test_a_proof_is_not_printed(logins: Logins) -> None:
    assert "of ada" not in repr(await logins.compare(b"ada:of ada"))
