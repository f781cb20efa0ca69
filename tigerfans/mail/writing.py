"""What a mail says: a message for each kind, as text that stands alone, as HTML, with the tickets.

A pure function of the order and of what the shop is today, so that a mail that is written again is
the same to the byte, its Message-ID included: where one was sent and nobody could mark it, its
reader sees the same mail. To draw the QR codes takes milliseconds each: not on an event loop.

Nothing of an order or of an offer becomes a header by itself: `email` encodes what is not plain,
and refuses what would end a line.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage, MIMEPart
from email.utils import format_datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import idna
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tigerfans.booking.ids import hash_key
from tigerfans.booking.tickets import calendar_entry, qr_png
from tigerfans.offer.accent import accent_colours
from tigerfans.offer.catalog import Catalog
from tigerfans.offer.money import money
from tigerfans.offer.show import moment_words
from tigerfans.process.packaged_files import templates_directory
from tigerfans.stores.mails import MailKey, MailKind
from tigerfans.stores.orders import Order

DIGEST_BYTES: Final = 16
# Signs the code of an order's ticket, by its number from 0 on.
DoorCode = Callable[[Order, int], str]
# Where the offer names no colour: the pages' own.
DEFAULT_ACCENT: Final = "#ff7a1a"
SUBJECT_CHARACTERS_MAX: Final = 150
# Of files without SMTP_URL, where nobody has said whom mails are from.
NOBODY: Final = "tickets@localhost"

_ESCAPED: Final = re.compile(r"\\(.)")
_TICKETS: Final = frozenset({MailKind.TICKETS, MailKind.AGAIN})


class NotWrittenError(Exception):
    """There is nobody to say it to; the message says why."""


class OvertakenError(Exception):
    """There is nothing to say any more: the order's tickets were refunded, of which it tells no
    more than another mail does.
    """


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as it leaves: from whom, and to whom, with the domain in ASCII."""

    key: MailKey
    sender: str
    recipient: str
    content: bytes

    @property
    def is_international(self) -> bool:
        """Whether only servers take it that know of addresses outside ASCII (SMTPUTF8)."""
        return not self.recipient.isascii()


class GivenBack(NamedTuple):
    """What a refund was of: the codes of the tickets, none where there never were any."""

    amount_cents: int
    codes: Sequence[str] = ()


class Ticket(NamedTuple):
    """One of an order's, counted from 1."""

    number: int
    code: str

    @property
    def cid(self) -> str:
        """What the HTML calls its picture."""
        return f"ticket-{self.number}"


