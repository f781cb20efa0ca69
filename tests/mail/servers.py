"""A mail server for tests: aiosmtpd, which takes what it is sent, and refuses, hangs or hangs up as
it is told to.
"""

import asyncio
import ssl
import warnings
from collections import deque
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

TAKEN = "250 taken"
# Instead of an answer.
HANG = "hang"
HANG_UP = "hang up"


@dataclass
class Received:
    """A mail as the server has it."""

    sender: str
    recipients: list[str]
    content: bytes

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=policy.default)

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain",))
        assert body is not None
        return str(body.get_content())


@dataclass
class MailServer:
    """A server on this machine; `start` and `stop` it as often as wanted.

    `to_rcpt`, `to_data` and `to_mail` are its next answers to that command; with none it takes what
    comes. With a `password` it wants a login as `user`, with a `context` it speaks TLS.
    """

    port: int
    password: str | None = None
    context: ssl.SSLContext | None = None
    starts_tls: bool = False
    is_international: bool = True
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    to_mail: deque[str] = field(default_factory=deque)
    to_rcpt: deque[str] = field(default_factory=deque)
    to_data: deque[str] = field(default_factory=deque)
    logins: list[tuple[str, str]] = field(default_factory=list)
    # How many of the mails came by TLS.
    by_tls: int = 0

    _server: asyncio.Server | None = None
    _transports: list[SMTP] = field(default_factory=list)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        implicit = self.context if not self.starts_tls else None
        self._server = await loop.create_server(
            self._protocol, "127.0.0.1", self.port, ssl=implicit
        )

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for protocol in self._transports:
            _hang_up(protocol)
        await self._server.wait_closed()
        # What serves a connection ends with it, a little later.
        tasks = [p._handler_coroutine for p in self._transports if p._handler_coroutine]
        await asyncio.gather(*tasks, return_exceptions=True)
        self._server = None
        self._transports.clear()

    @property
    def messages(self) -> list[EmailMessage]:
        return [each.message for each in self.received]

    def _protocol(self) -> SMTP:
        self.connections += 1
        with warnings.catch_warnings():
            # Of a login that goes over the net for all to read: here there is no net.
            warnings.simplefilter("ignore", UserWarning)
            protocol = SMTP(
                self,
                hostname="mail.test",
                loop=asyncio.get_running_loop(),
                enable_SMTPUTF8=self.is_international,
                tls_context=self.context if self.starts_tls else None,
                require_starttls=self.starts_tls,
                auth_required=self.password is not None,
                auth_require_tls=False,
                authenticator=self._authenticate if self.password is not None else None,
            )
        self._transports.append(protocol)
        return protocol

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        login = (data.login.decode(), data.password.decode())
        self.logins.append(login)
        return AuthResult(success=login == ("user", self.password), handled=False)

    async def _answered(self, server: SMTP, answers: deque[str]) -> str:
        answer = answers.popleft() if answers else TAKEN
        if answer == HANG:
            # Until the other side, or the test, ends it.
            await asyncio.get_running_loop().create_future()
        if answer == HANG_UP:
            _hang_up(server)
        return answer

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._answered(server, self.to_mail)
        if answer == TAKEN:
            envelope.mail_from = address
        return answer

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._answered(server, self.to_rcpt)
        if answer == TAKEN:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        answer = await self._answered(server, self.to_data)
        if answer == TAKEN:
            content = envelope.content
            assert isinstance(content, bytes)
            self.received.append(Received(envelope.mail_from or "", envelope.rcpt_tos, content))
            self.by_tls += session.ssl is not None or self.context is not None
        return answer


def _hang_up(protocol: SMTP) -> None:
    if isinstance(protocol.transport, asyncio.Transport):
        protocol.transport.abort()
