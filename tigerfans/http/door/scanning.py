"""What devices at the door ask: to let tickets in, to take that back, how many are inside, and
which tickets have ended, for when they are offline.

A request has many scans, and each of them an answer of its own: one that cannot be read never keeps
the others from theirs. So the array is taken apart before its scans are looked at.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from litestar import Router, get, post
from litestar.params import JSONBody, Parameter, QueryParameter
from litestar.types import Guard
from msgspec import Meta

from tigerfans.booking.ends import Ticket
from tigerfans.booking.scan_texts import SCAN_CHARACTERS_MAX
from tigerfans.door.door import ENDS_MAX, SCANS_MAX, Case, Door, Figures, Presentation, Undone
from tigerfans.errors import InvalidRequestError
from tigerfans.http.office.auth import OPERATOR, Asked, same_origin_guard
from tigerfans.http.office.parameters import known_parameters
from tigerfans.http.reading import body_in_time
from tigerfans.offer.catalog import Catalog
from tigerfans.office.permissions import Permission
from tigerfans.shop.answers import ClassText, Count, Moment
from tigerfans.stores.door_scans import (
    GATE_CHARACTERS_MAX,
    EndCursor,
    EndRow,
    EndState,
    GateFigures,
    ScanResult,
)

SCANS_PATH: Final = "/api/door/scans"
UNDO_PATH: Final = "/api/door/undo"
# Of each scan, its text as JSON may write it at the longest, and the other fields.
BODY_BYTES_MAX: Final = SCANS_MAX * (6 * SCAN_CHARACTERS_MAX + 1_024)
DEVICE_CHARACTERS_MAX: Final = 64
# Of what a scan that cannot be read says that its id is.
SCAN_ID_CHARACTERS_MAX: Final = 64
# Numbers beyond are not the same in every program.
MILLISECONDS_MAX: Final = 2**53 - 1
KEY_HEX_DIGITS: Final = 16

# Printable, and no space at its ends; Python's `$` would let a line's end through.
_ONE_LINE: Final = r"^[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$(?!\n)"

ScanId = Annotated[UUID, Meta(description="128 bits that the device makes once for each scan.")]
Gate = Annotated[str, Meta(max_length=GATE_CHARACTERS_MAX, pattern=_ONE_LINE)]
Device = Annotated[str, Meta(max_length=DEVICE_CHARACTERS_MAX, pattern=_ONE_LINE)]
Milliseconds = Annotated[int, Meta(ge=0, le=MILLISECONDS_MAX)]


class ScanBody(msgspec.Struct):
    """A text that was held up to a device, of a QR code or typed; `scanned_at` is milliseconds
    since 1970 by the device's clock, `offline` says that the device has let its holder in already.
    """

    scan_id: ScanId
    text: str
    gate: Gate
    device: Device
    scanned_at: Milliseconds
    offline: bool = False


Result = Literal[
    "admitted",
    "already_inside",
    "refunded",
    "not_paid",
    "hall_full",
    "unknown",
    "forged",
    "wrong_shop",
    "invalid",
]


class ScanAnswer(msgspec.Struct):
    """What a scan came to, the same one whenever it is told again.

    `admitted_at_iso` and `gate` are when and where the ticket got in, by this scan or by the one
    that came first: the ledger's time. `ticket` of `tickets` counts from 1; a `goodie` goes with
    the first one. `order` is what the box office finds the order by. An `incident` is a ticket that
    was let in offline, and had been let in or refunded before; `undone` is an admission that was
    taken back.
    """

    scan_id: str | None
    result: Result
    detail: str | None = None
    cls: ClassText | None = None
    class_name: str | None = None
    ticket: int | None = None
    tickets: int | None = None
    goodie: str | None = None
    email_initial: str | None = None
    order: str | None = None
    admitted_at_iso: Moment | None = None
    refunded_at_iso: Moment | None = None
    gate: str | None = None
    incident: bool = False
    undone: bool = False

    @classmethod
    def of(cls, case: Case, catalog: Catalog) -> "ScanAnswer":
        scan_id = str(UUID(bytes=case.presentation.scan_id))
        answer = cls(scan_id, case.result, case.detail, incident=case.is_incident)  # type: ignore[arg-type]
        order, ticket = case.order, case.ticket
        if order is None or ticket is None:
            return answer
        at = None if case.at is None else case.at.isoformat()
        is_refunded = case.result == ScanResult.REFUNDED
        answer.cls, answer.class_name = order.cls, catalog.class_name(order.cls)
        answer.ticket, answer.tickets = ticket.number + 1, order.qty
        if order.got_goodie and ticket.number == 0:
            answer.goodie = catalog.offer.goodie.name
        answer.email_initial = order.email[:1] or None
        answer.order = order.id.short
        answer.admitted_at_iso = None if is_refunded else at
        answer.refunded_at_iso = at if is_refunded else None
        answer.gate, answer.undone = case.gate, case.is_undone
        return answer


class UndoBody(msgspec.Struct):
    """The scan whose admission is taken back, and the device that it was."""

    scan_id: ScanId
    device: Device


class UndoAnswer(msgspec.Struct):
    """That the ticket is outside again, and since when; the next scan lets it in."""

    scan_id: str
    result: Literal["undone"]
    undone_at_iso: Moment

    @classmethod
    def of(cls, undone: Undone) -> "UndoAnswer":
        scan_id = str(UUID(bytes=undone.scan.scan_id))
        return cls(scan_id, "undone", undone.at.isoformat())


class InsideItem(msgspec.Struct):
    """How many of a class are inside, of how many that are sold: the ledger's balances."""

    cls: ClassText
    name: str
    inside: Count
    sold: Count


