"""HTTP to servers of models: limits of time and size, no redirects, and httpx's errors translated, in one place.

A stream's silence is measured in lines: a server that sends a byte now and then without ever ending a line is as
silent as one that sends nothing. Time during which the reader of a stream does not ask for more does not count.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import math
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin

import httpx

import peersky
from peersky.core.base_url import BaseUrl
from peersky.core.errors import BackendFailed, PeerSkyError
from peersky.core.origins import Origin, parse_origin
from peersky.llm.model_server import SETTINGS_PAGE, ModelServer, check_safe

MAX_ERROR_BYTES: Final = 64 * 1024
MAX_JSON_BYTES: Final = 64 * 1024 * 1024
_FIRST_HTTP_ERROR: Final = 400


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a server may take, in seconds.

    Attributes:
        connect_s: until it takes the connection.
        first_byte_s: from then until the first line of the reply's body: waiting in its queue, loading, reading the
            prompt.
        idle_s: between two lines.
        total_s: all waiting for it together.
    """

    connect_s: float = 10.0
    first_byte_s: float = 120.0
    idle_s: float = 90.0
    total_s: float = 3600.0


class Reply:
    """A reply whose headers are here.

    Attributes:
        status: HTTP status.
        idle_s: longest silence from now on; may be lowered while reading.
    """

    def __init__(self, server: ModelServer, response: httpx.Response, limits: Limits, left_s: float) -> None:
        self.status = response.status_code
        self.idle_s = limits.idle_s
        self._server = server
        self._response = response
        self._left_s = left_s
        self._total_s = limits.total_s
        self._began = False
        self._peeked = b""
        self._source: AsyncIterator[bytes] = response.aiter_bytes()

    @property
    def is_ok(self) -> bool:
        return self.status < _FIRST_HTTP_ERROR

    @property
    def retry_after_s(self) -> float | None:
        """How long the server wants to be left alone; None where it does not say. RFC 9110, section 10.2.3."""
        headers = self._response.headers
        with suppress(ValueError):
            return _within_reason(float(headers.get("retry-after-ms", "")) / 1000)
        text = headers.get("retry-after", "")
        with suppress(ValueError):
            return _within_reason(float(text))
        with suppress(ValueError, TypeError, OverflowError):
            return _within_reason(email.utils.parsedate_to_datetime(text).timestamp() - time.time())
        return None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body, as it arrives.

        Raises:
            BackendFailed: ``interrupted``: it broke off, or was silent for too long.
        """
        if self._peeked:
            peeked, self._peeked = self._peeked, b""
            yield peeked
        while (chunk := await self._next()) is not None:
            yield chunk

    async def peek(self) -> bytes:
        """The first byte of the body that is no blank; empty where there is none. Waits for it, and takes nothing away.

        Raises:
            BackendFailed: as :meth:`chunks`.
        """
        while not (shown := self._peeked.lstrip(b"\xef\xbb\xbf \t\r\n")):
            chunk = await self._next()
            if chunk is None or len(self._peeked) > MAX_ERROR_BYTES:
                return b""
            self._peeked += chunk
        return shown[:1]

    async def _next(self) -> bytes | None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        allowed_s = min(self._left_s, self._total_s, self.idle_s if self._began else math.inf)
        try:
            async with asyncio.timeout(allowed_s if math.isfinite(allowed_s) else None):
                chunk = await anext(self._source, None)
        except (TimeoutError, httpx.HTTPError, httpx.StreamError) as error:
            raise failure_of(error, self._server) from error
        if chunk is not None:
            waited_s = loop.time() - began_s
            self._total_s -= waited_s
            ended_a_line = not self._began or b"\n" in chunk or b"\r" in chunk
            self._left_s = self.idle_s if ended_a_line else self._left_s - waited_s
            self._began = True
        return chunk

    async def json(self) -> Any:
        """The body, decoded.

        Raises:
            BackendFailed: it broke off (``interrupted``), is no JSON or too long (``backend_error``).
        """
        try:
            return json.loads(await self.body())
        except (ValueError, RecursionError) as error:
            raise BackendFailed(
                f"{self._server.name} answers at {self._server.base} with what is no JSON; "
                f"check the base URL in {SETTINGS_PAGE}.",
                reason="backend_error",
            ) from error

    async def error_body(self) -> Any:
        """What the server says went wrong: decoded JSON or the text itself, without the key; empty where it broke."""
        body = b""
        with suppress(PeerSkyError):
            body = await self.body(MAX_ERROR_BYTES, cut=True)
        text = body.decode("utf-8", "replace")
        with suppress(ValueError, RecursionError):
            return self._server.masked(json.loads(text))
        return self._server.masked(text)

    async def body(self, limit: int = MAX_JSON_BYTES, *, cut: bool = False) -> bytes:
        """The whole body.

        Args:
            limit: in bytes.
            cut: leave out what is beyond; else that is an error.

        Raises:
            BackendFailed: it broke off (``interrupted``) or is too long (``backend_error``).
        """
        body = bytearray()
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > limit:
                    if cut:
                        break
                    raise BackendFailed(f"{self._server.name} sent an endless reply.", reason="backend_error")
        return bytes(body[:limit])


class HttpClients:
    """Sends requests to model servers. One client per origin, so that nothing of one reaches another."""

    def __init__(self) -> None:
        self._clients: dict[Origin, httpx.AsyncClient] = {}
        self._making = asyncio.Lock()

    @asynccontextmanager
    async def request(
        self,
        server: ModelServer,
        method: str,
        url: str,
        body: Mapping[str, Any] | None = None,
        *,
        limits: Limits,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Reply]:
        """Send one request; leaving the block closes the connection, which stops the server's work on it.

        Args:
            url: below the server's own origin.
            headers: beyond those that every request to this server has.

        Raises:
            NotAllowed: ``insecure_url``.
            BackendFailed: nobody answers (``unreachable``), the server is silent or breaks off (``interrupted``), or
                sends the question on to another address (``backend_error``).
        """
        check_safe(server.base)
        if parse_origin(url) != server.base.origin:
            raise ValueError("a key belongs to one origin")
        client = await self._client(server.base)
        sent = client.build_request(
            method,
            url,
            content=None if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
            headers={
                **({} if body is None else {"Content-Type": "application/json"}),
                **server.headers,
                **(headers or {}),
            },
            timeout=httpx.Timeout(None, connect=limits.connect_s),
        )
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            async with asyncio.timeout(limits.connect_s + limits.first_byte_s):
                response = await client.send(sent, stream=True)
        except (TimeoutError, httpx.HTTPError) as error:
            raise failure_of(error, server) from error
        try:
            if response.is_redirect or response.has_redirect_location:
                raise _redirected(server, url, response.headers.get("location", ""))
            left_s = max(1.0, limits.first_byte_s - (loop.time() - began_s))
            yield Reply(server, response, limits, left_s)
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close all connections. Safe to call twice."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.aclose()

    async def _client(self, base: BaseUrl) -> httpx.AsyncClient:
        async with self._making:
            if base.origin not in self._clients:
                # Reading the certificates takes a moment, and plain http needs none.
                secure = base.origin.scheme == "https"
                verify = await asyncio.to_thread(_tls) if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                self._clients[base.origin] = httpx.AsyncClient(
                    verify=verify,
                    # A proxy from the environment has no business between this computer and its own network.
                    trust_env=not base.is_private,
                    follow_redirects=False,
                    # A connection that the server has closed meanwhile would cost a question: none is used twice.
                    limits=httpx.Limits(max_keepalive_connections=0),
                    headers={"User-Agent": f"PeerSky/{peersky.__version__}", "Accept-Encoding": "identity"},
                )
            return self._clients[base.origin]


def failure_of(error: Exception, server: ModelServer) -> BackendFailed:
    """The error for people that a failure of httpx, or a timeout, means."""
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
        return BackendFailed(
            f"The certificate of {server.base.origin} is not valid, so nothing was sent; "
            f"check the base URL in {SETTINGS_PAGE}.",
            reason="unreachable",
        )
    match error:
        case httpx.ProxyError():
            return BackendFailed(
                f"The proxy that your system names does not lead to {server.base.origin}; check its settings.",
                reason="unreachable",
            )
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.UnsupportedProtocol():
            return server.unreachable()
        case TimeoutError() | httpx.TimeoutException():
            return BackendFailed(
                f"{server.name} was silent for too long, so the answer was given up. Ask again.",
                reason="interrupted",
            )
        case httpx.DecodingError():
            return BackendFailed(f"{server.name} sent bytes that cannot be read.", reason="backend_error")
        case _:
            return BackendFailed(
                f"{server.name} broke the connection before the answer was finished. Ask again.",
                reason="interrupted",
            )


def _redirected(server: ModelServer, url: str, location: str) -> BackendFailed:
    target = parse_origin(urljoin(url, location))
    where = "another address" if target.is_opaque or target == server.base.origin else str(target)
    return BackendFailed(
        f"{server.name} sends questions on to {where}, where your key and your text must not go unasked; "
        f"enter the final address as the base URL in {SETTINGS_PAGE}.",
        reason="backend_error",
    )


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _tls() -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    # Beside httpx's own list: what this computer's owner trusts.
    context.load_default_certs()
    return context


def _within_reason(seconds: float) -> float:
    if not math.isfinite(seconds):
        raise ValueError("endless")
    return min(max(seconds, 0.0), 86_400.0)