class Writer:
    """Writes the mails of one shop; `public_url` is where its pages are, None where nobody said."""

    def __init__(
        self,
        catalog: Catalog,
        secret: str,
        door_code: DoorCode,
        *,
        sender: str | None,
        public_url: str | None = None,
        links: Mapping[str, str] | None = None,
        demo: bool = False,
    ) -> None:
        self._catalog = catalog
        self._door_code = door_code
        self._sender = sender or NOBODY
        self._public_url = public_url
        self._digest = blake2b(digest_size=DIGEST_BYTES, key=hash_key(secret), person=b"mail")
        offer = catalog.offer
        light, dark = accent_colours(offer.accent or DEFAULT_ACCENT)
        # A picture that no mail program fails to show.
        has_logo = offer.logo is not None and offer.logo.suffix == ".png"
        self._logo = offer.logo.content if offer.logo and has_logo else None
        shared = {
            "show": offer.show,
            "goodie": offer.goodie.name,
            "links": links or {},
            "demo": demo,
            "shop_url": public_url,
            "colours": {"light": _named(light), "dark": _named(dark)},
            "has_logo": has_logo,
        }
        self._text, self._html = _environment(shared, is_html=False), _environment(shared)
        # What leads to a reply reaches people, where the offer says how.
        contact = (links or {}).get("Contact", "")
        self._reply_to = contact.removeprefix("mailto:") if contact.startswith("mailto:") else ""

    def write(
        self, key: MailKey, order: Order, created_at: datetime, given_back: GivenBack | None = None
    ) -> Letter:
        """The mail of that key; `given_back` is of one of a refund.

        Raises `NotWrittenError` or `OvertakenError`.
        """
        if not order.email:
            raise NotWrittenError("The order has no email address.")
        if key.kind in _TICKETS and not order.tickets_valid:
            raise OvertakenError
        given_back = given_back or GivenBack(order.amount_cents)
        told = {
            "order": order,
            "kind": key.kind,
            "class_name": self._catalog.class_name(order.cls),
            "tickets": _tickets(order),
            "paid_at": order.paid_at and moment_words(order.paid_at.astimezone(self._zone)),
            "given_back": given_back,
            "url": self._order_url(order),
        }
        message_id = self._message_id(key)
        message = EmailMessage(policy.SMTP if order.email.isascii() else policy.SMTPUTF8)
        recipient = _recipient(order.email)
        show = self._catalog.offer.show
        message["From"] = Address(_plain(show.organiser), addr_spec=self._sender)
        message["To"] = _address(recipient)
        if self._reply_to and self._reply_to != self._sender:
            message["Reply-To"] = Address(addr_spec=self._reply_to)
        message["Subject"] = self._subject(key.kind, order)
        message["Date"] = format_datetime(created_at)
        message["Message-ID"] = f"<{message_id}>"
        # No holiday answers it.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(self._rendered(self._text, "txt", told), cte="quoted-printable")
        html = self._rendered(self._html, "html", told)
        message.add_alternative(html, subtype="html", cte="quoted-printable")
        self._add_files(message, key, order)
        _set_boundaries(message, message_id)
        return Letter(key, self._sender, recipient, message.as_bytes())

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self._catalog.offer.show.time_zone)

    def _order_url(self, order: Order) -> str | None:
        path = f"/demo/success?order_id={order.id.hex_digits}"
        return None if self._public_url is None else f"{self._public_url}{path}"

    def _message_id(self, key: MailKey) -> str:
        digest = self._digest.copy()
        digest.update(key.order_id + f"{key.kind}:{key.number}".encode())
        return f"{digest.hexdigest()}@{self._sender.rpartition('@')[2]}"

    def _subject(self, kind: MailKind, order: Order) -> str:
        show = self._catalog.offer.show
        count = len(order.tickets_valid)
        tickets = "Your ticket" if count == 1 else f"Your {count} tickets"
        about = {
            MailKind.TICKETS: f"{tickets} for {show.name}, {show.short_day}",
            MailKind.AGAIN: f"{tickets} for {show.name}, {show.short_day}",
            MailKind.REFUND_DUE: f"Paid, but sold out: {show.name}",
            MailKind.REFUNDED: f"Your refund for {show.name}",
        }
        return _plain(about[kind])[:SUBJECT_CHARACTERS_MAX]

    def _rendered(self, environment: Environment, suffix: str, told: Mapping[str, Any]) -> str:
        kind = MailKind.TICKETS if told["kind"] in _TICKETS else told["kind"]
        return environment.get_template(f"{kind}.{suffix}").render(told)

    def _add_files(self, message: EmailMessage, key: MailKey, order: Order) -> None:
        """The pictures within the HTML, and beside it what is to be kept."""
        html = next(part for part in message.walk() if part.get_content_subtype() == "html")
        if self._logo is not None:
            _show(html, self._logo, "logo", "logo.png")
        if key.kind not in _TICKETS:
            return
        order_id, tickets = order.id.hex_digits, _tickets(order)
        for ticket in tickets:
            picture = qr_png(self._door_code(order, ticket.number - 1))
            filename = f"{ticket.code}.png"
            _show(html, picture, ticket.cid, filename)
            message.add_attachment(picture, "image", "png", filename=filename)
        entry = calendar_entry(
            [ticket.code for ticket in tickets],
            order_id,
            self._catalog.class_name(order.cls),
            order.paid_at or order.created_at,
            self._catalog.offer.show,
            url=self._order_url(order),
        )
        # As a calendar's file is, whose lines end in CR and LF.
        message.add_attachment(
            entry.encode(),
            "text",
            "calendar",
            filename="show.ics",
            params={"charset": "utf-8", "method": "PUBLISH"},
        )


def _tickets(order: Order) -> list[Ticket]:
    """Those that open the door: of one that was refunded, no mail brings the code."""
    codes = order.ticket_codes
    return [Ticket(number + 1, codes[number]) for number in order.tickets_valid]


def _show(html: Any, picture: bytes, name: str, filename: str) -> None:
    """Puts a picture beside the HTML, which shows it as `cid:name`."""
    html.add_related(
        picture, "image", "png", cid=f"<{name}>", disposition="inline", filename=filename
    )


def _environment(shared: Mapping[str, Any], *, is_html: bool = True) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(templates_directory() / "mail"),
        # What is plain text has nothing to escape.
        autoescape=is_html,  # noqa: S701
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["money"] = money
    environment.globals.update(shared)
    return environment


def _named(colours: Mapping[str, str]) -> dict[str, str]:
    """By names that a template can say."""
    return {name.removeprefix("--").replace("-", "_"): it for name, it in colours.items()}


def _plain(text: str) -> str:
    """On one line, as a header has to be."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _recipient(email: str) -> str:
    """The address with its domain as every server knows it."""
    local, _, domain = email.rpartition("@")
    return f"{local}@{domain if domain.isascii() else idna.encode(domain).decode()}"


def _address(email: str) -> Address:
    """As a header has it. What is quoted in it is quoted there anew, if it has to be."""
    local, _, domain = email.rpartition("@")
    if local.startswith('"'):
        local = _ESCAPED.sub(r"\1", local[1:-1])
    return Address(username=local, domain=domain)


def _set_boundaries(message: EmailMessage, message_id: str) -> None:
    """Between the parts: not random, for a mail that is written again is the same."""
    digest = message_id.partition("@")[0]
    parts: Callable[[], Any] = message.walk
    for number, part in enumerate(parts()):
        if isinstance(part, MIMEPart) and part.is_multipart():
            part.set_boundary(f"=_{digest}_{number}")
