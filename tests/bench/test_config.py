from pathlib import Path

import pytest

from bench.config import Config
from bench.errors import BenchError

OPS = Path(__file__).parent.parent.parent / "ops"


def write(folder: Path, text: str) -> Path:
    path = folder / "workers-3.env"
    path.write_text(text)
    return path


def test_comments_and_empty_lines_say_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, "# three\n\nTIGERFANS_WORKERS=3\nTIGERFANS_BACKLOG=10\n")
    config = Config.read(path)
    assert (config.name, config.workers) == ("workers-3", 3)
    assert config.variables == {"TIGERFANS_WORKERS": "3", "TIGERFANS_BACKLOG": "10"}


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_the_files_in_ops_are_configurations(workers: int) -> None:
    config = Config.read(OPS / f"workers-{workers}.env")
    assert config.workers == workers


@pytest.mark.parametrize("path", sorted(OPS.glob("workers-*.env")), ids=lambda path: path.name)
def test_each_line_in_ops_is_explained(path: Path) -> None:
    paragraphs = path.read_text().strip().split("\n\n")[1:]
    for paragraph in paragraphs:
        *comments, setting = paragraph.splitlines()
        assert comments, setting
        assert all(line.startswith("#") for line in comments)


@pytest.mark.parametrize(
    "line",
    ["TIGERFANS_WORKERS", "workers=3", "TIGERFANS_WORKERS = 3", 'A="3"', "A=$B", "export A=3"],
)
def test_a_line_that_shells_and_systemd_may_read_differently_is_refused(
    line: str, tmp_path: Path
) -> None:
    with pytest.raises(BenchError, match="line 2"):
        Config.read(write(tmp_path, f"# comment\n{line}\n"))


def test_settings_that_no_shop_starts_with_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"workers-3\.env: TIGERFANS_WORKERS must be"):
        Config.read(write(tmp_path, "TIGERFANS_WORKERS=many\n"))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="cannot be read"):
        Config.read(tmp_path / "none.env")
