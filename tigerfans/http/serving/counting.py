"""Counts every request, by one wrapper around the whole application.

The framework leaves the template of the path in the scope, so that a route with ids in it is one
series, and the handlers know nothing of being counted.
"""

from time import perf_counter
from typing import Any, Final

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from tigerfans.telemetry.counters import Counters

# The route of a request that no handler was found for.
NO_ROUTE: Final = "none"
# The status of a request that ended without an answer.
NO_STATUS: Final = 0


def counted(app: ASGIApp, counters: Counters) -> ASGIApp:
    """The same application; what happens to each request is counted."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        status = NO_STATUS

        # Gives what `send` gives, without being a coroutine itself: that would cost 0.5 µs more.
        def send_noted(message: Message) -> Any:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        started = perf_counter()
        try:
            await app(scope, receive, send_noted)
        finally:
            route = str(scope.get("path_template", NO_ROUTE))
            counters.count_request(route, status, perf_counter() - started)

    return serve
