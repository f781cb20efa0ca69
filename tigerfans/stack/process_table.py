"""Whether a process that was recorded is still that process: its id and when it started.

A process id alone says little, as ids are given out again.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

PS_TIMEOUT_S: Final = 5

# Fields of /proc/PID/stat, counted from the one after the command's closing bracket.
_STATE_FIELD: Final = 0
_START_TIME_FIELD: Final = 19


def start_time(pid: int) -> str | None:
    """When the process started, as its system writes it; None for one that is not running."""
    if sys.platform != "linux":
        return _start_time_from_ps(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command, in brackets, may hold anything, brackets and spaces among it.
    fields = stat.rpartition(")")[2].split()
    return None if fields[_STATE_FIELD] == "Z" else fields[_START_TIME_FIELD]


def is_running(pid: int, started: str | None) -> bool:
    """Whether the process that had this id and start time still runs."""
    return started is not None and start_time(pid) == started


def _start_time_from_ps(pid: int) -> str | None:
    listing = subprocess.run(
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)],
        check=False,
        capture_output=True,
        text=True,
        timeout=PS_TIMEOUT_S,
    )
    return listing.stdout.strip() or None
