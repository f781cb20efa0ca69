"""Brings requests for hot routes to their handlers, past the framework's own way to them.

And HEAD to where GET goes, which the framework leaves to each handler: one whose answer costs more
than it would say in its headers asks `is_head`.

The raw routes (`raw`) stand in the Litestar application like all others, so its schema, its tests
and its checks know them. But its middleware, its router and its exception handling have nothing
to do for them, and cost 12 of the 23 µs that a worker's Python spent on a reserve.
"""

from collections.abc import Awaitable

from litestar import Litestar
from litestar.routes import ASGIRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from tigerfans.http.api.raw import IS_RAW
from tigerfans.http.reading import IS_HEAD


class Shortcut:
    """An ASGI application in front of `app`, which gets what is not for one of its raw routes."""

    def __init__(self, app: Litestar) -> None:
        raw = [
            route.route_handler
            for route in app.routes
            if isinstance(route, ASGIRoute) and IS_RAW in route.route_handler.opt
        ]
        self._app = app
        self._exact: dict[str, ASGIApp] = {
            path: handler.fn for handler in raw if not handler.is_mount for path in handler.paths
        }
        self._mounts: dict[str, ASGIApp] = {
            f"{path}/": handler.fn for handler in raw if handler.is_mount for path in handler.paths
        }

    # Not a coroutine itself: each one that a request passes through is resumed with it, every time.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope.get("method") == "HEAD":
            # What a GET would say; the server leaves the body out.
            scope["method"] = "GET"  # type: ignore[typeddict-unknown-key]
            scope[IS_HEAD] = True  # type: ignore[typeddict-unknown-key]
        path = scope.get("path", "")
        serve = self._exact.get(path)
        if serve is None:
            for mount, serve_mount in self._mounts.items():
                if path.startswith(mount):
                    scope["path"] = path[len(mount) - 1 :]
                    return serve_mount(scope, receive, send)
        return (serve or self._app)(scope, receive, send)
