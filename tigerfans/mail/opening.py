"""Puts together what sends a shop's mails, from its settings."""

from functools import partial
from typing import Final
from urllib.parse import urlsplit

from tigerfans.mail.delivery import FolderDelivery, OpenDelivery, SmtpDelivery
from tigerfans.mail.sending import Sender
from tigerfans.mail.writing import NOBODY, DoorCode, Writer
from tigerfans.offer.catalog import Catalog
from tigerfans.settings.folder import MAIL_FOLDER
from tigerfans.settings.settings import Settings
from tigerfans.stores.mails import Mails
from tigerfans.stores.orders import Orders
from tigerfans.stores.token_bucket import Rate, RunScript, SharedTokenBucket
from tigerfans.telemetry.mails import MailCounters

# In Redis, for all clerks of a shop.
RATE_KEY: Final = "mails"


def open_sender(
    settings: Settings,
    catalog: Catalog,
    orders: Orders,
    door_code: DoorCode,
    run: RunScript,
    counters: MailCounters,
) -> Sender:
    """Who sends this shop's mails; `run` runs a script in its Redis."""
    per_second = settings.mail.per_second
    writer = Writer(
        catalog,
        settings.ticket_secret,
        door_code,
        sender=settings.mail_sender,
        public_url=settings.http.public_url,
        links=settings.foot_links,
        demo=settings.demo,
    )
    return Sender(
        Mails(orders.database),
        orders,
        writer,
        open_delivery(settings),
        SharedTokenBucket(run, RATE_KEY, Rate(per_second, per_second), workers=1),
        per_second=per_second,
        counters=counters,
    )


def open_delivery(settings: Settings) -> OpenDelivery:
    """Where the mails of these settings go."""
    server = settings.mail.server
    if server is None:
        folder = FolderDelivery(settings.data / MAIL_FOLDER)
        return lambda: folder
    return partial(SmtpDelivery, server, own_name(settings))


def own_name(settings: Settings) -> str:
    """What a mail server is told that this machine is called: a name that the net knows, if any."""
    public = urlsplit(settings.http.public_url or "").hostname
    return public or (settings.mail_sender or NOBODY).rpartition("@")[2]
