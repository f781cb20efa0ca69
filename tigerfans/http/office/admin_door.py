"""The door for the box office: who is inside and came in when, incidents, devices, all scans as a
file; and the page that shows it, which fills itself through this.
"""

from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import Response, Router, asgi, get, post
from litestar.params import FromPath, QueryParameter
from litestar.types import Guard, Receive, Scope, Send

from tigerfans.caching import Cached
from tigerfans.door.door import Door
from tigerfans.http.api.raw import respond_head
from tigerfans.http.door.scanning import FiguresAnswer
from tigerfans.http.office.admin_orders import ITEMS_MAX, Limit
from tigerfans.http.office.auth import OPERATOR, Asked, same_origin_guard
from tigerfans.http.office.csv_files import CsvFiles, headers_of
from tigerfans.http.office.navigation import office_page
from tigerfans.http.office.parameters import known_parameters
from tigerfans.http.pages.rendering import Renderer
from tigerfans.http.reading import is_head
from tigerfans.offer.catalog import Catalog
from tigerfans.office.door_log import (
    COLUMNS,
    MINUTES,
    Device,
    DoorLog,
    Incident,
    Minutes,
    OtherScan,
    Undone,
)
from tigerfans.office.permissions import Permission
from tigerfans.shop.answers import ClassText, Count, Moment, OrderIdText
from tigerfans.stores.door_scans import ScanResult

PATH: Final = "/admin/door"
FILE_NAME: Final = "tigerfans-scans.csv"
HEADERS: Final = headers_of(FILE_NAME)
# However many look; of many scans, a worker reads a tenth of its time at most.
MINUTES_SECONDS: Final = 3.0
MINUTES_REST: Final = 10.0
# Of each list, on the page.
SHOWN_MAX: Final = 50

Seen = Annotated[bool, QueryParameter(description="Those that were seen to instead.")]


class DoorAnswer(msgspec.Struct):
    """How many are inside, as `/api/door/figures` has it; and how many each gate let in, in each
    minute from `first_minute_iso` on. Who was let out again is not counted.
    """

    figures: FiguresAnswer
    first_minute_iso: Moment
    minutes: dict[str, Sequence[Count]]

    @classmethod
    def of(cls, figures: FiguresAnswer, minutes: Minutes) -> "DoorAnswer":
        return cls(figures, minutes.first.isoformat(), dict(minutes.gates))


class OtherScanItem(msgspec.Struct):
    """The scan that let a ticket in first; its time is by the device's clock."""

    gate: str
    device: str
    who: str
    scanned_at_iso: Moment
    offline: bool

    @classmethod
    def of(cls, other: OtherScan) -> "OtherScanItem":
        return cls(other.gate, other.device, other.who, other.at.isoformat(), other.offline)


class IncidentItem(msgspec.Struct):
    """A ticket that a device let in while it was offline, and that the ledger kept out: `result`
    says why, `since_iso` since when by the ledger, and `other` is the scan that let it in first.
    The first ticket of an order is 1.
    """

    scan_id: str
    order_id: OrderIdText
    ticket: Count
    cls: ClassText
    class_name: str
    email: str
    result: ScanResult
    gate: str
    device: str
    who: str
    scanned_at_iso: Moment
    received_at_iso: Moment
    since_iso: Moment | None
    other: OtherScanItem | None
    seen_at_iso: Moment | None
    seen_by: str

    @classmethod
    def of(cls, incident: Incident, catalog: Catalog) -> "IncidentItem":
        return cls(
            scan_id=str(incident.scan_id),
            order_id=incident.order_id.hex_digits,
            ticket=incident.ticket + 1,
            cls=incident.cls,
            class_name=catalog.class_name(incident.cls),
            email=incident.email,
            result=incident.result,
            gate=incident.gate,
            device=incident.device,
            who=incident.who,
            scanned_at_iso=incident.scanned_at.isoformat(),
            received_at_iso=incident.received_at.isoformat(),
            since_iso=None if incident.since is None else incident.since.isoformat(),
            other=None if incident.other is None else OtherScanItem.of(incident.other),
            seen_at_iso=None if incident.seen_at is None else incident.seen_at.isoformat(),
            seen_by=incident.seen_by,
        )


class IncidentsAnswer(msgspec.Struct):
    """The oldest incidents that nobody has seen to, or those that were seen to last; how many."""

    items: Sequence[IncidentItem]
    limit: Count
    total: Count


class SeenAnswer(msgspec.Struct):
    """That somebody has seen to an incident."""

    scan_id: str
    result: str


