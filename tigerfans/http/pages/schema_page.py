"""The description of the interface, as a page: its operations as a list, and Swagger UI over it.

The list comes from the server and needs no script. Swagger UI comes out of an installed package;
where that is not there, the list is all there is. What the page shows is ours alone: nothing that a
buyer has typed gets here.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from litestar import Request, Router
from litestar.enums import MediaType
from litestar.openapi.plugins import OpenAPIRenderPlugin

from tigerfans.http.pages.packaged import Packaged
from tigerfans.http.pages.rendering import (
    CONTENT_SECURITY_POLICY,
    SECURITY_HEADERS,
    Renderer,
    policy_header,
)

PATH: Final = "/schema"
VIEWER_PATH: Final = "/viewer"
VIEWER: Final = "swagger_ui_bundle"
VIEWER_PACKAGE: Final = "swagger-ui-bundle-v2"
VIEWER_FILES: Final = ("swagger-ui-bundle.js", "swagger-ui.css")

# Swagger UI writes markup of its own, and its styles hold their pictures.
_POLICY: Final[Mapping[str, str]] = {
    name: sources
    for name, sources in {**CONTENT_SECURITY_POLICY, "img-src": "'self' data:"}.items()
    if name not in ("require-trusted-types-for", "trusted-types")
}
HEADERS: Final[Mapping[str, str]] = {
    **SECURITY_HEADERS,
    "Content-Security-Policy": policy_header(_POLICY),
}


class Operation(NamedTuple):
    """A line of the list."""

    tag: str
    method: str
    path: str
    summary: str


class SchemaPage(OpenAPIRenderPlugin):
    """Renders the page; the JSON is beside it."""

    def __init__(self, renderer: Renderer, viewer: Packaged | None) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)
        self._renderer = renderer
        self._viewer = viewer

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return self._renderer.render(
            "schema.html",
            tags=openapi_schema["tags"],
            operations=list(_operations(openapi_schema)),
            viewer=[f"{PATH}{url}" for url in self._viewer.urls] if self._viewer else None,
        ).encode()

    def receive_router(self, router: Router) -> None:
        if self._viewer:
            router.register(self._viewer.route())


def find_viewer() -> Packaged | None:
    """Swagger UI; None where it is not installed."""
    return Packaged.find(VIEWER_PATH, VIEWER, "vendor/swagger-ui-*", VIEWER_FILES, VIEWER_PACKAGE)


def schema_router() -> Router:
    """The place of the page, of what it loads, and of the JSON."""
    return Router(PATH, route_handlers=[], include_in_schema=False, response_headers=HEADERS)


def _operations(schema: Mapping[str, Any]) -> Iterator[Operation]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield Operation(operation["tags"][0], method.upper(), path, operation["summary"])
