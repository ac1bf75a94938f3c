"""The command line's route for publishing; part of :mod:`peersky.web.control`.

``/p2p/publish``   POST ``{"path": …, "to": "hyper" | "ipfs", "name": …}``: publish from the disk. The reply is a JSON
                   object a line: ``{"sentence": …}`` while the node is being prepared, progress, and at last what was
                   published, or ``{"error": …}``. Closing the connection cancels.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from peersky.core.errors import InvalidRequest, PeerSkyError
from peersky.web.errors import internal_error
from peersky.web.requests import json_object, text_of

if TYPE_CHECKING:
    from peersky.p2p.publisher import Network
    from peersky.web.compose import Services

_logger = logging.getLogger(__name__)

_LINES_AHEAD: Final = 16
_PREPARING: Final = ("installing", "starting")

_Line = dict[str, Any] | None


class P2PControl:
    """Makes the route. ``services`` are looked into at each request."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        return [Route("/p2p/publish", self._publish, methods=["POST"])]

    async def _publish(self, request: Request) -> Response:
        body = await json_object(request)
        path, to, name = Path(text_of(body, "path")), text_of(body, "to"), text_of(body, "name", "")
        networks: dict[str, Network] = {"hyper": "hyper", "ipfs": "ipfs"}
        if to not in networks:
            raise InvalidRequest("The option to must be hyper or ipfs.", param="to")
        if not path.is_absolute():
            raise InvalidRequest("The option path must be an absolute path.", param="path")
        return StreamingResponse(self._lines(path, networks[to], name), media_type="application/x-ndjson")

    async def _lines(self, path: Path, to: Network, name: str) -> AsyncIterator[bytes]:
        p2p = self._services.p2p
        waiting: asyncio.Queue[_Line] = asyncio.Queue(_LINES_AHEAD)

        def prepares() -> None:
            if p2p.node.state in _PREPARING:
                with suppress(asyncio.QueueFull):
                    waiting.put_nowait({"sentence": p2p.node.sentence()})

        async def work() -> None:
            try:
                async with aclosing(p2p.publish(path, to, name)) as lines:
                    async for line in lines:
                        await waiting.put(line)
            except PeerSkyError as error:
                await waiting.put({"error": error.as_object()})
            except Exception:
                _logger.exception("Publishing failed")
                await waiting.put({"error": internal_error().as_object()})
            await waiting.put(None)

        unsubscribe = p2p.node.subscribe(prepares)
        working = self._services.tasks.start(work(), "publish")
        try:
            while (line := await waiting.get()) is not None:
                yield json.dumps(line).encode() + b"\n"
        finally:
            unsubscribe()
            working.cancel()
            await asyncio.wait({working})
