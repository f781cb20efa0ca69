"""What search engines are told: `/robots.txt`, and which pages are not for them.

A page that is somebody's own says so in a header (`rendering.UNLISTED`), which is read only where
robots may come: so nothing that has an order's id in its address is kept from them here. An
address that they may not fetch they list all the same, where somebody links to it.
"""

from typing import Final

from litestar import MediaType, get
from litestar.handlers import HTTPRouteHandler

_MAX_AGE_SECONDS: Final = 24 * 3600
_TEXT: Final = """\
User-agent: *
Disallow: /admin
Disallow: /api/admin/
Disallow: /api/inventory
"""


def robots_route() -> HTTPRouteHandler:
    @get(
        "/robots.txt",
        media_type=MediaType.TEXT,
        include_in_schema=False,
        response_headers={"Cache-Control": f"public, max-age={_MAX_AGE_SECONDS}"},
    )
    async def robots() -> str:
        return _TEXT

    return robots
