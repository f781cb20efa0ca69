"""Turns templates into pages and serves what they link to: styles, scripts and pictures.

Templates and static files are read once, when the process starts, from `templates/` inside the
installed package or beside it in a checkout. A page's links to static files carry a hash of all
of them, so browsers may keep each for ever, and a new release is a new address. One hash for all,
instead of one for each, lets a script import its neighbours by their plain names.

Every page carries `SECURITY_HEADERS`. The policy allows nothing inline, nothing from elsewhere,
and no text to become markup in a script: whatever a buyer types reaches a page as text.
"""

import gzip
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from tigerfans.http.negotiation import takes_gzip, takes_page
from tigerfans.offer.accent import accent_css
from tigerfans.offer.money import digits_of, money
from tigerfans.offer.offer import Offer
from tigerfans.offer.show import moment_words
from tigerfans.process.packaged_files import templates_directory
from tigerfans.stores.orders import MAY_CHANGE

CONTENT_SECURITY_POLICY: Final[Mapping[str, str]] = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}


def policy_header(directives: Mapping[str, str]) -> str:
    """The value of the header Content-Security-Policy."""
    return "; ".join(f"{name} {sources}" for name, sources in directives.items())


SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": policy_header(CONTENT_SECURITY_POLICY),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # Order ids stand in addresses: no other site learns them, and no log of a proxy gets them from
    # every picture that a page loads. With `no-referrer`, forms would not say where they are from.
    "Referrer-Policy": "strict-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

# For search engines: nearly every page is one buyer's, or the operator's.
UNLISTED: Final[Mapping[str, str]] = {"X-Robots-Tag": "noindex"}
LISTED: Final[Mapping[str, str]] = {"X-Robots-Tag": "all"}

# A page shows one buyer's order or the stock of this second.
PAGE_HEADERS: Final[Mapping[str, str]] = {"Cache-Control": "no-store", **SECURITY_HEADERS}
STATIC_CACHE_CONTROL: Final = "public, max-age=31536000, immutable"
# Asked for under another release's address, while workers are being replaced.
STATIC_MISMATCH_CACHE_CONTROL: Final = "no-cache"

VERSION_HEX_DIGITS: Final = 12
# Where the organiser has no picture.
NEUTRAL_LOGO: Final = "ticket.svg"
ACCENT_STYLES: Final = "accent.css"
# Of a picture that somebody opens by itself: an organiser's may have a script in it.
PICTURE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
GZIP_SIZE_BYTES_MIN: Final = 512
# Whoever waits for longer is told minutes.
SECONDS_COUNTED_MAX: Final = 90

# Litestar adds the charset of text.
MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css",
    ".csv": "text/csv",
    ".js": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_COMPRESSIBLE: Final = frozenset({".css", ".csv", ".js", ".svg"})

_ERROR_HEADLINES: Final[Mapping[int, str]] = {
    400: "We could not read that",
    401: "Please log in",
    403: "Not for you",
    404: "There is nothing here",
    405: "Not this way",
    413: "That was too much",
    429: "One moment, please",
    503: "The shop is busy",
}


class StaticFile(NamedTuple):
    body: bytes
    gzipped: bytes | None
    media_type: str

    @classmethod
    def read(cls, path: Path) -> "StaticFile":
        """The file, compressed beforehand where that helps; KeyError for an unknown suffix."""
        return cls.of(path.read_bytes(), path.suffix)

    @classmethod
    def of(cls, body: bytes, suffix: str) -> "StaticFile":
        """A file that is made here, as `read`."""
        gzipped = _gzipped(body) if suffix in _COMPRESSIBLE else None
        return cls(body, gzipped, MEDIA_TYPES[suffix])

    def response(self, request: Request[Any, Any, Any], cache_control: str) -> Response[bytes]:
        """The file as this browser takes it."""
        headers = {
            "Cache-Control": cache_control,
            "X-Content-Type-Options": SECURITY_HEADERS["X-Content-Type-Options"],
        }
        if self.media_type == MEDIA_TYPES[".svg"]:
            headers["Content-Security-Policy"] = PICTURE_POLICY
        body = self.body
        if self.gzipped is not None:
            headers["Vary"] = "Accept-Encoding"
            if takes_gzip(request.headers.get("accept-encoding", "")):
                headers["Content-Encoding"], body = "gzip", self.gzipped
        return Response(body, media_type=self.media_type, headers=headers)


