"""The APIs of ``peersky://apps/``: the apps that the user added, adding more, and what can be done with each.

An app is added in steps: ``begin`` names an import, its files come in packs (``app-files``) or as a zip (``app-zip``),
and ``commit`` makes the app of them. Who may call all this is decided before, by :func:`peersky.core.trust.may`.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from peersky.core.address import resolve
from peersky.core.app_files import MAX_BYTES
from peersky.core.errors import BodyTooLarge, InvalidRequest, NotFound
from peersky.core.origins import P2P_SCHEMES, Origin, parse_origin
from peersky.core.sizes import size_text
from peersky.system.app_imports import Import, disk_error
from peersky.system.app_store import App, AppStore, Link
from peersky.system.files import make_directory
from peersky.web.errors import NO_STORE
from peersky.web.json_reply import JSONResponse
from peersky.web.requests import json_object, text_of
from peersky.web.static import CHUNK_BYTES, content_type, file_response, find_file

if TYPE_CHECKING:
    from peersky.p2p.publisher import Network

_PIECE_BYTES: Final = 1 << 20

BUILTIN: Final = (
    ("ai-chat", "AI chat", "Talk to the model that you chose.", "icon-chat.svg"),
    ("editor", "Editor", "Describe a page, see it written, change it by hand, publish it.", "icon-editor.svg"),
    ("upload", "Upload", "Share files and folders with other peers.", "icon-upload.svg"),
    ("md", "Markdown", "Write texts and slides, with a model that helps.", "icon-markdown.svg"),
    ("llm-lab", "Playground", "Try out what apps can call, with examples that run.", "icon-lab.svg"),
)
"""The built-in apps: folder below ``assets/apps``, name, description, icon at ``peersky://assets``."""

Publish = Callable[[Path, "Network", str, str], AsyncIterator[bytes]]
"""Publishes a folder: its path, where to, the drive's name, the app's name; yields lines of JSON."""

Forget = Callable[[Origin], Awaitable[None]]
"""Deletes what the browser keeps for an origin and what the user allowed it."""


