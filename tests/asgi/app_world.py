"""The apps page's APIs and the imported apps, as the browser puts them together, over a real profile; no P2P node."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import peersky
from peersky.core.origins import Origin, parse_origin
from peersky.core.trust import DEFAULT_POLICY
from peersky.llm.bridge import Bridge
from peersky.system.app_store import AppStore
from peersky.system.paths import open_profile
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.web.asker import Asker
from peersky.web.compose import app_apis
from peersky.web.imported_apps import ImportedApps
from peersky.web.pages_app import make_pages_app
from tests.asgi.client import AsgiClient, Reply
from tests.fakes.scripted_provider import Log, ScriptedProvider

ASSETS: Final = Path(peersky.__file__).parent / "assets"
PAGE: Final = b"<!doctype html><title>Notes</title><script>window.ran = true</script>"


def page(origin: str, resource: str = "xhr", top: str | None = "") -> Asker:
    """A page of an origin; ``top`` is the tab's, None for a worker, which has no stamp."""
    return Asker(parse_origin(origin), None if top is None else parse_origin(top or origin), resource)


APPS: Final = page("peersky://apps")


def pack(files: Mapping[str, bytes]) -> bytes:
    """Files as ``import.js`` sends them."""
    index = [[name, len(data), 1_700_000_000_000] for name, data in files.items()]
    return json.dumps(index).encode() + b"\n" + b"".join(files.values())


def zipped(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Files as a zip."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return target.getvalue()


class AppWorld:
    """The apps over one profile.

    Attributes:
        published: folder, network, drive and name of each publication.
        forgotten: origins whose rights and data were deleted.
        lines: what the next publication tells.
    """

    def __init__(self, folder: Path) -> None:
        self.profile = open_profile(folder)
        self.store = AppStore(self.profile.apps_dir)
        self.published: list[tuple[Path, str, str, str]] = []
        self.forgotten: list[Origin] = []
        self.lines: list[dict[str, Any]] = [{"done": 1, "total": 2}, {"url": "hyper://key/", "root": "hyper://key/"}]
        settings = SettingsStore(self.profile.settings_file, SecretStore(self.profile.secrets_file))
        bridge = Bridge(settings, {"builtin": ScriptedProvider()}, Log())
        apis = app_apis(self.store, self._publish, self._forget, self.profile)
        pages = make_pages_app(settings, bridge, lambda: DEFAULT_POLICY, ASSETS, apis)
        self.client = AsgiClient(ImportedApps(pages, self.store, lambda: DEFAULT_POLICY, ASSETS), APPS)

    async def _publish(self, folder: Path, to: str, name: str, app: str) -> AsyncIterator[bytes]:
        self.published.append((folder, to, name, app))
        for line in self.lines:
            yield json.dumps(line).encode() + b"\n"

    async def _forget(self, origin: Origin) -> None:
        self.forgotten.append(origin)

    async def act(self, action: str, **more: Any) -> Reply:
        return await self.client.post("peersky://apps/api/apps", json={"action": action, **more})

    async def begin(self, app_id: str = "") -> str:
        reply = await self.act("begin", id=app_id)
        assert reply.status == 200, reply.text
        return str(reply.json["import"])

    async def send(self, token: str, body: bytes, kind: str = "files") -> Reply:
        pieces = [body[start : start + 70_000] for start in range(0, len(body), 70_000)] or [b""]
        return await self.client.post(f"peersky://apps/api/app-{kind}?import={token}", content=pieces)

    async def add(self, files: Mapping[str, bytes], source: str = "notes", app_id: str = "") -> dict[str, Any]:
        """Add an app (or update one) in one pack; what the API says of it."""
        token = await self.begin(app_id)
        sent = await self.send(token, pack(files))
        assert sent.status == 200, sent.text
        reply = await self.act("commit", **{"import": token, "source": source, "id": app_id})
        assert reply.status == 200, reply.text
        return dict(reply.json["app"])

    async def refused(self, body: bytes, kind: str = "files") -> str:
        """The sentence for what cannot be taken; nothing of it may be left."""
        token = await self.begin()
        reply = await self.send(token, body, kind)
        assert reply.status >= 400, reply.text
        gone = await self.act("commit", **{"import": token, "source": "x"})
        assert gone.status == 404
        assert self.left() == []
        assert self.store.all() == []
        return str(reply.json["error"]["message"])

    def left(self) -> list[Path]:
        """Files of the apps' folder."""
        return [path for path in self.profile.apps_dir.rglob("*") if path.is_file()]

    async def open(self, app: Mapping[str, Any], path: str = "", **options: Any) -> Reply:
        """Ask for a file of an app, as the app itself unless the options name another asker."""
        asker = options.pop("asker", page(str(app["url"]).rstrip("/")))
        return await self.client.get(f"{app['url']}{path}", asker=asker, **options)
