"""`tigerfans user`: who may enter the box office, beside the owner that the settings name.

It asks for nothing but PostgreSQL. A password is asked for twice without showing it, or is the
first line of a pipe, or is made and printed once.
"""

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from rich.console import Console
from rich.table import Table

from tigerfans.errors import InvalidRequestError, ShopError, UnavailableError
from tigerfans.office.passwords import check_password, hash_password, make_password
from tigerfans.office.permissions import read_role
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.located import located
from tigerfans.settings.settings import Settings, SettingsError
from tigerfans.stores.audit import system_user
from tigerfans.stores.database import Database
from tigerfans.stores.people import Listed, People, Role, check_name

EXIT_DONE: Final = 0
EXIT_AWAY: Final = 1
EXIT_USAGE: Final = 2

Step = Callable[[People], Awaitable[None]]


def add(settings: Settings, name: str, role: str, *, generate: bool) -> int:
    """Adds somebody."""

    async def step(people: People) -> None:
        check_name(name)
        as_what = read_role(role)
        password = _password(name, generate=generate)
        await people.add(name, as_what, hash_password(password), system_user())
        _tell(f"{name} may log in, as {as_what}.", password if generate else None)

    return _run(settings, step)


def change_password(settings: Settings, name: str, *, generate: bool) -> int:
    """Gives somebody another password."""

    async def step(people: People) -> None:
        password = _password(name, generate=generate)
        await people.change_password(name, hash_password(password), system_user())
        _tell(f"{name} has another password.", password if generate else None)

    return _run(settings, step)


def change_role(settings: Settings, name: str, role: str) -> int:
    """Gives somebody another role."""

    async def step(people: People) -> None:
        as_what = read_role(role)
        await people.change_role(name, as_what, system_user())
        _tell(f"{name} is {as_what} now.")

    return _run(settings, step)


def remove(settings: Settings, name: str) -> int:
    """Removes somebody."""

    async def step(people: People) -> None:
        await people.remove(name, system_user())
        _tell(f"{name} may log in no more.")

    return _run(settings, step)


def ls(settings: Settings) -> int:
    """Lists all who may log in."""

    async def step(people: People) -> None:
        show(settings.admin.username, await people.all())

    return _run(settings, step)


def show(owner: str, people: list[Listed]) -> None:
    """Prints them, the owner of the settings first."""
    table = Table("name", "role", "since")
    table.add_row(owner, Role.OWNER, "as ADMIN_USERNAME says")
    for each in people:
        table.add_row(each.name, each.role, f"{each.added_at:%Y-%m-%d %H:%M} UTC")
    Console(markup=False, emoji=False, highlight=False).print(table)


def _run(settings: Settings, step: Step) -> int:
    """Takes a step over the database that the settings name.

    Raises `SettingsError` where none is named, or it is not of this version.
    """
    if settings.stores.database_url is None:
        settings = located(settings, DataFolder(settings.data))
    url = settings.stores.database_url
    if url is None:
        raise SettingsError("DATABASE_URL must name the PostgreSQL database of the orders.")
    try:
        asyncio.run(_take(url, settings.admin.username, step))
    except UnavailableError as error:
        print(error, file=sys.stderr)
        return EXIT_AWAY
    except ShopError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    return EXIT_DONE


async def _take(url: str, owner: str, step: Step) -> None:
    database = await Database.connect(url)
    try:
        await step(People(database, owner))
    finally:
        await database.close()


def _tell(sentence: str, made: str | None = None) -> None:
    print(sentence if made is None else f"{sentence} The password, shown this once: {made}")


def _password(name: str, *, generate: bool) -> str:
    """One that is made, typed twice, or comes through a pipe; raises `InvalidRequestError`."""
    if generate:
        return make_password()
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password of {name}: ")
        check_password(password)
        if getpass.getpass("Once more: ") != password:
            raise InvalidRequestError("The two passwords are not the same.")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
        check_password(password)
    return password
