"""Each test closes what it opens; what it leaves behind fails that test, and none that comes later.

After a test, with its fixtures, nothing may be there that was not there before it: no open file or
socket, no temporary file or folder, no process or thread, no task of its event loop, nothing that
only the garbage collector would have closed, and no error that asyncio could only write into its
log. What a fixture opens that outlives the test is that fixture's.
"""

import asyncio
import gc
import logging
import multiprocessing.resource_tracker
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
import uvloop

from tests.harness.ports import free_port

FILES: Final = Path("/dev/fd")
# Threads by which asyncio waits for processes, which end a moment after these, and those of other
# languages that once called us, of which Python does not hear when they end.
# What asyncio calls its own depends on the version of Python.
NOT_OURS: Final = ("asyncio-waitpid-", "waitpid-", "Dummy-")


class LeakError(Exception):
    """The test left something behind; the message says what."""


class Watch:
    """What is open now, and who may have opened it."""

    def __init__(self) -> None:
        # Of fixtures that outlive a test.
        self._lent: set[str] = set()
        self._before: set[str] = set()
        self._found: list[str] = []

    def begin(self) -> None:
        self._before = held()

    def lend(self, before: set[str]) -> None:
        self._lent |= held() - before

    def note(self, sentence: str) -> None:
        self._found.append(sentence)

    def end(self, given: dict[str, object]) -> None:
        """Raises `LeakError` for what is there that was not; `given` is what fixtures gave."""
        hook = sys.unraisablehook
        # A warning is an error, which a finaliser cannot raise.
        sys.unraisablehook = lambda error: self.note(f"{error.exc_value!r} in {error.object!r}")
        try:
            # Else it would live until the next test is under way.
            given.clear()
            gc.collect()
        finally:
            sys.unraisablehook = hook
        found = [*self._found, *sorted(held() - self._before - self._lent)]
        self._found.clear()
        if found:
            raise LeakError("The test left behind: " + "; ".join(found))


def held() -> set[str]:
    """In words: this process's open files, its temporary ones, its processes and its threads."""
    return _files() | _temporary() | _children() | _threads()


def _files() -> set[str]:
    """But those without a name by which SQLite's connections keep what they are amid."""
    found = set()
    for name in os.listdir(FILES):  # noqa: PTH208 - a tenth of iterdir's cost, for every test
        # The folder's own is closed by now.
        with suppress(OSError):
            target = os.readlink(FILES / name)  # noqa: PTH115
            if "/etilqs_" not in target:
                found.add(f"file {name}, {target}")
    return found


def _temporary() -> set[str]:
    return {f"temporary {name}" for name in os.listdir(tempfile.gettempdir())}  # noqa: PTH208


def _children() -> set[str]:
    """None are found where the system has no /proc."""
    found = set()
    for thread in Path("/proc/self/task").glob("*"):
        # A thread may end while it is looked at.
        with suppress(FileNotFoundError, ProcessLookupError):
            pids = (thread / "children").read_text().split()
            found |= {f"process {pid}" for pid in pids}
    return found


def _threads() -> set[str]:
    names = {thread.name for thread in threading.enumerate()}
    return {f"thread {name}" for name in names if not name.startswith(NOT_OURS)}


WATCH: Final = pytest.StashKey[Watch]()


class _Forgotten(logging.Handler):
    """Notes what asyncio could only log: an error that nobody has asked for, a task in mid-air."""

    WORDS: Final = ("never retrieved", "was destroyed but it is pending")

    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.ERROR)
        self._watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if any(words in message for words in self.WORDS):
            self._watch.note(message)


def _watch_tasks(watch: Watch, runner: asyncio.Runner) -> None:
    """A runner cancels the tasks that are left when it closes, and says nothing of it."""
    close = runner.close

    def close_with_a_look() -> None:
        for task in asyncio.all_tasks(runner.get_loop()):
            watch.note(f"{task!r}")
        close()

    runner.close = close_with_a_look  # type: ignore[method-assign]


class Leaks:
    """The plugin."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def pytest_sessionstart(self) -> None:
        # These open what they keep for good when they are used first.
        uvloop.new_event_loop().close()
        multiprocessing.resource_tracker.ensure_running()
        free_port()
        logging.getLogger("asyncio").addHandler(_Forgotten(self.watch))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """What is there before the first test of a file is looked at no more.

        The look after a test then takes 2 ms, of which a collection of everything would be 130.
        """
        gc.collect()
        gc.freeze()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, object, object]:
        before = held() if fixturedef.scope != "function" else None
        try:
            value = yield
        finally:
            if before is not None:
                self.watch.lend(before)
        if isinstance(value, asyncio.Runner):
            _watch_tasks(self.watch, value)
        return value

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None, None, None]:
        self.watch.begin()
        yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, None, None]:
        yield
        self.watch.end(getattr(item, "funcargs", {}))
        if nextitem is None or nextitem.path != item.path:
            gc.freeze()


@pytest.fixture
def outlives_the_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """For a test that opens what somebody else keeps: a shared shop, or a library for good."""
    before = held()
    yield
    request.config.stash[WATCH].lend(before)


def pytest_configure(config: pytest.Config) -> None:
    _make_temporary_folder(config)
    watch = config.stash[WATCH] = Watch()
    config.pluginmanager.register(Leaks(watch))


def _make_temporary_folder(config: pytest.Config) -> None:
    """A folder for what this process and those it starts make for a while; it is gone in the end.

    What pytest itself keeps for those who look into a failure stays where it was.
    """
    root = os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix="tigerfans-", dir=root)
    # As everywhere, others may pass through: PostgreSQL's user has to.
    Path(folder).chmod(0o711)
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
