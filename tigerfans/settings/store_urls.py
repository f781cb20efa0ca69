"""What the addresses of the stores name, where that is more than one host.

`DATABASE_URL` names the hosts of one database, of which one takes writes at a time; `REDIS_URL` may
name the Sentinels that know which Redis does. Each is read here once, and a mistake in it is one
sentence. That sentence repeats nothing of the address: with a password that is written as it is,
and not percent-encoded, any part of it may be the password's.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

POSTGRESQL_PORT: Final = 5432
SENTINEL_PORT: Final = 26379
SENTINEL_SCHEME: Final = "redis+sentinel"
PORT_MAX: Final = 65_535

# All that a shop can work with: it writes.
_ATTRIBUTES: Final = frozenset({"any", "primary", "read-write"})
# Not `urlsplit`: newer versions of Python refuse a list that mixes IPv6 with other addresses.
_URL: Final = re.compile(
    r"(?P<scheme>[a-z+]+)://(?:(?P<user>[^/?#@]*)@)?(?P<hosts>[^/?#]*)"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?"
)
_HOST: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.%]+)\]|(?P<name>[^\[\]:@]+))(?::(?P<port>.*))?"
)


class UrlError(ValueError):
    """An address that names no store; the message goes on after the name of its variable."""


class Host(NamedTuple):
    """Where one server listens; a `name` that begins with / is the folder of its Unix socket."""

    name: str
    port: int

    def __str__(self) -> str:
        if self.name.startswith("/"):
            return self.name
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A `DATABASE_URL`: its `hosts`, none where it leaves that to the defaults, and the rest of it
    in a form that is good for each of them, with the password and without.
    """

    hosts: tuple[Host, ...]
    rest: str = field(repr=False)
    public_rest: str
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """A `REDIS_URL` that names Sentinels, and the `name` by which these know the primary."""

    sentinels: tuple[Host, ...]
    name: str
    database: int
    username: str | None
    password: str | None = field(repr=False)
    sentinel_username: str | None
    sentinel_password: str | None = field(repr=False)


def read_database_url(url: str) -> DatabaseUrl:
    """Raises `UrlError`."""
    match = _URL.fullmatch(url)
    if match is None or match["scheme"] not in ("postgresql", "postgres"):
        raise UrlError("must be a URL such as postgresql://user:password@host/database.")
    if "@" in (match["path"] or ""):
        # What stands before it would be taken for a host.
        raise _not_hosts()
    query = _query(match["query"])
    attributes = query.get("target_session_attrs", "any")
    if attributes not in _ATTRIBUTES:
        raise UrlError(
            "must find a host that takes writes: give it target_session_attrs=read-write."
        )
    if match["hosts"]:
        hosts = tuple(_hosts(match["hosts"], POSTGRESQL_PORT))
    elif "host" in query:
        hosts = tuple(_hosts_of_query(query["host"], query.get("port", "")))
    else:
        hosts = ()
    user, colon, password = (match["user"] or "").partition(":")
    path, others = match["path"] or "", _others(match["query"], {"host", "port"})
    return DatabaseUrl(
        # One that is named twice is one.
        hosts=tuple(dict.fromkeys(hosts)),
        rest=_join(match["scheme"], f"{user}{colon}{password}", path, others),
        public_rest=_join(match["scheme"], user, path, _others(others, {"password"})),
        password=unquote(password) or query.get("password"),
    )


def _join(scheme: str, user: str, path: str, query: str) -> str:
    return f"{scheme}://{user}{'@' * bool(user)}{path}{'?' * bool(query)}{query}"


def _others(query: str | None, names: Collection[str]) -> str:
    """Of the options of an address those with none of these names, as they are written."""
    options = (query or "").split("&")
    return "&".join(each for each in options if each.partition("=")[0] not in names)


def check_redis_url(url: str) -> None:
    """Of an address of one Redis, which redis-py reads; raises `UrlError`."""
    try:
        # Else it is what a password has after a character that should have been encoded.
        _ = urlsplit(url).port
    except ValueError:
        raise UrlError("must name host:port, and have its password percent-encoded.") from None


def is_sentinel_url(url: str) -> bool:
    return url.startswith(f"{SENTINEL_SCHEME}:")


def read_sentinel_url(url: str) -> SentinelUrl:
    """Raises `UrlError`."""
    match = _URL.fullmatch(url)
    name, _, database = (match["path"] or "").lstrip("/").partition("/") if match else ("", "", "")
    if match is None or not match["hosts"] or not name or not (database or "0").isdecimal():
        raise UrlError(
            "must name Sentinels, the primary's name there and a number of a database, such as"
            f" {SENTINEL_SCHEME}://:password@10.0.0.1:{SENTINEL_PORT},10.0.0.2:{SENTINEL_PORT}"
            "/tigerfans/0."
        )
    query = _query(match["query"])
    if query.keys() - {"sentinel_username", "sentinel_password"}:
        raise UrlError("knows no options of Sentinels but sentinel_username and sentinel_password.")
    username, _, password = (match["user"] or "").partition(":")
    return SentinelUrl(
        sentinels=tuple(_hosts(match["hosts"], SENTINEL_PORT)),
        name=unquote(name),
        database=int(database or "0"),
        username=unquote(username) or None,
        password=unquote(password) or None,
        sentinel_username=query.get("sentinel_username"),
        sentinel_password=query.get("sentinel_password"),
    )


def _query(text: str | None) -> dict[str, str]:
    """The options of an address; of one that comes twice, the last one counts."""
    try:
        options = parse_qs(text or "", strict_parsing=bool(text))
    except ValueError:
        raise UrlError("must have its options as name=value, with & between them.") from None
    return {name: values[-1] for name, values in options.items()}


def _hosts(text: str, default_port: int) -> Iterator[Host]:
    for part in text.split(","):
        match = _HOST.fullmatch(part)
        if match is None:
            raise _not_hosts()
        port = match["port"] or ""
        yield Host(unquote(match["ipv6"] or match["name"]), _port(port) if port else default_port)


def _hosts_of_query(names: str, ports: str) -> Iterator[Host]:
    """As libpq reads `?host=…&port=…`: one port for each of them, or one for all."""
    parts = names.split(",")
    numbers = [_port(port) for port in ports.split(",")] if ports else []
    if len(numbers) == 1:
        numbers *= len(parts)
    if numbers and len(numbers) != len(parts):
        raise UrlError("must have as many ports as hosts, or one port for all.")
    for index, part in enumerate(parts):
        if part.startswith("/"):
            yield Host(part, numbers[index] if numbers else POSTGRESQL_PORT)
        else:
            [host] = _hosts(part, POSTGRESQL_PORT)
            yield Host(host.name, numbers[index]) if numbers else host


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= PORT_MAX:
        raise _not_hosts()
    return int(text)


def _not_hosts() -> UrlError:
    return UrlError(
        "must name its hosts as host:port with a comma between them, and have its password"
        " percent-encoded."
    )
