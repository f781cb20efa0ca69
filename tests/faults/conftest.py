"""One shop for the tests that need no fault of their own; each leaves it ready."""

import resource
import sys
from collections.abc import Iterator

import pytest

from tests.faults.stack import FaultyShop
from tests.harness.needs import NO_FILES
from tests.servers import run

# What these tests do to processes from outside, only Linux allows.
if sys.platform != "linux":
    collect_ignore_glob = ["test_*.py"]

# Both ends of some thousand connections, one of them in this process.
FILES_NEEDED = 6_000


@pytest.fixture(scope="package")
def shop() -> Iterator[FaultyShop]:
    """A shop with one worker, whose bounds a test can reach."""
    shop = FaultyShop({"TIGERFANS_WORKERS": "1"})
    try:
        run(shop.start())
        yield shop
    finally:
        shop.close()


@pytest.fixture
def many_files() -> Iterator[None]:
    """Lets this process have thousands of connections; skips the test where it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES_NEEDED:
        pytest.skip(NO_FILES.format(needed=FILES_NEEDED))
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES_NEEDED), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
