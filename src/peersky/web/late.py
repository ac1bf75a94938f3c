"""ASGI apps that wait for what they need, so that a window opens before the services behind its pages are there.

Nothing here imports what takes time to import: whoever makes these apps passes how to get at the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from peersky.core.origins import Origin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from peersky.web.uploads import UploadSessions

API: Final = "/api/"


class LateApp:
    """An app that may not be there yet: requests wait for it.

    Args:
        app: gets it; called at every request, on the service loop. What it raises is the request's error.
    """

    def __init__(self, app: Callable[[], Awaitable[ASGIApp]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._app())(scope, receive, send)

    async def admit(self, scope: Scope, send: Send) -> bool:
        """As the app says before an upload: see :class:`peersky.web.uploads.UploadSessions`."""
        admit = getattr(await self._app(), "admit", None)
        return admit is None or bool(await admit(scope, send))


class LatePages(LateApp):
    """The app of ``peersky:``, whose pages and files are there before the APIs that the pages ask.

    Args:
        app: see :class:`LateApp`.
        files: gets the app that serves pages and files alone, from :func:`peersky.web.pages_app.make_files_app`.
    """

    def __init__(self, app: Callable[[], Awaitable[ASGIApp]], files: Callable[[], ASGIApp]) -> None:
        super().__init__(app)
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = (scope.get("server") or ("", None))[0] or ""
        if scope["path"].startswith(API) or Origin("peersky", host).is_imported_app:
            await super().__call__(scope, receive, send)
        else:
            await self._files()(scope, receive, send)


class LateUploads:
    """:class:`~peersky.web.uploads.UploadSessions` before an app, made with the first request.

    Args:
        app: what gets the whole requests; its ``admit``, if it has one, is asked first.
        spool_dir: where slices wait.
    """

    def __init__(self, app: ASGIApp, spool_dir: Path) -> None:
        self._app, self._spool_dir = app, spool_dir
        self._sessions: UploadSessions | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if self._sessions is None:
            from peersky.web.uploads import UploadSessions

            self._sessions = UploadSessions(self._app, self._spool_dir, admit=getattr(self._app, "admit", None))
        await self._sessions(scope, receive, send)
