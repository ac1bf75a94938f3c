"""``peersky://app-<id>/``: who may read an app, what an app may read, and what its files are sent with."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peersky.core.origins import BROWSER, OPAQUE
from peersky.core.trust import INTERNAL_APIS
from peersky.llm.memory import Partition
from peersky.p2p.program import Program
from peersky.system.paths import open_profile
from peersky.system.prompt_port import NobodyToAsk
from peersky.web.asker import NOBODY, Asker
from peersky.web.compose import open_services
from tests.asgi.app_world import APPS, PAGE, AppWorld, pack, page
from tests.asgi.client import AsgiClient
from tests.asgi.p2p_world import DOUBLE

FILES = {"index.html": PAGE, "second.html": b"<title>2</title>", "sub/index.html": b"sub", "api/data.json": b"{}"}
TYPED = Asker(BROWSER, BROWSER, "main-frame")


@pytest.fixture
async def world(tmp_path: Path) -> AppWorld:
    world = AppWorld(tmp_path)
    await world.add(FILES)
    await world.add(FILES)
    return world


async def apps(world: AppWorld) -> tuple[dict[str, Any], dict[str, Any]]:
    one, other = (await world.client.get("peersky://apps/api/apps")).json["apps"]
    return one, other


async def test_an_app_is_opened_by_the_browser_and_reads_all_of_itself(world: AppWorld) -> None:
    app, _ = await apps(world)
    own = app["url"].rstrip("/")
    for asker in (TYPED, page("peersky://apps", "main-frame"), page("peersky://home", "main-frame")):
        assert (await world.open(app, asker=asker)).status == 200
    for asker in (page(own), page(own, "main-frame"), page(own, "sub-frame"), page(own, "script"), page(own, top=None)):
        for path in ("", "second.html", "sub/", "api/data.json"):
            assert (await world.open(app, path, asker=asker)).status == 200, (asker, path)
    part = await world.open(app, "second.html", headers={"range": "bytes=1-5"})
    assert (part.status, part.body) == (206, b"title")
    redirect = await world.open(app, "sub")
    assert (redirect.status, redirect.headers["location"]) == (307, "/sub/")
    assert (await world.client.post(app["url"], asker=page(own))).status == 405


async def test_the_policy_lets_in_nothing_from_the_web(world: AppWorld) -> None:
    app, _ = await apps(world)
    for path in ("", "missing.html"):
        policy = (await world.open(app, path)).headers["content-security-policy"]
        rules = {part.split()[0]: part.split()[1:] for part in policy.split(";")}
        assert rules["script-src"] == ["'self'", "'unsafe-inline'", "'wasm-unsafe-eval'", "blob:", "peersky://p2p"]
        assert rules["frame-ancestors"] == rules["form-action"] == rules["base-uri"] == ["'self'"]
        assert not [source for sources in rules.values() for source in sources if source in ("*", "https:", "http:")]
        assert policy == policy.lower()


@pytest.mark.parametrize("resource", ["main-frame", "sub-frame", "script", "image", "xhr", ""])
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost:3000",
        "https://agregore.mauve.moe",
        "hyper://abc",
        "ipfs://abc",
        "other",
    ],
)
async def test_no_other_page_reads_or_opens_an_app(world: AppWorld, origin: str, resource: str) -> None:
    app, other = await apps(world)
    asker = page(other["url"].rstrip("/") if origin == "other" else origin, resource)
    reply = await world.open(app, asker=asker)
    assert reply.status == 403
    assert b"window.ran" not in reply.body


@pytest.mark.parametrize(
    "asker",
    [NOBODY, Asker(OPAQUE, BROWSER, "sub-frame"), page("peersky://home"), page("peersky://p2p", "sub-frame")],
    ids=lambda asker: f"{asker.origin}|{asker.resource}",
)
async def test_neither_do_frames_without_an_origin_and_the_browsers_own_pages(world: AppWorld, asker: Asker) -> None:
    app, _ = await apps(world)
    assert (await world.open(app, asker=asker)).status == 403
    own = app["url"].rstrip("/")
    assert (await world.open(app, asker=page(own, top="https://evil.example"))).status == 403


async def test_an_app_calls_no_internal_api_and_reads_no_internal_page(world: AppWorld) -> None:
    app, _ = await apps(world)
    for asker in (page(app["url"].rstrip("/")), page(app["url"].rstrip("/"), "main-frame")):
        for host, names in INTERNAL_APIS.items():
            for name in names:
                for method in ("GET", "POST"):
                    url = f"peersky://{host}/api/{name}"
                    reply = await world.client.request(method, url, asker=asker, json={"action": "begin"})
                    assert reply.status == 403, url
        for url in ("peersky://apps/", "peersky://home/", "peersky://p2p/ai-chat/", "peersky://assets/page.js"):
            assert (await world.client.get(url, asker=asker)).status == 403, url
    types = await world.client.get("peersky://p2p/peersky.d.ts", asker=page(app["url"].rstrip("/")))
    assert types.status == 200


async def test_an_app_that_is_not_there_says_so(world: AppWorld) -> None:
    for url in ("peersky://app-none/", "peersky://app-/"):
        reply = await world.client.get(url, asker=TYPED)
        assert (reply.status, "</html>" in reply.text) == (404, True)
    app, _ = await apps(world)
    reply = await world.open(app, "missing.html", asker=TYPED)
    assert "There is no such page in this app" in reply.text
    for path in ("../app.json", "%2e%2e/app.json", "..%2f..%2fsettings.json", "sub%5c..%5cindex.html", "%00"):
        assert (await world.open(app, path)).status == 404, path


async def test_the_browsers_own_services_publish_an_app_and_forget_it(tmp_path: Path) -> None:
    async def install(_say: Callable[[str], None]) -> Program:
        return Program((sys.executable, str(DOUBLE)))

    services = await open_services(open_profile(tmp_path), NobodyToAsk(), install_node=install)
    try:
        services.settings.change({"llm.memoryEnabled": True})
        client = AsgiClient(services.apps["peersky"], APPS)
        incoming = services.app_store.begin()
        files = incoming.pack()
        files.feed(pack({"index.html": PAGE}))
        files.end()
        app = services.app_store.install(incoming, "notes")
        owner = Partition(app.origin)
        await services.memory.add(owner, {"appId": "a", "sessionId": "s", "content": "kept"})
        urls = []
        for _ in range(2):
            reply = await client.post("peersky://apps/api/app-publish", json={"id": app.id, "to": "hyper"})
            urls.append(json.loads(reply.body.splitlines()[-1])["url"])
        # The same drive each time.
        assert urls[0] == urls[1] == services.app_store.get(app.id).published["hyper"]
        (entry,) = (await services.p2p.ledger.search("")).publications
        assert (entry.app, entry.name, entry.origin, entry.times) == ("Notes", "Notes", "user", 2)
        assert len(await services.memory.entries(owner)) == 1
        await client.post("peersky://apps/api/apps", json={"action": "delete", "id": app.id})
        assert await services.memory.entries(owner) == []
    finally:
        await services.close()
