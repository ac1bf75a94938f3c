"""An ASGI client inside the test's process: any scope, any asker, a reply that arrives chunk by chunk, and going away.

It behaves as the scheme adapter does: ``spec_version`` 2.3, no Content-Type of its own, ``http.disconnect`` once the
asker is gone, and ``send`` that returns quietly from then on.
"""

from __future__ import annotations

import asyncio
import json as json_module
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from peersky.web.asker import EXTENSION, NOBODY, Asker

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
AsgiApp = Callable[[Scope, Callable[[], Awaitable[Event]], Callable[[Event], Awaitable[None]]], Awaitable[None]]

PATIENCE_S: Final = 30.0
"""How long anything may take before a test fails instead of hanging."""

UNREAD_CHUNKS: Final = 4
"""How many chunks the app may be ahead of the test: beyond that its ``send`` waits, as with the real adapter."""


class Reply:
    """A reply, whole or in progress.

    Attributes:
        status: the status code; 0 until the headers have arrived.
        headers: by lower-case name; the last one counts where a name repeats.
        body: what has been read so far; all of it after :meth:`AsgiClient.request`.
    """

    def __init__(self, app: AsgiApp, scope: Scope, body: list[bytes]) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self._incoming = body
        self._chunks: list[bytes] = []
        self._changed = asyncio.Condition()
        self._ended = False
        self._gone = asyncio.Event()
        self._work = asyncio.create_task(self._run(app, scope))

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json_module.loads(self.body)

    @property
    def is_finished(self) -> bool:
        """Whether the app has returned."""
        return self._work.done()

    async def started(self) -> Reply:
        """Wait for the status and the headers."""
        await self._until(lambda: bool(self.status))
        return self

    @property
    def is_whole(self) -> bool:
        """Whether the app has sent the end of its reply, and not only left it."""
        return self._ended

    async def next_chunk(self) -> bytes:
        """The next piece of the body as the app sent it; empty at the end."""
        await self._until(lambda: bool(self._chunks) or self._ended)
        async with self._changed:
            chunk = self._chunks.pop(0) if self._chunks else b""
            self._changed.notify_all()
        self.body += chunk
        return chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.next_chunk():
            yield chunk

    async def read(self) -> bytes:
        """Everything up to the end."""
        async for _ in self:
            pass
        await self.finished()
        return self.body

    async def disconnect(self) -> None:
        """Go away, as a page does that is closed."""
        self._gone.set()
        async with self._changed:
            self._changed.notify_all()

    async def finished(self) -> None:
        """Wait until the app has returned; raises what it raised."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.shield(self._work)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: condition() or self._work.done())
        if not condition() and self._work.done():
            self._work.result()
            if not self._ended:
                raise AssertionError("The app returned without finishing its reply.")

    async def _run(self, app: AsgiApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        finally:
            async with self._changed:
                self._changed.notify_all()

    async def _receive(self) -> Event:
        if self._incoming and not self._gone.is_set():
            body = self._incoming.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(self._incoming)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, event: Event) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._chunks) < UNREAD_CHUNKS or self._gone.is_set())
            if self._gone.is_set():
                return
            if event["type"] == "http.response.start":
                assert not self.status, "The app started its reply twice."
                self.status = event["status"]
                self.headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in event.get("headers", [])}
                assert all(name == name.lower() for name in self.headers), "ASGI wants lower-case header names."
            elif event["type"] == "http.response.body":
                assert self.status, "The app sent a body before its status."
                assert not self._ended, "The app went on after the end of its reply."
                if event.get("body"):
                    self._chunks.append(bytes(event["body"]))
                self._ended = not event.get("more_body", False)
            self._changed.notify_all()


class AsgiClient:
    """Sends requests to an app as one asker.

    Args:
        app: the app under test.
        asker: who asks, unless a request says otherwise; by default nobody, whom every check refuses.
    """

    def __init__(self, app: AsgiApp, asker: Asker = NOBODY) -> None:
        self.app = app
        self.asker = asker

    def send(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        content: bytes | list[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        asker: Asker | None = None,
    ) -> Reply:
        """Start a request and return at once.

        Args:
            url: with scheme and host, ``llm://bridge/v1/models``.
            json: sent as the body, if not None.
            content: the body, or the pieces in which it arrives.
        """
        pieces = list(content) if isinstance(content, list) else [content]
        if json is not None:
            pieces = [json_module.dumps(json).encode()]
        return Reply(self.app, self._scope(method, url, headers or {}, asker or self.asker), pieces)

    async def request(self, method: str, url: str, **options: Any) -> Reply:
        """Send a request (arguments of :meth:`send`) and wait for the whole reply."""
        reply = self.send(method, url, **options)
        await reply.read()
        return reply

    async def get(self, url: str, **options: Any) -> Reply:
        return await self.request("GET", url, **options)

    async def post(self, url: str, **options: Any) -> Reply:
        return await self.request("POST", url, **options)

    @asynccontextmanager
    async def stream(self, method: str, url: str, **options: Any) -> AsyncIterator[Reply]:
        """Send a request (arguments of :meth:`send`); the reply has its headers. Leaving the block goes away."""
        reply = self.send(method, url, **options)
        try:
            yield await reply.started()
        finally:
            await reply.disconnect()
            await reply.finished()

    def _scope(self, method: str, url: str, headers: Mapping[str, str], asker: Asker) -> Scope:
        parts = urlsplit(url)
        named = {name.lower(): value for name, value in headers.items()}
        named["host"] = parts.netloc
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": parts.scheme,
            "server": (parts.hostname, None),
            "client": None,
            "path": unquote(parts.path) or "/",
            "raw_path": (parts.path or "/").encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()],
            "extensions": {EXTENSION: asker},
        }
