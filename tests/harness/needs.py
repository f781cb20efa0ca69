"""What some tests need and a machine may lack, with the command that brings it.

One word for each, so that `skips` can count. A test is marked with a `needs_…`; a fixture that
finds something missing skips by its `NO_…`.
"""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from tigerfans.stack import tigerbeetle

ROOT: Final = Path(__file__).parents[2]
_INSTALL: Final = "brew install" if sys.platform == "darwin" else "sudo apt install"

NO_TIGERBEETLE: Final = "no TigerBeetle server: `make tigerbeetle`, or set TIGERBEETLE_BIN"
NO_CHROMIUM: Final = f"no Chromium: `{_INSTALL} chromium`, or set CHROMIUM_BIN"
NO_MOUNT: Final = "no file system may be mounted here: run the tests as root"
NO_FILES: Final = "too few files may be open at a time: `ulimit -Hn {needed}`"

SYSTEMD_ANALYZE: Final = shutil.which("systemd-analyze")
CADDY: Final = shutil.which("caddy")
NGINX: Final = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
TIGERBEETLE: Final = tigerbeetle.find_binary(os.environ, ROOT)

needs_tigerbeetle = pytest.mark.skipif(TIGERBEETLE is None, reason=NO_TIGERBEETLE)
needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason=f"no wrk: `{_INSTALL} wrk`")
needs_caddy = pytest.mark.skipif(CADDY is None, reason=f"no Caddy: `{_INSTALL} caddy`")
needs_nginx = pytest.mark.skipif(NGINX is None, reason=f"no nginx: `{_INSTALL} nginx`")
needs_systemd = pytest.mark.skipif(
    SYSTEMD_ANALYZE is None, reason=f"no systemd-analyze: `{_INSTALL} systemd`"
)
needs_matplotlib = pytest.mark.skipif(
    find_spec("matplotlib") is None,
    reason="no matplotlib: `.venv/bin/pip install -c constraints.txt -e '.[bench]'`",
)
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="not root, who alone may become another user: run the tests as root"
)
needs_ordinary_user = pytest.mark.skipif(
    os.geteuid() == 0, reason="root, who may write anywhere: run the tests as an ordinary user"
)
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="not Linux")
