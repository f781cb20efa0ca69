"""One connection of a worker to the sequencer, from the hello to the moment it is lost.

A link does not reconnect and knows nothing of requests; `client` does both. Relies on `frames`.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

from tigerfans.ipc.frames import (
    HELLO,
    HELLO_SECONDS_MAX,
    Frame,
    FrameDecoder,
    FrameError,
    Hello,
    decode_hello,
    decode_sentence,
    encode_hello,
)


async def open_link(path: Path, name: str, on_frames: Callable[[list[Frame]], None]) -> "Link":
    """Connects, and returns when both ends said hello.

    Raises `OSError` (a timeout is one) if nobody is there, and `FrameError` if it is not a
    sequencer we can talk to, or if it refuses us.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(HELLO_SECONDS_MAX):
        _, link = await loop.create_unix_connection(lambda: Link(name, on_frames), str(path))
        try:
            await link.greeted
        except BaseException:
            link.abort()
            raise
    return link


class Link(asyncio.Protocol):
    """Hands each tick's frames to `on_frames`, which may raise `FrameError` to end the link."""

    def __init__(self, name: str, on_frames: Callable[[list[Frame]], None]) -> None:
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[Hello] = loop.create_future()
        # The reason, once the connection is lost.
        self.lost: asyncio.Future[str] = loop.create_future()
        self._name = name
        self._on_frames = on_frames
        self._decoder = FrameDecoder()
        self._error: FrameError | None = None
        self._transport: asyncio.Transport

    def write(self, data: bytes) -> None:
        """Sends `data`, unless the connection is breaking already."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def abort(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(encode_hello(Hello(self._name)))

    def data_received(self, data: bytes) -> None:
        if self._error:
            return
        try:
            frames = self._decoder.feed(data)
            if frames and not self.greeted.done():
                self.greeted.set_result(_read_hello(frames.pop(0)))
            if frames:
                self._on_frames(frames)
        except FrameError as error:
            self._error = error
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        reason = self._error or error or ConnectionError("The sequencer hung up.")
        if not self.greeted.done():
            self.greeted.set_exception(reason)
            # Who gave up while it connected does not ask, and it would be logged as forgotten.
            self.greeted.exception()
        if not self.lost.done():
            self.lost.set_result(str(reason))


def _read_hello(frame: Frame) -> Hello:
    """The sequencer's hello; a sentence in its place says why it refuses us."""
    _, code, payload = frame
    if code != HELLO:
        raise FrameError(decode_sentence(payload) or "The sequencer refused the connection.")
    return decode_hello(frame)
