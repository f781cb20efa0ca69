"""An order's tickets as files: each to keep, all of them to print, QR codes, a calendar entry.

A picture takes 2 to 30 ms to draw, in which nobody else would be served: so it is drawn in a
thread, one at a time, and kept for whoever asks again. The same ticket always yields the same
bytes, so a browser that has them is told so by their digest.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Final, NamedTuple

from litestar.types import HTTPScope, Send

from tigerfans.booking.ids import OrderId
from tigerfans.booking.ticket_sheet import Sheet, ticket_pdf, ticket_png
from tigerfans.booking.tickets import calendar_entry, qr_png, qr_svg
from tigerfans.errors import ShopError, UnavailableError, UnknownOrderError
from tigerfans.http.api.raw import NOT_INDEXED, respond, respond_head
from tigerfans.http.reading import header, is_head
from tigerfans.offer.show import Show
from tigerfans.shop.shop import Shop
from tigerfans.stores.orders import Order

# Of one worker.
KEPT_BYTES_MAX: Final = 8 * 1024 * 1024
# Who waits for a drawing, the one that is drawn included.
DRAWINGS_MAX: Final = 200
ETAG_BYTES: Final = 12

# A ticket never changes; only who knows the order's id may keep a copy.
TICKET_HEADERS: Final = (
    (b"cache-control", b"private, max-age=86400"),
    (b"x-content-type-options", b"nosniff"),
    NOT_INDEXED,
)


class NoTicketError(ShopError):
    """This order has no such ticket, or is not paid."""

    status = 404


class TicketRefundedError(ShopError):
    """This ticket was refunded: it is not valid any more."""

    status = 410


class NoDocumentError(ShopError):
    """An order has no such document."""

    status = 404


class Drawn(NamedTuple):
    """A document's bytes, and the digest by which a browser knows that it has them."""

    content: bytes
    etag: bytes

    @classmethod
    def of(cls, content: bytes) -> "Drawn":
        return cls(content, b'"%b"' % blake2b(content, digest_size=ETAG_BYTES).hexdigest().encode())


class Drawings:
    """Draws what nobody has asked for yet, off the event loop; keeps what was asked for last."""

    def __init__(self, kept_bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._kept_bytes_max = kept_bytes_max
        self._kept: OrderedDict[object, Drawn] = OrderedDict()
        self._kept_bytes = 0
        self._turn = asyncio.Lock()
        self._waiting = 0

    def __repr__(self) -> str:
        return f"<Drawings: {len(self._kept)} kept, {self._waiting} waiting>"

    async def get(self, key: object, draw: Callable[[], bytes]) -> Drawn:
        """What `draw` gives for this key; raises `UnavailableError` where too many wait."""
        if key not in self._kept:
            if self._waiting >= DRAWINGS_MAX:
                raise UnavailableError
            self._waiting += 1
            try:
                async with self._turn:
                    # Whoever was before us may have wanted the same.
                    if key not in self._kept:
                        self._keep(key, Drawn.of(await asyncio.to_thread(draw)))
            finally:
                self._waiting -= 1
        self._kept.move_to_end(key)
        return self._kept[key]

    def _keep(self, key: object, drawn: Drawn) -> None:
        self._kept[key] = drawn
        self._kept_bytes += len(drawn.content)
        while self._kept_bytes > self._kept_bytes_max and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest.content)


class Documents:
    """Serves the documents of a shop's orders."""

    def __init__(self, shop: Shop, public_url: str | None = None) -> None:
        self._shop = shop
        self._public_url = public_url
        self._drawings = Drawings()

    async def serve(self, order_id: OrderId, name: str, scope: HTTPScope, send: Send) -> None:
        """Answers with a document of the order, or of one of its tickets: `tickets/2/qr.svg`.

        Raises `NoDocumentError`, `UnknownOrderError`, `NoTicketError`, `TicketRefundedError`,
        `UnavailableError` where too many are drawn, or what asking for the order raises.
        """
        number, name = _numbered(name)
        order = await self._shop.order(order_id)
        if order is None:
            raise UnknownOrderError
        if number >= len(order.ticket_codes):
            raise NoTicketError
        valid = order.tickets_valid
        if not valid or (name in OF_ONE_TICKET and number not in valid):
            raise TicketRefundedError
        media_type, draw = DOCUMENTS[name]
        if is_head(scope):
            await respond_head(send, [(b"content-type", media_type), *TICKET_HEADERS])
            return
        ticket = Ticket(self._shop, order, number, self._public_url)
        drawn = await self._drawings.get((name, order_id, number, *valid), lambda: draw(ticket))
        headers = [*TICKET_HEADERS, (b"etag", drawn.etag)]
        if _has(header(scope, b"if-none-match"), drawn.etag.decode()):
            await respond_head(send, headers, status=304)
        else:
            await respond(send, 200, drawn.content, media_type=media_type, headers=headers)


