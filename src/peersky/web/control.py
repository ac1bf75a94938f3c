"""What the command line can ask of the process that holds the profile: an ASGI app on the private socket.

``/llm/…``       the app behind ``llm://bridge``, asked by the user in person
``/model``       what is known of the model that would answer
``/settings``    GET all (secrets only as set or not), POST ``{"changes": {KEY: VALUE or null}}``
``/logs``        the last entries of the log
``/open``        POST ``{"url": …}``: open a tab, where the holder is a browser
``/ping``        who holds the profile
``/models…``, ``/downloads…``   see :mod:`peersky.web.control_models`
``/p2p/…``       see :mod:`peersky.web.control_p2p`

Every request must carry the token that stands in the profile's control file.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import peersky
from peersky.core.chat import ModelInfo
from peersky.core.errors import InvalidRequest, NotAllowed, NotSupported
from peersky.core.origins import USER
from peersky.core.settings_schema import SETTINGS
from peersky.system.private_socket import PrivateSocket
from peersky.system.tasks import TaskOwner
from peersky.web.asker import COMMAND_LINE, with_asker
from peersky.web.compose import Services
from peersky.web.control_models import ModelControl
from peersky.web.control_p2p import P2PControl
from peersky.web.errors import ERROR_HANDLERS, error_response
from peersky.web.json_reply import JSONResponse
from peersky.web.requests import json_object

LLM_PREFIX: Final = "/llm"
_LINGER_S: Final = 2

Kind = Literal["browser", "command"]


class ControlServer:
    """Serves the private socket until :meth:`close`. Lives on the service loop.

    Args:
        services: what is served; the caller holds the profile's lock.
        kind: whether a browser or a command holds the profile.
        open_url: opens a tab (None as URL: brings the window to the front); None where there is no window. Called on
            the service loop.

    Raises:
        ProfileUnusable: the socket cannot be made.
    """

    def __init__(self, services: Services, kind: Kind, open_url: Callable[[str | None], None] | None = None) -> None:
        self._services = services
        self._kind = kind
        self._open_url = open_url
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._socket = PrivateSocket(services.profile)
        self._authorization = f"Bearer {self._socket.address.token}".encode()
        self._routes = Starlette(
            routes=[
                Route("/ping", self._ping),
                Route("/model", self._model),
                Route("/settings", self._settings),
                Route("/settings", self._change, methods=["POST"]),
                Route("/logs", self._logs),
                Route("/open", self._open, methods=["POST"]),
                *ModelControl(services).routes(),
                *P2PControl(services).routes(),
            ],
            exception_handlers=dict(ERROR_HANDLERS),
        )
        self._server = _Server(
            uvicorn.Config(
                self,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=_LINGER_S,
            )
        )
        self._tasks = TaskOwner("control")
        self._tasks.start(self._server.serve([self._socket.listener]), "serve")

    async def idle(self) -> None:
        """Wait until no request is under way."""
        await self._idle.wait()

    async def close(self) -> None:
        """Stop listening and end what is under way. Safe to call twice."""
        self._server.should_exit = True
        await self._server.ended.wait()
        await self._tasks.close()
        self._socket.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI app."""
        assert scope["type"] == "http"
        presented = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not secrets.compare_digest(presented, self._authorization):
            refusal = NotAllowed("The token is missing or wrong.", reason="not_trusted")
            await error_response(refusal)(scope, receive, send)
            return
        self._active += 1
        self._idle.clear()
        try:
            if scope["path"].startswith(LLM_PREFIX + "/"):
                await self._services.apps["llm"](_as_bridge(scope), receive, send)
            else:
                await self._routes(scope, receive, send)
        finally:
            self._active -= 1
            if not self._active:
                self._idle.set()

    async def _ping(self, request: Request) -> Response:
        return JSONResponse({"pid": os.getpid(), "kind": self._kind, "version": peersky.__version__})

    async def _model(self, request: Request) -> Response:
        """The model that answers the user, or the one that the user names with ``?name=``."""
        bridge, wanted = self._services.bridge, request.query_params.get("name", "")
        status = bridge.status(USER)
        if status["provider"] != "builtin":
            # A question costs its server one request; this is asked before each.
            info = ModelInfo(wanted or status["model"], status["provider"])
        elif not wanted or wanted == status["model"]:
            info = await bridge.model_info(USER)
        else:
            offered = {model.name: model for model in await bridge.models(USER)}
            info = offered.get(wanted) or ModelInfo(wanted, status["provider"])
        return JSONResponse(info.as_object())

    async def _settings(self, request: Request) -> Response:
        store = self._services.settings
        # Whether a secret is set may have to be asked of a keyring that waits for its password.
        listed = await asyncio.to_thread(_listed, self._services)
        return JSONResponse({"settings": listed, "notices": store.notices, "secretsIn": store.secrets_are_in})

    async def _change(self, request: Request) -> Response:
        changes = (await json_object(request)).get("changes")
        if not isinstance(changes, dict):
            raise InvalidRequest("The option changes must be an object of settings.", param="changes")
        await asyncio.to_thread(self._services.settings.change, changes)
        return Response(status_code=204)

    async def _logs(self, request: Request) -> Response:
        limit = request.query_params.get("limit", "100")
        if not (limit.isascii() and limit.isdigit() and len(limit) < 10):
            raise InvalidRequest("The option limit must be a whole number from 0 to 999999999.", param="limit")
        return JSONResponse({"entries": self._services.logbook.recent(int(limit))})

    async def _open(self, request: Request) -> Response:
        url = (await json_object(request)).get("url")
        if url is not None and not isinstance(url, str):
            raise InvalidRequest("The option url must be a text.", param="url")
        if self._open_url is None:
            raise NotSupported("The profile is in use by a command, not by a browser window.")
        self._open_url(url)
        return Response(status_code=204)


class _Server(uvicorn.Server):
    """uvicorn inside a program: the program's own signal handling stays, and the end can be waited for."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ended = asyncio.Event()

    async def serve(self, sockets: Any = None) -> None:
        try:
            await super().serve(sockets)
        finally:
            self.ended.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _as_bridge(scope: Scope) -> Scope:
    """The request as the app behind ``llm://bridge`` expects it, from the user in person."""
    headers = [(name, value) for name, value in scope["headers"] if name not in (b"host", b"authorization")]
    return dict(
        with_asker(scope, COMMAND_LINE),
        scheme="llm",
        server=("bridge", None),
        root_path="",
        path=scope["path"].removeprefix(LLM_PREFIX),
        raw_path=scope["raw_path"].removeprefix(LLM_PREFIX.encode()),
        headers=[(b"host", b"bridge"), *headers],
    )


def _listed(services: Services) -> dict[str, dict[str, Any]]:
    store = services.settings
    listed: dict[str, dict[str, Any]] = {}
    for key, declared in SETTINGS.items():
        entry: dict[str, Any] = {"stored": store.is_stored(key), "description": declared.description}
        if declared.secret:
            listed[key] = {**entry, "secret": True, "set": store.has_secret(key)}
        else:
            listed[key] = {**entry, "secret": False, "value": store.get(key), "default": declared.default}
    return listed
