"""A small ASGI app for tests of the scheme adapter: echoes, streams, ranges and faults."""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
import wave
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from peersky.core.ranges import RangeNotSatisfiable, parse_range
from peersky.web.asker import asker_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

FILE = bytes(range(256)) * 40


def wav(seconds: int) -> bytes:
    """Silence that an audio element can seek in."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(44_100)
        sound.writeframes(bytes(4 * 44_100 * seconds))
    return buffer.getvalue()


class EchoApp:
    """The app, and what it saw."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self.sent_chunks = 0
        self.sound = b""
        self.ranges: list[str | None] = []
        every = ["GET", "POST", "PUT", "DELETE", "HEAD"]
        self.app = Starlette(
            routes=[
                Route("/", self.page),
                Route("/status/{code:int}", self.status, methods=every),
                Route("/echo", self.echo, methods=every),
                Route("/path/{rest:path}", self.echo),
                Route("/form/", self.form, methods=["PUT", "POST"]),
                Route("/lines", self.lines),
                Route("/forever", self.forever, methods=["GET", "POST"]),
                Route("/bulk", self.bulk),
                Route("/file", self.file),
                Route("/empty", self.file),
                Route("/sound", self.file),
                Route("/redirect", self.redirect, methods=["GET", "POST"]),
                Route("/events", self.events),
                Route("/crash", self.crash),
                Route("/break", self.break_off),
                Route("/script/{code:int}", self.script),
            ]
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)

    async def page(self, request: Request) -> Response:
        return HTMLResponse("<!doctype html><title>page</title><body></body>")

    async def status(self, request: Request) -> Response:
        code = request.path_params["code"]
        if code in (204, 304):
            return Response(status_code=code)
        return JSONResponse({"code": code}, code, headers={"X-Case": "AbC %20", "Content-Language": "de-AT"})

    async def echo(self, request: Request) -> Response:
        digest, length = hashlib.sha256(), 0
        async for chunk in request.stream():
            digest.update(chunk)
            length += len(chunk)
        asker = asker_of(request.scope)
        seen = {
            "method": request.method,
            "path": request.url.path,
            "raw_path": request.scope["raw_path"].decode(),
            "query": request.url.query,
            "type": request.headers.get("content-type"),
            "host": request.headers.get("host"),
            "x-mine": request.headers.get("x-mine"),
            "cache-control": request.headers.get("cache-control"),
            "length": length,
            "sha256": digest.hexdigest(),
            "origin": str(asker.origin),
            "top": str(asker.top),
            "resource": asker.resource,
        }
        self.requests.append(seen)
        return JSONResponse(seen)

    async def form(self, request: Request) -> Response:
        """The parts of a form: names, names of files, sizes."""
        body, kind = await request.body(), request.headers["content-type"]
        boundary = f"--{kind.partition('boundary=')[2]}".encode()
        parts = []
        for part in body.split(boundary)[1:-1]:
            head, _, content = part.removesuffix(b"\r\n").partition(b"\r\n\r\n")
            found = re.search(r'name="(.*?)"; filename="(.*?)"', head.decode())
            assert found
            parts.append([*found.groups(), len(content)])
        return JSONResponse({"type": kind, "length": len(body), "parts": parts})

    async def lines(self, request: Request) -> Response:
        count, pause = int(request.query_params["n"]), float(request.query_params.get("pause", "0"))

        async def write() -> AsyncIterator[str]:
            for number in range(count):
                yield f"{number}\n"
                if pause:
                    await asyncio.sleep(pause)

        return StreamingResponse(write(), media_type="text/plain")

    async def forever(self, request: Request) -> Response:
        """Headers at once; then silence (a long prompt) or a line now and then, until somebody goes away."""
        name = request.query_params["name"]
        silent = request.query_params.get("silent") == "1"

        async def write() -> AsyncIterator[str]:
            try:
                yield "begin\n"
                while True:
                    await asyncio.sleep(3600 if silent else 0.01)
                    yield "more\n"
            finally:
                self.cancelled.append(name)

        return StreamingResponse(write(), media_type="text/plain")

    async def bulk(self, request: Request) -> Response:
        async def write() -> AsyncIterator[bytes]:
            self.sent_chunks = 0
            for _ in range(int(request.query_params["mb"]) * 4):
                self.sent_chunks += 1
                yield bytes(262_144)

        return StreamingResponse(write(), media_type="application/octet-stream")

    async def file(self, request: Request) -> Response:
        data = {"/file": FILE, "/empty": b"", "/sound": self.sound}[request.url.path]
        kind = "audio/wav" if request.url.path == "/sound" else "application/octet-stream"
        self.ranges.append(request.headers.get("range"))
        try:
            part = parse_range(request.headers.get("range"), len(data))
        except RangeNotSatisfiable:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{len(data)}"})
        if part is None:
            return Response(data, media_type=kind, headers={"Accept-Ranges": "bytes"})
        body = data[part.start : part.end + 1]
        return Response(body, 206, media_type=kind, headers={"Content-Range": part.content_range})

    async def redirect(self, request: Request) -> Response:
        return RedirectResponse("/echo?redirected=1", int(request.query_params.get("code", "307")))

    async def events(self, request: Request) -> Response:
        async def write() -> AsyncIterator[str]:
            try:
                number = 0
                while True:
                    yield f"id: {number}\ndata: {number}\n\n"
                    number += 1
                    await asyncio.sleep(0.01)
            finally:
                self.cancelled.append("events")

        return StreamingResponse(write(), media_type="text/event-stream")

    async def crash(self, request: Request) -> Response:
        raise ValueError("crash")

    async def break_off(self, request: Request) -> Response:
        async def write() -> AsyncIterator[bytes]:
            yield b"part"
            raise ValueError("break")

        return StreamingResponse(write())

    async def script(self, request: Request) -> Response:
        return Response("window.ran = true;", request.path_params["code"], media_type="text/javascript")
