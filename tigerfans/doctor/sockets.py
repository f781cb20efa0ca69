"""Unix sockets as a check sees them: whose they are, and who else gets at them."""

import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SocketFacts:
    """A socket's file; `mode` is its permissions, `is_folder_open` whether others get that far."""

    path: Path
    is_socket: bool
    mode: int
    uid: int
    is_folder_open: bool

    @property
    def is_open(self) -> bool:
        """Whether all other users may connect; a group has been chosen by somebody."""
        return bool(self.mode & 0o007) and self.is_folder_open

    def __str__(self) -> str:
        return f"mode {self.mode:04o}, of user {self.uid}"


def read_socket(path: Path) -> SocketFacts | None:
    """None where there is no such file, or none that we may see."""
    try:
        status = path.stat()
        folders = [folder.stat().st_mode for folder in path.absolute().parents]
    except OSError:
        return None
    return SocketFacts(
        path,
        stat.S_ISSOCK(status.st_mode),
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        all(mode & 0o001 for mode in folders),
    )
