import re
from pathlib import Path

import pytest

from tests.harness.inner import run_pytest

LEAKING = """
    import asyncio, socket, subprocess, sys, tempfile, threading
    import pytest

    kept = []

    def test_socket() -> None:
        kept.append(socket.socket())

    def test_garbage() -> None:
        circle = [socket.socket()]
        circle.append(circle)

    def test_folder() -> None:
        tempfile.mkdtemp(prefix="lost-")

    @pytest.fixture
    def given() -> socket.socket:
        return socket.socket()

    def test_fixture(given) -> None:
        pass

    def test_process() -> None:
        kept.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))

    def test_thread() -> None:
        kept.append(threading.Event())
        threading.Thread(target=kept[-1].wait, name="lost").start()

    async def test_task() -> None:
        kept.append(asyncio.create_task(asyncio.Event().wait(), name="lost"))

    async def test_error() -> None:
        asyncio.get_running_loop().create_future().set_exception(ValueError("lost"))

    def test_coroutine() -> None:
        circle = [asyncio.sleep(1)]
        circle.append(circle)

    @pytest.fixture(scope="module")
    def shared():
        with socket.socket() as shared:
            yield shared

    def test_nothing(shared) -> None:
        socket.socket().close()

    @pytest.fixture(scope="module", autouse=True)
    def end():
        yield
        process, event = kept[1:3]
        process.communicate()
        event.set()
"""
LEFT = {
    "socket": r"file \d+, socket:",
    "garbage": r"unclosed <socket",
    "folder": r"temporary lost-",
    "fixture": r"unclosed <socket",
    "process": r"process \d+",
    "thread": r"thread lost",
    "task": r"<Task pending name='lost'",
    "error": r"Future exception was never retrieved",
    "coroutine": r"coroutine 'sleep' was never awaited",
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("leaks")
    return run_pytest(folder, LEAKING, "-p", "tests.harness.leaks", "--tb=line", "-rE")


@pytest.mark.parametrize("name", LEFT)
def test_what_a_test_leaves_behind_fails_that_test(said: str, name: str) -> None:
    (error,) = re.findall(
        rf"^_+ ERROR at teardown of test_{name} _+$(.*?)^[_=]+ ", said, re.DOTALL | re.MULTILINE
    )
    assert re.search(LEFT[name], error), said


def test_what_is_closed_or_lent_fails_none(said: str) -> None:
    assert f"{len(LEFT) + 1} passed, {len(LEFT)} errors" in said
