"""How the library asks other computers: redirects, refusals and broken connections, and Ollama's registries.

Registries answer a request for a blob with a redirect to a signed address elsewhere, which expires; so every request
goes to the registry anew, and a signed address is never kept.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx

import peersky
from peersky.core.errors import BackendFailed, NotSupported, PeerSkyError
from peersky.core.manifest import MAX_MANIFEST_BYTES, MEDIA_TYPE, Layer, Manifest, parse_manifest
from peersky.core.model_names import ModelName, is_loopback

MAX_REDIRECTS: Final = 5
STALL_S: Final = 30.0
"""A connection without a byte for so long is given up and made anew."""

SLOW_BYTES: Final = 32 * 1024
"""A connection that brings less than this in :data:`STALL_S` is given up, too: it would never end."""

_REDIRECTS: Final = (301, 302, 303, 307, 308)
_MAX_EXCERPT_BYTES: Final = 2000


class Refused(Exception):
    """A server answered with an error.

    Attributes:
        status: HTTP's number.
        host: who answered.
        redirected: not the server that was asked: a signed address may have expired.
        detail: what it said, in short.
    """

    def __init__(self, status: int, host: str, redirected: bool, detail: str = "") -> None:
        super().__init__(f"{host} answered {status}")
        self.status = status
        self.host = host
        self.redirected = redirected
        self.detail = detail


class Broken(Exception):
    """The connection could not be made, stalled or broke; its text is a clause for people."""


class TooSlow(Broken):
    """The connection brings bytes, but so few that nothing would ever be done."""


class Pace:
    """Watches one connection: bytes that trickle are no silence, and still have no end.

    Args:
        host: for the sentence.
        least_bytes: in every ``seconds``.
    """

    def __init__(self, host: str, least_bytes: int, seconds: float) -> None:
        self._host = host
        self._least_bytes = least_bytes
        self._seconds = seconds
        self._since_s = time.monotonic()
        self._bytes = 0

    def saw(self, size: int) -> None:
        """So many bytes came.

        Raises:
            TooSlow: they were too few for some time.
        """
        self._bytes += size
        now = time.monotonic()
        if self._bytes >= self._least_bytes:
            self._bytes, self._since_s = 0, now
        elif now - self._since_s > self._seconds:
            raise TooSlow(f"{self._host} sent only {self._bytes:,} bytes in {self._seconds:g} s")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model comes from.

    Attributes:
        manifest: what belongs to it.
        url_of: the address of a layer.
    """

    manifest: Manifest
    url_of: Callable[[Layer], str]


class Fetcher:
    """GET requests, as the library needs them.

    Args:
        stall_s: longest silence of a connection, in seconds.
        slow_bytes: what a connection must bring in that time.
    """

    def __init__(self, stall_s: float = STALL_S, slow_bytes: int = SLOW_BYTES) -> None:
        self._stall_s = stall_s
        self._slow_bytes = slow_bytes
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close all connections. Safe to call twice; the next request opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    @asynccontextmanager
    async def get(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        """Ask, follow redirects, and give the successful response with its body unread.

        Five redirects at most; none from https to http, and none to plain http elsewhere than on this machine.
        ``Authorization`` goes to the host that was asked and to no other.

        Raises:
            Refused: the answer is an error.
            Broken: the connection stalled or broke, also while the caller reads the body.
            BackendFailed: the redirects are not acceptable.
        """
        client = await self._open()
        # The head of an answer may trickle, too.
        patience_s = 2 * self._stall_s
        first_host = urlsplit(url).netloc
        current = url
        try:
            for _ in range(MAX_REDIRECTS + 1):
                sent = {name: value for name, value in headers.items() if name.lower() != "authorization"}
                if urlsplit(current).netloc == first_host:
                    sent = dict(headers)
                request = client.build_request("GET", current, headers={"Accept-Encoding": "identity", **sent})
                async with asyncio.timeout(patience_s):
                    response = await client.send(request, stream=True)
                try:
                    if response.status_code in _REDIRECTS and "location" in response.headers:
                        current = _next_url(response)
                        continue
                    if not response.is_success:
                        raise await _refusal(response, redirected=current != url)
                    yield response
                    return
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise TooSlow(f"{urlsplit(current).netloc} did not answer within {patience_s:g} s") from error
        except httpx.HTTPError as error:
            raise Broken(_clause(error, current, self._stall_s)) from error
        raise BackendFailed(f"{first_host} redirects in a circle; the download was given up.", reason="backend_error")

    def pace(self, response: httpx.Response) -> Pace:
        """Whoever reads the body tells this of every piece."""
        return Pace(response.url.netloc.decode(), self._slow_bytes, self._stall_s)

    async def read(self, url: str, headers: Mapping[str, str], limit_bytes: int) -> tuple[bytes, httpx.Headers]:
        """The whole body of a short answer, and its headers.

        Raises:
            Refused: the answer is an error.
            BackendFailed: the server cannot be reached, or the body is longer than ``limit_bytes``.
        """
        try:
            async with self.get(url, headers) as response:
                body, pace = bytearray(), self.pace(response)
                async for chunk in response.aiter_bytes():
                    pace.saw(len(chunk))
                    body += chunk
                    if len(body) > limit_bytes:
                        raise BackendFailed(
                            f"{urlsplit(url).netloc} sent an answer without end; the download was given up.",
                            reason="backend_error",
                        )
                return bytes(body), response.headers
        except Broken as error:
            raise BackendFailed(f"{error}. Check the connection and try again.") from error

    async def read_start(self, url: str, size: int) -> bytes:
        """The first bytes of a file, at most ``size``.

        Raises:
            Refused: the answer is an error.
            BackendFailed: the server cannot be reached.
        """
        start = bytearray()
        try:
            async with self.get(url, {"Range": f"bytes=0-{size - 1}"}) as response:
                pace = self.pace(response)
                async for chunk in response.aiter_raw():
                    pace.saw(len(chunk))
                    start += chunk
                    if len(start) >= size:
                        break
        except Broken as error:
            raise BackendFailed(f"{error}. Check the connection and try again.") from error
        return bytes(start[:size])

    async def _open(self) -> httpx.AsyncClient:
        async with self._opening:
            if self._client is None:
                # Reads all certificates of authorities: some time, and in a thread.
                context = await asyncio.to_thread(httpx.create_ssl_context)
                self._client = _client(context, self._stall_s)
            return self._client


def _client(context: ssl.SSLContext, stall_s: float) -> httpx.AsyncClient:
    try:
        return httpx.AsyncClient(
            verify=context,
            headers={"User-Agent": f"PeerSky/{peersky.__version__}"},
            timeout=httpx.Timeout(stall_s, pool=None),
            limits=httpx.Limits(max_connections=64),
            # Plain http is for this machine, where no proxy has any business.
            mounts={"http://": httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=64))},
        )
    except ImportError as error:
        raise BackendFailed(
            "The proxy in ALL_PROXY or HTTPS_PROXY is of a kind that PeerSky cannot use. Set one that starts with "
            "http://, or none."
        ) from error


