"""Files of a folder as replies: full Content-Type, one range of bytes, HEAD, and no way out of the folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from peersky.core.ranges import ByteRange, RangeNotSatisfiable, parse_range

CHUNK_BYTES: Final = 512 * 1024
INDEX: Final = "index.html"

# Not `mimetypes`: its answers depend on the machine, and a wrong type for a script is a dead page.
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".htm": "text/html; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}


def content_type(name: str) -> str:
    """The whole Content-Type, charset included, that a file of this name is sent with."""
    return _TYPES.get(Path(name).suffix.lower(), "application/octet-stream")


def find_file(folder: Path, path: str) -> Path | None:
    """The file that a URL path names, or None.

    Args:
        folder: nothing outside it is ever found, symbolic links included.
        path: decoded URL path. Where it ends in a slash (or is empty), the folder's ``index.html`` is meant; a
            folder without the slash is not found, because the page's relative addresses would miss.
    """
    parts = path.removeprefix("/").split("/")
    if parts[-1] == "":
        parts[-1] = INDEX
    # A leading dot covers ".", ".." and hidden files. The rest is syntax of other systems' paths.
    if any(not part or part.startswith(".") or set(part) & set("\\:\0") for part in parts):
        return None
    try:
        root = folder.resolve()
        file = root.joinpath(*parts).resolve()
        return file if file.is_relative_to(root) and file.is_file() else None
    except OSError:
        return None


def is_folder(folder: Path, path: str) -> bool:
    """Whether ``path`` names a folder with a page in it, but lacks the slash at its end."""
    return not path.endswith("/") and find_file(folder, f"{path}/") is not None


def file_response(request: Request, file: Path) -> Response:
    """Send a file, or the range of it that the request asks for.

    Range follows RFC 9110, section 14, by :mod:`peersky.core.ranges`: 206 with ``Content-Range``, 416 with
    ``bytes */total``, and the whole where the header is malformed or names several ranges.

    Args:
        request: its method (GET or HEAD) and ``Range`` header count.
        file: an existing file.

    Raises:
        OSError: the file cannot be read.
    """
    total = file.stat().st_size
    headers = {"content-type": content_type(file.name), "accept-ranges": "bytes"}
    try:
        part = parse_range(request.headers.get("range"), total)
    except RangeNotSatisfiable:
        sentence = f"The file has {total} bytes, none of them in that range."
        return PlainTextResponse(
            "" if request.method == "HEAD" else sentence,
            status_code=416,
            headers={"content-range": f"bytes */{total}", "accept-ranges": "bytes"},
        )
    if part is not None:
        headers["content-range"] = part.content_range
    wanted = part or ByteRange(0, total - 1, total)
    headers["content-length"] = str(wanted.length)
    status = 200 if part is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    if wanted.length <= CHUNK_BYTES:
        return _OnePiece(file, wanted, status, headers)
    return StreamingResponse(_read(file, wanted), status_code=status, headers=headers)


class _OnePiece(Response):
    """A body that is read at once, and sent with the head: most files of a page are so small."""

    def __init__(self, file: Path, part: ByteRange, status: int, headers: dict[str, str]) -> None:
        super().__init__(None, status, headers)
        self._file, self._part = file, part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await asyncio.to_thread(_piece, self._file, self._part.start, self._part.length)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": body})


async def _read(file: Path, part: ByteRange) -> AsyncIterator[bytes]:
    start, end = part.start, part.start + part.length
    while start < end:
        chunk = await asyncio.to_thread(_piece, file, start, min(end - start, CHUNK_BYTES))
        if not chunk:
            return
        start += len(chunk)
        yield chunk


def _piece(file: Path, start: int, length: int) -> bytes:
    """Opened for each piece: a page that leaves while a thread opens the file would leave it open. Most have one."""
    with file.open("rb") as stream:
        stream.seek(start)
        return stream.read(length)
