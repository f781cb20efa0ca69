"""The page of who stands at the door, behind the login: it scans, and says yes or no.

Scripts do the scanning (`templates/static/js/door/`); what they find in the page is all they know.
"""

from collections.abc import Mapping
from typing import Final

from litestar import Response, Router, get
from litestar.types import Guard

from tigerfans.booking.scan_texts import SCAN_CHARACTERS_MAX
from tigerfans.http.door.verdicts import VERDICTS
from tigerfans.http.office.auth import Asked
from tigerfans.http.office.navigation import office_page
from tigerfans.http.pages.rendering import SECURITY_HEADERS, Renderer
from tigerfans.office.permissions import Permission
from tigerfans.stores.door_scans import GATE_CHARACTERS_MAX

PATH: Final = "/door"

# Elsewhere no page may have a camera.
HEADERS: Final[Mapping[str, str]] = {
    "Permissions-Policy": SECURITY_HEADERS["Permissions-Policy"].replace(
        "camera=()", "camera=(self)"
    )
}


def door_page_router(*, renderer: Renderer, guard: Guard) -> Router:
    """The page; `guard` lets in who may scan."""

    @get(PATH, permission=Permission.SCAN)
    async def door_page(request: Asked) -> Response[str]:
        return office_page(
            renderer,
            request,
            "door.html",
            headers=HEADERS,
            verdicts=VERDICTS,
            gate_max=GATE_CHARACTERS_MAX,
            text_max=SCAN_CHARACTERS_MAX,
        )

    return Router("/", route_handlers=[door_page], guards=[guard], include_in_schema=False)
