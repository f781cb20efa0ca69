"""Where in a TOML file something stands: `tomllib` tells the line of what is no TOML, and no other.

A small scan, line by line, for headers and keys. What it does not see, the keys of an inline table
say, has the line of what it stands in.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

# From the top, such as ("class", 0, "price").
Path = tuple[str | int, ...]

_BARE_OR_QUOTED: Final = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_DOTTED: Final = rf"{_BARE_OR_QUOTED}(?:\s*\.\s*{_BARE_OR_QUOTED})*"
_TABLES: Final = re.compile(rf"\s*\[\[\s*({_DOTTED})\s*\]\]")
_TABLE: Final = re.compile(rf"\s*\[\s*({_DOTTED})\s*\]\s*(?:#|$)")
_KEY: Final = re.compile(rf"\s*({_DOTTED})\s*=")
_PART: Final = re.compile(_BARE_OR_QUOTED)
_LONG_QUOTES: Final = re.compile(r'"""|\'\'\'')


class Lines:
    """The lines of a file's tables and keys, counted from 1."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        within: Path = ()
        seen: Counter[Path] = Counter()
        # The quotes of the text over several lines that we are in.
        quotes = ""
        for number, line in enumerate(text.splitlines(), start=1):
            if not quotes:
                if tables := _TABLES.match(line):
                    name = _parts(tables[1])
                    within = (*name, seen[name])
                    seen[name] += 1
                    self._lines[within] = number
                elif table := _TABLE.match(line):
                    within = _parts(table[1])
                    self._lines[within] = number
                elif key := _KEY.match(line):
                    self._lines.setdefault((*within, *_parts(key[1])), number)
            for found in _LONG_QUOTES.findall(line):
                if not quotes:
                    quotes = found
                elif quotes == found:
                    quotes = ""

    def of(self, path: Sequence[str | int]) -> int:
        """The line of a key or a table, or of what it is in; 1 where there is neither."""
        for length in range(len(path), 0, -1):
            if line := self._lines.get(tuple(path[:length])):
                return line
        return 1


def _parts(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))
