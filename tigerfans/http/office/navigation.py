"""The pages of the box office, and what leads from one to the other: what somebody may not open is
not shown to them.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from litestar import Response

from tigerfans.http.office.auth import Asked
from tigerfans.http.pages.rendering import Renderer
from tigerfans.office.permissions import Permission


class OfficePage(NamedTuple):
    """A page that the navigation leads to."""

    path: str
    words: str
    permission: Permission


OFFICE_PAGES: Final = (
    OfficePage("/admin", "Box office", Permission.SEE),
    OfficePage("/door", "Scan", Permission.SCAN),
    OfficePage("/admin/door", "Door", Permission.SEE),
    OfficePage("/admin/stock", "Stock", Permission.SEE),
    OfficePage("/admin/mails", "Mails", Permission.SEE),
    OfficePage("/admin/money", "Money", Permission.SEE),
    OfficePage("/admin/people", "People", Permission.PEOPLE),
)


def office_page(
    renderer: Renderer,
    request: Asked,
    template: str,
    *,
    status_code: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: object,
) -> Response[str]:
    """A page that extends `office.html`: it knows `person`, what they `may` do, and where it is."""
    person = request.user
    return renderer.page(
        template,
        status_code=status_code,
        headers=headers,
        person=person,
        may=person.may,
        office_pages=[page for page in OFFICE_PAGES if page.permission in person.may],
        path=request.url.path,
        **context,
    )
