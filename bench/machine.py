"""What a measurement was made on, in two short texts."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
GIT_SECONDS_MAX: Final = 5.0


def describe_machine() -> str:
    """Cores, processor and system, such as `2 cores, AMD EPYC 7B13, Linux 6.1.0`."""
    cores = os.cpu_count() or 1
    noun = "core" if cores == 1 else "cores"
    return f"{cores} {noun}, {_processor()}, {platform.system()} {platform.release()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def git_revision() -> str:
    """The commit that is checked out, `-dirty` after it where files differ from it."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"],  # noqa: S607
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS_MAX,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()