class GateItem(msgspec.Struct):
    """What a gate did: how many it let in and not out again, how often an admission was undone, how
    many scans let nobody in, and how many of these were let in offline.
    """

    name: str
    admitted: Count
    undone: Count
    refused: Count
    incidents: Count
    last_at_iso: Moment
    classes: dict[str, int]

    @classmethod
    def of(cls, rows: Sequence[GateFigures]) -> "GateItem":
        """From the rows of one gate."""
        return cls(
            name=rows[0].gate,
            admitted=sum(row.admitted for row in rows),
            undone=sum(row.undone for row in rows),
            refused=sum(row.refused for row in rows),
            incidents=sum(row.incidents for row in rows),
            last_at_iso=max(row.last_at for row in rows).isoformat(),
            classes={row.cls: row.admitted for row in rows},
        )


class FiguresAnswer(msgspec.Struct):
    """How many are inside, of how many that are sold, by class and by gate; `places` is how many
    the hall takes, null where that is not said. Some seconds old at most.
    """

    inside: Count
    sold: Count
    places: Count | None
    places_left: Count | None
    incidents: Count
    classes: Sequence[InsideItem]
    gates: Sequence[GateItem]

    @classmethod
    def of(cls, figures: Figures, catalog: Catalog) -> "FiguresAnswer":
        gates: dict[str, list[GateFigures]] = {}
        for row in figures.gates:
            gates.setdefault(row.gate, []).append(row)
        return cls(
            inside=sum(each.inside for each in figures.classes),
            sold=sum(each.sold for each in figures.classes),
            places=figures.places,
            places_left=figures.places_left,
            incidents=sum(row.incidents for row in figures.gates),
            classes=[
                InsideItem(each.cls, catalog.class_name(each.cls), each.inside, each.sold)
                for each in figures.classes
            ],
            gates=[GateItem.of(rows) for rows in gates.values()],
        )


class EndItem(msgspec.Struct):
    """A ticket that got in, was refunded, or was let out and is valid again, at `at` milliseconds
    since 1970. `key` is the beginning of SHA-256 over `<order id>:<ticket>`, the first ticket is 0:
    who has scanned a ticket knows it, and nobody learns of other tickets by it.
    """

    key: Annotated[str, Meta(extra_json_schema={"pattern": f"^[0-9a-f]{{{KEY_HEX_DIGITS}}}$"})]
    state: EndState
    at: Count
    gate: str

    @classmethod
    def of(cls, row: EndRow) -> "EndItem":
        return cls(end_key(row.ticket), row.state, round(row.at.timestamp() * 1_000), row.gate)


class EndsAnswer(msgspec.Struct):
    """A page of tickets' ends, in the order in which they became known; a ticket may come again,
    and the last time counts. `next` is where to go on, at once where there is `more`.
    """

    items: Sequence[EndItem]
    next: str
    more: bool


Limit = Annotated[int, Parameter(ge=1, le=ENDS_MAX, description="How many items at most.")]
After = Annotated[str, QueryParameter(description="`next` of the page before.")]

_items: Final = msgspec.json.Decoder(list[msgspec.Raw])
_scan: Final = msgspec.json.Decoder(ScanBody)


