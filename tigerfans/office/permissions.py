"""What may be done in the box office, and which role may do it: one table. No I/O.

Each route behind the login names the one permission that it takes (`http.office.auth`); a page
hides what whoever looks at it may not do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tigerfans.errors import InvalidRequestError
from tigerfans.stores.people import Role


class Permission(StrEnum):
    """What a role may do."""

    # Open the box office's first page.
    ENTER = "enter"
    # Orders and their stories, figures, stock, money that waits, mails.
    SEE = "see"
    # Send mails again, and correct where they go.
    MAIL = "mail"
    # Give money back, or say that none is to be.
    REFUND = "refund"
    # Add to the stock and withdraw from it, close the sale and open it.
    STOCK = "stock"
    # Orders and payments as files.
    EXPORT = "export"
    # Scan tickets at the door, and take an admission back.
    SCAN = "scan"
    # Who may enter as what, and what everybody did.
    PEOPLE = "people"


_OFFICE: Final = frozenset({Permission.ENTER, Permission.SEE, Permission.MAIL})

MAY: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.DOOR: frozenset({Permission.ENTER, Permission.SCAN}),
    Role.OFFICE: _OFFICE,
    Role.OWNER: frozenset(Permission),
}


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever has logged in: what the audit calls them, and what they are."""

    name: str
    role: Role

    @property
    def may(self) -> frozenset[Permission]:
        return MAY[self.role]


def roles_with(permission: Permission) -> list[Role]:
    """Who may do it."""
    return [role for role in Role if permission in MAY[role]]


def read_role(text: str) -> Role:
    """The role that is named; raises `InvalidRequestError` for one that does not exist."""
    try:
        return Role(text)
    except ValueError:
        raise InvalidRequestError(f"There is no role {text!r}: it is {', '.join(Role)}.") from None