def _next_url(response: httpx.Response) -> str:
    try:
        url = response.url.join(response.headers["location"])
    except httpx.InvalidURL as error:
        raise BackendFailed(
            f"{response.url.host} redirects to an impossible address; the download was given up.",
            reason="backend_error",
        ) from error
    to_plain = url.scheme == "http" and (response.url.scheme != "http" or not is_loopback(url.host))
    if url.scheme not in ("http", "https") or to_plain:
        raise BackendFailed(
            f"{response.url.host} redirects to an address without encryption ({url.host}); the download was given up.",
            reason="backend_error",
        )
    return str(url)


async def _refusal(response: httpx.Response, redirected: bool) -> Refused:
    excerpt = bytearray()
    async for chunk in response.aiter_bytes():
        excerpt += chunk
        if len(excerpt) > _MAX_EXCERPT_BYTES:
            break
    detail = " ".join(excerpt[:_MAX_EXCERPT_BYTES].decode("utf-8", "replace").split())
    return Refused(response.status_code, response.url.netloc.decode(), redirected, detail[:200])


def _clause(error: httpx.HTTPError, url: str, stall_s: float) -> str:
    host = urlsplit(url).netloc
    if isinstance(error, httpx.ReadTimeout):
        return f"{host} sent nothing for {stall_s:g} s"
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)):
        return f"{host} cannot be reached"
    return f"The connection to {host} broke"


def refusal_error(error: Refused, name: ModelName) -> PeerSkyError:
    """What an error of the server that was asked for a model means for the user."""
    if error.status in (401, 403, 404):
        return NotSupported(
            f"{error.host} has no model {name}, or it is private. Check the name.", reason="model_missing"
        )
    if error.status == 429:
        return BackendFailed(f"{error.host} has had too many requests from here; try again in some minutes.")
    if error.status == 400 and error.detail:
        return NotSupported(f"{error.host} refuses {name}: {error.detail.rstrip('.')}.", reason="model_missing")
    return BackendFailed(
        f"{error.host} cannot give {name} now (it answered {error.status}); try again later.", reason="backend_error"
    )


async def find_in_registry(fetcher: Fetcher, name: ModelName) -> Source:
    """Ask a registry that speaks Ollama's protocol for a model.

    Raises:
        NotSupported: ``model_missing``: it does not exist, or is private.
        BackendFailed: the registry cannot be reached, or answers nonsense.
    """
    try:
        raw, _ = await fetcher.read(name.manifest_url, {"Accept": MEDIA_TYPE}, MAX_MANIFEST_BYTES + 1)
    except Refused as error:
        raise refusal_error(error, name) from error
    return Source(parse_manifest(raw, name.host), lambda layer: name.blob_url(layer.digest))
