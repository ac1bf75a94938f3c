"""``peersky://app-<id>/``: the files of the apps that the user added, each an origin of its own.

Every request passes :func:`peersky.core.trust.may`: an app is read by itself, and opened by the
browser and by its own links.
"""

from __future__ import annotations

import asyncio
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from peersky.core.errors import NotFound
from peersky.core.origins import Origin
from peersky.core.trust import Answer, OpenInternal, Policy, ReadInternal, may
from peersky.system.app_store import HOST
from peersky.web.asker import asker_of
from peersky.web.p2p_pages import listing_page, p2p_error_page
from peersky.web.static import file_response, find_file, is_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from peersky.system.app_store import AppStore

# Apps are written by hand and by models, and have their scripts in the page more often than not. What counts is that
# nothing is loaded from the web, and that nothing leads out of the app but the schemes whose apps check who asks.
CSP: Final = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' blob: peersky://p2p; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob: hyper: ipfs: ipns:; "
    "media-src 'self' data: blob: hyper: ipfs: ipns:; font-src 'self' data:; "
    "connect-src 'self' data: blob: llm: hyper: ipfs: ipns: peersky://p2p; "
    "frame-src 'self' data: blob: hyper: ipfs: ipns:; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""The policy that every file of an app is sent with."""


class ImportedApps:
    """The ASGI app for ``peersky:`` that answers for the hosts of imported apps, and passes all others on.

    Args:
        app: serves everything else.
        store: the apps.
        policy: what the user decided about origins.
        assets: the folder of the assets.
    """

    def __init__(self, app: ASGIApp, store: AppStore, policy: Callable[[], Policy], assets: Path) -> None:
        self._app, self._store, self._policy, self._assets = app, store, policy, assets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not Origin("peersky", _host(scope)).is_imported_app:
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = CSP
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "no-referrer"
            await send(message)

        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send_with_headers)

    async def _answer(self, request: Request) -> Response:
        asker, host, path = asker_of(request.scope), _host(request.scope), request.scope["path"]
        capability = OpenInternal(host, path) if asker.is_navigation else ReadInternal(host, path)
        if may(asker.origin, capability, asker.top, self._policy()) is not Answer.YES:
            sentence = "This app is closed to the page that asked for it; open it from peersky://apps/."
            return self._refused(request, 403, "closed_app", sentence)
        if request.method not in ("GET", "HEAD"):
            sentence = "The files of an app cannot be changed from a page; update the app in peersky://apps/."
            return PlainTextResponse(sentence, 405, {"allow": "GET, HEAD"})
        return await asyncio.to_thread(self._get, request)

    def _get(self, request: Request) -> Response:
        try:
            app = self._store.get(_host(request.scope).removeprefix(HOST))
        except NotFound as error:
            return self._refused(request, 404, error.reason, "There is no app at this address.")
        folder = self._store.content(app)
        path = unicodedata.normalize("NFC", request.scope["path"]).removeprefix("/")
        if (file := find_file(folder, path)) is not None:
            try:
                return file_response(request, file)
            except OSError:
                return self._refused(request, 404, "no_such_file", f"This file of {app.name} cannot be read any more.")
        if not path and app.start:
            return RedirectResponse(quote(f"/{app.start}"), 307)
        if is_folder(folder, path):
            return RedirectResponse(quote(f"/{path}/"), 307)
        below = _folder(folder, path)
        if below is not None and _is_page(request):
            return self._page(request, listing_page(self._assets, str(request.url), _entries(below)), 200)
        return self._refused(request, 404, "no_such_file", f"The app {app.name} has no such file.")

    def _refused(self, request: Request, status: int, reason: str, sentence: str) -> Response:
        if not _is_page(request):
            return PlainTextResponse("" if request.method == "HEAD" else sentence, status)
        return self._page(request, p2p_error_page(self._assets, str(request.url), status, reason, sentence), status)

    def _page(self, request: Request, html: str, status: int) -> Response:
        reply = HTMLResponse(html, status)
        if request.method == "HEAD":
            reply.body = b""
        return reply


def _host(scope: Scope) -> str:
    return (scope.get("server") or ("", None))[0] or ""


def _is_page(request: Request) -> bool:
    """Whether the reply stands in a tab or in a frame."""
    return asker_of(request.scope).resource in ("main-frame", "sub-frame")


def _folder(folder: Path, path: str) -> Path | None:
    """A folder of the app whose files may be listed: one that has no page of its own."""
    if path and not path.endswith("/"):
        return None
    parts = [part for part in path.split("/") if part]
    if any(part.startswith(".") or set(part) & set("\\:\0") for part in parts):
        return None
    below = folder.joinpath(*parts)
    return below if below.is_dir() else None


def _entries(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in folder.iterdir():
        about = path.stat()
        kind = "folder" if path.is_dir() else "file"
        found.append({"name": path.name, "type": kind, "size": about.st_size, "modified": int(about.st_mtime * 1000)})
    return found
