"""The documentation as ``peersky://about/docs`` reads it: README.md and the files of docs/, where PeerSky runs from its
source, as ``make run`` makes it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from peersky.core.errors import NotFound
from peersky.web.errors import NO_STORE
from peersky.web.json_reply import JSONResponse
from peersky.web.static import file_response, find_file

FIRST: Final = "README"
_TITLE: Final = re.compile(r"^# (.+)$", re.MULTILINE)
_ABSENT: Final = "The documentation did not come with this copy of PeerSky; it is in the folder docs/ of its source."


class DocsApi:
    """Makes the routes.

    Args:
        source: the folder with ``README.md`` and ``docs/``.
    """

    def __init__(self, source: Path) -> None:
        self._source = source

    def routes(self) -> list[Route]:
        """For ``peersky://about``."""
        return [
            Route("/docs", self._list, methods=["GET"]),
            Route("/doc", self._text, methods=["GET"]),
            Route("/doc-image", self._image, methods=["GET"]),
        ]

    async def _list(self, request: Request) -> Response:
        """``{documents: [{name, title}]}``, the README first."""
        return JSONResponse({"documents": await asyncio.to_thread(self._documents)}, headers=NO_STORE)

    async def _text(self, request: Request) -> Response:
        """``?name``: ``{name, text}``, in Markdown."""
        name = request.query_params.get("name", FIRST)
        file = (await asyncio.to_thread(self._files)).get(name)
        if file is None:
            raise NotFound(f"There is no document {name!r}.")
        return JSONResponse({"name": name, "text": await asyncio.to_thread(file.read_text, "utf-8")}, headers=NO_STORE)

    async def _image(self, request: Request) -> Response:
        """``?name``: a picture of ``docs/images/``."""
        file = find_file(self._source / "docs" / "images", request.query_params.get("name") or "none")
        if file is None:
            raise NotFound("There is no such picture.")
        return file_response(request, file)

    def _files(self) -> dict[str, Path]:
        readme = self._source / f"{FIRST}.md"
        docs = sorted((self._source / "docs").glob("*.md"))
        if not docs or not readme.is_file():
            raise NotFound(_ABSENT)
        return {FIRST: readme, **{file.stem: file for file in docs}}

    def _documents(self) -> list[dict[str, str]]:
        found = []
        for name, file in self._files().items():
            title = _TITLE.search(file.read_text("utf-8"))
            found.append({"name": name, "title": title[1].replace("`", "") if title else name})
        return found
