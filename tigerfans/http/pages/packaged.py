"""Scripts and styles that come out of an installed package: no page loads any from another host.

Such a package is optional. It is only looked for, never imported, and its files are read when the
first reader asks for them: megabytes that a worker needs for nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from tigerfans.http.pages.rendering import STATIC_CACHE_CONTROL, StaticFile


@dataclass(frozen=True)
class Packaged:
    """Files of a package, to be served below `place`; `release` makes their addresses its own."""

    place: str
    release: str
    folder: Path
    names: tuple[str, ...]

    @classmethod
    def find(
        cls, place: str, package: str, inside: str, names: Sequence[str], distribution: str = ""
    ) -> "Packaged | None":
        """The files of the folder `inside`, which is a pattern; None where one is not there."""
        spec = find_spec(package)
        for location in (spec.submodule_search_locations or ()) if spec else ():
            for folder in Path(location).glob(inside):
                if all((folder / name).is_file() for name in names):
                    return cls(place, version(distribution or package), folder, tuple(names))
        return None

    @property
    def urls(self) -> list[str]:
        return [f"{self.place}/{self.release}/{name}" for name in self.names]

    @cached_property
    def files(self) -> Mapping[str, StaticFile]:
        return {name: StaticFile.read(self.folder / name) for name in self.names}

    def route(self) -> HTTPRouteHandler:
        """Serves the files; it reads them, so not on the event loop."""

        @get(f"{self.place}/{{release:str}}/{{name:str}}", sync_to_thread=True)
        def packaged_file(
            request: Request[Any, Any, Any], release: FromPath[str], name: FromPath[str]
        ) -> Response[bytes]:
            if release != self.release or name not in self.files:
                raise NotFoundException("There is no such file.")
            return self.files[name].response(request, STATIC_CACHE_CONTROL)

        return packaged_file
