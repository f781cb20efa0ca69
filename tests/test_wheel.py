"""What is installed from a wheel, away from the checkout, is the whole shop."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.stack.running_shop import open_shop

ROOT = Path(__file__).parent.parent


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder in which the project's wheel is installed, without what it depends on."""
    target = tmp_path / "site-packages"
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    options = ["--no-deps", "--no-index", "--disable-pip-version-check", "--target", str(target)]
    install = [sys.executable, "-m", "pip", "install", *options, str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return target


def test_an_installed_wheel_is_a_whole_shop(installed: Path, tmp_path: Path) -> None:
    with open_shop(tmp_path, PYTHONPATH=str(installed)) as shop:
        script = [sys.executable, "-P", "-c", "import tigerfans; print(tigerfans.__file__)"]
        package = subprocess.check_output(script, env=shop.environ, text=True)
        assert Path(package).is_relative_to(installed)
        page = httpx.get(shop.url, trust_env=False).raise_for_status()
        stylesheets = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page.text)
        assert stylesheets
        for stylesheet in stylesheets:
            httpx.get(f"{shop.url}{stylesheet}", trust_env=False).raise_for_status()
