"""Upload sessions: request bodies that are too large for one request arrive in slices and reach the app as one body.

``assets/inject/fetch.js`` sends each slice as a request of the same method to the same URL, with the header
``X-Peersky-Upload: ID; offset=N``, which is answered 202, and at the end the request itself with
``X-Peersky-Upload: ID; commit=TOTAL`` and no body. Only then does the app see a request, whose body streams from the
spool file: nothing half-sent ever reaches it. A refusal looks as the app's own: a sentence at peer-to-peer addresses,
OpenAI's error object elsewhere. An XMLHttpRequest, which shows no reply but its own, asks for it once more by
``X-Peersky-Upload: ID; refused=N``.
"""

from __future__ import annotations

import asyncio
import errno
import re
import secrets
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import PlainTextResponse, Response

from peersky.core.errors import DiskFull, InvalidRequest, NotAllowed, PeerSkyError, QuotaExceeded
from peersky.core.origins import P2P_SCHEMES
from peersky.web.asker import asker_of
from peersky.web.errors import NO_STORE, error_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

HEADER: Final = b"x-peersky-upload"
MAX_SESSIONS: Final = 64
MAX_SESSIONS_OF_ORIGIN: Final = 8
"""So that one page cannot have them all."""

IDLE_S: Final = 600.0
"""A session without a slice for this long is given up."""

_KEEP_FREE_BYTES: Final = 256 * 1024 * 1024
_READ_BYTES: Final = 1024 * 1024
_FORM: Final = re.compile(r"([0-9a-f]{32}); (offset|commit|refused)=(\d{1,15})\Z")


