"""Becomes another program, tied to the life of the process that started it.

A script, not an import: the stack puts it in front of every command (`programs.launch_command`),
so that what has to happen between fork and exec happens here, in a process of its own. It asks the
kernel to end the program when its parent dies, gives up root where a program refuses to run as
root, and is then replaced by the program, which keeps its process id. It runs with `-I -S` and
imports little, so that it costs 20 ms.

    launch.py PARENT_PID SIGNAL USER LISTENER PROGRAM ARGUMENT…

SIGNAL is what the parent's death sends. USER is empty (stay who you are), `UID:GID`, or
`UID:GID:pass`. The last lets the program into folders that are closed to its user: PostgreSQL
refuses to run as root, while root's checkout and data may lie where only root may enter.
LISTENER is empty, or the descriptor of a listening socket, which the program gets the way systemd
hands sockets over: as descriptor 3, with LISTEN_FDS and LISTEN_PID in its environment.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1

LISTEN_FDS_START = 3

EXIT_NOT_STARTED = 127


def main(arguments: list[str]) -> int:
    parent_pid, end_signal, user, listener, *argv = arguments
    try:
        if user:
            become(user)
        if listener:
            hand_over(int(listener))
        # After the change of user, which would undo it.
        if sys.platform == "linux":
            libc("prctl", PR_SET_PDEATHSIG, int(end_signal), 0, 0, 0)
        if os.getppid() == int(parent_pid):  # else it died before we could ask
            os.execv(argv[0], argv)  # noqa: S606
    except OSError as error:
        print(f"{argv[0]} could not be started: {error}", file=sys.stderr)
    return EXIT_NOT_STARTED


def hand_over(listener: int) -> None:
    os.dup2(listener, LISTEN_FDS_START)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))


def become(user: str) -> None:
    uid, gid, *passes = user.split(":")
    if passes:
        # Capabilities then survive setuid, and access(2) respects them.
        libc("prctl", PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(int(gid))
    os.setuid(int(uid))
    if passes:
        keep_capability(CAP_DAC_OVERRIDE)


def keep_capability(capability: int) -> None:
    """Drops every capability but this one, which stays over the exec."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # Effective, permitted and inheritable: the lower 32 bits of each, then the upper ones.
    sets = (ctypes.c_uint32 * 6)(*[1 << capability] * 3, 0, 0, 0)
    libc("capset", header, sets)
    libc("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def libc(function: str, *arguments: object) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{function}: {os.strerror(errno)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
