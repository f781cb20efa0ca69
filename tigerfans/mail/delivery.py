"""How a mail leaves: to the server that `SMTP_URL` names, or into a folder where none is named.

Each is a `Delivery`. What goes wrong is a `DeliveryError`, and one function, `judged`, decides what
it means: whether this mail will never be taken, and whether the server is in trouble, which then
has a pause. An answer of 5xx to a recipient or to a message is final, as it is for every mail
server; after one of 4xx, and after a connection that failed, one tries again.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import aiosmtplib

from tigerfans.mail.writing import Letter
from tigerfans.settings.folder import write_whole
from tigerfans.settings.smtp_url import SmtpServer

# Of each step of a conversation, and of all of it.
STEP_SECONDS_MAX: Final = 15.0
SECONDS_MAX: Final = 45.0
QUIT_SECONDS_MAX: Final = 2.0
# Some servers end a connection after so many mails, with an error.
MAILS_PER_CONNECTION_MAX: Final = 50
# The last of them are there to be read; a rush would fill the disk.
FILES_MAX: Final = 1_000
FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700

_CLOSING: Final = 421


class DeliveryError(Exception):
    """A mail was not taken, for a reason in words."""

    def __init__(self, reason: str, *, is_final: bool = False, is_servers: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final
        self.is_servers = is_servers


class Delivery(Protocol):
    """Where mails go, one after the other."""

    async def deliver(self, letter: Letter) -> None:
        """Returns once it was taken; raises `DeliveryError`."""

    async def close(self) -> None:
        """Ends what is open; another mail opens it again."""


OpenDelivery = Callable[[], Delivery]


class SmtpDelivery:
    """One connection, made for the first mail and kept for the next ones."""

    def __init__(
        self, server: SmtpServer, own_name: str, context: ssl.SSLContext | None = None
    ) -> None:
        self._server = server
        self._own_name = own_name
        self._context = context
        self._client: aiosmtplib.SMTP | None = None
        self._taken = 0

    async def deliver(self, letter: Letter) -> None:
        try:
            async with asyncio.timeout(SECONDS_MAX):
                if self._taken >= MAILS_PER_CONNECTION_MAX:
                    await self.close()
                await self._send(letter)
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            failure = judged(error)
            if failure.is_servers:
                self._drop()
            raise failure from error
        except BaseException:
            # In the middle of a conversation nobody goes on with it.
            self._drop()
            raise
        self._taken += 1

    async def check(self) -> None:
        """Connects, logs in where that is wanted, and ends it; raises `DeliveryError`."""
        try:
            async with asyncio.timeout(SECONDS_MAX):
                await self._connected()
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            self._drop()
            raise judged(error) from error
        await self.close()

    async def close(self) -> None:
        client, self._client, self._taken = self._client, None, 0
        if client is None:
            return
        with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            await client.quit(timeout=QUIT_SECONDS_MAX)
        client.close()

    async def _send(self, letter: Letter) -> None:
        client = await self._connected()
        options = ["SMTPUTF8", "BODY=8BITMIME"] if letter.is_international else []
        await client.sendmail(
            letter.sender, [letter.recipient], letter.content, mail_options=options
        )

    async def _connected(self) -> aiosmtplib.SMTP:
        if self._client is not None and self._client.is_connected:
            return self._client
        self._drop()
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            local_hostname=self._own_name,
            timeout=STEP_SECONDS_MAX,
            use_tls=server.uses_tls,
            start_tls={"required": True, "offered": None, "never": False}[server.start_tls],
            tls_context=self._context,
        )
        self._client = client
        await client.connect()
        return client

    def _drop(self) -> None:
        client, self._client, self._taken = self._client, None, 0
        if client is not None:
            client.close()


def judged(error: Exception) -> DeliveryError:
    """What an error of a conversation means for the mail, and for the server."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            return judged(error.recipients[0])
        case aiosmtplib.SMTPRecipientRefused() | aiosmtplib.SMTPDataError():
            is_closing = error.code == _CLOSING
            return DeliveryError(_said(error), is_final=error.code >= 500, is_servers=is_closing)
        case aiosmtplib.SMTPNotSupported() if "SMTPUTF8" in error.message:
            reason = "The mail server takes no addresses with letters outside ASCII."
            return DeliveryError(reason, is_final=True)
        case aiosmtplib.SMTPResponseException():
            return DeliveryError(_said(error), is_servers=True)
        case ValueError():
            return DeliveryError("This is no address that a mail can be sent to.", is_final=True)
    reason = f"{type(error).__name__}: {error}".removesuffix(": ")
    return DeliveryError(reason, is_servers=True)


class FolderDelivery:
    """Writes each mail into a file that any mail program opens, and keeps the newest."""

    def __init__(self, folder: Path, files_max: int = FILES_MAX) -> None:
        self._folder = folder
        self._files_max = files_max
        self._names: list[str] | None = None
        # Mails are sent side by side, and which files there are is known to one thread at a time.
        self._writing = asyncio.Lock()

    async def deliver(self, letter: Letter) -> None:
        try:
            async with self._writing:
                await asyncio.to_thread(self._write, letter)
        except OSError as error:
            raise DeliveryError(f"{self._folder}: {error.strerror}", is_servers=True) from error

    async def close(self) -> None:
        """There is nothing open."""

    def _write(self, letter: Letter) -> None:
        order_id, kind, number = letter.key
        name = f"{order_id.hex_digits}-{kind}-{number}.eml"
        if self._names is None:
            self._folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
            files = sorted(self._folder.glob("*.eml"), key=lambda file: file.stat().st_mtime)
            self._names = [file.name for file in files]
        write_whole(self._folder / name, letter.content)
        (self._folder / name).chmod(FILE_MODE)
        if name not in self._names:
            self._names.append(name)
        while len(self._names) > self._files_max:
            (self._folder / self._names.pop(0)).unlink(missing_ok=True)


def _said(error: aiosmtplib.SMTPResponseException) -> str:
    """What the server said, on one line."""
    return " ".join(f"{error.code} {error.message}".split())
