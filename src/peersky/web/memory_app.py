"""The app behind ``llm://bridge/v1/memory``: what ``window.llmMemory`` calls, for whom trust lets in.

Whose entries are meant follows from who asks, as the browser process tells it; no request names an origin. Runs on the
service loop, without Qt.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from peersky.core.errors import BodyTooLarge, InvalidRequest, NotAllowed, NotFound, PeerSkyError, ProfileUnusable
from peersky.core.origins import Origin
from peersky.core.trust import MEMORY, Answer, Policy, UseMemory, is_trusted, may
from peersky.llm.memory import MemoryStore, Partition, partition_of
from peersky.system.permissions import SitePermissions
from peersky.system.site_records import Event, Note
from peersky.web.asker import Asker, asker_of
from peersky.web.errors import ERROR_HANDLERS, NO_STORE, error_response
from peersky.web.json_reply import JSONResponse
from peersky.web.patience import while_there
from peersky.web.requests import json_object, text_of

_logger = logging.getLogger(__name__)

HOST: Final = "bridge"
PREFIX: Final = "/v1/memory"
MAX_APP: Final = 128
"""Longest name of a built-in app, in characters."""

_ANSWERED: Final = frozenset({"memory_disabled", "invalid_entry", "no_such_session"})
"""Reasons that are told in the answer, as the contract of ``window.llmMemory`` has it; others are errors."""


def with_memory(
    app: ASGIApp,
    store: MemoryStore,
    policy: Callable[[], Policy],
    permissions: SitePermissions | None = None,
    note: Note = lambda _event: None,
) -> ASGIApp:
    """The app for the scheme ``llm:``, with memory beside the model.

    Args:
        app: serves all the rest.
        store: keeps the entries.
        policy: what the user decided about trust, asked at each request.
        permissions: asks the user about sites of which they want to be asked; None: the answer is no.
        note: told who asked for what.
    """
    memory = make_memory_app(store, policy, permissions, note)

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        is_memory = scope["type"] == "http" and f"{scope['path']}/".startswith(f"{PREFIX}/")
        await (memory if is_memory else app)(scope, receive, send)

    return either


def make_memory_app(
    store: MemoryStore,
    policy: Callable[[], Policy],
    permissions: SitePermissions | None = None,
    note: Note = lambda _event: None,
) -> ASGIApp:
    """The app for ``llm://bridge/v1/memory``; arguments as for :func:`with_memory`."""
    api = _MemoryApi(store)
    app = Starlette(
        routes=[
            Route(f"{PREFIX}/status", api.status, methods=["GET"]),
            Route(f"{PREFIX}/entries", api.entries, methods=["GET"]),
            Route(f"{PREFIX}/entries", api.add, methods=["POST"]),
            Route(f"{PREFIX}/sessions", api.sessions, methods=["GET"]),
            Route(f"{PREFIX}/sessions", api.update_session, methods=["POST"]),
            Route(f"{PREFIX}/clear", api.clear, methods=["POST"]),
        ],
        exception_handlers={**ERROR_HANDLERS, ProfileUnusable: _without_path},
    )
    app.router.redirect_slashes = False

    async def gate(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        asker, decided = asker_of(scope), policy()
        answer, is_status = may(asker.origin, UseMemory(), asker.top, decided), scope["path"] == f"{PREFIX}/status"
        if answer is Answer.ASK and store.is_enabled and not is_status:
            try:
                there = await while_there(_ask(permissions, asker.origin), receive)
            except PeerSkyError as error:
                note(_event(asker, scope, error.reason, refused=True))
                await error_response(error)(scope, receive, send)
                return
            if there is None:
                return
            receive = there
        if answer is Answer.NO:
            refusal = _refusal(asker, decided)
            note(_event(asker, scope, refusal.reason, refused=True))
            await error_response(refusal)(scope, receive, send)
            return
        if store.is_enabled and not is_status:
            note(_event(asker, scope, "allowed"))
        if scope["scheme"] == "llm" and (scope.get("server") or ("", None))[0] != HOST:
            await error_response(NotFound(f"There is nothing but llm://{HOST}/v1."))(scope, receive, send)
        else:
            await app(scope, receive, send)

    return gate


async def _ask(permissions: SitePermissions | None, origin: Origin) -> None:
    refused = "You did not allow this page to keep conversations; you can change that in peersky://settings/sites."
    if permissions is None:
        raise NotAllowed(refused, reason="declined")
    await permissions.check(origin, MEMORY, "May this site keep conversations on this computer?", refused)


def _event(asker: Asker, scope: Scope, outcome: str, *, refused: bool = False) -> Event:
    top = "" if asker.top in (None, asker.origin) else str(asker.top)
    action = "read" if scope["method"] == "GET" else "clear" if scope["path"].endswith("/clear") else "write"
    return Event(str(asker.origin), MEMORY, action, outcome, refused, top, merge=True)


def _refusal(asker: Asker, policy: Policy) -> NotAllowed:
    """Why :func:`may` said no."""
    if asker.top is None:
        return NotAllowed("Workers may not use the memory; ask it from the page.", reason="no_stamp")
    if is_trusted(asker.origin, policy) and is_trusted(asker.top, policy):
        return NotAllowed("You blocked this page from the memory.", reason="blocked_by_user")
    return NotAllowed("This page may not keep conversations; you can allow it in peersky://settings/sites.")


async def _without_path(request: Request, error: Exception) -> Response:
    """Pages are not told the folders of this computer; the settings page is."""
    assert isinstance(error, ProfileUnusable)
    _logger.warning("Memory: %s", error.message)
    sentence = "PeerSky cannot read or keep conversations now; peersky://settings/memory says why."
    return error_response(ProfileUnusable(sentence, reason=error.reason))


class _MemoryApi:
    """Entries and sessions of who asks."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def status(self, request: Request) -> Response:
        return JSONResponse({"enabled": self._store.is_enabled}, headers=NO_STORE)

    async def entries(self, request: Request) -> Response:
        asked = request.query_params
        found = await self._store.entries(
            _owner(request),
            app_id=asked.get("appId", ""),
            session_id=asked.get("sessionId", ""),
            search=asked.get("search", ""),
            limit=_limit(request),
        )
        # In a thread: an origin may keep 50 MB.
        return await asyncio.to_thread(JSONResponse, {"entries": found}, headers=NO_STORE)

    async def add(self, request: Request) -> Response:
        async def add() -> None:
            try:
                entry = await json_object(request)
            except (BodyTooLarge, InvalidRequest) as error:
                raise InvalidRequest(error.message, reason="invalid_entry") from error
            await self._store.add(_owner(request), entry)

        return await _answer(add())

    async def sessions(self, request: Request) -> Response:
        app_id = request.query_params.get("appId", "")
        found = await self._store.sessions(_owner(request), app_id=app_id, limit=_limit(request))
        return JSONResponse({"sessions": found}, headers=NO_STORE)

    async def update_session(self, request: Request) -> Response:
        body = await json_object(request)
        app_id, session_id = text_of(body, "appId"), text_of(body, "sessionId")
        changes: dict[str, Any] = {name: body[name] for name in ("title", "pinned") if name in body}
        return await _answer(self._store.update_session(_owner(request), app_id, session_id, changes))

    async def clear(self, request: Request) -> Response:
        body = await json_object(request)
        app_id, session_id = text_of(body, "appId", ""), text_of(body, "sessionId", "")
        return await _answer(self._store.clear(_owner(request), app_id=app_id, session_id=session_id))


def memory_routes(store: MemoryStore) -> list[Route]:
    """The APIs of ``peersky://settings/memory``: ``memory`` (state; action ``reset``) and ``memory-export``."""

    async def state(request: Request) -> Response:
        used = await store.use()
        return JSONResponse(
            {
                "enabled": store.is_enabled,
                "entries": used.entries,
                "bytes": used.size_bytes,
                "notices": list(store.notices),
            }
        )

    async def act(request: Request) -> Response:
        if text_of(await json_object(request), "action") != "reset":
            raise InvalidRequest("The option action must be reset.", param="action")
        await store.reset()
        return await state(request)

    async def export(request: Request) -> Response:
        headers = {"content-disposition": 'attachment; filename="peersky-memory.json"', **NO_STORE}
        return StreamingResponse(store.export(), media_type="application/json", headers=headers)

    return [
        Route("/memory", state, methods=["GET"]),
        Route("/memory", act, methods=["POST"]),
        Route("/memory-export", export, methods=["GET"]),
    ]


async def _answer(work: Awaitable[None]) -> Response:
    try:
        await work
    except PeerSkyError as error:
        if error.reason not in _ANSWERED:
            raise
        return JSONResponse({"ok": False, "reason": error.reason}, headers=NO_STORE)
    return JSONResponse({"ok": True}, headers=NO_STORE)


def _owner(request: Request) -> Partition:
    """Whose entries are meant. ``app`` is the page's word, and counts among the built-in apps alone."""
    return partition_of(asker_of(request.scope).origin, request.query_params.get("app", "")[:MAX_APP])


def _limit(request: Request) -> int | None:
    text: Any = request.query_params.get("limit", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidRequest("The option limit must be a whole number from 0 to 999999999.", param="limit")
    # As in PeerSky's first version, where an app that passes 0 wants everything.
    return int(text) or None
