"""Whether the addresses the shop is to listen on are free.

Asked before anything starts, because workers share their port (SO_REUSEPORT): a second shop's
workers would silently take a part of the first one's buyers.
"""

import errno
import socket
from contextlib import ExitStack, closing

from tigerfans.settings import Settings, SettingsError


def check(settings: Settings) -> None:
    """Raises `SettingsError` for an address that cannot be listened on."""
    http, sequencer = settings.http, settings.sequencer
    with ExitStack() as held:
        # Held together, so that the two being the same is found as well.
        held.enter_context(_listen("TIGERFANS_PORT", "TIGERFANS_HOST", http.host, http.port))
        variable = "TIGERFANS_METRICS_ADDRESS"
        address = sequencer.metrics_host, sequencer.metrics_port
        held.enter_context(_listen(variable, variable, *address))


def free_port(host: str) -> int:
    """A port that nobody listens on right now."""
    with closing(socket.create_server((host, 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


def _listen(
    port_variable: str, host_variable: str, host: str, port: int
) -> "closing[socket.socket]":
    try:
        # Looks the name up, and then listens as one does who is alone.
        family, _, _, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return closing(socket.create_server(address[:2], family=family))
    except socket.gaierror:
        raise SettingsError(f"{host_variable} names no address: {host}.") from None
    except OSError as error:
        raise SettingsError(_explain(error, port_variable, host_variable, host, port)) from None


def _explain(error: OSError, port_variable: str, host_variable: str, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{port_variable}: port {port} is taken by another program; choose another one."
    if error.errno == errno.EACCES:
        return f"{port_variable}: port {port} is only for root; choose one above 1023."
    return f"{host_variable}: cannot listen on {host}, port {port}: {error.strerror}."
