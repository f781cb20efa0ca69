"""What a process prints, kept in a file that does not grow over many runs."""

from pathlib import Path
from typing import BinaryIO, Final

BYTES_MAX: Final = 10 * 1024 * 1024
TAIL_BYTES: Final = 4096
TAIL_LINES: Final = 10


class Log:
    """The log of one program. `start_run` opens it for a process, `tail` is for that run only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._run_start = 0

    def start_run(self) -> BinaryIO:
        """Opens the file to append; one that is full becomes PATH.1, and the one before is lost."""
        if self.path.exists() and self.path.stat().st_size > BYTES_MAX:
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        file = self.path.open("ab")
        self._run_start = file.tell()
        return file

    def tail(self) -> list[str]:
        """The last lines of this run; none where they cannot be read."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(self._run_start, size - TAIL_BYTES))
                return file.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
        except OSError:
            return []
