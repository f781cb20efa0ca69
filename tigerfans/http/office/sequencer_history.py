"""The sequencer's last minutes, as the box office draws them: asked once a second at most.

The sequencer serves them on its own address (`TIGERFANS_METRICS_ADDRESS`), which is for this
machine and asks for no password. Here they come behind the operator's login, and however many
pages are open, the sequencer hears one question a second from each worker.
"""

import ssl
from typing import Final

import httpx

from tigerfans.caching import Cached
from tigerfans.errors import UnavailableError
from tigerfans.settings.settings import SequencerSettings

SECONDS_MAX: Final = 2.0
CACHE_SECONDS: Final = 1.0


class SequencerHistory:
    """Reads `GET /history` of one sequencer."""

    def __init__(self, sequencer: SequencerSettings) -> None:
        self._url = f"{sequencer.metrics_url}/history"
        self._client = httpx.AsyncClient(
            # It talks to our own address; a proxy from the environment has no business there.
            trust_env=False,
            # Plain HTTP: no authorities to trust, which take 30 ms to load.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            timeout=SECONDS_MAX,
            # One question a second is not worth a connection that has to be closed some time.
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._cached = Cached(self._read, CACHE_SECONDS)

    async def page(self) -> bytes:
        """The history as JSON, see `sequencer.history`; raises `UnavailableError`."""
        return await self._cached.get()

    async def _read(self) -> bytes:
        try:
            response = await self._client.get(self._url)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise UnavailableError("The sequencer does not tell its figures.") from error
        return response.content
