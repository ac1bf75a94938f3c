"""The app behind ``peersky:``: internal pages, built-in apps, shared assets and the JSON APIs of internal pages.

Every request, files included, passes :func:`peersky.core.trust.may` before it is routed: see :func:`_capability`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from peersky.core.errors import InvalidRequest, NotAllowed, NotFound, PeerSkyError
from peersky.core.settings_schema import SETTINGS, Setting
from peersky.core.trust import (
    SHARED_ASSETS_HOST,
    SHARED_FOLDER,
    SHARED_TYPES,
    Answer,
    CallInternal,
    Capability,
    OpenInternal,
    Policy,
    ReadInternal,
    may,
)
from peersky.llm.choice import builtin_changes
from peersky.web.asker import Asker, asker_of
from peersky.web.error_page import render_error_page
from peersky.web.errors import error_response, internal_error
from peersky.web.json_reply import JSONResponse
from peersky.web.late import API
from peersky.web.page_template import PAGES, Page, render_page
from peersky.web.requests import json_object
from peersky.web.static import file_response, find_file, is_folder

if TYPE_CHECKING:
    from peersky.llm.bridge import Bridge
    from peersky.system.settings_store import SettingsStore

NOTHING_HERE: Final = "There is nothing at this address."
FOLDER_HERE: Final = "This is a folder, and its address ends in a slash."

# Header values reach Chromium in lower case, so there are no nonces and no hashes: files only. This is the
# second wall; the first is that nothing foreign is ever put into these pages as markup.
_CSP: Final = (
    "default-src 'none'; script-src 'self' peersky://assets; style-src 'self' peersky://assets; "
    "img-src 'self' peersky://assets data: blob:; media-src 'self' blob:; font-src 'self'; connect-src {connect}; "
    "frame-src {frames}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_CONNECT_APPS: Final = "'self' llm: hyper: ipfs: ipns:"

# The frame in which an app runs what others wrote: an origin of its own that can reach nothing and load nothing.
# `frame-src` of the app keeps the frame from going elsewhere. A form may be handled by a script, and sent nowhere.
PREVIEW: Final = "/preview.html"
_PREVIEW_CSP: Final = (
    "sandbox allow-scripts allow-forms; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline' data:; img-src data: blob:; media-src data: blob:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

# The frame in which the Playground runs what its user typed. A module is the one way to run a text without
# 'unsafe-eval', and a module of a text is a blob. Blobs may run in this frame alone, which runs what its own app
# hands to it and nothing of an address or of storage (apps/llm-lab/run.js): so text that got into another page as
# markup finds nothing there that would run it.
RUNNER: Final = "/llm-lab/run.html"
_RUNNER_CSP: Final = (
    "default-src 'none'; script-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob: hyper: ipfs: ipns:; media-src 'self' data: blob: hyper: ipfs: ipns:; "
    f"connect-src {_CONNECT_APPS}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def make_pages_app(
    settings: SettingsStore,
    bridge: Bridge,
    policy: Callable[[], Policy],
    assets: Path,
    apis: Mapping[str, Sequence[BaseRoute]] | None = None,
) -> ASGIApp:
    """The ASGI app for ``peersky:``, routed by host.

    Args:
        settings: what the settings page shows and changes.
        bridge: asked for its status and its models.
        policy: what the user decided about origins, read at every request.
        assets: the folder with ``pages/``, ``apps/`` and ``shared/``.
        apis: more APIs, by host; trust lets in only what :data:`peersky.core.trust.INTERNAL_APIS` names.
    """
    status = _LlmStatus(settings, bridge)
    own: dict[str, list[BaseRoute]] = {
        "home": [
            Route("/llm-status", status.read),
            Route("/llm-status", status.reset, methods=["POST"]),
            Route("/llm-enable", status.enable, methods=["POST"]),
        ],
        "settings": [
            Route("/settings", _SettingsApi(settings)),
            Route("/models", status.models),
            Route("/llm-status", status.read),
            Route("/llm-status", status.reset, methods=["POST"]),
        ],
    }
    more = apis or {}
    hosts = dict.fromkeys((*own, *more))
    return _pages_app(policy, assets, {host: [*own.get(host, ()), *more.get(host, ())] for host in hosts})


def make_files_app(policy: Callable[[], Policy], assets: Path) -> ASGIApp:
    """The same pages and files, without the APIs: see :class:`peersky.web.late.LatePages`."""
    return _pages_app(policy, assets, {})


def _pages_app(policy: Callable[[], Policy], assets: Path, apis: Mapping[str, Sequence[BaseRoute]]) -> ASGIApp:
    shared: list[BaseRoute] = [
        _file(SHARED_TYPES, assets / "peersky.d.ts"),
        Mount(SHARED_FOLDER.rstrip("/"), routes=[_files(assets / "components")]),
        _files(assets / "apps"),
    ]
    routes: list[BaseRoute] = [Host(SHARED_ASSETS_HOST, Router([_files(assets / "shared")]))]
    for host in dict.fromkeys(page.host for page in PAGES):
        # The fragments of pages lie there as well, and are no pages.
        files = shared if host == "p2p" else [_files(assets / "pages" / host, hidden=".html")]
        host_routes: list[BaseRoute] = [_apis(*apis.get(host, ())), *_pages(assets, host), *files]
        routes.append(Host(host, Router(host_routes)))
    errors = _ErrorReplies(assets)
    app = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: errors.http,
            PeerSkyError: errors.peersky,
            Exception: errors.unexpected,
        },
    )
    return _SecurityHeaders(_TrustGate(app, policy, errors))


def _apis(*routes: BaseRoute) -> Mount:
    """Routes apart from the files, so that a wrong method is told as such and not as a missing file."""
    return Mount(API.rstrip("/"), routes=routes)


def _pages(assets: Path, host: str) -> list[Route]:
    """Routes for the pages of a host."""

    def endpoint(page: Page) -> Callable[[Request], Awaitable[Response]]:
        async def send(request: Request) -> Response:
            reply = HTMLResponse(await asyncio.to_thread(render_page, assets, page))
            if request.method == "HEAD":
                reply.body = b""
            return reply

        return send

    return [Route(path, endpoint(page)) for page in PAGES if page.host == host for path in page.paths]


def _files(folder: Path, hidden: str = "") -> Route:
    """A route for all files of a folder but those whose names end in ``hidden``."""

    async def endpoint(request: Request) -> Response:
        path = request.path_params["path"]
        file = find_file(folder, path)
        if file is None or (hidden and file.name.endswith(hidden)):
            # No redirect to the folder: the browser lets nothing redirect into its own pages.
            raise NotFound(FOLDER_HERE if is_folder(folder, path) else NOTHING_HERE)
        return file_response(request, file)

    return Route("/{path:path}", endpoint)


def _file(path: str, file: Path) -> Route:
    """A route for one file."""

    async def endpoint(request: Request) -> Response:
        return file_response(request, file)

    return Route(path, endpoint)


class _LlmStatus:
    """State of the bridge, in words that the home page and the settings page show."""

    def __init__(self, settings: SettingsStore, bridge: Bridge) -> None:
        self._settings = settings
        self._bridge = bridge

    async def read(self, request: Request) -> Response:
        origin = asker_of(request.scope).origin
        state, sentence = self._bridge.back_end(origin)
        status = self._bridge.status(origin)
        service = self._bridge.service(origin)
        return JSONResponse(
            {**status, "host": service.host if service else "", "backEnd": {"state": state, "sentence": sentence}}
        )

    async def reset(self, request: Request) -> Response:
        """The button after a crash loop: the engine may start again, and does so with the next question."""
        self._bridge.reset()
        return await self.read(request)

    async def enable(self, request: Request) -> Response:
        """One click turns local AI on, with the built-in model unless the user chose another built-in one."""
        await asyncio.to_thread(self._settings.change, {"llm.enabled": True, **builtin_changes(self._settings)})
        return await self.read(request)

    async def models(self, request: Request) -> Response:
        found = await self._bridge.models(asker_of(request.scope).origin)
        return JSONResponse({"models": [model.as_object() for model in found]})


class _SettingsApi:
    """``peersky://settings/api/settings``: all declared settings; secrets show only whether they are set."""

    def __init__(self, settings: SettingsStore) -> None:
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        match request.method:
            case "GET" | "HEAD":
                # In a thread, here and below: a keyring may take its time, or ask the user for a password.
                response: Response = JSONResponse(await asyncio.to_thread(self._all))
            case "POST":
                response = await self._change(request)
            case _:
                raise HTTPException(405, headers={"allow": "GET, HEAD, POST"})
        await response(scope, receive, send)

    async def _change(self, request: Request) -> Response:
        body = await json_object(request)
        changes = body.get("changes")
        if not isinstance(changes, Mapping):
            raise InvalidRequest("The option changes must be an object of settings.", param="changes")
        await asyncio.to_thread(self._settings.change, changes)
        return JSONResponse(await asyncio.to_thread(self._all))

    def _all(self) -> dict[str, Any]:
        return {
            "settings": [self._one(setting) for setting in SETTINGS.values()],
            "notices": list(self._settings.notices),
        }

    def _one(self, setting: Setting) -> dict[str, Any]:
        shared = {"key": setting.key, "description": setting.description}
        if setting.secret:
            return {**shared, "type": "secret", "set": self._settings.has_secret(setting.key)}
        return {
            **shared,
            "type": type(setting.default).__name__,
            "value": self._settings.get(setting.key),
            "default": setting.default,
            "stored": self._settings.is_stored(setting.key),
            "minimum": setting.minimum,
            "maximum": setting.maximum,
            "unit": setting.unit,
            "choices": list(setting.choices),
            "form": setting.form,
        }


