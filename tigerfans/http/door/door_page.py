"""The page of who stands at the door, behind the login: it scans, and says yes or no.

Scripts do the scanning (`templates/static/js/door/`). Where there are none, a plain form takes what
is typed, by a hand scanner too, and the page comes back with the verdict.
"""

import time
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.types import Guard

from tigerfans.booking.scan_texts import SCAN_CHARACTERS_MAX
from tigerfans.door.door import Door, Presentation
from tigerfans.errors import InvalidRequestError
from tigerfans.http.door.scanning import DEVICE_CHARACTERS_MAX, Gate, ScanAnswer
from tigerfans.http.door.verdicts import UNDONE, VERDICTS, Verdict
from tigerfans.http.office.auth import Asked, same_origin_guard
from tigerfans.http.office.navigation import office_page
from tigerfans.http.office.parameters import Form
from tigerfans.http.pages.rendering import (
    CONTENT_SECURITY_POLICY,
    SECURITY_HEADERS,
    STATIC_MISMATCH_CACHE_CONTROL,
    Renderer,
    policy_header,
)
from tigerfans.http.reading import body_in_time
from tigerfans.offer.catalog import Catalog
from tigerfans.office.permissions import Permission
from tigerfans.stores.door_scans import GATE_CHARACTERS_MAX

PATH: Final = "/door"

# What keeps the page on the device; from the root, where the page is within its scope.
WORKER_PATH: Final = "/door-worker.js"
WORKER_FILE: Final = "door-worker.js"

# Elsewhere no page may have a camera, and none names a script by what a script says.
HEADERS: Final[Mapping[str, str]] = {
    "Permissions-Policy": SECURITY_HEADERS["Permissions-Policy"].replace(
        "camera=()", "camera=(self)"
    ),
    "Content-Security-Policy": policy_header(
        {**CONTENT_SECURITY_POLICY, "trusted-types": "door-worker"}
    ),
}
# It asks the shop, and does nothing else.
WORKER_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": policy_header({"default-src": "'none'", "connect-src": "'self'"})
}


class Shown(NamedTuple):
    """A verdict of the plain form, `since` when it is one where a ticket is inside already."""

    verdict: Verdict
    answer: ScanAnswer
    since: str = ""


def door_page_router(*, door: Door, catalog: Catalog, renderer: Renderer, guard: Guard) -> Router:
    """The page; `guard` lets in who may scan."""
    time_zone = ZoneInfo(catalog.offer.show.time_zone)

    def page(
        request: Asked, gate: str = "", shown: Shown | None = None, problem: str = ""
    ) -> Response[str]:
        return office_page(
            renderer,
            request,
            "door.html",
            status_code=400 if problem else 200,
            headers=HEADERS,
            verdicts=VERDICTS,
            classes=catalog.classes,
            gate=gate,
            shown=shown,
            problem=problem,
            # However often this form is sent, it is one scan.
            scan_id=uuid4(),
            gate_max=GATE_CHARACTERS_MAX,
            text_max=SCAN_CHARACTERS_MAX,
        )

    @get(PATH, permission=Permission.SCAN)
    async def door_page(request: Asked) -> Response[str]:
        return page(request)

    @post(
        PATH,
        permission=Permission.SCAN,
        status_code=200,
        guards=[same_origin_guard],
        middleware=[body_in_time],
    )
    async def scan_typed(request: Asked, data: Form) -> Response[str]:
        try:
            presentation = _read_form(data, request.user.name)
        except InvalidRequestError as error:
            return page(request, data.get("gate", ""), problem=str(error))
        [case] = await door.scan([presentation], request.user.name)
        answer = ScanAnswer.of(case, catalog)
        return page(request, presentation.gate, _shown(answer, time_zone))

    return Router(
        "/", route_handlers=[door_page, scan_typed], guards=[guard], include_in_schema=False
    )


def door_worker_route(renderer: Renderer) -> HTTPRouteHandler:
    """The script that keeps the page on the device: a browser asks for it without a login."""
    script = renderer.static.get(WORKER_FILE)

    @get(WORKER_PATH, include_in_schema=False)
    async def door_worker(request: Request[Any, Any, Any]) -> Response[bytes]:
        if script is None:
            raise NotFoundException("There is no such file.")
        response = script.response(request, STATIC_MISMATCH_CACHE_CONTROL)
        response.headers.update(WORKER_HEADERS)
        return response

    return door_worker


def _read_form(form: Mapping[str, str], who: str) -> Presentation:
    try:
        gate = msgspec.convert(form.get("gate", "").strip(), Gate)
    except msgspec.ValidationError:
        raise InvalidRequestError(
            f"Please say where you are, in up to {GATE_CHARACTERS_MAX} characters."
        ) from None
    try:
        scan_id = UUID(form.get("scan_id", ""))
    except ValueError:
        raise InvalidRequestError("Please open this page again, and then scan.") from None
    return Presentation(
        scan_id=scan_id.bytes,
        text=form.get("text", ""),
        gate=gate,
        device=f"form of {who}"[:DEVICE_CHARACTERS_MAX],
        scanned_ms=time.time_ns() // 1_000_000,
        offline=False,
    )


def _shown(answer: ScanAnswer, time_zone: tzinfo) -> Shown:
    verdict = VERDICTS[UNDONE if answer.undone else answer.result]
    if answer.result != "already_inside" or answer.admitted_at_iso is None:
        return Shown(verdict, answer)
    at = datetime.fromisoformat(answer.admitted_at_iso).astimezone(time_zone)
    return Shown(verdict, answer, f"{at:%H:%M}" + (f" at {answer.gate}" if answer.gate else ""))
