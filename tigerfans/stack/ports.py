"""The addresses the shop listens on: whether they are free, and the workers' sockets.

Whether they are free is asked before anything starts, because workers share their port
(SO_REUSEPORT): a second shop's workers would silently take a part of the first one's buyers.

The stack opens the workers' sockets itself and keeps them open, one for each worker. The kernel
spreads connections over them, and a connection that waits in the queue of one is not lost when
its worker is replaced or dies: the next process of that worker takes it.
"""

import errno
import socket
from contextlib import ExitStack, closing

from tigerfans.process.listening import look_up
from tigerfans.settings.settings import Settings, SettingsError


def check(settings: Settings) -> None:
    """Raises `SettingsError` for an address that cannot be listened on."""
    http, sequencer = settings.http, settings.sequencer
    with ExitStack() as held:
        # Held together, so that the two being the same is found as well.
        held.enter_context(_listen("TIGERFANS_PORT", "TIGERFANS_HOST", http.host, http.port))
        variable = "TIGERFANS_METRICS_ADDRESS"
        address = sequencer.metrics_host, sequencer.metrics_port
        held.enter_context(_listen(variable, variable, *address))


def open_listeners(settings: Settings) -> list[socket.socket]:
    """A listening socket for each worker, all on the shop's port."""
    http = settings.http
    family, address = _look_up("TIGERFANS_HOST", http.host, http.port)
    return [
        socket.create_server(address, family=family, backlog=http.backlog, reuse_port=True)
        for _ in range(http.workers)
    ]


def free_port(host: str) -> int:
    """A port that nobody listens on right now."""
    with closing(socket.create_server((host, 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


def _listen(
    port_variable: str, host_variable: str, host: str, port: int
) -> "closing[socket.socket]":
    try:
        family, address = _look_up(host_variable, host, port)
        # Listens as one does who is alone.
        return closing(socket.create_server(address, family=family))
    except OSError as error:
        raise SettingsError(_explain(error, port_variable, host_variable, host, port)) from None


def _look_up(variable: str, host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        return look_up(host, port)
    except socket.gaierror:
        raise SettingsError(f"{variable} names no address: {host}.") from None


def _explain(error: OSError, port_variable: str, host_variable: str, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{port_variable}: port {port} is taken by another program; choose another one."
    if error.errno == errno.EACCES:
        return f"{port_variable}: port {port} is only for root; choose one above 1023."
    return f"{host_variable}: cannot listen on {host}, port {port}: {error.strerror}."
