"""Runs pytest in a process of its own, over tests that are written to go wrong."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Final

from tests.harness.patience import PATIENCE_SECONDS

ROOT: Final = Path(__file__).parents[2]
# Those that pyproject.toml has settings for; to load all there are takes seconds.
PLUGINS: Final = ("pytest_asyncio.plugin", "pytest_timeout")


def run_pytest(folder: Path, tests: str, *arguments: str) -> str:
    """What pytest says of `tests`, the text of a file, with the plugin and options given."""
    file = folder / "test_inner.py"
    file.write_text(dedent(tests))
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml")]
    place = ["--rootdir", str(folder), "-p", "no:cacheprovider"]
    plugins = [word for name in PLUGINS for word in ("-p", name)]
    done = subprocess.run(
        [*command, *place, *plugins, *arguments, str(file)],
        cwd=ROOT,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    return done.stdout + done.stderr
