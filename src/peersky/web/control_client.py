"""The command line's side of the private socket; the other is :mod:`peersky.web.control`. Synchronous."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

import httpx

from peersky.core.errors import BackendFailed, PeerSkyError
from peersky.core.sse import SseDecoder
from peersky.system.private_socket import Address

PING_TIMEOUT_S: Final = 5.0


class HolderGone(PeerSkyError):
    """The process that held the profile ended before it began to reply: connect anew, and ask again."""

    default_reason = "holder_gone"


class ControlClient:
    """Talks to the holder of a profile.

    All methods raise :class:`HolderGone`, or the :class:`PeerSkyError` that the holder replied.
    """

    def __init__(self, address: Address) -> None:
        transport = httpx.HTTPTransport(uds=address.path) if address.path else httpx.HTTPTransport()
        self._http = httpx.Client(
            base_url="http://localhost" if address.path else f"http://127.0.0.1:{address.port}",
            transport=transport,
            headers={"authorization": f"Bearer {address.token}"},
            # A model may read a long prompt for minutes before the first byte.
            timeout=httpx.Timeout(None, connect=PING_TIMEOUT_S),
            trust_env=False,
        )

    def close(self) -> None:
        self._http.close()

    def ping(self) -> dict[str, Any]:
        """Who holds the profile: ``pid``, ``kind`` (``browser`` or ``command``), ``version``."""
        return self._call("GET", "/ping", timeout_s=PING_TIMEOUT_S)

    def model(self, name: str | None) -> dict[str, Any]:
        """The model that would answer, or the one called ``name``, as ``ModelInfo.as_object`` tells it."""
        return self._call("GET", f"/model?name={quote(name, safe='')}" if name else "/model")

    def settings(self) -> dict[str, Any]:
        """All settings with their values, secrets only as set or not; ``notices``; ``secretsIn``."""
        return self._call("GET", "/settings")

    def change(self, changes: Mapping[str, Any]) -> None:
        """Set settings; None goes back to the default."""
        self._call("POST", "/settings", {"changes": dict(changes)})

    def logs(self, limit: int = 100) -> list[dict[str, Any]]:
        """The last entries of the log."""
        entries: list[dict[str, Any]] = self._call("GET", f"/logs?limit={limit}")["entries"]
        return entries

    def models(self) -> dict[str, Any]:
        """The built-in engine's ``models``, ``diskBytes`` and ``freeMemoryBytes``."""
        return self._call("GET", "/models")

    def show_model(self, name: str) -> dict[str, Any]:
        """One of them in full."""
        return self._call("GET", f"/models/show?name={quote(name, safe='')}")

    def remove_model(self, name: str) -> int:
        """Delete one; the bytes that this freed."""
        return int(self._call("POST", "/models/remove", {"name": name})["freedBytes"])

    def import_model(self, file: str, name: str | None) -> str:
        """Make the GGUF file at an absolute path one of them; its name."""
        return str(self._call("POST", "/models/import", {"file": file, "name": name})["name"])

    def start_download(self, provider: str, model: str) -> tuple[dict[str, Any], bool]:
        """Download a model; the download, and whether somebody else had started it before."""
        reply = self._call("POST", "/downloads", {"provider": provider, "model": model})
        return reply["download"], reply["joined"]

    def steer_download(self, download_id: str, action: str) -> None:
        """``pause``, ``resume``, ``cancel`` or ``dismiss``."""
        self._call("POST", f"/downloads/{quote(download_id, safe='')}", {"action": action})

    @contextmanager
    def follow_download(self, download_id: str) -> Iterator[Iterator[dict[str, Any]]]:
        """A download as it is, and again at every change, without end."""
        with self._request("GET", f"/downloads/{quote(download_id, safe='')}/events") as response:
            yield _events(response)

    @contextmanager
    def publish(self, path: str, to: str, name: str) -> Iterator[Iterator[dict[str, Any]]]:
        """Publish a file or folder at an absolute path, and iterate over what is told of it; the last has a ``url``.

        Leaving the block before that cancels. Raises what went wrong, as :meth:`chat` does.
        """
        with self._request("POST", "/p2p/publish", {"path": path, "to": to, "name": name}) as response:
            yield _lines(response)

    def open(self, url: str | None) -> None:
        """Open a tab in the browser that holds the profile; None brings its window to the front."""
        self._call("POST", "/open", {"url": url})

    @contextmanager
    def chat(self, body: Mapping[str, Any]) -> Iterator[Iterator[dict[str, Any]]]:
        """Ask, and iterate over OpenAI's chunks. Leaving the block stops the generation.

        Raises:
            BackendFailed: the stream broke (``interrupted``).
        """
        with self._request("POST", "/llm/v1/chat/completions", {**body, "stream": True}) as response:
            yield _chunks(response)

    def _call(self, method: str, path: str, body: Any = None, timeout_s: float | None = None) -> dict[str, Any]:
        with self._request(method, path, body, timeout_s) as response:
            content = response.read()
        return dict(json.loads(content)) if content else {}

    @contextmanager
    def _request(
        self, method: str, path: str, body: Any = None, timeout_s: float | None = None
    ) -> Iterator[httpx.Response]:
        timeout = self._http.timeout if timeout_s is None else httpx.Timeout(timeout_s)
        request = self._http.build_request(method, path, json=body, timeout=timeout)
        try:
            response = self._http.send(request, stream=True)
        except httpx.HTTPError as error:
            raise HolderGone("The process that held the profile has ended; try again.") from error
        try:
            if not response.is_success:
                raise _error_in(_read(response))
            yield response
        except httpx.HTTPError as error:
            raise BackendFailed(
                "The process that held the profile ended in the middle of the answer; ask again.",
                reason="interrupted",
            ) from error
        finally:
            response.close()


def _read(response: httpx.Response) -> Any:
    try:
        return json.loads(response.read())
    except ValueError:
        return None


def _error_in(reply: Any) -> PeerSkyError:
    error = reply.get("error") if isinstance(reply, dict) else None
    if not isinstance(error, dict):
        return PeerSkyError("The process that holds the profile sent a reply that makes no sense.")
    return PeerSkyError(str(error.get("message")), reason=error.get("code"), param=error.get("param"))


def _events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    decoder = SseDecoder()
    for data in response.iter_bytes():
        for event in decoder.feed(data):
            yield json.loads(event)


def _lines(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        told = json.loads(line)
        if "error" in told:
            raise _error_in(told)
        yield told


def _chunks(response: httpx.Response) -> Iterator[dict[str, Any]]:
    decoder = SseDecoder()
    for data in response.iter_bytes():
        for event in decoder.feed(data):
            if event == "[DONE]":
                return
            chunk = json.loads(event)
            if "error" in chunk:
                raise _error_in(chunk)
            yield chunk
