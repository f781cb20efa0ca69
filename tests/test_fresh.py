"""`make fresh` types what the README says, and knows how this machine reaches its packages."""

import subprocess
import sys

import pytest

from tests import fresh

PIP_SETTINGS = """\
global.cert='/etc/ssl/own.crt'
global.extra-index-url='file:///opt/wheels'
:env:.index-url='https://packages.example/simple'
global.timeout='60'
"""


def test_it_installs_what_the_readme_tells_a_newcomer_to() -> None:
    [line] = fresh._APT_LINE.findall((fresh.ROOT / "README.md").read_text())
    assert {"git", "make", "python3-venv"} <= set(line.split())


def test_pip_reaches_its_index_as_on_this_machine_and_no_folder_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fresh, "output_of", lambda *_: PIP_SETTINGS)
    assert fresh.pip_environment() == {
        "PIP_CERT": "/etc/ssl/own.crt",
        "PIP_INDEX_URL": "https://packages.example/simple",
    }


def test_where_no_system_can_be_made_it_says_what_is_missing() -> None:
    nobody = "import os; os.geteuid = lambda: 1000; from tests.fresh import main; exit(main())"
    refused = subprocess.run(
        [sys.executable, "-c", nobody], cwd=fresh.ROOT, capture_output=True, text=True, check=False
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("make fresh needs Linux and root")
    assert refused.stderr.count("\n") == 1