class Ticket(NamedTuple):
    """What a document is drawn from: a ticket of an order, by its number from 0 on."""

    shop: Shop
    order: Order
    number: int
    public_url: str | None

    @property
    def code(self) -> str:
        return self.order.ticket_codes[self.number]

    @property
    def door_code(self) -> str:
        """Signed anew each time: to be asked for where it is drawn."""
        return self.shop.door_code(self.order, self.number)

    @property
    def order_id(self) -> str:
        return self.order.id.hex_digits

    @property
    def class_name(self) -> str:
        return self.shop.catalog.class_name(self.order.cls)

    @property
    def show(self) -> Show:
        return self.shop.catalog.offer.show

    @property
    def issued_at(self) -> datetime:
        return self.order.paid_at or self.order.created_at

    @property
    def sheet(self) -> Sheet:
        return Sheet(
            self.code,
            self.door_code,
            self.class_name,
            self.issued_at,
            self.show,
            self.number,
            self.order.qty,
        )

    @property
    def sheets(self) -> list[Sheet]:
        """Of all tickets of the order that are valid."""
        return [self._replace(number=number).sheet for number in self.order.tickets_valid]

    @property
    def page_url(self) -> str | None:
        """Where the order's page is; None where nobody has said where the shop is."""
        path = f"/demo/success?order_id={self.order_id}"
        return None if self.public_url is None else f"{self.public_url}{path}"


def _has(if_none_match: str | None, etag: str) -> bool:
    """Whether a browser has what it asks for; a proxy that packs an answer weakens its tag."""
    if if_none_match is None:
        return False
    return etag in (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))


def _png(ticket: Ticket) -> bytes:
    return qr_png(ticket.door_code)


def _svg(ticket: Ticket) -> bytes:
    return qr_svg(ticket.door_code)


def _ticket_png(ticket: Ticket) -> bytes:
    return ticket_png(ticket.sheet)


def _ticket_pdf(ticket: Ticket) -> bytes:
    return ticket_pdf(ticket.sheets)


def _calendar(ticket: Ticket) -> bytes:
    return calendar_entry(
        [ticket.order.ticket_codes[number] for number in ticket.order.tickets_valid],
        ticket.order_id,
        ticket.class_name,
        ticket.issued_at,
        ticket.show,
        url=ticket.page_url,
    ).encode()


# By its name below the order: its media type, and what draws it. What is of one ticket is there of
# the order's first.
DOCUMENTS: Final[Mapping[str, tuple[bytes, Callable[[Ticket], bytes]]]] = {
    "qr.png": (b"image/png", _png),
    "qr.svg": (b"image/svg+xml", _svg),
    "ticket.png": (b"image/png", _ticket_png),
    "ticket.pdf": (b"application/pdf", _ticket_pdf),
    "ticket.ics": (b"text/calendar; charset=utf-8", _calendar),
}
# Those that are of one ticket, below its number.
OF_ONE_TICKET: Final = ("qr.png", "qr.svg", "ticket.png")

_NUMBERED: Final = re.compile(r"tickets/(\d{1,3})/([a-z.]+)")


def _numbered(name: str) -> tuple[int, str]:
    """The number of a ticket and the name of a document; raises `NoDocumentError`."""
    if name in DOCUMENTS:
        return 0, name
    numbered = _NUMBERED.fullmatch(name)
    if numbered is None or numbered[2] not in OF_ONE_TICKET:
        raise NoDocumentError
    return int(numbered[1]), numbered[2]
