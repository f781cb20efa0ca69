"""The two ends of the socket as a test plays them: frame by frame, right or wrong."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Self

from tests.harness.patience import patience
from tigerfans.ipc.frames import Frame, FrameDecoder, Hello, decode_hello, encode_hello

SEQUENCER = Hello("embedded", 8189)


class Peer:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = FrameDecoder()
        self._frames: list[Frame] = []

    @classmethod
    async def connect(cls, path: Path, name: str | None = "worker-1") -> Self:
        """A worker's end; says hello and reads the sequencer's, unless `name` is None."""
        reader, writer = await asyncio.open_unix_connection(str(path))
        peer = cls(reader, writer)
        if name is not None:
            peer.send(encode_hello(Hello(name)))
            decode_hello(await peer.receive())
        return peer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def receive(self) -> Frame:
        """The next frame; raises `ConnectionError` if the other end hung up."""
        async with patience():
            while not self._frames:
                data = await self._reader.read(65536)
                if not data:
                    raise ConnectionError("the other end hung up")
                self._frames = self._decoder.feed(data)
        return self._frames.pop(0)

    async def receive_many(self, count: int) -> list[Frame]:
        return [await self.receive() for _ in range(count)]

    async def hung_up(self) -> bool:
        """Waits until the other end hangs up, whatever it says before that."""
        while True:
            try:
                await self.receive()
            except ConnectionError:
                return True

    def stop_reading(self) -> None:
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def resume_reading(self) -> None:
        self._writer.transport.resume_reading()  # type: ignore[attr-defined]

    def close(self) -> None:
        """Hangs up once everything was sent."""
        self._writer.close()

    def cut(self) -> None:
        """Hangs up at once."""
        self._writer.transport.abort()


class StandInSequencer:
    """Listens where a sequencer would; the test answers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()
        self._all: list[Peer] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.vanish()

    async def listen(self) -> None:
        self._server = await asyncio.start_unix_server(self._on_connection, str(self._path))

    async def vanish(self) -> None:
        """Stops listening and cuts all connections."""
        if self._server:
            self._server.close()
            self._path.unlink(missing_ok=True)
        for peer in self._all:
            peer.cut()

    async def accept(self, hello: Hello | None = SEQUENCER) -> Peer:
        """The next connection; reads the worker's hello and answers it, unless `hello` is None."""
        async with patience():
            peer = await self._peers.get()
        decode_hello(await peer.receive())
        if hello:
            peer.send(encode_hello(hello))
        return peer

    def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self._all.append(peer)
        self._peers.put_nowait(peer)


async def until(condition: Callable[[], bool]) -> None:
    """Lets the event loop turn until `condition` holds."""
    async with patience():
        while not condition():  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0)
