"""The address of the server that takes the mails, `SMTP_URL`, read here once.

A mistake in it is one sentence, which repeats nothing of the address: any part of it may be the
password's, as `store_urls` says.
"""

from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from tigerfans.settings.store_urls import UrlError

# Of servers that take mail from programs: by TLS from the first byte, from those that log in, and
# from those that need not.
TLS_PORT: Final = 465
LOGIN_PORT: Final = 587
PORT: Final = 25

# Whether a connection changes over to TLS: it has to, it does where that is offered, it does not.
StartTls = Literal["required", "offered", "never"]
_CHOICES: Final[dict[str, StartTls]] = {"required": "required", "never": "never"}


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Who takes the mails. With `uses_tls` all of it goes by TLS from the first byte on."""

    host: str
    port: int
    uses_tls: bool = False
    start_tls: StartTls = "offered"
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Where it is, without who logs in."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_smtp_url(url: str, *, is_near: bool = False) -> SmtpServer:
    """What `smtp://` or `smtps://` names; raises `UrlError`.

    A password goes over the net by TLS only. `is_near` says that the server is on this machine,
    where a certificate proves nothing: TLS is used there where it is asked for.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        host, port, query = None, None, {}
    is_plain = parts.path in ("", "/") and not parts.fragment if host else False
    if not host or not is_plain or parts.scheme not in ("smtp", "smtps") or port == 0:
        raise UrlError(
            "must name a mail server, such as smtp://user:password@mail.example.org:587, with what"
            " is special in user and password percent-encoded."
        )
    username = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    if bool(username) != bool(password):
        raise UrlError("must have both a user and a password, or neither.")
    uses_tls = parts.scheme == "smtps"
    chosen = query.pop("starttls", [])
    if query or len(chosen) > 1 or not _CHOICES.keys() >= set(chosen) or (uses_tls and chosen):
        raise UrlError(
            "takes ?starttls=required or ?starttls=never behind an address of smtp://, and nothing"
            " else."
        )
    start_tls: StartTls
    if chosen:
        start_tls = _CHOICES[chosen[0]]
    elif is_near:
        start_tls = "never"
    else:
        start_tls = "required" if username else "offered"
    if username and start_tls == "never" and not is_near:
        raise UrlError("would send its password over the net for all to read: leave out starttls.")
    usual = TLS_PORT if uses_tls else LOGIN_PORT if username else PORT
    return SmtpServer(host, port or usual, uses_tls, start_tls, username or None, password or None)
