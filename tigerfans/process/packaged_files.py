"""Where the files are that travel inside the package and are no Python."""

from pathlib import Path

import tigerfans


def templates_directory() -> Path:
    """The folder of the templates, in an installed wheel or in a checkout."""
    package = Path(tigerfans.__file__).parent
    for directory in (package / "templates", package.parent / "templates"):
        if (directory / "base.html").is_file():
            return directory
    raise FileNotFoundError(f"The pages' templates are missing: neither in nor beside {package}.")
