"""The API of ``peersky://activity/``: who asked for what, when, with which outcome.

Who may call it is decided before, by :func:`peersky.core.trust.may`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from peersky.core.errors import InvalidRequest
from peersky.core.trust import SITE_CAPABILITIES
from peersky.system.settings_store import SettingsStore
from peersky.system.site_records import PAGE, SiteRecords
from peersky.web.errors import NO_STORE
from peersky.web.event_stream import Report, Unsubscribe, event_stream, wants_events
from peersky.web.json_reply import JSONResponse
from peersky.web.requests import json_object, text_of

CONTENT: Final = "logs.content"
_OUTCOMES: Final = {"": None, "allowed": False, "refused": True}


class ActivityApi:
    """Makes the routes for ``peersky://activity/api/``.

    Args:
        records: read, followed and cleared.
        settings: holds ``logs.content``.
    """

    def __init__(self, records: SiteRecords, settings: SettingsStore) -> None:
        self._records, self._settings = records, settings

    def routes(self) -> list[Route]:
        return [
            Route("/activity", self._read, methods=["GET"]),
            Route("/activity", self._change, methods=["POST"]),
            Route("/activity-export", self._export, methods=["GET"]),
        ]

    async def _read(self, request: Request) -> Response:
        """``?search=&capability=&outcome=&before=`` → ``{entries, more, content}``; as a stream: ``{}`` at its
        beginning and at each change."""
        if wants_events(request):

            def subscribe(report: Report) -> Unsubscribe:
                # At once, too: what came between the page's first look and this is not missed.
                report("changed", {})
                return self._records.subscribe(lambda: report("changed", {}))

            return event_stream(subscribe)
        asked = request.query_params
        capability, outcome, before = asked.get("capability", ""), asked.get("outcome", ""), asked.get("before", "0")
        if capability not in ("", *SITE_CAPABILITIES):
            known = ", ".join(SITE_CAPABILITIES)
            raise InvalidRequest(f"The option capability must be one of {known}.", param="capability")
        if outcome not in _OUTCOMES:
            raise InvalidRequest("The option outcome must be allowed or refused.", param="outcome")
        if not (before.isascii() and before.isdigit() and len(before) < 16):
            raise InvalidRequest("The option before must be a whole number.", param="before")
        entries = await self._records.events(
            search=asked.get("search", ""),
            capability=capability,
            refused=_OUTCOMES[outcome],
            before=int(before),
            limit=PAGE + 1,
        )
        return self._reply(entries[:PAGE], more=len(entries) > PAGE)

    async def _change(self, request: Request) -> Response:
        """``{action: "clear"}``, or ``{action: "content", on}``."""
        body = await json_object(request)
        match text_of(body, "action"):
            case "clear":
                await self._records.clear()
            case "content":
                await asyncio.to_thread(self._settings.change, {CONTENT: body.get("on")})
            case _:
                raise InvalidRequest("The option action must be clear or content.", param="action")
        return self._reply(await self._records.events())

    def _reply(self, entries: list[dict[str, Any]], *, more: bool = False) -> Response:
        reply = {"entries": entries, "more": more, "content": self._settings.flag(CONTENT)}
        return JSONResponse(reply, headers=NO_STORE)

    async def _export(self, request: Request) -> Response:
        """All of it as one JSON document, oldest last."""
        first = await self._records.events()

        async def text() -> AsyncIterator[str]:
            yield "["
            page, before = first, "\n"
            while page:
                for entry in page:
                    yield before + json.dumps(entry, ensure_ascii=False)
                    before = ",\n"
                page = await self._records.events(before=page[-1]["id"])
            yield "\n]\n"

        headers = {"content-disposition": 'attachment; filename="peersky-activity.json"', **NO_STORE}
        return StreamingResponse(text(), media_type="application/json", headers=headers)
