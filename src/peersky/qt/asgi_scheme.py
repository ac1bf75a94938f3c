"""Serve an ASGI app at a URL scheme: the one seam between Chromium and the rest of the program.

A request arrives on Qt's main thread, runs as a coroutine on the service loop, and its reply streams back through a
:class:`~peersky.qt.stream_device.StreamDevice`, or in Qt's own buffer where the body comes in one piece. Chromium
gives custom schemes neither status codes nor header values in their own case, so those travel beside the reply in two
headers, from which ``assets/inject/fetch.js`` rebuilds the Response in the page. ASGI: https://asgi.readthedocs.io,
HTTP message format 2.3.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote_to_bytes

from PyQt6.QtCore import QBuffer, QByteArray, QIODevice, QUrl, pyqtSignal
from PyQt6.QtWebEngineCore import QWebEngineUrlRequestJob, QWebEngineUrlSchemeHandler

from peersky.core.errors import BodyTooLarge, NotAllowed, PeerSkyError
from peersky.qt.stamp import HEADER as STAMP_HEADER
from peersky.qt.stream_device import StreamDevice
from peersky.web.asker import EXTENSION, Asker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence

    from peersky.qt.service_thread import ServiceThread

    ASGIApp = Callable[..., Awaitable[None]]
    _Bytes = QByteArray | bytes | bytearray | memoryview[int]

STATUS_HEADER: Final = b"X-Peersky-Status"
HEADERS_HEADER: Final = b"X-Peersky-Headers"

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
"""Longest body taken in one request; ``fetch.js`` sends longer ones in slices (web/uploads.py)."""

_READ_ALL: Final = 1 << 28
# Chromium's request body must be read at one go: smaller reads lose the rest of a Blob, or hang.

_HIGH_WATER_BYTES: Final = 1 << 20
_LOW_WATER_BYTES: Final = 1 << 18

# What a reply of status 200 with an error's text would be taken for: a script would run, an image be broken silently.
_PARTS_OF_PAGES: Final = frozenset({"script", "style", "image", "font", "media", "object", "prefetch"})
_Error = QWebEngineUrlRequestJob.Error


class AsgiSchemeHandler(QWebEngineUrlSchemeHandler):
    """Serves ``app`` at ``scheme``.

    Args:
        scheme: name of the URL scheme.
        app: the ASGI app; runs on the service loop.
        services: where the app's coroutines run.
        asker: tells who asks, from the address, the initiator and the stamp.
        redirected: told whom the app sends on, and where to.
        may_send_body: whether this asker's request body is worth reading at all; a body is read on the main thread, so
            what will be refused anyway must not cost that.
        on_error: takes one line about a fault, for the log.
    """

    _replied = pyqtSignal(object)
    _ended = pyqtSignal(object)

    def __init__(
        self,
        scheme: str,
        app: ASGIApp,
        services: ServiceThread,
        asker: Callable[[QUrl, str, bytes | None], Asker],
        redirected: Callable[[Asker, QUrl], None],
        may_send_body: Callable[[Asker], bool],
        on_error: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._scheme, self._app, self._services = scheme, app, services
        self._asker, self._may_send_body, self._on_error = asker, may_send_body, on_error
        self.redirected = redirected
        self._open: set[_Exchange] = set()
        # Queued: emitted on the service thread, received here on the main thread.
        self._replied.connect(self._reply)
        self._ended.connect(self._end)

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way, neither in Chromium nor in the app."""
        return not self._open

    def requestStarted(self, job: QWebEngineUrlRequestJob | None) -> None:
        if job is None:
            return
        try:
            self._start(job)
        except Exception as error:  # noqa: BLE001 - an exception in a Qt virtual aborts the browser
            self._on_error(f"{self._scheme}: request failed before it started: {error!r}")
            job.fail(_Error.RequestFailed)

    def _start(self, job: QWebEngineUrlRequestJob) -> None:
        headers = {name.data().lower(): value.data() for name, value in job.requestHeaders().items()}
        url = job.requestUrl()
        asker = self._asker(url, job.initiator().toString(), headers.pop(STAMP_HEADER.lower(), None))
        if not url.isValid() or not url.host():
            # Hosts with a label over 63 characters leave nothing of the address.
            job.fail(_Error.UrlInvalid)
            return
        method = job.requestMethod().data().decode("ascii", "replace").upper()
        exchange = _Exchange(self, job, asker, method == "HEAD", b"range" in headers)
        refusal: PeerSkyError | None = None
        body = b""
        if method not in ("GET", "HEAD"):
            if not self._may_send_body(asker):
                refusal = NotAllowed("This site may not send data to the browser's own pages.")
            else:
                body = _read_body(job)
                if len(body) > MAX_BODY_BYTES:
                    refusal = BodyTooLarge(
                        f"The body of {len(body)} bytes is over the limit of {MAX_BODY_BYTES} bytes for one request.",
                        requested=len(body),
                        quota=MAX_BODY_BYTES,
                    )
        self._open.add(exchange)
        job.destroyed.connect(exchange.page_left)
        scope = _scope(self._scheme, method, url, headers, asker)
        self._services.submit(exchange.run(self._app, scope, body, refusal), f"{method} {self._scheme}")

    def _reply(self, exchange: _Exchange) -> None:
        """Hand a reply's head and device to Chromium. Main thread."""
        try:
            exchange.reply()
        except Exception as error:  # noqa: BLE001 - an exception in a slot aborts the browser
            self._on_error(f"{self._scheme}: reply failed: {error!r}")
            exchange.fail(_Error.RequestFailed)
        if exchange.ends_with_reply:
            exchange.app_left()

    def send_reply(self, exchange: _Exchange) -> None:
        """Called on the service thread when the head of a reply is there."""
        self._replied.emit(exchange)

    def _end(self, exchange: _Exchange) -> None:
        """The app is done with a request. Main thread."""
        exchange.app_left()

    def send_end(self, exchange: _Exchange) -> None:
        """Called on the service thread when the app is done with a request."""
        self._ended.emit(exchange)

    def forget(self, exchange: _Exchange) -> None:
        """Neither page nor app has to do with this exchange any more. Main thread."""
        self._open.discard(exchange)

    def report(self, text: str) -> None:
        self._on_error(f"{self._scheme}: {text}")


