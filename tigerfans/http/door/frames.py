"""Pictures of a device's camera, for browsers that find no QR codes by themselves: what stands in
them. What it is worth is asked as any scan is.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from litestar import Router, post
from litestar.types import Guard

from tigerfans.door.pictures import PICTURE_BYTES_MAX, PictureReader
from tigerfans.http.office.auth import OPERATOR, Asked, same_origin_guard
from tigerfans.http.office.parameters import known_parameters
from tigerfans.http.reading import body_in_time
from tigerfans.office.permissions import Permission

FRAMES_PATH: Final = "/api/door/frames"


class FrameAnswer(msgspec.Struct):
    """The texts of the QR codes on a picture, of which there may be none."""

    texts: Sequence[str]


def frames_route(guard: Guard) -> Router:
    """The route, whose pictures are read one after the other."""
    reader = PictureReader()

    @post(
        FRAMES_PATH,
        permission=Permission.SCAN,
        status_code=200,
        guards=[same_origin_guard],
        request_max_body_size=PICTURE_BYTES_MAX,
        middleware=[body_in_time],
    )
    async def read_frame(request: Asked) -> FrameAnswer:
        """Reads the QR codes on a picture, which is the body: a JPEG or PNG of up to 8 MiB."""
        return FrameAnswer(await reader.read(await request.body()))

    return Router(
        "/",
        route_handlers=[read_frame],
        guards=[guard, known_parameters],
        response_headers={"cache-control": "no-store"},
        tags=["door", OPERATOR],
        security=[{OPERATOR: []}],
    )