class AppsApi:
    """Makes the routes.

    Args:
        store: the apps.
        publish: see :data:`Publish`.
        forget: see :data:`Forget`.
        assets: the folder of the assets.
        tmp_dir: where an export waits until it was sent.
    """

    def __init__(self, store: AppStore, publish: Publish, forget: Forget, assets: Path, tmp_dir: Path) -> None:
        self._store, self._publish, self._forget = store, publish, forget
        self._assets, self._tmp_dir = assets, tmp_dir

    def routes(self) -> list[Route]:
        """For ``peersky://apps``."""
        return [
            Route("/apps", self._list, methods=["GET"]),
            Route("/apps", self._act, methods=["POST"]),
            Route("/app-icon", self._icon, methods=["GET"]),
            Route("/app-files", self._take_pack, methods=["POST"]),
            Route("/app-zip", self._take_zip, methods=["POST"]),
            Route("/app-export", self._export, methods=["GET"]),
            Route("/app-publish", self._publish_app, methods=["POST"]),
        ]

    def home_routes(self) -> list[Route]:
        """For ``peersky://home``."""
        return [
            Route("/pinned", self._pinned, methods=["GET"]),
            Route("/app-icon", self._icon, methods=["GET"]),
        ]

    async def _list(self, request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(self._all), headers=NO_STORE)

    def _all(self) -> dict[str, Any]:
        return {
            "builtin": [
                {
                    "url": f"peersky://p2p/{folder}/",
                    "name": name,
                    "description": words,
                    "icon": f"peersky://assets/{icon}",
                }
                for folder, name, words, icon in BUILTIN
                if (self._assets / "apps" / folder / "index.html").is_file()
            ],
            "apps": [_app(app) for app in self._store.all()],
            "links": [_link(link) for link in self._store.links()],
            "notices": list(self._store.notices),
        }

    async def _pinned(self, request: Request) -> Response:
        """``{pinned: [{url, name, description, icon}]}`` for the home page."""
        found = await asyncio.to_thread(self._all)
        pinned = [one for one in (*found["apps"], *found["links"]) if one["pinned"]]
        return JSONResponse({"pinned": pinned}, headers=NO_STORE)

    async def _act(self, request: Request) -> Response:
        """``{action, …}``; answers with what there is then, and for some actions with ``import`` or ``app``."""
        body = await json_object(request)
        actions: dict[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "begin": self._begin,
            "commit": self._commit,
            "cancel": self._cancel,
            "rename": self._rename,
            "pin": self._pin,
            "delete": self._delete,
            "link": self._put_link,
            "unlink": self._drop_link,
        }
        action = text_of(body, "action")
        if action not in actions:
            raise InvalidRequest(f"The option action must be one of {', '.join(actions)}.", param="action")
        done = await actions[action](body)
        return JSONResponse({**await asyncio.to_thread(self._all), **done}, headers=NO_STORE)

    # --- adding

    async def _begin(self, body: dict[str, Any]) -> dict[str, Any]:
        if app_id := text_of(body, "id", ""):
            # An update: that the app is gone is said before everything is sent.
            await asyncio.to_thread(self._store.get, app_id)
        begun = await asyncio.to_thread(self._store.begin)
        return {"import": begun.token}

    async def _commit(self, body: dict[str, Any]) -> dict[str, Any]:
        incoming = self._import(text_of(body, "import"))
        async with incoming.turn:
            app = await asyncio.to_thread(
                self._store.install, incoming, text_of(body, "source", ""), text_of(body, "id", "")
            )
        return {"app": _app(app), "skipped": incoming.contents.skipped}

    async def _cancel(self, body: dict[str, Any]) -> dict[str, Any]:
        await asyncio.to_thread(self._store.imports.drop, text_of(body, "import"))
        return {}

    def _import(self, token: str) -> Import:
        return self._store.imports.get(token)

    async def _take_pack(self, request: Request) -> Response:
        """``?import`` and a pack; see :class:`peersky.system.app_imports.PackReader`."""
        incoming = self._import(request.query_params.get("import", ""))
        async with incoming.turn:
            pack = incoming.pack()
            try:
                async for piece in _pieces(request):
                    await asyncio.to_thread(pack.feed, piece)
                pack.end()
            except BaseException:
                # Part of an app is none.
                pack.close()
                await asyncio.to_thread(self._store.imports.drop, incoming.token)
                raise
        return _arrived(incoming)

    async def _take_zip(self, request: Request) -> Response:
        """``?import`` and a zip."""
        incoming = self._import(request.query_params.get("import", ""))
        async with incoming.turn:
            try:
                await _spool(request, incoming)
                await asyncio.to_thread(incoming.unpack)
            except BaseException:
                await asyncio.to_thread(self._store.imports.drop, incoming.token)
                raise
        return _arrived(incoming)

    # --- what can be done with an app

    async def _rename(self, body: dict[str, Any]) -> dict[str, Any]:
        app = await asyncio.to_thread(self._store.rename, text_of(body, "id"), text_of(body, "name"))
        return {"app": _app(app)}

    async def _pin(self, body: dict[str, Any]) -> dict[str, Any]:
        app = await asyncio.to_thread(self._store.pin, text_of(body, "id"), body.get("pinned") is True)
        return {"app": _app(app)}

    async def _delete(self, body: dict[str, Any]) -> dict[str, Any]:
        app = await asyncio.to_thread(self._store.get, text_of(body, "id"))
        await asyncio.to_thread(self._store.delete, app.id)
        await self._forget(parse_origin(app.origin))
        return {}

    async def _put_link(self, body: dict[str, Any]) -> dict[str, Any]:
        url = site_address(text_of(body, "url"))
        name = text_of(body, "name", "").strip() or _site_name(url)
        pinned = body.get("pinned") is not False
        link = await asyncio.to_thread(lambda: self._store.put_link(url, name, pinned=pinned))
        return {"link": _link(link)}

    async def _drop_link(self, body: dict[str, Any]) -> dict[str, Any]:
        await asyncio.to_thread(self._store.drop_link, text_of(body, "url"))
        return {}

    async def _icon(self, request: Request) -> Response:
        """``?id``: the icon of an app, as an image and nothing else."""
        app = await asyncio.to_thread(self._store.get, request.query_params.get("id", ""))
        file = find_file(self._store.content(app), app.icon) if app.icon else None
        if file is None or not content_type(file.name).startswith("image/"):
            raise NotFound("This app has no icon.")
        return file_response(request, file)

    async def _export(self, request: Request) -> Response:
        """``?id``: the app as a zip."""
        app = await asyncio.to_thread(self._store.get, request.query_params.get("id", ""))
        file = await asyncio.to_thread(_zip, self._store.content(app), self._tmp_dir)
        return StreamingResponse(_sent(file), media_type="application/zip", headers=NO_STORE)

    async def _publish_app(self, request: Request) -> Response:
        """``{id, to}``: lines of JSON, the last with ``url`` or ``error``."""
        body = await json_object(request)
        app = await asyncio.to_thread(self._store.get, text_of(body, "id"))
        networks: dict[str, Network] = {"hyper": "hyper", "ipfs": "ipfs"}
        if (to := text_of(body, "to")) not in networks:
            raise InvalidRequest("The option to must be hyper or ipfs.", param="to")
        return StreamingResponse(self._published(app, networks[to]), media_type="application/x-ndjson")

    async def _published(self, app: App, to: Network) -> AsyncIterator[bytes]:
        # A drive of its own, whatever the app is called and however often it is renamed.
        async for line in self._publish(self._store.content(app), to, f"app-{app.id}", app.name):
            if url := _published_url(line):
                await asyncio.to_thread(self._store.note_published, app.id, to, url)
            yield line