class StaticFiles:
    """All files below a folder, held in memory, under addresses that change with their content;
    and those that are `made`, by their names.

    There are few and they are small. What is not in the table cannot be asked for, whatever the
    path says.
    """

    def __init__(self, directory: Path, made: Mapping[str, StaticFile] | None = None) -> None:
        paths = sorted(path for path in directory.rglob("*") if path.is_file())
        self._files = {
            **{path.relative_to(directory).as_posix(): StaticFile.read(path) for path in paths},
            **(made or {}),
        }
        digest = blake2b(digest_size=VERSION_HEX_DIGITS // 2)
        for name, file in self._files.items():
            digest.update(f"{name}\0{len(file.body)}\0".encode() + file.body)
        self.version = digest.hexdigest()

    def url(self, name: str) -> str:
        """The address of a file, such as `/static/0f3a…/style.css`; KeyError where none is."""
        if name not in self._files:
            raise KeyError(f"There is no static file {name!r}.")
        return f"/static/{self.version}/{name}"

    def get(self, name: str) -> StaticFile | None:
        return self._files.get(name)

    def router(self) -> Router:
        """The route that serves these files."""

        @get("/{version:str}/{file_path:path}")
        async def static_file(
            request: Request[Any, Any, Any], version: FromPath[str], file_path: FromPath[str]
        ) -> Response[bytes]:
            file = self.get(file_path.lstrip("/"))
            if file is None:
                raise NotFoundException("There is no such file.")
            current = version == self.version
            cache_control = STATIC_CACHE_CONTROL if current else STATIC_MISMATCH_CACHE_CONTROL
            return file.response(request, cache_control)

        return Router("/static", route_handlers=[static_file], include_in_schema=False)


def _gzipped(body: bytes) -> bytes | None:
    if len(body) < GZIP_SIZE_BYTES_MIN:
        return None
    return gzip.compress(body, mtime=0)


class Renderer:
    """Renders the templates of one folder for one offer; its `static` are the files beside them,
    and the organiser's logo and colour.

    `provider` is what the pages call the payment provider; with `demo` they say that no money is
    meant. `links` stand at the foot of a buyer's page.
    """

    def __init__(
        self,
        offer: Offer,
        directory: Path | None = None,
        *,
        provider: str = "MockPay",
        demo: bool = False,
        links: Mapping[str, str] | None = None,
    ) -> None:
        directory = directory or templates_directory()
        made = {}
        if offer.logo is not None:
            made[logo := f"logo{offer.logo.suffix}"] = StaticFile.of(
                offer.logo.content, offer.logo.suffix
            )
        else:
            logo = NEUTRAL_LOGO
        if offer.accent is not None:
            made[ACCENT_STYLES] = StaticFile.of(accent_css(offer.accent), ".css")
        self.static = StaticFiles(directory / "static", made)
        self._environment = Environment(
            loader=FileSystemLoader(directory),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters.update(
            money=money,
            masked=masked,
            count=count,
            moment=moment,
            instant=instant,
            moment_words=moment_words,
            wait=wait,
            duration=duration,
            about=about,
        )
        self._environment.globals.update(
            static=self.static.url,
            show=offer.show,
            currency=offer.currency,
            currency_digits=digits_of(offer.currency),
            goodie=offer.goodie.name,
            # A folder of a test may be without it.
            logo=self.static.url(logo) if self.static.get(logo) else "",
            accent=offer.accent,
            accent_styles=None if offer.accent is None else self.static.url(ACCENT_STYLES),
            provider=provider,
            demo=demo,
            may_change=MAY_CHANGE,
            links=links or {},
        )

    def render(self, template: str, **context: object) -> str:
        """The template as text."""
        return self._environment.get_template(template).render(context)

    def page(
        self,
        template: str,
        *,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        **context: object,
    ) -> Response[str]:
        """The template as an HTML response with the headers of every page."""
        return Response(
            self.render(template, **context),
            media_type=MediaType.HTML,
            status_code=status_code,
            headers={
                **PAGE_HEADERS,
                **UNLISTED,
                **(headers or {}),
            },
        )

    def error_page(
        self,
        request: Request[Any, Any, Any],
        status_code: int,
        detail: str,
        headers: Mapping[str, str] | None = None,
    ) -> Response[str]:
        """A page that says what went wrong; with `Retry-After` a GET is tried again by itself.

        `detail` is a sentence for the buyer. `headers` are sent along, `WWW-Authenticate` say.
        """
        headers = headers or {}
        retry_after = headers.get("Retry-After", "")
        retries = request.method == "GET" and retry_after.isdecimal()
        return self.page(
            "error.html",
            status_code=status_code,
            headers=headers,
            code=status_code,
            headline=_ERROR_HEADLINES.get(status_code, "Something went wrong"),
            # The framework's own errors say no more than the status does, in its words.
            detail="" if detail == HTTPStatus(status_code).phrase else detail,
            retry_after_seconds=int(retry_after) if retries else None,
        )


def wants_page(request: Request[Any, Any, Any]) -> bool:
    """Whether an error should answer with a page: a browser that is going somewhere."""
    return takes_page(request.headers.get("accept", ""))


def masked(email: str) -> str:
    """Such as `a…@example.org`: whoever has an order's id may see the page, and not the address."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}…@{domain}"


def count(number: int) -> str:
    """Such as `4,999,998`."""
    return f"{number:,}"


def duration(seconds: int) -> str:
    """Such as `5 minutes`, or `90 seconds` where minutes would not be exact."""
    number, unit = (seconds // 60, "minute") if seconds % 60 == 0 else (seconds, "second")
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def wait(seconds: float) -> str:
    """How long there is to wait, such as `3 days 4 hours`; a script counts down in these words."""
    left = max(1, math.ceil(seconds))
    sizes = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
    first = next(at for at, (_, size) in enumerate(sizes) if left >= size)
    words = []
    for unit, size in sizes[first : first + 2]:
        number, left = divmod(left, size)
        if number:
            words.append(f"{number} {unit}" if number == 1 else f"{number} {unit}s")
    return " ".join(words)


def about(seconds: int) -> str:
    """Such as `40 seconds`, or `3 minutes` where nobody counts the seconds: rather too long."""
    return duration(seconds if seconds <= SECONDS_COUNTED_MAX else 60 * math.ceil(seconds / 60))


def moment(when: datetime) -> str:
    """Such as `18 Jun 2027, 08:00:00 UTC`; a script shows the same in local time."""
    when = when.astimezone(UTC)
    return f"{when.day} {when:%b %Y, %H:%M:%S} UTC"


def instant(when: datetime) -> str:
    """Such as `2027-06-18 08:00:00.123`, in UTC: for the operator, who compares times."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{when.microsecond // 1000:03}"
