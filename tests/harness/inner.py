"""Runs pytest in a process of its own, over tests that are written to go wrong."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SECONDS_MAX: Final = 60


def run_pytest(folder: Path, tests: str, *arguments: str) -> str:
    """What pytest says of `tests`, the text of a file, with the plugin and options given."""
    file = folder / "test_inner.py"
    file.write_text(dedent(tests))
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml")]
    quiet = ["-p", "no:cacheprovider", "--rootdir", str(folder)]
    done = subprocess.run(
        [*command, *quiet, *arguments, str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )
    return done.stdout + done.stderr
