"""Who may enter the box office, beside the owner that the settings name: names, roles, and hashes
of their passwords (`office.passwords`). What changes here is written down in the audit by the same
transaction.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

import asyncpg

from tigerfans.errors import InvalidRequestError, NameTakenError, UnknownPersonError
from tigerfans.stores.audit import note
from tigerfans.stores.database import Database

# A worker reads all of them.
PEOPLE_MAX: Final = 500
NAME_CHARACTERS_MAX: Final = 64

_ALL: Final = "SELECT name, role, added_at, password_hash FROM people ORDER BY name"
_ADD: Final = """
    INSERT INTO people (name, role, password_hash) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO NOTHING RETURNING name
"""
_CHANGE_ROLE: Final = "UPDATE people SET role = $2 WHERE name = $1 RETURNING name"
_CHANGE_PASSWORD: Final = "UPDATE people SET password_hash = $2 WHERE name = $1 RETURNING name"  # noqa: S105
_REMOVE: Final = "DELETE FROM people WHERE name = $1 RETURNING name"


class Role(StrEnum):
    """What somebody is to the shop; `office.permissions` says what each may do."""

    OWNER = "owner"
    OFFICE = "office"
    DOOR = "door"


@dataclass(frozen=True, slots=True)
class Listed:
    """Somebody who may enter."""

    name: str
    role: Role
    added_at: datetime
    password_hash: str = field(repr=False)


class People:
    """Those who may enter, beside `owner`, whom the settings name and who is none of them.

    Every method raises `UnavailableError` without PostgreSQL. What changes somebody takes who
    does it, raises `InvalidRequestError` for a name that cannot be one, and
    `UnknownPersonError` where nobody is called that.
    """

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._owner = owner

    async def all(self) -> list[Listed]:
        """All of them, by their names."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_ALL)
        return [
            Listed(row["name"], Role(row["role"]), row["added_at"], row["password_hash"])
            for row in rows
        ]

    async def add(self, name: str, role: Role, password_hash: str, by: str) -> None:
        """Lets somebody in from now on; raises `NameTakenError`."""
        check_name(name)
        async with self._changing(name) as connection:
            if await connection.fetchval("SELECT count(*) FROM people") >= PEOPLE_MAX:
                raise InvalidRequestError(f"There are {PEOPLE_MAX} people already: remove some.")
            if await connection.fetchval(_ADD, name, role, password_hash) is None:
                raise NameTakenError(f"There is somebody called {name} already.")
            await note(connection, by, "Person added", detail=f"{name}, {role}")

    async def change_role(self, name: str, role: Role, by: str) -> None:
        async with self._changing(name) as connection:
            _check_known(name, await connection.fetchval(_CHANGE_ROLE, name, role))
            await note(connection, by, "Role changed", detail=f"{name} is {role} now")

    async def change_password(self, name: str, password_hash: str, by: str) -> None:
        async with self._changing(name) as connection:
            _check_known(name, await connection.fetchval(_CHANGE_PASSWORD, name, password_hash))
            await note(connection, by, "Password changed", detail=name)

    async def remove(self, name: str, by: str) -> None:
        """Lets somebody in no more."""
        async with self._changing(name) as connection:
            _check_known(name, await connection.fetchval(_REMOVE, name))
            await note(connection, by, "Person removed", detail=name)

    @asynccontextmanager
    async def _changing(self, name: str) -> AsyncIterator[asyncpg.Connection]:
        """A connection in a transaction, to change somebody who is not the settings' own."""
        if name == self._owner:
            raise InvalidRequestError(
                f"{name} is the owner that ADMIN_USERNAME names: the settings say all of them."
            )
        if not _is_name(name):
            raise _unknown(name)
        async with (
            self._database.connection(writes=True) as connection,
            connection.transaction(),
        ):
            yield connection


def check_name(name: str) -> None:
    """Raises `InvalidRequestError` for what cannot be somebody's name."""
    if not _is_name(name):
        raise InvalidRequestError(
            f"A name has 1 to {NAME_CHARACTERS_MAX} characters that can be printed, no colon, and"
            " no space at its ends."
        )


def _is_name(name: str) -> bool:
    return (
        0 < len(name) <= NAME_CHARACTERS_MAX
        and name.isprintable()
        and name == name.strip()
        # It ends the name in a login.
        and ":" not in name
    )


def _check_known(name: str, changed: str | None) -> None:
    if changed is None:
        raise _unknown(name)


def _unknown(name: str) -> UnknownPersonError:
    return UnknownPersonError(f"There is nobody called {name[:NAME_CHARACTERS_MAX]}.")
