"""The command line's routes for the model library and for downloads; part of :mod:`peersky.web.control`.

``/models``             what is here, and what it takes on the disk
``/models/show``        ``?name=``: one model in full
``/models/remove``      POST ``{"name": …}``; an unfinished download of it is cancelled
``/models/import``      POST ``{"file": …, "name": … or null}``
``/downloads``          GET all; POST ``{"provider": …, "model": …}``: start, or join the one that there is
``/downloads/ID``       POST ``{"action": "pause" | "resume" | "cancel" | "dismiss"}``
``/downloads/ID/events``  the download as it is, and at every change, as server-sent events
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from peersky.core.errors import InvalidRequest, NotFound
from peersky.llm.download import Download
from peersky.system.memory import free_memory_bytes
from peersky.web.event_stream import Report, Unsubscribe, event_stream
from peersky.web.json_reply import JSONResponse
from peersky.web.requests import json_object, text_of

if TYPE_CHECKING:
    from peersky.web.compose import Services


class ModelControl:
    """Makes the routes. ``services`` are looked into at each request."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        return [
            Route("/models", self._models),
            Route("/models/show", self._show),
            Route("/models/remove", self._remove, methods=["POST"]),
            Route("/models/import", self._import, methods=["POST"]),
            Route("/downloads", self._downloads),
            Route("/downloads", self._start, methods=["POST"]),
            Route("/downloads/{id}", self._steer, methods=["POST"]),
            Route("/downloads/{id}/events", self._events),
        ]

    async def _models(self, request: Request) -> Response:
        builtin = self._services.builtin
        models = [model.as_object() for model in await builtin.models()]
        disk_bytes = await asyncio.to_thread(builtin.store.blobs.disk_use)
        return JSONResponse({"models": models, "diskBytes": disk_bytes, "freeMemoryBytes": free_memory_bytes()})

    async def _show(self, request: Request) -> Response:
        details = await self._services.builtin.details(request.query_params.get("name", ""))
        return JSONResponse({**details, "freeMemoryBytes": free_memory_bytes()})

    async def _remove(self, request: Request) -> Response:
        name = text_of(await json_object(request), "name")
        return JSONResponse({"freedBytes": await self._services.local_ai.remove_model(name)})

    async def _import(self, request: Request) -> Response:
        body = await json_object(request)
        file, name = Path(text_of(body, "file")), body.get("name")
        if not file.is_absolute():
            raise InvalidRequest("The option file must be an absolute path.", param="file")
        if name is not None and not isinstance(name, str):
            raise InvalidRequest("The option name must be a text.", param="name")
        return JSONResponse({"name": await self._services.builtin.import_file(file, name)})

    async def _downloads(self, request: Request) -> Response:
        listed = [download.as_object() for download in self._services.downloads.list()]
        return JSONResponse({"downloads": listed})

    async def _start(self, request: Request) -> Response:
        body = await json_object(request)
        downloads = self._services.downloads
        running = {download.id for download in downloads.list() if download.is_active}
        download = downloads.start(text_of(body, "provider"), text_of(body, "model"))
        return JSONResponse({"download": download.as_object(), "joined": download.id in running})

    async def _steer(self, request: Request) -> Response:
        downloads = self._services.downloads
        actions: dict[str, Callable[[str], None]] = {
            "pause": downloads.pause,
            "resume": downloads.resume,
            "cancel": downloads.cancel,
            "dismiss": downloads.dismiss,
        }
        action = text_of(await json_object(request), "action")
        if action not in actions:
            raise InvalidRequest(f"The option action must be one of {', '.join(actions)}.", param="action")
        actions[action](request.path_params["id"])
        return Response(status_code=204)

    async def _events(self, request: Request) -> Response:
        downloads, wanted = self._services.downloads, request.path_params["id"]
        now = next((download for download in downloads.list() if download.id == wanted), None)
        if now is None:
            raise NotFound("There is no such download; it may have been removed from the list.")

        def subscribe(report: Report) -> Unsubscribe:
            def changed(download: Download) -> None:
                if download.id == wanted:
                    # By state, so that an end is not hidden by the removal from the list that follows.
                    report(download.state, download.as_object())

            changed(now)
            return downloads.subscribe(changed)

        return event_stream(subscribe)
