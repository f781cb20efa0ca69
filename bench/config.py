"""The configurations that are compared: files of settings such as `ops/workers-2.env`.

One `NAME=value` a line, and comments: what a shell, systemd and this reader understand alike. So a
value has no spaces, quotes or dollars.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from bench.errors import BenchError
from tigerfans.settings.settings import Settings, SettingsError

_LINE: Final = re.compile(r"([A-Z][A-Z0-9_]*)=([^\s\"'$`\\#]*)")


@dataclass(frozen=True, slots=True)
class Config:
    """One configuration of the shop; `name` is its file's."""

    name: str
    variables: Mapping[str, str]
    workers: int

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises `BenchError` for a file that cannot be read, or that no shop starts with."""
        try:
            lines = path.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise BenchError(f"The configuration {path} cannot be read: {error}.") from None
        variables = {}
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            found = _LINE.fullmatch(line.rstrip())
            if found is None:
                raise BenchError(f"{path}, line {number}: this is not NAME=value: {line.strip()}")
            variables[found[1]] = found[2]
        try:
            settings = Settings.from_environment(variables)
        except SettingsError as error:
            raise BenchError(f"{path}: {error}") from None
        return cls(path.stem, variables, settings.http.workers)
