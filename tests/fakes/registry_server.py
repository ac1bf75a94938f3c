"""A registry of models on loopback: Ollama's protocol and Hugging Face's API over real HTTP, with faults on demand.

Runs in threads of the test's process. Blobs are answered with a redirect to a signed address, as the real one does.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CHUNK = 16 * 1024


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one answer that has bytes of a blob.

    ``drop``, ``stall`` and ``trickle`` send ``after`` bytes and then break the connection, send nothing more, or a byte
    now and then; ``status`` answers with ``code``; ``whole`` ignores Range; ``etag``, ``total`` (of Content-Range) and
    ``length`` lie in a header; ``flip`` changes the last byte.
    """

    kind: Literal["drop", "stall", "trickle", "status", "whole", "etag", "total", "length", "flip", "gzip"]
    after: int = 0
    code: int = 500
    value: str = ""


@dataclass
class Seen:
    """A request that came in."""

    path: str
    range: str | None
    authorization: str | None
    agent: str


@dataclass
class RegistryServer:
    """Use as a context manager.

    Attributes:
        manifests: raw manifests by ``namespace/model/tag``.
        blobs: contents by digest.
        hub: files of Hugging Face by ``user/repository`` and path.
        faults: taken one by one, for each answer with bytes of a blob; None: a good one.
        always: the fault of every answer that ``faults`` has nothing for.
        manifest_status: answers manifests with this instead.
        redirect: answers blobs with a redirect to a signed address.
        redirect_to: a fixed address instead of a signed one.
        signed_uses: how many requests a signed address is good for.
        signed_elsewhere: signed addresses are below another name of this computer; Ollama takes no others.
        stalled: set while an answer is stalled; ``release`` ends all stalls.
        gate: cleared: answers with bytes of blobs wait after their first chunk.
        pause_s: between two chunks of an answer, as on a slow line.
    """

    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    hub: dict[str, dict[str, bytes]] = field(default_factory=dict)
    faults: deque[Fault | None] = field(default_factory=deque)
    always: Fault | None = None
    manifest_status: int = 200
    redirect: bool = True
    redirect_to: str = ""
    signed_uses: int = 1_000_000
    signed_elsewhere: bool = False
    page_size: int = 1000
    seen: list[Seen] = field(default_factory=list)
    sent_bytes: int = 0
    stalled: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)
    pause_s: float = 0.0

    def __post_init__(self) -> None:
        self.gate.set()
        self.lock = threading.Lock()
        self.tokens: dict[str, int] = {}
        registry = self

        class Handler(_Handler):
            server_state = registry

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def __enter__(self) -> RegistryServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release.set()
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(
        self,
        name: str,
        layers: Mapping[str, bytes],
        config: Mapping[str, Any] | None = None,
    ) -> str:
        """Publish ``model:tag`` below ``library``; the complete name by which it is pulled."""
        model, _, tag = name.partition(":")
        config_blob = json.dumps(config or {"model_format": "gguf"}).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                **self.add_blob(config_blob),
            },
            "layers": [
                {"mediaType": f"application/vnd.ollama.image.{kind}", **self.add_blob(content)}
                for kind, content in layers.items()
            ],
        }
        self.manifests[f"library/{model}/{tag or 'latest'}"] = json.dumps(manifest).encode()
        return f"{self.host}/library/{model}:{tag or 'latest'}"

    def add_blob(self, content: bytes) -> dict[str, Any]:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self.blobs[digest] = content
        return {"digest": digest, "size": len(content)}

    def ranges(self) -> list[str]:
        """The ranges of blobs that were asked for, without those that were only redirected."""
        return [seen.range or "" for seen in self.seen if not seen.path.startswith("/v2/")]

    def take_fault(self) -> Fault | None:
        with self.lock:
            return self.faults.popleft() if self.faults else self.always


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: RegistryServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Quiet."""

    def do_HEAD(self) -> None:
        """How large a blob is: Ollama asks so."""
        content = self.server_state.blobs.get(urlsplit(self.path).path.rpartition("/")[2])
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()

    def do_GET(self) -> None:
        state = self.server_state
        url = urlsplit(self.path)
        with state.lock:
            state.seen.append(
                Seen(
                    self.path,
                    self.headers.get("Range"),
                    self.headers.get("Authorization"),
                    self.headers.get("User-Agent", ""),
                )
            )
        parts = unquote(url.path).strip("/").split("/")
        try:
            match parts:
                case ["v2", namespace, model, "manifests", tag]:
                    self._manifest(f"{namespace}/{model}/{tag}")
                case ["v2", _, _, "blobs", digest]:
                    self._blob(digest)
                case ["signed", digest]:
                    self._signed(digest, parse_qs(url.query).get("token", [""])[0])
                case ["api", "models", user, repository, "refs"]:
                    self._refs(f"{user}/{repository}")
                case ["api", "models", user, repository, "tree", _]:
                    self._tree(f"{user}/{repository}", int(parse_qs(url.query).get("page", ["0"])[0]))
                case [user, repository, "resolve", _, *path]:
                    self._redirect(hashlib.sha256(state.hub[f"{user}/{repository}"]["/".join(path)]).hexdigest())
                case _:
                    self._answer(404, b"404 page not found")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _manifest(self, key: str) -> None:
        state = self.server_state
        raw = state.manifests.get(key)
        if state.manifest_status != 200 or raw is None:
            self._answer(state.manifest_status if raw is not None else 404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        else:
            self._answer(200, raw, {"Content-Type": "text/plain; charset=utf-8"})

    def _refs(self, repository: str) -> None:
        if repository not in self.server_state.hub:
            self._answer(401, b'{"error":"Invalid username or password."}')
            return
        self._answer(200, json.dumps({"tags": [], "branches": [{"name": "main", "targetCommit": COMMIT}]}).encode())

    def _tree(self, repository: str, page: int) -> None:
        state = self.server_state
        entries: list[dict[str, Any]] = [{"type": "directory", "path": "sub", "oid": "0" * 40, "size": 0}]
        entries += [{"type": "file", "path": "README.md", "oid": "0" * 40, "size": 10}]
        for path, content in state.hub[repository].items():
            digest = hashlib.sha256(content).hexdigest()
            state.blobs["sha256:" + digest] = content
            entries.append(
                {"type": "file", "path": path, "size": len(content), "lfs": {"oid": digest, "size": len(content)}}
            )
        start = page * state.page_size
        headers = {}
        if start + state.page_size < len(entries):
            url = f"{state.url}/api/models/{repository}/tree/{COMMIT}?recursive=true&page={page + 1}"
            headers["Link"] = f'<{url}>; rel="next"'
        self._answer(200, json.dumps(entries[start : start + state.page_size]).encode(), headers)

    def _blob(self, digest: str) -> None:
        if digest not in self.server_state.blobs:
            self._answer(404, b"not found")
        elif self.server_state.redirect:
            self._redirect(digest.removeprefix("sha256:"))
        else:
            self._bytes(digest)

    def _redirect(self, digest: str) -> None:
        state = self.server_state
        with state.lock:
            token = str(len(state.tokens))
            state.tokens[token] = state.signed_uses
        origin = state.url.replace("127.0.0.1", "localhost") if state.signed_elsewhere else ""
        target = state.redirect_to or f"{origin}/signed/{digest}?token={token}"
        self._answer(307, b"", {"Location": target})

    def _signed(self, digest: str, token: str) -> None:
        state = self.server_state
        with state.lock:
            left = state.tokens.get(token, 0)
            state.tokens[token] = left - 1
        if left <= 0:
            self._answer(403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
        else:
            self._bytes(f"sha256:{digest}")

    def _bytes(self, digest: str) -> None:
        state = self.server_state
        content = state.blobs[digest]
        fault = state.take_fault() or Fault("drop", after=1 << 60)
        if fault.kind == "status":
            self._answer(fault.code, b"{}")
            return
        if fault.kind == "flip":
            content = content[:-1] + bytes([content[-1] ^ 1])
        headers = {"ETag": f'"{digest[:20]}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if fault.kind == "etag":
            headers["ETag"] = fault.value
        if fault.kind == "gzip":
            headers["Content-Encoding"] = "gzip"
        asked = self.headers.get("Range")
        if asked and fault.kind != "whole":
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(content) - 1) + 1, len(content))
            total = fault.value if fault.kind == "total" else str(len(content))
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{total}"
            body, code = content[start:end], 206
        else:
            body, code = content, 200
        length = int(fault.value) if fault.kind == "length" else len(body)
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()
        stop = fault.after if fault.kind in ("drop", "stall", "trickle") else len(body)
        for start in range(0, min(stop, len(body)), CHUNK):
            piece = body[start : min(start + CHUNK, stop)]
            self.wfile.write(piece)
            with state.lock:
                state.sent_bytes += len(piece)
            if state.pause_s:
                state.release.wait(state.pause_s)
            if start == 0 and not state.gate.is_set():
                self.wfile.flush()
                state.stalled.set()
                state.gate.wait()
        self.wfile.flush()
        if stop < len(body):
            if fault.kind == "stall":
                state.stalled.set()
                state.release.wait()
            if fault.kind == "trickle":
                state.stalled.set()
                while stop < len(body) and not state.release.wait(0.01):
                    self.wfile.write(body[stop : stop + 1])
                    self.wfile.flush()
                    stop += 1
            self.close_connection = True
        elif fault.kind == "length":
            self.close_connection = True

    def _answer(self, code: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
