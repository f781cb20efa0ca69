from pathlib import Path

from tests.harness.inner import run_pytest

HANGING = """
    import asyncio, contextlib, threading, pytest, uvloop
    from tests.harness import time_limit

    # Longer than a failure takes to be written, on a machine that has other work.
    time_limit.AGAIN_SECONDS = 5.0
    hangs = pytest.mark.timeout(2.0)

    @hangs
    async def test_hangs_in_asyncio() -> None:
        await asyncio.Event().wait()

    @hangs
    def test_hangs_in_uvloop() -> None:
        uvloop.run(asyncio.Event().wait())

    @hangs
    def test_hangs_outside_of_any_loop() -> None:
        threading.Event().wait()

    @hangs
    async def test_hangs_again_when_it_is_ended() -> None:
        with contextlib.suppress(BaseException):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    def test_next() -> None:
        pass
"""
# The last one fails twice, at its end and at the end of its clean-up.
FAILURES = 5


def test_a_test_that_hangs_fails_and_the_next_one_runs(tmp_path: Path) -> None:
    said = run_pytest(tmp_path, HANGING, "-v", "-p", "tests.harness.time_limit")
    failures = said.partition("short test summary")[0]
    assert failures.count("Error: The test hangs: it was to end in 2 s.") == FAILURES
    assert "::test_next PASSED" in failures
    assert "await asyncio.Event().wait()" in failures.partition("Captured stderr")[2]
