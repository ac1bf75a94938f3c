"""What the providers of model servers share: where the server is, its connections, and texts in batches."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Sequence

from peersky.llm.endpoint import Endpoint, stored_endpoint
from peersky.llm.http import HttpClients
from peersky.llm.model_server import ModelServer
from peersky.llm.providers.base import Provider
from peersky.system.children import Log
from peersky.system.settings_store import SettingsStore


class ServerProvider(Provider):
    """A back end behind HTTP, at an address that the user may change at any time.

    Args:
        settings: the subclass says what is read from them, and when.
        log: the logbook's ``record``.
        endpoint: where the server is; the stored one where it is None.
    """

    embedding_batch: int
    """How many texts one request holds."""

    def __init__(self, settings: SettingsStore, log: Log, endpoint: Callable[[], Endpoint] | None) -> None:
        self._settings = settings
        self._log = log
        self._endpoint = endpoint or stored_endpoint(settings)
        self._http = HttpClients()

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        server = await self._server()
        vectors: list[list[float]] = []
        for start in range(0, len(texts), self.embedding_batch):
            vectors += await self._embed(server, model, list(texts[start : start + self.embedding_batch]))
        return vectors

    async def close(self) -> None:
        await self._http.close()

    async def _server(self) -> ModelServer:
        """The server as it is set now.

        Raises:
            InvalidRequest: the address is none.
            BackendFailed: ``key_refused``: the key is none.
        """
        # In a thread: the keyring may take its time.
        return self._server_at(await asyncio.to_thread(self._endpoint))

    @abstractmethod
    def _server_at(self, endpoint: Endpoint) -> ModelServer:
        """The server at an endpoint, with its name and advice for people."""

    @abstractmethod
    async def _embed(self, server: ModelServer, model: str, batch: list[str]) -> list[list[float]]:
        """One vector per text of a batch. Errors as in :meth:`embed`."""