@dataclass(slots=True)
class _Session:
    file: Path
    size: int = 0
    last_used_s: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class UploadSessions:
    """ASGI middleware that turns slices into one body.

    Args:
        app: what gets the whole request.
        spool_dir: where slices wait; emptied at construction, since no session outlives the program.
        clock_s: monotonic clock.
        admit: asked before the first slice is taken; False where it has refused the request, by a reply of its own.
            So what the app would refuse at the end is not uploaded before.
    """

    def __init__(
        self,
        app: ASGIApp,
        spool_dir: Path,
        clock_s: Callable[[], float] = time.monotonic,
        admit: Callable[[Scope, Send], Awaitable[bool]] | None = None,
    ) -> None:
        self._app, self._dir, self._clock_s, self._admit = app, spool_dir, clock_s, admit
        self._sessions: dict[tuple[str, ...], _Session] = {}
        self._refused: dict[tuple[str, ...], PeerSkyError] = {}
        shutil.rmtree(spool_dir, ignore_errors=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        value = _header(scope, HEADER) if scope["type"] == "http" else None
        if value is None:
            await self._app(scope, receive, send)
            return
        try:
            await self._request(value, scope, receive, send)
        except PeerSkyError as error:
            await _refusal(error, scope)(scope, receive, send)
        except OSError as error:
            await _refusal(_disk_error(error), scope)(scope, receive, send)

    async def _request(self, value: str, scope: Scope, receive: Receive, send: Send) -> None:
        match = _FORM.match(value)
        if match is None:
            raise InvalidRequest("The header X-Peersky-Upload is malformed.", param="X-Peersky-Upload")
        session_id, action, number = match[1], match[2], int(match[3])
        if scope["method"] in ("GET", "HEAD"):
            # The scheme adapter asks who may send a body where there can be one: without one, no session is for them.
            raise InvalidRequest("A GET or HEAD request has no body to send.", param="X-Peersky-Upload")
        asker = asker_of(scope)
        if asker.top is None:
            raise NotAllowed("Only a page can send a body in slices, not a worker.", reason="no_stamp")
        url = f"{scope['server'][0]}{scope['raw_path'].decode('latin-1')}?{scope['query_string'].decode('latin-1')}"
        key = (str(asker.origin), session_id, scope["method"], scope["scheme"], url)
        if action == "offset":
            if number == 0 and self._admit is not None and not await self._admit(scope, send):
                return
            try:
                await self._slice(key, number, receive)
            except PeerSkyError as error:
                self._remember(key, error)
                raise
            await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        if action == "refused" and (refusal := self._refused.pop(key, None)):
            raise refusal
        if action == "refused" and self._admit is not None and not await self._admit(scope, send):
            return
        session = self._sessions.pop(key, None)
        if session is None or session.size != number:
            await self._remove(session)
            raise InvalidRequest("The upload is incomplete; send it again.", param="X-Peersky-Upload")
        try:
            await self._app(_whole(scope, session.size), _file_body(session.file, receive), send)
        finally:
            await self._remove(session)

    async def _slice(self, key: tuple[str, ...], offset: int, receive: Receive) -> None:
        await self._give_up_idle()
        session = self._sessions.get(key)
        if session is None:
            if offset:
                raise InvalidRequest("The upload is unknown here; send it again.", param="X-Peersky-Upload")
            self._check_room(key[0])
            session = self._sessions[key] = _Session(self._dir / secrets.token_hex(16))
        async with session.lock:
            if session.size != offset:
                raise InvalidRequest("A slice of the upload is missing; send it again.", param="X-Peersky-Upload")
            data = await _body(receive)
            try:
                await asyncio.to_thread(_append, session.file, data)
            except OSError as error:
                self._sessions.pop(key, None)
                await self._remove(session)
                raise _disk_error(error) from error
            session.size += len(data)
            session.last_used_s = self._clock_s()

    def _remember(self, key: tuple[str, ...], error: PeerSkyError) -> None:
        self._refused[key] = error
        if len(self._refused) > MAX_SESSIONS:
            del self._refused[next(iter(self._refused))]

    def _check_room(self, origin: str) -> None:
        own = sum(key[0] == origin for key in self._sessions)
        for count, quota in ((own, MAX_SESSIONS_OF_ORIGIN), (len(self._sessions), MAX_SESSIONS)):
            if count >= quota:
                raise QuotaExceeded(
                    "Too many uploads at once; wait until one has ended.",
                    reason="too_many_uploads",
                    requested=count + 1,
                    quota=quota,
                )

    async def _give_up_idle(self) -> None:
        now = self._clock_s()
        for key, session in list(self._sessions.items()):
            if session.last_used_s and now - session.last_used_s > IDLE_S:
                del self._sessions[key]
                await self._remove(session)

    async def _remove(self, session: _Session | None) -> None:
        if session is not None:
            await asyncio.to_thread(session.file.unlink, missing_ok=True)


def _header(scope: Scope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


def _whole(scope: Scope, size: int) -> Scope:
    headers = [(k, v) for k, v in scope["headers"] if k not in (HEADER, b"content-length")]
    return {**scope, "headers": [*headers, (b"content-length", str(size).encode())]}


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidRequest("The upload was broken off.", reason="cancelled")
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _append(file: Path, data: bytes) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if shutil.disk_usage(file.parent).free - len(data) < _KEEP_FREE_BYTES:
        raise OSError(errno.ENOSPC, "no space left")
    with file.open("ab") as stream:
        stream.write(data)


def _file_body(file: Path, receive: Receive) -> Callable[[], Awaitable[MutableMapping[str, Any]]]:
    """An ASGI ``receive`` that reads the spool file, then passes on what the connection says."""
    offset, ended = 0, False

    def read() -> bytes:
        with file.open("rb") as stream:
            stream.seek(offset)
            return stream.read(_READ_BYTES)

    async def next_message() -> MutableMapping[str, Any]:
        nonlocal offset, ended
        if ended:
            message = await receive()
            while message["type"] == "http.request":
                # The commit request's own, empty body.
                message = await receive()
            return message
        data = await asyncio.to_thread(read)
        offset += len(data)
        ended = len(data) < _READ_BYTES
        return {"type": "http.request", "body": data, "more_body": not ended}

    return next_message


def _refusal(error: PeerSkyError, scope: Scope) -> Response:
    if scope["scheme"] not in P2P_SCHEMES:
        return error_response(error)
    return PlainTextResponse(error.message, error.http_status, {**NO_STORE, "x-content-type-options": "nosniff"})


def _disk_error(error: OSError) -> PeerSkyError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull("The disk is too full for this upload; free some space and try again.")
    return PeerSkyError(f"The upload could not be kept on disk: {error.strerror}.", reason="profile_unusable")