def _capability(scope: Scope, asker: Asker) -> Capability:
    """What a request asks for: an API, a page in the tab, or anything else of a page."""
    host, path = _host(scope), scope["path"]
    if path.startswith(API):
        return CallInternal(host, path.removeprefix(API))
    if asker.is_navigation:
        return OpenInternal(host, path)
    return ReadInternal(host, path)


def _host(scope: Scope) -> str:
    """The host of the address. The Host header says the same; the adapter sets both."""
    return (scope.get("server") or ("", None))[0] or ""


class _TrustGate:
    """Asks :func:`may` about every request and refuses with 403."""

    def __init__(self, app: ASGIApp, policy: Callable[[], Policy], errors: _ErrorReplies) -> None:
        self._app = app
        self._policy = policy
        self._errors = errors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        asker = asker_of(scope)
        if may(asker.origin, _capability(scope, asker), asker.top, self._policy()) is Answer.YES:
            await self._app(scope, receive, send)
            return
        refusal = NotAllowed("This page of the browser is closed to the page that asked for it.")
        response = self._errors.reply(Request(scope), refusal)
        await response(scope, receive, send)


class _SecurityHeaders:
    """Adds the policy headers to every reply, refusals and errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_app = _host(scope) == "p2p"
        if is_app and scope.get("path", "").endswith(PREVIEW):
            csp = _PREVIEW_CSP
        elif is_app and scope.get("path") == RUNNER:
            csp = _RUNNER_CSP
        else:
            csp = _CSP.format(connect=_CONNECT_APPS if is_app else "'self'", frames="'self'" if is_app else "'none'")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = csp
                headers.update(_HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class _ErrorReplies:
    """An error as the reply that fits who asked: an error object for APIs, a page for documents, else a sentence."""

    def __init__(self, assets: Path) -> None:
        self._assets = assets

    async def http(self, request: Request, error: Exception) -> Response:
        """Starlette's own errors: no such route or host, no such method."""
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            return self.reply(request, NotFound(NOTHING_HERE))
        failure = InvalidRequest("This address does not take that kind of request.", reason="method_not_allowed")
        reply = self.reply(request, failure, error.status_code)
        reply.headers.update({name.lower(): value for name, value in (error.headers or {}).items()})
        return reply

    async def peersky(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, PeerSkyError)
        return self.reply(request, error)

    async def unexpected(self, request: Request, error: Exception) -> Response:
        # Starlette raises the error again once this reply is sent: who serves the app writes it to the log.
        return self.reply(request, internal_error())

    def reply(self, request: Request, error: PeerSkyError, status: int | None = None) -> Response:
        if request.url.path.startswith(API):
            return error_response(error, status)
        status = status or error.http_status
        if asker_of(request.scope).resource in ("main-frame", "sub-frame"):
            return HTMLResponse(self._page(request, error), status)
        return PlainTextResponse(error.message, status)

    def _page(self, request: Request, error: PeerSkyError) -> str:
        link = "peersky://home/", "Home page"
        if error.message == FOLDER_HERE:
            title = "A slash is missing"
            advice = ""
            address = str(request.url.replace(path=f"{request.url.path}/"))
            link = address, f"Open {address}"
        elif isinstance(error, NotAllowed):
            title = "This page is closed"
            advice = "Type its address into the address bar, or open it from the home page."
        elif isinstance(error, NotFound):
            title = "No such page"
            advice = "Check the address, or start again from the home page."
        else:
            title = "This did not work"
            advice = ""
        return render_error_page(
            self._assets, title=title, sentence=error.message, advice=advice, address=str(request.url), link=link
        )
