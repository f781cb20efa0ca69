"""docs/reliability.md names tests and bounds; each of them is there."""

import re
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()

# `file.py::name`, where … is the file named last.
CITED = re.compile(r"`(…|[\w/]+\.py)(?:::(\w+))?`")
BOUND = re.compile(r"`([a-z_.]+)\.([A-Z][A-Z_]+)`")


def test_every_test_it_cites_exists() -> None:
    cited = CITED.findall(PAGE.replace("tests/", ""))
    assert len(cited) > 40
    file = ""
    for named, test in cited:
        file = file if named == "…" else named
        path = ROOT / "tests" / file
        if not path.exists():
            path = ROOT / "tigerfans" / file
        source = path.read_text()
        assert not test or re.search(
            rf"^(async def|def|class) {test}\b|^{test} = ", source, re.MULTILINE
        ), f"{file} has no {test}"


def test_every_bound_it_names_exists() -> None:
    bounds = BOUND.findall(PAGE)
    assert len(bounds) > 8
    for module, name in bounds:
        assert hasattr(import_module(f"tigerfans.{module}"), name), f"{module} has no {name}"
