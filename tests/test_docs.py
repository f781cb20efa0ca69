"""The documents: whatever they point to is there."""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
DOCUMENTS: Final = sorted(
    {*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "bench/results/README.md"}
)
CODE: Final = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
# [words](target), ![words](target), <img src="target"> and <a href="target">
TARGET: Final = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
ELSEWHERE: Final = re.compile(r"[a-z]+:")


def targets(document: Path) -> set[str]:
    """What a document points to, be it a file of the repository or somewhere else."""
    found = TARGET.findall(CODE.sub("", document.read_text()))
    return {markdown or html for markdown, html in found}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_a_document_points_to_is_there(document: Path) -> None:
    files = {t.partition("#")[0] for t in targets(document) if not ELSEWHERE.match(t)} - {""}
    assert {file for file in files if not (document.parent / file).exists()} == set()
