"""The rooms of docs/architecture.md: all there are, and no import that runs up."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "tigerfans"

_PAGE: Final = (ROOT / "docs" / "architecture.md").read_text()
_CELL: Final = re.compile(r"^\| (`[a-z_]+(?:/|\.py)`(?:, `[a-z_]+\.py`)*) \|", re.MULTILINE)

# From the top to the bottom, by their names as in an import.
ROOMS: Final = [
    name for cell in _CELL.findall(_PAGE) for name in re.findall(r"`([a-z_]+)(?:/|\.py)`", cell)
]


def room_of(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "tigerfans":
                names = [f"tigerfans.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            # The package itself has a version and nothing else.
            if package == "tigerfans" and rest and not rest.startswith("__"):
                yield rest.partition(".")[0]


def test_the_page_names_every_room_there_is() -> None:
    there = {room_of(module) for module in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}
    assert sorted(ROOMS) == sorted(there)


def test_no_room_imports_from_one_above_it() -> None:
    rank = {name: number for number, name in enumerate(ROOMS)}
    upwards = [
        f"{module.relative_to(PACKAGE)} imports {imported}"
        for module in sorted(PACKAGE.rglob("*.py"))
        if room_of(module) in rank
        for imported in imported_rooms(module)
        if rank[imported] < rank[room_of(module)]
    ]
    assert not upwards


def test_http_and_the_sequencer_share_nothing_but_what_is_below_both() -> None:
    for room, other in (("http", "sequencer"), ("sequencer", "http")):
        imported = {name for m in (PACKAGE / room).rglob("*.py") for name in imported_rooms(m)}
        assert other not in imported
