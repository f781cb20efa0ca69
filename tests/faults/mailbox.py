"""The mail server that the shop's mails go to, and what every buyer found in their mailbox.

A mail that comes again has the same Message-ID, and a reader sees one; so mails are counted by
that, and those that came again are counted apart. For a while the server is away: it ends all
connections, in the middle of a mail as well, and refuses new ones.
"""

import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from tests.harness.ports import HOST, free_port
from tests.mail.servers import MailServer, Received

SENDER = "tickets@example.org"
# So that nobody waits for a turn.
PER_SECOND = 100

_TICKET_CODE = re.compile(r"\bTF(?:-[0-9A-Z]{4}){3}\b")


class Mail(NamedTuple):
    """A mail as its reader has it: of the tickets that its text names, all codes."""

    message_id: str
    codes: Sequence[str]
    is_refund: bool = False


class _Inbox(list[Received]):
    """Keeps of a mail what is asked about later: a long run has thousands, each with pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: defaultdict[str, dict[str, Mail]] = defaultdict(dict)
        self.came: Counter[str] = Counter()
        self.violations: list[str] = []

    def append(self, received: Received) -> None:
        [recipient] = received.recipients
        message_id = str(received.message["Message-ID"])
        is_refund = str(received.message["Subject"]).startswith("Your refund")
        mail = Mail(message_id, tuple(_TICKET_CODE.findall(received.text)), is_refund)
        before = self.mails[recipient].setdefault(message_id, mail)
        # Of tickets that were refunded meanwhile it has the codes no more.
        if not set(mail.codes) <= set(before.codes) or mail.is_refund != before.is_refund:
            self.violations.append(f"{message_id} says something else than it did before")
        self.came[message_id] += 1


class Mailbox:
    """All mails of a run; `open` serves them until a block ends."""

    def __init__(self) -> None:
        self._inbox = _Inbox()
        self._server = MailServer(free_port(), received=self._inbox)

    @classmethod
    @asynccontextmanager
    async def open(cls) -> "AsyncIterator[Mailbox]":
        mailbox = cls()
        await mailbox._server.start()
        try:
            yield mailbox
        finally:
            await mailbox._server.stop()

    @property
    def settings(self) -> dict[str, str]:
        """What the shop's environment needs."""
        return {
            "SMTP_URL": f"smtp://{HOST}:{self._server.port}",
            "TIGERFANS_MAIL_FROM": SENDER,
            "TIGERFANS_MAIL_PER_SECOND": str(PER_SECOND),
        }

    @property
    def mails(self) -> Mapping[str, Sequence[Mail]]:
        """The mails to each address, those that came again once."""
        return {to: list(mails.values()) for to, mails in self._inbox.mails.items()}

    @property
    def came_again(self) -> int:
        return self._inbox.came.total() - len(self._inbox.came)

    @property
    def violations(self) -> Sequence[str]:
        return self._inbox.violations

    async def go_away(self) -> Callable[[], Awaitable[None]]:
        """It comes back by what this gives."""
        await self._server.stop()
        return self._server.start
