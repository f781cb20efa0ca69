"""A program for the stack to run in tests: `stand_in.py EVENTS NAME BEHAVIOUR`.

Sends what happens to it, as `NAME start`, `NAME stop`, to the datagram socket EVENTS. BEHAVIOUR is
the path of a file with one word, so that a test can change it for the next start:

    serves      says it is ready, and stops when asked
    stubborn    says it is ready, and ignores being asked to stop
    fails       ends with exit code 1, and says why
    refuses     ends with exit code 2, and says why
    hangs       says it is ready only when it gets SIGUSR1
    collapses   says it is ready, and ends with exit code 1
    recants     says it is ready, and when it gets SIGUSR1 ends as one that refuses
    does        ends with exit code 0, and sends nothing
"""

import os
import signal
import socket
import sys


def main(events_path: str, name: str, behaviour_path: str) -> int:
    events = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with open(behaviour_path) as file:  # noqa: PTH123 - pathlib costs as much as all the rest
        behaviour = file.read()
    if behaviour == "does":
        return 0
    # Blocked, so that one that comes early is not lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
    events.sendto(f"{name} start".encode(), events_path)
    if behaviour in ("fails", "refuses"):
        print(f"{name} does not like it here.")
        return {"fails": 1, "refuses": 2}[behaviour]
    if behaviour == "hangs":
        number = signal.sigwait({signal.SIGTERM, signal.SIGUSR1})
        if number == signal.SIGTERM:
            return 0
    events.sendto(b"STATUS=up\nREADY=1", os.environ["NOTIFY_SOCKET"])
    if behaviour == "collapses":
        return 1
    if behaviour == "recants":
        signal.sigwait({signal.SIGUSR1})
        print(f"{name} does not like it here any more.")
        return 2
    while behaviour == "stubborn":
        signal.pause()
    signal.sigwait({signal.SIGTERM})
    events.sendto(f"{name} stop".encode(), events_path)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
