from pathlib import Path

from tests.harness.inner import run_pytest

SKIPPING = """
    import pytest

    @pytest.mark.parametrize("number", range(30))
    @pytest.mark.skipif(True, reason="no wrk: `apt install wrk`")
    def test_marked(number) -> None:
        pass

    @pytest.fixture
    def browser() -> None:
        pytest.skip("no Chromium")

    def test_fixture(browser) -> None:
        pass
"""


def test_what_is_missing_is_a_line_a_reason_with_its_command(tmp_path: Path) -> None:
    said = run_pytest(tmp_path, SKIPPING, "-q", "-p", "tests.harness.skips")
    lines = [line for line in said.splitlines() if "no wrk" in line or "no Chromium" in line]
    assert lines == ["  30 tests  no wrk: `apt install wrk`", "   1 test   no Chromium"]
