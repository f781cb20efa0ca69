from pathlib import Path

import pytest

from bench import stack
from bench.config import Config
from bench.stack import DATA_PARENT, StackError


def test_a_shop_that_does_not_start_says_why_and_leaves_nothing() -> None:
    before = set(DATA_PARENT.glob("bench-*"))
    # A file of settings would be refused earlier; this one is found out by the shop.
    config = Config("broken", {"TIGERFANS_WORKERS": "many"}, 1)
    with (
        pytest.raises(StackError, match="The shop has ended: TIGERFANS_WORKERS"),
        stack.running(config, embedded=True),
    ):
        pass
    assert set(DATA_PARENT.glob("bench-*")) <= before


def test_that_it_stopped_is_not_why_it_stopped(tmp_path: Path) -> None:
    log = tmp_path / "up.log"
    log.write_text("Starting.\nworker-1 ended with exit code 1.\n  OSError: no disk\nStopped.\n")
    assert stack._last_words(log) == "OSError: no disk"
    log.write_text("Stopped.\n")
    assert stack._last_words(log) == "it printed nothing."