class DeviceItem(msgspec.Struct):
    """A device: where it scanned last, who was logged in there, and what that scan came to."""

    device: str
    gate: str
    who: str
    result: ScanResult
    last_at_iso: Moment

    @classmethod
    def of(cls, device: Device) -> "DeviceItem":
        return cls(
            device.device, device.gate, device.who, device.result, device.last_at.isoformat()
        )


class DevicesAnswer(msgspec.Struct):
    """The devices that scanned last."""

    items: Sequence[DeviceItem]
    limit: Count


class UndoneItem(msgspec.Struct):
    """An admission that was taken back; the first ticket of an order is 1."""

    scan_id: str
    order_id: OrderIdText
    ticket: Count
    cls: ClassText
    gate: str
    device: str
    admitted_at_iso: Moment
    undone_at_iso: Moment
    undone_by: str

    @classmethod
    def of(cls, undone: Undone) -> "UndoneItem":
        return cls(
            scan_id=str(undone.scan_id),
            order_id=undone.order_id.hex_digits,
            ticket=undone.ticket + 1,
            cls=undone.cls,
            gate=undone.gate,
            device=undone.device,
            admitted_at_iso=undone.admitted_at.isoformat(),
            undone_at_iso=undone.undone_at.isoformat(),
            undone_by=undone.undone_by,
        )


class UndoneAnswer(msgspec.Struct):
    """The admissions that were taken back last."""

    items: Sequence[UndoneItem]
    limit: Count


def admin_door_routes(door: Door, log: DoorLog, catalog: Catalog, guard: Guard) -> Router:
    files = CsvFiles(HEADERS, COLUMNS)
    minutes = Cached(log.minutes, MINUTES_SECONDS, MINUTES_REST)

    @get("/api/admin/door", permission=Permission.SEE)
    async def get_door() -> DoorAnswer:
        """How many are inside, and how many came in by gate and minute."""
        figures = FiguresAnswer.of(await door.figures(), catalog)
        return DoorAnswer.of(figures, await minutes.get())

    @get("/api/admin/door/incidents", permission=Permission.SEE, parameters=("limit", "seen"))
    async def list_incidents(limit: Limit = ITEMS_MAX, seen: Seen = False) -> IncidentsAnswer:
        """Tickets that were let in offline, and that the ledger kept out."""
        incidents, total = await log.incidents(limit, seen=seen)
        items = [IncidentItem.of(incident, catalog) for incident in incidents]
        return IncidentsAnswer(items, limit, total)

    @post(
        "/api/admin/door/incidents/{scan_id:uuid}/seen",
        permission=Permission.SEE,
        status_code=200,
        guards=[same_origin_guard],
    )
    async def see_incident(request: Asked, scan_id: FromPath[UUID]) -> SeenAnswer:
        """Marks an incident as seen to, which is written down once."""
        await log.see(scan_id, request.user.name)
        return SeenAnswer(str(scan_id), "seen")

    @get("/api/admin/door/devices", permission=Permission.SEE, parameters=("limit",))
    async def list_devices(limit: Limit = ITEMS_MAX) -> DevicesAnswer:
        """The devices that scanned last, and where."""
        return DevicesAnswer([DeviceItem.of(each) for each in await log.devices(limit)], limit)

    @get("/api/admin/door/undone", permission=Permission.SEE, parameters=("limit",))
    async def list_undone(limit: Limit = ITEMS_MAX) -> UndoneAnswer:
        """The admissions that were taken back last."""
        return UndoneAnswer([UndoneItem.of(each) for each in await log.undone(limit)], limit)

    @asgi("/api/admin/scans.csv", copy_scope=False, permission=Permission.EXPORT)
    async def export(scope: Scope, receive: Receive, send: Send) -> None:
        if is_head(scope):
            await respond_head(send, HEADERS)
        else:
            await files.send(log.export(), receive, send)

    return Router(
        "/",
        route_handlers=[get_door, list_incidents, see_incident, list_devices, list_undone, export],
        guards=[guard, known_parameters],
        response_headers={"cache-control": "no-store"},
        tags=["door", OPERATOR],
        security=[{OPERATOR: []}],
    )


def door_office_router(*, catalog: Catalog, renderer: Renderer, guard: Guard) -> Router:
    """The page."""

    @get(PATH, permission=Permission.SEE)
    async def door_office(request: Asked) -> Response[str]:
        return office_page(
            renderer,
            request,
            "admin_door.html",
            classes=catalog.classes,
            has_hall=catalog.hall is not None,
            minutes=MINUTES,
            shown_max=SHOWN_MAX,
        )

    return Router("/", route_handlers=[door_office], guards=[guard], include_in_schema=False)
