"""The command line's route for publishing; part of :mod:`peersky.web.control`.

``/p2p/publish``   POST ``{"path": …, "to": "hyper" | "ipfs", "name": …}``: publish from the disk. The reply is a JSON
                   object a line: ``{"sentence": …}`` while the node is being prepared, progress, and at last what was
                   published, or ``{"error": …}``. Closing the connection cancels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from peersky.core.errors import InvalidRequest
from peersky.web.publish_lines import publish_lines
from peersky.web.requests import json_object, text_of

if TYPE_CHECKING:
    from peersky.p2p.publisher import Network
    from peersky.web.compose import Services


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
        p2p = self._services.p2p
        lines = publish_lines(p2p, self._services.tasks, p2p.publish(path, networks[to], name))
        return StreamingResponse(lines, media_type="application/x-ndjson")
