"""The processes that tests start share what they have compiled, also where no bytecode may be
written beside the source: to compile the shop again takes half of the time a shop takes to start.
"""

import os
import shutil
import tempfile
from typing import Final

import pytest

FORBIDDEN: Final = "PYTHONDONTWRITEBYTECODE"
FOLDER: Final = "PYTHONPYCACHEPREFIX"


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.pop(FORBIDDEN, None):
        folder = os.environ[FOLDER] = tempfile.mkdtemp(prefix="tigerfans-bytecode-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
