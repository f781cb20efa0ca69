"""What a process counts that sends mails."""

from enum import StrEnum

from tigerfans.ipc.stats import Family
from tigerfans.stores.mails import MailCounts


class MailEnd(StrEnum):
    """What became of an attempt to send a mail."""

    SENT = "sent"
    # To be tried again.
    FAILED = "failed"
    GIVEN_UP = "given_up"


class MailCounters:
    """Attempts since the process started, by what became of them, and what is in the outbox."""

    def __init__(self) -> None:
        self.ends = dict.fromkeys(MailEnd, 0)
        self.outbox: MailCounts | None = None

    def families(self) -> list[Family]:
        ends = Family(
            name="tigerfans_mails_total",
            type="counter",
            help="Attempts to send a mail, by what became of them.",
            labels=["end"],
            samples=[{"labels": [end], "value": count} for end, count in self.ends.items()],
        )
        if self.outbox is None:
            return [ends]
        counts = self.outbox._asdict()
        outbox = Family(
            name="tigerfans_mails_outbox",
            type="gauge",
            help="Mails that wait, those of them that have failed, and those that were given up.",
            labels=["state"],
            samples=[{"labels": [state], "value": count} for state, count in counts.items()],
        )
        return [ends, outbox]
