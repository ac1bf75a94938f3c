"""The API of ``peersky://logs/``: what happened, as it happens; clearing it; and whether it holds what was said."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from peersky.core.errors import InvalidRequest
from peersky.system.logbook import RECENT, Entry, Logbook
from peersky.system.settings_store import SettingsStore
from peersky.web.event_stream import Report, Unsubscribe, event_stream, wants_events
from peersky.web.json_reply import JSONResponse
from peersky.web.requests import json_object, text_of

CONTENT: Final = "logs.content"


class LogsApi:
    """Makes the routes for ``peersky://logs/api/``.

    Args:
        logbook: read, followed and cleared.
        settings: holds ``logs.content``.
    """

    def __init__(self, logbook: Logbook, settings: SettingsStore) -> None:
        self._logbook = logbook
        self._settings = settings

    def routes(self) -> list[Route]:
        return [Route("/logs", self._read, methods=["GET"]), Route("/logs", self._change, methods=["POST"])]

    async def _read(self, request: Request) -> Response:
        """``{entries, content}``; as a stream: that, and each new entry as ``{entry}``."""
        if not wants_events(request):
            return JSONResponse(self._state())

        def subscribe(report: Report) -> Unsubscribe:
            # Each entry is a value of its own: none replaces another that still waits to be sent.
            entries, unsubscribe = self._logbook.follow(lambda entry: report(id(entry), {"entry": entry}))
            report("state", self._state(entries))
            return unsubscribe

        return event_stream(subscribe)

    def _state(self, entries: list[Entry] | None = None) -> dict[str, Any]:
        shown = self._logbook.recent(RECENT) if entries is None else entries
        return {"entries": shown, "content": self._settings.flag(CONTENT)}

    async def _change(self, request: Request) -> Response:
        """``{action: "clear"}``, or ``{action: "content", on}``."""
        body = await json_object(request)
        match text_of(body, "action"):
            case "clear":
                await asyncio.to_thread(self._logbook.clear)
            case "content":
                await asyncio.to_thread(self._settings.change, {CONTENT: body.get("on")})
            case _:
                raise InvalidRequest("The option action must be clear or content.", param="action")
        return JSONResponse(self._state())
