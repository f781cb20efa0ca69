"""Do the buyers get their mails: is there a server that takes them, and do none lie about?"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from tigerfans.doctor.findings import Findings
from tigerfans.mail.delivery import DeliveryError, SmtpDelivery
from tigerfans.mail.opening import own_name
from tigerfans.settings.folder import MAIL_FOLDER
from tigerfans.settings.settings import Settings
from tigerfans.stores.away_postgresql import NO_ANSWER
from tigerfans.stores.mails import OutboxLook, look_at_outbox

AREA: Final = "mail"
SECONDS_MAX: Final = 5.0
# A clerk that runs sends within a second, but for what the rate holds back in a rush.
WAIT_MAX: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class MailFacts:
    """`trouble` is what the mail server says, empty where all is well; None where there is none.
    `outbox` is None where PostgreSQL has none or does not answer.
    """

    trouble: str | None
    outbox: OutboxLook | None


async def check_mail(settings: Settings) -> Findings:
    trouble, outbox = await asyncio.gather(_ask_server(settings), _look(settings))
    return judge_mail(MailFacts(trouble, outbox), settings)


def judge_mail(facts: MailFacts, settings: Settings) -> Findings:
    findings = Findings(AREA, settings.environment)
    server = settings.mail.server
    if server is None:
        found = f"not set: mails are files below {settings.data / MAIL_FOLDER}"
        advice = "Set it to your mail server (docs/mail.md), or buyers have the page alone."
        findings.warn("SMTP_URL", found, advice)
    elif facts.trouble:
        advice = "Correct SMTP_URL, or see to the mail server. What waits is sent then."
        findings.bad("SMTP_URL", f"{server}: {facts.trouble}", advice)
    else:
        findings.good("SMTP_URL", f"{server}, as {settings.mail_sender}")
    if facts.outbox is not None:
        _judge_outbox(facts.outbox, findings)
    return findings


def _judge_outbox(outbox: OutboxLook, findings: Findings) -> None:
    counts = outbox.counts
    if counts.given_up or counts.failing:
        found = f"{counts.failing:,} have failed, {counts.given_up:,} were given up"
        findings.warn("outbox", found, "See at /admin/mails what the mail server said of them.")
    elif outbox.oldest_waits > WAIT_MAX:
        minutes = outbox.oldest_waits // timedelta(minutes=1)
        found = f"{counts.waiting:,} wait, the oldest for {minutes:,} minutes"
        advice = "Is there a clerk? After a rush, raise TIGERFANS_MAIL_PER_SECOND if you may."
        findings.warn("outbox", found, advice)
    else:
        findings.good("outbox", f"{counts.waiting:,} wait")


async def _ask_server(settings: Settings) -> str | None:
    server = settings.mail.server
    if server is None:
        return None
    try:
        async with asyncio.timeout(SECONDS_MAX):
            await SmtpDelivery(server, own_name(settings)).check()
    except TimeoutError:
        return f"no answer within {SECONDS_MAX:.0f} s"
    except DeliveryError as error:
        return str(error)
    return ""


async def _look(settings: Settings) -> OutboxLook | None:
    url = settings.stores.database_url
    if url is None:
        return None
    try:
        return await look_at_outbox(url, SECONDS_MAX)
    except NO_ANSWER:
        return None
