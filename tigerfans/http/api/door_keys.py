"""The public keys of tickets' codes, for who checks them without asking: they are no secret.

They change when the shop starts with another setting, so they are put into words once.
"""

from base64 import urlsafe_b64encode
from typing import Annotated, Final

import msgspec
from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Receive, Send
from msgspec import Meta

from tigerfans.booking.door_codes import PREFIX, VERSION, DoorKeys
from tigerfans.http.api.raw import raw_route, respond

PATH: Final = "/api/door/keys"
# As long as a device may take to hear of another key, where something between keeps answers.
KEPT_SECONDS: Final = 60
_HEADERS: Final = (
    (b"cache-control", b"public, max-age=%d" % KEPT_SECONDS),
    (b"x-content-type-options", b"nosniff"),
)


class DoorKeyAnswer(msgspec.Struct):
    """An Ed25519 key whose signatures are valid at the door."""

    id: Annotated[int, Meta(ge=1, le=255, description="The first byte of the codes it signs.")]
    public_key: Annotated[
        str, Meta(pattern="^[A-Za-z0-9_-]{43}$", description="32 bytes in base64url.")
    ]


class DoorKeysAnswer(msgspec.Struct):
    """What tickets' codes are checked by; the key that signs new ones comes first."""

    version: Annotated[int, Meta(ge=1, description="Of the codes.")]
    prefix: Annotated[str, Meta(description="What each of them begins with.", examples=["TIGER1"])]
    shop: Annotated[
        str, Meta(pattern="^[0-9a-f]{8}$", description="The four bytes that name it in a code.")
    ]
    keys: list[DoorKeyAnswer]


def door_keys_answer(keys: DoorKeys) -> DoorKeysAnswer:
    return DoorKeysAnswer(
        version=VERSION,
        prefix=f"{PREFIX}{VERSION}",
        shop=keys.shop,
        keys=[
            DoorKeyAnswer(id=number, public_key=urlsafe_b64encode(key).decode().rstrip("="))
            for number, key in keys.public.items()
        ],
    )


def door_keys_route(keys: DoorKeys) -> ASGIRouteHandler:
    answer = msgspec.json.encode(door_keys_answer(keys))

    async def handle(scope: HTTPScope, receive: Receive, send: Send) -> None:
        await respond(send, 200, answer, headers=_HEADERS)

    return raw_route("GET", PATH, handle)
