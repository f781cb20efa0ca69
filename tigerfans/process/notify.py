"""Readiness, the way systemd asks for it: a datagram to the socket that NOTIFY_SOCKET names.

`Type=notify` units and `tigerfans up` both start a process with that variable and wait for
`READY=1`. Without the variable nobody waits, and nothing is sent.
"""

import os
import socket


def notify_ready() -> None:
    """Says that this process serves now; raises `OSError` if the waiting socket is gone."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    # A leading @ stands for the zero byte of Linux's abstract socket names.
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(b"READY=1", address)
