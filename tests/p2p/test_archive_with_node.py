"""The archive and "Reset P2P data" over the real node, alone on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from peersky.core.origins import parse_origin
from peersky.system.paths import open_profile
from peersky.system.prompt_port import NobodyToAsk
from peersky.web.asker import Asker
from peersky.web.compose import Services, open_services
from tests.asgi.client import AsgiClient


class Pages:
    """The archive and the P2P settings of a profile."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._app = AsgiClient(services.apps["peersky"])

    async def ask(self, host: str, api: str, body: Any = None) -> Any:
        origin = parse_origin(f"peersky://{host}")
        url, asker = f"peersky://{host}/api/{api}", Asker(origin, origin, "xhr")
        reply = await (self._app.post(url, json=body, asker=asker) if body else self._app.get(url, asker=asker))
        assert reply.status == 200, reply.text
        return reply.json

    async def publish(self, folder: Path) -> str:
        """Publish a folder as a drive; its root."""
        lines = [line async for line in self.services.p2p.publish(folder, "hyper", "notes")]
        return str(lines[-1]["root"])


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    services = await open_services(open_profile(tmp_path / "profile"), NobodyToAsk())
    services.settings.change({"p2p.listen": "loopback"})
    yield Pages(services)
    await services.close()


async def test_a_drive_is_published_shown_and_no_longer_shared(pages: Pages, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_bytes(b"x" * 1000)
    before = await pages.ask("settings", "p2p")
    assert (before["state"], before["node"]) == ("stopped", None)
    root = await pages.publish(folder)
    (entry,) = (await pages.ask("archive", "ledger"))["publications"]
    shown = {name: entry[name] for name in ("root", "name", "origin", "bytes", "files", "pinned", "owned")}
    assert shown == {
        "root": root,
        "name": "notes",
        "origin": "user",
        "bytes": 1000,
        "files": 1,
        "pinned": True,
        "owned": True,
    }
    now = await pages.ask("settings", "p2p")
    assert (now["state"], now["node"]["hyper"]["running"], now["node"]["hyper"]["drives"]) == ("ready", True, 1)
    assert now["node"]["storage"]["pinnedBytes"] >= 1000
    stopped = await pages.ask("archive", "ledger", {"action": "unpin", "id": entry["id"]})
    assert (stopped["publication"]["pinned"], stopped["publication"]["owned"]) == (False, True)


async def test_reset_with_and_without_identities(pages: Pages, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_bytes(b"hello")
    profile, ledger = pages.services.profile, pages.services.p2p.ledger
    root = await pages.publish(folder)
    assert (await pages.ask("settings", "p2p", {"action": "reset", "identities": False}))["state"] == "stopped"
    assert (profile.p2p_dir.exists(), profile.p2p_identity_dir.exists()) == (False, True)
    assert (await pages.ask("archive", "ledger"))["total"] == 0
    assert await ledger.owner(root) == "user"
    await pages.ask("settings", "p2p", {"action": "reset", "identities": True})
    assert (profile.p2p_dir.exists(), profile.p2p_identity_dir.exists()) == (False, False)
    assert await ledger.owner(root) is None
    assert await pages.publish(folder) != root, "new keys, so a new address"