def scanning_routes(door: Door, catalog: Catalog, guard: Guard) -> Router:
    """The door as JSON."""

    @post(
        SCANS_PATH,
        permission=Permission.SCAN,
        status_code=200,
        guards=[same_origin_guard],
        request_max_body_size=BODY_BYTES_MAX,
        middleware=[body_in_time],
    )
    async def scan_tickets(request: Asked) -> list[ScanAnswer]:
        """Lets tickets in: an answer to each scan, in their order.

        A scan that was told before is answered as before. After a 503, send the same ones again.
        """
        read = _read_scans(await request.body())
        presentations = [each for each in read if isinstance(each, Presentation)]
        cases = iter(await door.scan(presentations, request.user.name) if presentations else ())
        return [
            ScanAnswer.of(next(cases), catalog) if isinstance(each, Presentation) else each
            for each in read
        ]

    @post(
        UNDO_PATH,
        permission=Permission.SCAN,
        status_code=200,
        guards=[same_origin_guard],
        middleware=[body_in_time],
    )
    async def undo_scan(request: Asked, data: JSONBody[UndoBody]) -> UndoAnswer:
        """Takes an admission back, by the device that has let the ticket in, within 15 minutes."""
        undone = await door.undo(data.scan_id.bytes, data.device, request.user.name)
        return UndoAnswer.of(undone)

    @get("/api/door/figures", permission=Permission.SCAN)
    async def get_door_figures() -> FiguresAnswer:
        """How many are inside, by class and by gate."""
        return FiguresAnswer.of(await door.figures(), catalog)

    @get("/api/door/ends", permission=Permission.SCAN, parameters=("after", "limit"))
    async def list_ends(limit: Limit = ENDS_MAX, after: After = "") -> EndsAnswer:
        """Tickets that are not to be let in, for a device that will be offline.

        Without `after`, from the beginning; then what has changed since.
        """
        rows, cursor, more = await door.ends(EndCursor.parse(after) if after else None, limit)
        return EndsAnswer([EndItem.of(row) for row in rows], str(cursor), more)

    return Router(
        "/",
        route_handlers=[scan_tickets, undo_scan, get_door_figures, list_ends],
        guards=[guard, known_parameters],
        response_headers={"cache-control": "no-store"},
        tags=["door", OPERATOR],
        security=[{OPERATOR: []}],
    )


def end_key(ticket: Ticket) -> str:
    """What a device that has read a ticket's code calls it in the list of ends."""
    named = f"{ticket.order_id.hex_digits}:{ticket.number}"
    return sha256(named.encode()).hexdigest()[:KEY_HEX_DIGITS]


def _read_scans(body: bytes) -> list[Presentation | ScanAnswer]:
    """Each scan, or what is wrong with it; raises `InvalidRequestError` for what is no array."""
    try:
        items = _items_of(body)
    except (ValueError, RecursionError):
        raise InvalidRequestError("This takes a JSON array of scans.") from None
    if not 1 <= len(items) <= SCANS_MAX:
        raise InvalidRequestError(f"This takes 1 to {SCANS_MAX} scans, not {len(items)}.")
    return [_read_scan(item) for item in items]


def _items_of(body: bytes) -> Sequence[msgspec.Raw | bytes]:
    """The items of an array, as JSON; raises a `ValueError` for what is none."""
    try:
        return _items.decode(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        # Such as half of a pair of surrogates, which Python and browsers write: of one scan, and
        # no reason to refuse the others.
        items = json.loads(body.decode())
        if not isinstance(items, list):
            raise
        return [json.dumps(item).encode() for item in items]


def _read_scan(item: msgspec.Raw | bytes) -> Presentation | ScanAnswer:
    try:
        scan = _scan.decode(item)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return ScanAnswer(_scan_id(item), "invalid", f"This is no scan: {error}.")
    return Presentation(
        scan.scan_id.bytes, scan.text, scan.gate, scan.device, scan.scanned_at, scan.offline
    )


def _scan_id(item: msgspec.Raw | bytes) -> str | None:
    """The id that a scan gives itself which cannot be read, so that its device knows it again."""
    try:
        said: Any = msgspec.json.decode(item)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    scan_id = said.get("scan_id") if isinstance(said, dict) else None
    is_told = isinstance(scan_id, str) and len(scan_id) <= SCAN_ID_CHARACTERS_MAX
    return scan_id if is_told else None