class _Exchange:
    """One request and its reply. Its ``job`` belongs to the main thread and is None once Chromium destroyed it."""

    def __init__(
        self, handler: AsgiSchemeHandler, job: QWebEngineUrlRequestJob, asker: Asker, is_head: bool, has_range: bool
    ) -> None:
        self._handler = handler
        self._job: QWebEngineUrlRequestJob | None = job
        self._asker, self._is_head, self._has_range = asker, is_head, has_range
        self._loop: asyncio.AbstractEventLoop | None = None
        self._disconnected = asyncio.Event()
        self._drained = asyncio.Event()
        self._waiting_for_room = False
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._device: StreamDevice | None = None
        self._whole: bytes | None = None
        self._buffer: QBuffer | None = None
        self._head_sent = False
        self.ends_with_reply = False
        """Whether the app was done with the request when it was replied to: no second word follows."""
        self._body_done = False
        self._app_done = False

    # --- service thread -----------------------------------------------------------------------------------------

    async def run(
        self, app: ASGIApp, scope: MutableMapping[str, Any], body: bytes, refusal: PeerSkyError | None
    ) -> None:
        """Call the app with this request. Never raises."""
        self._loop = asyncio.get_running_loop()
        pending: bytes | None = body

        async def receive() -> dict[str, Any]:
            nonlocal pending
            if pending is not None:
                data, pending = pending, None
                return {"type": "http.request", "body": data, "more_body": False}
            await self._disconnected.wait()
            return {"type": "http.disconnect"}

        try:
            if refusal is not None:
                await self._send_error(refusal)
            else:
                await app(scope, receive, self._send)
            if not self._status and not self._disconnected.is_set():
                raise RuntimeError("the app sent no reply")
        except Exception as error:  # noqa: BLE001 - one request's fault must stay its own
            self._handler.report(f"{scope['method']} {scope['path']}: {error!r}")
            if not self._status:
                await self._send_error(PeerSkyError("Something went wrong inside PeerSky; its log says more."))
        finally:
            self.ends_with_reply = self._status != 0 and not self._head_sent
            self._send_head()
            if self._device is not None and not self._body_done:
                # A body that the app left unfinished must not look like a whole one.
                self._device.break_off()
            if not self.ends_with_reply:
                self._handler.send_end(self)

    async def _send_error(self, error: PeerSkyError) -> None:
        body = json.dumps({"error": error.as_object()}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self._send({"type": "http.response.start", "status": error.http_status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
            # Not yet: where the whole body follows at once, no stream is needed.
            assert self._loop is not None
            self._loop.call_soon(self._send_head)
            return
        if message["type"] != "http.response.body" or not self._status or self._disconnected.is_set():
            return
        body = b"" if self._is_head else message.get("body", b"")
        if not self._head_sent:
            if not message.get("more_body", False) and self._may_be_whole(len(body)):
                self._whole, self._body_done = bytes(body), True
                return
            self._send_head()
        device = self._device
        if device is None:
            return
        device.feed(body)
        if not message.get("more_body", False):
            self._body_done = True
            device.finish()
        elif device.buffered_bytes > _HIGH_WATER_BYTES:
            await self._wait_for_room(device)

    def _send_head(self) -> None:
        """Give the reply to the main thread, once."""
        if self._head_sent or not self._status:
            return
        self._head_sent = True
        if self._whole is None:
            self._device = StreamDevice(self._announced_bytes(), self._on_drained)
        self._handler.send_reply(self)

    def _may_be_whole(self, length: int) -> bool:
        """Whether Qt's buffer may hold the body: it tells Chromium its own length (see :meth:`_announced_bytes`)."""
        return not (self._has_range or self._is_head or self._status == 206) and length <= _HIGH_WATER_BYTES

    async def _wait_for_room(self, device: StreamDevice) -> None:
        """Back-pressure: hold the app until the page has read."""
        while device.buffered_bytes > _LOW_WATER_BYTES and not self._disconnected.is_set():
            self._drained.clear()
            self._waiting_for_room = True
            if device.buffered_bytes > _LOW_WATER_BYTES:
                await self._drained.wait()
            self._waiting_for_room = False

    def _header(self, name: bytes) -> bytes:
        return next((value for key, value in self._headers if key.lower() == name), b"")

    def _announced_bytes(self) -> int:
        """What the device may call its size. A wrong size for a request with Range crashes the whole browser."""
        if self._status == 206:
            total = self._header(b"content-range").rpartition(b"/")[2]
            return int(total) if total.isdigit() else 0
        length = self._header(b"content-length")
        return int(length) if length.isdigit() and not self._has_range and not self._is_head else 0

    # --- Chromium's I/O thread ----------------------------------------------------------------------------------

    def _on_drained(self) -> None:
        device, loop = self._device, self._loop
        if not self._waiting_for_room or device is None or loop is None:
            return
        if device.buffered_bytes <= _LOW_WATER_BYTES:
            _call_soon(loop, self._drained.set)

    # --- main thread --------------------------------------------------------------------------------------------

    def page_left(self) -> None:
        """The page aborted, navigated or closed, or has read everything: the job is gone."""
        self._job = None
        self._release()
        if self._loop is not None:
            _call_soon(self._loop, self._disconnected.set, self._drained.set)
        else:
            self._disconnected.set()

    def app_left(self) -> None:
        """The app is done with this request."""
        self._app_done = True
        self._release()

    def _release(self) -> None:
        """Drop the device once neither Chromium nor the app can touch it; here, since it belongs to this thread."""
        if self._job is None and self._app_done:
            for device in (self._device, self._buffer):
                if device is not None:
                    device.deleteLater()
            self._handler.forget(self)

    def reply(self) -> None:
        job = self._job
        if job is None:
            return
        if self._status >= 400 and self._asker.resource in _PARTS_OF_PAGES:
            job.fail(_Error.UrlNotFound if self._status == 404 else _Error.RequestDenied)
            return
        if self._status in (301, 302, 303, 307, 308) and self._header(b"location"):
            target = QUrl.fromEncoded(QByteArray(self._header(b"location")))
            target = job.requestUrl().resolved(target)
            self._handler.redirected(self._asker, target)
            job.redirect(target)
            return
        device: QIODevice | None = self._device
        if self._whole is not None:
            device = self._buffer = QBuffer()
            self._buffer.setData(self._whole)
            self._buffer.open(QIODevice.OpenModeFlag.ReadOnly)
        job.setAdditionalResponseHeaders(self._reply_headers())
        job.reply(self._header(b"content-type") or b"application/octet-stream", device)

    def _reply_headers(self) -> dict[_Bytes, Sequence[_Bytes]]:
        grouped: dict[_Bytes, list[_Bytes]] = {}
        for name, value in self._headers:
            if name.lower() not in (b"content-type", b"content-length"):
                grouped.setdefault(name, []).append(value)
        pairs = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self._headers]
        grouped[STATUS_HEADER] = [str(self._status).encode()]
        # Percent-encoded, since Chromium lower-cases header values of custom schemes; hex digits survive that.
        grouped[HEADERS_HEADER] = [_case_proof(json.dumps(pairs)).encode()]
        return {**grouped}

    def fail(self, error: QWebEngineUrlRequestJob.Error) -> None:
        if self._job is not None:
            self._job.fail(error)


def _case_proof(text: str) -> str:
    """Percent-encode so that lower-casing loses nothing: upper-case letters are encoded too."""
    return "".join(f"%{ord(char):02x}" if char.isupper() else quote(char, safe="") for char in text)


def _call_soon(loop: asyncio.AbstractEventLoop, *callbacks: Callable[[], None]) -> None:
    try:
        for callback in callbacks:
            loop.call_soon_threadsafe(callback)
    except RuntimeError:
        # The service loop is closed: the program is ending, and nobody waits any more.
        return


def _read_body(job: QWebEngineUrlRequestJob) -> bytes:
    device = job.requestBody()
    if device is None or not device.open(QIODevice.OpenModeFlag.ReadOnly | QIODevice.OpenModeFlag.Unbuffered):
        return b""
    return device.read(_READ_ALL) or b""


def _scope(scheme: str, method: str, url: QUrl, headers: dict[bytes, bytes], asker: Asker) -> MutableMapping[str, Any]:
    encoded = url.toEncoded(QUrl.UrlFormattingOption.RemoveFragment).data()
    raw_path, _, query = encoded.partition(b"://")[2].partition(b"/")[2].partition(b"?")
    if b"/" not in encoded.partition(b"://")[2].partition(b"?")[0]:
        raw_path, query = b"", encoded.partition(b"?")[2]
    host = url.host()
    headers[b"host"] = host.encode("ascii", "replace")
    return {
        "type": "http",
        # At 2.4, Starlette ignores http.disconnect, and a silent prompt would be processed to its end for nobody.
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "server": (host, None),
        "client": None,
        "root_path": "",
        "path": unquote_to_bytes(b"/" + raw_path).decode("utf-8", "replace"),
        "raw_path": b"/" + raw_path,
        "query_string": query,
        "headers": list(headers.items()),
        "extensions": {EXTENSION: asker},
        "state": {},
    }
