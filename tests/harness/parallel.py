"""How `pytest -n auto` divides the tests over processes.

Those that share a shop or a browser stay together: each process that ran one of them would start
its own. The long ones come first, so that no process is left with one of them in the end.
"""

import os
from typing import Any, Final

import pytest

# These folders share what takes long to start; in all others a file is a unit.
TOGETHER: Final = ("tests/browser", "tests/faults")
# One of them is worth a second start: these files of it are a unit of their own.
APART: Final = "tests/browser, apart"
APART_FILES: Final = (
    "tests/browser/test_bench.py",
    "tests/browser/test_late.py",
    "tests/browser/test_oldest_browsers.py",
    "tests/browser/test_quality.py",
)
# Two thirds of all the time and more, the longest first.
LONG: Final = (
    "tests/browser",
    APART,
    "tests/stack/test_up.py",
    "tests/stack/test_identity.py",
    "tests/faults",
    "tests/faults/test_short.py",
    "tests/http/api/test_api.py",
    "tests/doctor/test_doctor.py",
    "tests/shop/test_shop.py",
    "tests/stack/test_reload.py",
    "tests/stack/test_rush.py",
    "tests/http/office/test_admin.py",
    "tests/harness/test_time_limit.py",
    "tests/bench/test_main.py",
    "tests/stack/test_outage.py",
    "tests/http/serving/test_exposure.py",
    "tests/test_wheel.py",
    "tests/shop/test_histories.py",
)


def unit_of(nodeid: str) -> str:
    """The tests of a unit run in one process, one after the other."""
    file = nodeid.partition("::")[0]
    if file in APART_FILES:
        return APART
    folder = file.rpartition("/")[0]
    return folder if folder in TOGETHER and file not in LONG else file


def rank_of(nodeid: str) -> int:
    unit = unit_of(nodeid)
    return LONG.index(unit) if unit in LONG else len(LONG)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """More than there are cores: half of the time, a test waits for what it has started."""
    return (os.cpu_count() or 1) * 3 // 2


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank_of(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    # By its own measure, the number of tests, those with a shop of their own would come last.
    config.option.loadscopereorder = False
    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = unit_of
    return scheduling
