"""The Makefile makes `.venv` from nothing or from half of one, or says what is missing."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.harness.patience import until

ROOT: Final = Path(__file__).parent.parent

# A Python that makes virtual environments of itself and installs nothing, and one that cannot.
ABLE: Final = """#!/bin/sh
case "$*" in
*"-m venv --clear"*) rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python \\
    && touch .venv/is-whole ;;
*"-c import pip"*) [ -e .venv/is-whole ] ;;
*"-m pip install"*) echo "$*" >> installed ;;
esac
"""
WITHOUT_VENV: Final = """#!/bin/sh
case "$*" in *ensurepip*) exit 1 ;; esac
"""
TOO_OLD: Final = """#!/bin/sh
case "$*" in *version_info*) exit 1 ;; esac
"""

MAKE: Final = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="there is no make")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The Makefile in a folder without a .venv."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(
    project: Path, target: str, python: str, path: str = os.defpath, **variables: str
) -> tuple[int, str]:
    """The exit code, and what was said on standard error by anyone but make itself."""
    program = project / "python"
    program.write_text(python)
    program.chmod(0o755)
    done = subprocess.run(
        [
            str(MAKE),
            "-C",
            str(project),
            target,
            f"PYTHON={program}",
            *(f"{name}={value}" for name, value in variables.items()),
        ],
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    return done.returncode, "\n".join(said)


def installed(project: Path) -> list[str]:
    """The extras of each installation, in their order."""
    lines = (project / "installed").read_text().splitlines()
    return [line.rpartition("--editable ")[2] for line in lines]


def test_running_the_shop_installs_only_what_running_needs(project: Path) -> None:
    # There is no shop to start here, so the command itself fails.
    make(project, "up", ABLE)
    assert installed(project) == [".[embedded,schema,door]"]


def test_everything_is_installed_once(project: Path) -> None:
    assert make(project, "setup", ABLE) == (0, "")
    assert make(project, "setup", ABLE) == (0, "")
    assert installed(project) == [".[embedded,schema,door]", ".[embedded,dev]"]


def test_half_a_venv_is_made_again(project: Path) -> None:
    half = project / ".venv" / "bin"
    half.mkdir(parents=True)
    (half / "python").symlink_to(project / "a Python that has gone")
    (project / ".venv" / ".installed").touch()
    assert make(project, "setup", ABLE) == (0, "")
    assert installed(project) == [".[embedded,schema,door]", ".[embedded,dev]"]


@pytest.mark.parametrize(
    ("python", "package"), [(WITHOUT_VENV, "python3-venv"), (TOO_OLD, "Python 3.11 or newer")]
)
def test_what_is_missing_is_said_in_a_sentence_and_nothing_is_left(
    project: Path, python: str, package: str
) -> None:
    code, said = make(project, "setup", python)
    assert code != 0
    assert package in said
    assert "\n" not in said
    assert not (project / ".venv").exists()


def test_a_benchmark_without_wrk_says_so_before_it_installs_anything(project: Path) -> None:
    tools = project / "tools"
    tools.mkdir()
    for name in ("sh", "rm", "mkdir", "cp", "touch"):
        (tools / name).symlink_to(str(shutil.which(name)))
    code, said = make(project, "bench", ABLE, path=str(tools))
    assert code != 0
    assert "wrk" in said
    assert not (project / "installed").exists()


# Stands in for the provider, and for the shop that is started beside it.
PROVIDER: Final = """#!/bin/sh
case "$*" in *tests.stripe_server*) echo $$ > pid; exec tail -f /dev/null ;; esac
"""
SHOP: Final = """#!/bin/sh
until [ -s pid ]; do :; done
env > told
"""


async def test_a_shop_is_started_with_a_provider_to_test_against_that_ends_with_it(
    project: Path,
) -> None:
    assert make(project, "setup", ABLE)[0] == 0
    binaries = project / ".venv" / "bin"
    (binaries / "python").write_text(PROVIDER + ABLE.partition("\n")[2])
    (binaries / "tigerfans").write_text(SHOP)
    (binaries / "tigerfans").chmod(0o755)
    assert make(project, "up", ABLE, PROVIDER="stripe-test") == (0, "")
    told = (project / "told").read_text()
    assert "TIGERFANS_PAYMENT_PROVIDER=stripe\n" in told
    assert "STRIPE_API_BASE=http://127.0.0.1:12111\n" in told
    pid = int((project / "pid").read_text())

    async def is_gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    await until(is_gone)
