"""An ASGI app at ``hyper:`` and ``ipfs:`` that keeps what is published in memory, with the statuses of the real one."""

from __future__ import annotations

import email.policy
import hashlib
import json
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

HEADERS = ("publication-app", "publication-model")


class P2PMemory:
    """Attributes: ``sites`` (files by root and path), ``calls`` (method, URL and the headers for the ledger),
    ``refusal`` (a status and a sentence for the next write)."""

    def __init__(self) -> None:
        self.sites: dict[str, dict[str, bytes]] = {}
        self.calls: list[tuple[str, str, dict[str, str]]] = []
        self.refusal: tuple[int, str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        reply = await self._reply(request)
        await reply(scope, receive, send)

    async def _reply(self, request: Request) -> Response:
        scheme, host, path = request.url.scheme, request.url.hostname or "", unquote(request.url.path)
        said = {name: request.headers[name] for name in HEADERS if name in request.headers}
        self.calls.append((request.method, str(request.url), said))
        if request.method in ("GET", "HEAD"):
            return self._read(f"{scheme}://{host}/", path.removeprefix("/"), "noResolve" in request.url.query)
        if self.refusal is not None:
            (status, sentence), self.refusal = self.refusal, None
            return PlainTextResponse(sentence, status)
        if host == "localhost":
            root = f"hyper://{_key(request.url.query)}/"
            self.sites.setdefault(root, {})
            return PlainTextResponse(root)
        if request.method == "DELETE":
            self.sites[f"{scheme}://{host}/"].pop(path.removeprefix("/"))
            return PlainTextResponse("")
        files = _form(request.headers["content-type"], await request.body())
        root = f"{scheme}://{host}/" if scheme == "hyper" else f"ipfs://b{_key(repr(sorted(files.items())))}/"
        self.sites.setdefault(root, {}).update(files)
        return PlainTextResponse(root, 201, {"Location": root} if scheme == "ipfs" else None)

    def _read(self, root: str, path: str, is_listing: bool) -> Response:
        files = self.sites.get(root)
        if files is None:
            return PlainTextResponse("No peer had it in time.", 504)
        if is_listing:
            below = [name.removeprefix(path) for name in files if name.startswith(path)]
            names = sorted({f"{name.split('/')[0]}/" if "/" in name else name for name in below})
            return Response(json.dumps(names), media_type="application/json")
        content = files.get(path or "index.html")
        if content is None:
            return PlainTextResponse("There is no such file.", 404)
        kind = "text/html; charset=utf-8" if (path or "index.html").endswith(".html") else "application/octet-stream"
        return Response(content, media_type=kind)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:52].translate(str.maketrans("0l2v", "yybb"))


def _form(content_type: str, body: bytes) -> dict[str, bytes]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message: Any = BytesParser(EmailMessage, policy=email.policy.HTTP).parsebytes(head + body)
    return {part.get_filename(): part.get_payload(decode=True) for part in message.iter_parts()}
