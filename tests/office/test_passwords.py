"""Passwords: what is kept of them, what is one, and that they are compared one at a time."""

import asyncio
import threading

import pytest
from argon2 import extract_parameters, profiles

from tigerfans.errors import InvalidRequestError
from tigerfans.office import passwords as passwords_module
from tigerfans.office.passwords import (
    PASSWORD_CHARACTERS_MAX,
    PASSWORD_CHARACTERS_MIN,
    Passwords,
    check_password,
    hash_password,
    make_password,
)


async def test_a_password_is_right_for_its_own_hash_and_for_no_other() -> None:
    passwords = Passwords()
    kept = await passwords.hash("pässword")
    assert "pässword" not in kept
    assert kept != hash_password("pässword")
    assert await passwords.is_right("pässword".encode(), kept)
    assert not await passwords.is_right(b"password", kept)
    assert not await passwords.is_right("pässword".encode(), None)
    assert not await passwords.is_right("pässword".encode(), "not a hash")


def test_a_hash_says_what_it_was_made_by() -> None:
    assert hash_password("a").startswith("$argon2id$")
    assert extract_parameters(hash_password("a")).salt_len == profiles.RFC_9106_LOW_MEMORY.salt_len


async def test_passwords_are_compared_one_at_a_time_and_nobody_else_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_go, at_once, most = threading.Event(), 0, 0

    def compare(password: bytes, password_hash: str) -> bool:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        let_go.wait()
        at_once -= 1
        return True

    monkeypatch.setattr(passwords_module, "_is_right", compare)
    passwords = Passwords()
    asked = [asyncio.create_task(passwords.is_right(b"", "")) for _ in range(20)]
    # The loop goes on meanwhile.
    for _ in range(100):
        await asyncio.sleep(0)
    let_go.set()
    assert await asyncio.gather(*asked) == [True] * 20
    assert most == 1


def test_a_password_that_is_made_is_one_and_another_each_time() -> None:
    made = {make_password() for _ in range(100)}
    assert len(made) == 100
    for each in made:
        check_password(each)


@pytest.mark.parametrize(
    "password",
    ["", "x" * (PASSWORD_CHARACTERS_MIN - 1), "x" * (PASSWORD_CHARACTERS_MAX + 1), "\0" * 20],
)
def test_what_is_no_password_is_refused(password: str) -> None:
    with pytest.raises(InvalidRequestError):
        check_password(password)