def _published_url(line: bytes) -> str:
    """The address in a line of a publication, or empty."""
    found = json.loads(line)
    return str(found["url"]) if "url" in found else ""


def site_address(text: str) -> str:
    """The canonical address of a peer-to-peer site.

    Raises:
        InvalidRequest: it is none.
    """
    found = resolve(text, "search:") if text.strip() else None
    if found is None or found.is_search or parse_origin(found.url).scheme not in P2P_SCHEMES:
        raise InvalidRequest(
            "This is no address of a peer-to-peer site: it begins with hyper://, ipfs:// or ipns://.", param="url"
        )
    return found.url


def _site_name(url: str) -> str:
    host = parse_origin(url).host
    return f"{host[:8]}…{host[-6:]}" if len(host) > 24 and "." not in host else host


def _app(app: App) -> dict[str, Any]:
    return {
        "id": app.id,
        "url": f"{app.origin}/",
        "name": app.name,
        "description": app.description,
        # A new version has a new address, so no cache shows the old one.
        "icon": f"/api/app-icon?id={app.id}&version={app.content}" if app.icon else "",
        "hasStart": bool(app.start),
        "source": app.source,
        "added": app.added * 1000,
        "updated": app.updated * 1000,
        "files": app.files,
        "bytes": app.bytes,
        "pinned": app.pinned,
        "published": app.published,
    }


def _link(link: Link) -> dict[str, Any]:
    return {"url": link.url, "name": link.name, "description": "", "icon": "", "pinned": link.pinned}


def _arrived(incoming: Import) -> Response:
    contents = incoming.contents
    return JSONResponse({"files": contents.files, "bytes": contents.bytes, "skipped": contents.skipped})


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body in pieces that are worth a thread's while."""
    waiting = bytearray()
    try:
        async for piece in request.stream():
            waiting += piece
            if len(waiting) >= _PIECE_BYTES:
                yield bytes(waiting)
                waiting.clear()
    except ClientDisconnect:
        raise InvalidRequest("Adding the app was broken off; nothing of it is kept.", reason="interrupted") from None
    if waiting:
        yield bytes(waiting)


async def _spool(request: Request, incoming: Import) -> None:
    """Keep a zip on disk until it is unpacked.

    Raises:
        BodyTooLarge: over what an app may have.
        QuotaExceeded: ``disk_full``.
    """
    total = 0
    try:
        with await asyncio.to_thread(incoming.zip_file.open, "xb") as file:
            async for piece in _pieces(request):
                total += len(piece)
                if total > MAX_BYTES:
                    sentence = f"This zip is larger than {size_text(MAX_BYTES)}, which is all that an app may have."
                    raise BodyTooLarge(sentence, requested=total, quota=MAX_BYTES)
                incoming.check_room(len(piece))
                await asyncio.to_thread(file.write, piece)
    except OSError as error:
        raise disk_error(error, incoming.zip_file) from error


def _zip(folder: Path, tmp_dir: Path) -> IO[bytes]:
    """A zip of the folder, in a file that is gone when it is closed."""
    try:
        make_directory(tmp_dir)
        target = tempfile.TemporaryFile(dir=tmp_dir)  # noqa: SIM115 - closed by who sends it
        try:
            with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
                for path in sorted(folder.rglob("*")):
                    if path.is_file():
                        archive.write(path, path.relative_to(folder).as_posix())
        except BaseException:
            target.close()
            raise
    except OSError as error:
        raise disk_error(error, tmp_dir) from error
    target.seek(0)
    return target


async def _sent(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield piece
