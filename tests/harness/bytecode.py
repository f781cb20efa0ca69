"""What has been compiled is compiled for all processes and for the next run, also where no bytecode
may be written beside the source: it then lies in pytest's cache. To compile the shop again takes
half of the time a shop takes to start, and to compile all tests three times as long as to collect
them.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

import pytest

FORBIDDEN: Final = "PYTHONDONTWRITEBYTECODE"
FOLDER: Final = "PYTHONPYCACHEPREFIX"


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.pop(FORBIDDEN, None):
        folder = _folder(config)
        os.environ[FOLDER] = sys.pycache_prefix = str(folder)
        sys.dont_write_bytecode = False
        # What was a test's own, nobody runs again.
        own = Path(os.environ.get("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())).relative_to("/")
        config.add_cleanup(lambda: shutil.rmtree(folder / own, ignore_errors=True))


def _folder(config: pytest.Config) -> Path:
    if config.cache is not None:
        return config.cache.mkdir("bytecode")
    folder = Path(tempfile.mkdtemp(prefix="tigerfans-bytecode-"))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    return folder
