"""A test that hangs fails, and the next one runs.

pytest-timeout gives each test a number of seconds: `timeout` in pyproject.toml, or the marker of
that name where a test needs longer. How time is called is ours: its own alarm is lost in uvloop,
and is not set any more for the clean-up of a test that has failed.
"""

import asyncio
import signal
import sys
from collections.abc import Generator
from types import FrameType
from typing import Any, Final

import pytest
from pytest_timeout import is_debugging

# Where the clean-up hangs, too.
AGAIN_SECONDS: Final = 60.0


# uvloop hands what a callback raises to its exception handler, and goes on; but not this.
class TimeLimitError(SystemExit):
    """The test took too long."""


def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool:
    def call_time(number: int, frame: FrameType | None) -> None:
        if not is_debugging():
            _print_tasks()
            raise TimeLimitError(f"The test hangs: it was to end in {settings.timeout:g} s.")

    signal.signal(signal.SIGALRM, call_time)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout, AGAIN_SECONDS)
    return True


def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    """Also asked for as soon as a test has failed; its clean-up is still to come."""
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool, bool]:
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _print_tasks() -> None:
    """What the event loop's tasks wait for: the error itself shows only the loop."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:
        return
    for task in tasks:
        task.print_stack(file=sys.stderr)
