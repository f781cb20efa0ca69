"""Granian, as a worker runs it: inside the worker's own event loop, on a socket it may be given."""

import os
import socket
from typing import Any, Final

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, TaskImpl
from granian.http import HTTP1Settings
from granian.server.embed import Server
from litestar.types import ASGIApp

from tigerfans.process.listening import look_up
from tigerfans.settings.settings import HttpSettings, SettingsError

HEADER_SECONDS_MAX: Final = 10
# Where systemd's protocol for handing sockets over begins.
LISTEN_FDS_START: Final = 3


class InheritingServer(Server):
    """A server that listens on the socket it was started with, where there is one.

    Granian shares such a socket among its own workers on other systems than Linux; this says so
    on Linux as well, because here the socket outlives the process.
    """

    def _init_shared_socket(self) -> None:
        listener = inherited_listener()
        if listener is None:
            super()._init_shared_socket()  # type: ignore[no-untyped-call]
            return
        # Neither this class nor its attributes are typed.
        state: dict[str, Any] = vars(self)
        state["_shd"] = SocketHolder(listener, False, self.backlog)  # type: ignore[call-arg]
        state["_sfd"] = listener


def build_server(app: ASGIApp, http: HttpSettings) -> Server:
    """A server for `app`, to be run by `serve()` and ended by `stop()`."""
    return InheritingServer(
        app,
        address=_ip_address(http),
        port=http.port,
        interface=Interfaces.ASGINL,
        # In its other tasks, deadlines end nothing (`reading`).
        task_impl=TaskImpl.asyncio,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS_MAX * 1_000),
        websockets=False,
        backlog=http.backlog,
        backpressure=http.connections,
        log_enabled=False,
    )


def _ip_address(http: HttpSettings) -> str:
    """The address of the host's name: Granian wants a number."""
    try:
        _, (address, _) = look_up(http.host, http.port)
    except OSError as error:
        raise SettingsError(f"TIGERFANS_HOST={http.host} cannot be used: {error}.") from error
    return address


def inherited_host() -> str | None:
    """The address that the socket which was opened for this process listens on; None without one,
    and for one that no other machine can reach.
    """
    listener = inherited_listener()
    if listener is None:
        return None
    with socket.socket(fileno=os.dup(listener)) as copy:
        is_ip = copy.family in (socket.AF_INET, socket.AF_INET6)
        return str(copy.getsockname()[0]) if is_ip else None


def inherited_listener() -> int | None:
    """The descriptor of a socket that was opened for this process, as systemd hands it over."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = os.environ.get("LISTEN_FDS", "0")
    if count != "1":
        raise SettingsError(f"LISTEN_FDS={count}: a worker takes one listening socket.")
    return LISTEN_FDS_START
