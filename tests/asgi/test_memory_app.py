"""``llm://bridge/v1/memory`` without Qt: who may, whose entries are meant, the answers; and the settings page's API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.responses import PlainTextResponse

import peersky
from peersky.core.origins import BROWSER, OPAQUE, parse_origin
from peersky.core.trust import Policy
from peersky.llm.bridge import Bridge
from peersky.llm.memory import MemoryStore
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.web.asker import COMMAND_LINE, NOBODY, Asker
from peersky.web.memory_app import memory_routes, with_memory
from peersky.web.pages_app import make_pages_app
from tests.asgi.client import AsgiClient, Reply
from tests.fakes.scripted_provider import Log, ScriptedProvider

ASSETS = Path(peersky.__file__).parent / "assets"
BASE = "llm://bridge/v1/memory"
STATE, EXPORT = "peersky://settings/api/memory", "peersky://settings/api/memory-export"
ENTRY = {"appId": "app", "sessionId": "s", "content": "Hi"}


def page(origin: str, top: str | None = None, resource: str = "xhr") -> Asker:
    return Asker(parse_origin(origin), parse_origin(top or origin), resource)


BLOG, SETTINGS = page("hyper://blog"), page("peersky://settings")


class World:
    """Both apps over a real store."""

    def __init__(self, folder: Path) -> None:
        self.settings = SettingsStore(folder / "settings.json", SecretStore(folder / "secrets.json"))
        self.settings.change({"llm.memoryEnabled": True})
        self.file = folder / "memory.sqlite3"
        self.store = MemoryStore(self.file, lambda: self.settings.flag("llm.memoryEnabled"), quota_bytes=200_000)
        self.policy = Policy(frozenset({"https://agregore.mauve.moe"}), frozenset({"hyper://blocked"}))
        llm = with_memory(PlainTextResponse("the model"), self.store, lambda: self.policy)
        self.llm = AsgiClient(llm, BLOG)
        bridge = Bridge(self.settings, {"builtin": ScriptedProvider()}, Log())
        apis = {"settings": memory_routes(self.store)}
        self.pages = AsgiClient(make_pages_app(self.settings, bridge, lambda: self.policy, ASSETS, apis), SETTINGS)

    async def get(self, path: str, asker: Asker | None = None, **query: Any) -> Reply:
        return await self.llm.get(f"{BASE}/{path}?{urlencode(query)}", asker=asker)

    async def post(self, path: str, body: Any, asker: Asker | None = None, **query: Any) -> Any:
        reply = await self.llm.post(f"{BASE}/{path}?{urlencode(query)}", json=body, asker=asker)
        return reply.json

    async def add(self, content: str, asker: Asker | None = None, **query: Any) -> None:
        assert await self.post("entries", {**ENTRY, "content": content}, asker, **query) == {"ok": True}

    async def contents(self, asker: Asker | None = None, **query: Any) -> list[str]:
        return [entry["content"] for entry in (await self.get("entries", asker, **query)).json["entries"]]

    def switch(self, on: bool) -> None:
        self.settings.change({"llm.memoryEnabled": on})


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    await made.store.close()


# --- who may

REFUSED = {
    "a stranger": (page("https://evil.example"), "not_trusted"),
    "a look-alike": (page("https://agregore.mauve.moe.evil.example"), "not_trusted"),
    "another scheme": (page("http://agregore.mauve.moe"), "not_trusted"),
    "127.0.0.1": (page("http://127.0.0.1:8000"), "not_trusted"),
    "https localhost": (page("https://localhost"), "not_trusted"),
    "localhost with a dot": (page("http://localhost.:8000"), "not_trusted"),
    "an opaque origin": (Asker(OPAQUE, parse_origin("hyper://blog"), "xhr"), "not_trusted"),
    "a trusted frame in an untrusted page": (page("hyper://blog", "https://evil.example"), "not_trusted"),
    "an untrusted frame in a trusted page": (page("https://evil.example", "hyper://blog"), "not_trusted"),
    "what the user blocked": (page("hyper://blocked"), "blocked_by_user"),
    "a worker": (Asker(parse_origin("hyper://blog")), "no_stamp"),
    "a typed address": (Asker(BROWSER, BROWSER, "main-frame"), "not_trusted"),
    "nobody": (NOBODY, "no_stamp"),
}
CALLS: list[tuple[str, str, Any]] = [
    ("GET", "status", None),
    ("GET", "entries", None),
    ("POST", "entries", ENTRY),
    ("GET", "sessions", None),
    ("POST", "sessions", {"appId": "app", "sessionId": "s", "title": "x"}),
    ("POST", "clear", {}),
]


@pytest.mark.parametrize("who", REFUSED)
@pytest.mark.parametrize(("method", "path", "body"), CALLS, ids=str)
async def test_refused(world: World, who: str, method: str, path: str, body: Any) -> None:
    asker, reason = REFUSED[who]
    await world.add("kept")
    reply = await world.llm.request(method, f"{BASE}/{path}", json=body, asker=asker)
    assert (reply.status, reply.json["error"]["code"]) == (403, reason)
    assert reply.json["error"]["name"] == "NotAllowedError"
    assert await world.contents() == ["kept"]


TRUSTED = [
    page("peersky://home"),
    page("peersky://app-1"),
    page("hyper://blog"),
    page("ipfs://bafy"),
    page("ipns://k51"),
    page("http://localhost:8000"),
    page("http://localhost:8001"),
    page("https://agregore.mauve.moe"),
    page("hyper://framed", "peersky://p2p"),
    COMMAND_LINE,
]


async def test_each_origin_has_its_own(world: World) -> None:
    for asker in TRUSTED:
        # What a page says of itself counts for nothing.
        await world.add(f"of {asker.origin}", asker, app="ai-chat", origin="hyper://blog", partition="x")
    for asker in TRUSTED:
        assert await world.contents(asker) == [f"of {asker.origin}"]
        assert await world.contents(asker, app="other", origin="hyper://blog") == [f"of {asker.origin}"]
        (session,) = (await world.get("sessions", asker)).json["sessions"]
        assert session["title"] == f"of {asker.origin}"
    assert await world.post("clear", {}, TRUSTED[0]) == {"ok": True}
    assert [len(await world.contents(asker)) for asker in TRUSTED] == [0] + [1] * (len(TRUSTED) - 1)


async def test_built_in_apps_are_kept_apart(world: World) -> None:
    p2p = page("peersky://p2p")
    for app in ("ai-chat", "editor", ""):
        await world.add(f"of {app}", p2p, app=app)
    for app in ("ai-chat", "editor", ""):
        assert await world.contents(p2p, app=app) == [f"of {app}"]
        assert await world.contents(p2p, app=app, appId="app") == [f"of {app}"]
    assert await world.contents(p2p) == ["of "]
    await world.post("clear", {}, p2p, app="ai-chat")
    assert await world.contents(p2p, app="editor") == ["of editor"]


# --- the answers


async def test_status_follows_the_setting(world: World) -> None:
    assert (await world.get("status")).json == {"enabled": True}
    world.switch(False)
    assert (await world.get("status")).json == {"enabled": False}


async def test_off(world: World) -> None:
    await world.add("kept")
    world.switch(False)
    assert await world.post("entries", ENTRY) == {"ok": False, "reason": "memory_disabled"}
    assert await world.post("entries", {}) == {"ok": False, "reason": "memory_disabled"}
    named = {"appId": "app", "sessionId": "s", "title": "x"}
    assert await world.post("sessions", named) == {"ok": False, "reason": "memory_disabled"}
    assert (await world.get("entries")).json == {"entries": []}
    assert (await world.get("sessions")).json == {"sessions": []}
    world.switch(True)
    assert await world.contents() == ["kept"]


@pytest.mark.parametrize(
    "body",
    [b"", b"7", b"[]", b"{", b"null", b'{"appId":"a"}', b'{"content":' + b"[" * 100_000, b" " * 1_100_000],
    ids=lambda body: body[:20].decode(),
)
async def test_no_entry(world: World, body: bytes) -> None:
    reply = await world.llm.post(f"{BASE}/entries", content=body)
    assert (reply.status, reply.json) == (200, {"ok": False, "reason": "invalid_entry"})


async def test_the_longest_content_as_a_page_writes_it(world: World) -> None:
    """Every character escaped is the longest JSON there is of an entry that fits."""
    body = json.dumps({**ENTRY, "content": "\x01" * 100_000, "meta": {"x": "\x01" * 2000}}).encode()
    reply = await world.llm.post(f"{BASE}/entries", content=body)
    assert reply.json == {"ok": True}
    assert await world.contents() == ["\x01" * 100_000]


async def test_list(world: World) -> None:
    for content in ("One", "Two", "three"):
        await world.add(content)
    reply = await world.get("entries", limit=2)
    assert reply.headers["cache-control"] == "no-store"
    assert [entry["content"] for entry in reply.json["entries"]] == ["Two", "three"]
    assert set(reply.json["entries"][0]) == {"appId", "sessionId", "role", "content", "model", "ts", "meta"}
    assert await world.contents(search="T") == ["Two", "three"]
    assert await world.contents(search="T", limit=1) == ["three"]
    assert await world.contents(limit=0) == ["One", "Two", "three"]
    assert await world.contents(appId="other") == []
    assert await world.contents(sessionId="s", appId="app") == ["One", "Two", "three"]


@pytest.mark.parametrize("limit", ["-1", "1.5", "x", "²", "9" * 30])
@pytest.mark.parametrize("path", ["entries", "sessions"])
async def test_a_wrong_limit(world: World, path: str, limit: str) -> None:
    reply = await world.get(path, limit=limit)
    assert (reply.status, reply.json["error"]["name"], reply.json["error"]["param"]) == (400, "TypeError", "limit")


async def test_sessions(world: World) -> None:
    await world.add("First")
    session = {"appId": "app", "sessionId": "s"}
    assert await world.post("sessions", {**session, "title": "Mine"}) == {"ok": True}
    assert await world.post("sessions", {**session, "pinned": True}) == {"ok": True}
    (found,) = (await world.get("sessions", limit=5, appId="app")).json["sessions"]
    assert set(found) == {"sessionId", "appId", "title", "ts", "model", "messageCount", "pinned"}
    assert (found["title"], found["pinned"], found["messageCount"]) == ("Mine", True, 1)
    assert await world.post("sessions", {**session, "sessionId": "x"}) == {"ok": False, "reason": "no_such_session"}
    refused: list[Any] = [{"appId": "app"}, {**session, "title": 7}, {**session, "pinned": 1}, []]
    for wrong in refused:
        assert (await world.post("sessions", wrong))["error"]["name"] == "TypeError"


async def test_clear(world: World) -> None:
    await world.add("One")
    for other in ({"appId": "other"}, {"appId": "app", "sessionId": "other"}):
        assert await world.post("clear", other) == {"ok": True}
    assert await world.contents() == ["One"]
    assert (await world.post("clear", {"appId": 7}))["error"]["param"] == "appId"
    assert await world.post("clear", {"appId": "app", "sessionId": "s"}) == {"ok": True}
    assert await world.contents() == []


async def test_twenty_at_once(world: World) -> None:
    await asyncio.gather(*(world.add(str(number)) for number in range(20)))
    assert sorted(await world.contents(), key=int) == [str(number) for number in range(20)]


async def test_the_quota_is_an_error(world: World) -> None:
    await world.add("x" * 99_000)
    await world.add("x" * 99_000)
    reply = await world.llm.post(f"{BASE}/entries", json={**ENTRY, "content": "x" * 9000})
    error = reply.json["error"]
    assert (reply.status, error["name"], error["code"]) == (429, "QuotaExceededError", "memory_full")
    assert error["requested"] > error["quota"] == 200_000


async def test_a_page_is_not_told_where_the_users_files_are(world: World) -> None:
    world.file.mkdir()
    for reply in (await world.get("entries"), await world.llm.post(f"{BASE}/entries", json=ENTRY)):
        error = reply.json["error"]
        assert (reply.status, error["name"], error["code"]) == (503, "NotReadableError", "profile_unusable")
        assert "sqlite" not in error["message"]
    assert str(world.file) in (await world.pages.get(STATE)).json["error"]["message"]


async def test_what_is_not_there(world: World) -> None:
    assert (await world.llm.get("llm://bridge/v1/models")).text == "the model"
    assert (await world.llm.get("llm://bridge/v1/memoryx")).text == "the model"
    assert (await world.llm.get("llm://elsewhere/v1/memory/status")).status == 404
    assert (await world.llm.get(BASE)).status == 404
    assert (await world.llm.get(f"{BASE}/entries/")).status == 404
    assert (await world.llm.request("DELETE", f"{BASE}/entries")).status == 405


# --- peersky://settings/memory


async def test_state_and_reset(world: World) -> None:
    state = await world.pages.get(STATE)
    assert state.json == {"enabled": True, "entries": 0, "bytes": 0, "notices": []}
    await world.add("Hi")
    await world.add("Hi", page("http://localhost:1"))
    assert (await world.pages.get(STATE)).json == {"enabled": True, "entries": 2, "bytes": 408, "notices": []}
    for wrong in ({}, {"action": "reste"}, {"action": None}):
        assert (await world.pages.post(STATE, json=wrong)).json["error"]["param"] == "action"
    assert (await world.pages.post(STATE, json={"action": "reset"})).json["entries"] == 0
    assert await world.contents() == []


async def test_a_damaged_file_is_said_on_the_page(world: World) -> None:
    world.file.write_bytes(b"x" * 5000)
    (notice,) = (await world.pages.get(STATE)).json["notices"]
    assert "memory.sqlite3 was damaged" in notice


async def test_export(world: World) -> None:
    await world.add("Grüße")
    world.switch(False)
    reply = await world.pages.get(EXPORT)
    assert reply.headers["content-disposition"] == 'attachment; filename="peersky-memory.json"'
    (entry,) = reply.json["entries"]
    assert (entry["origin"], entry["content"]) == ("hyper://blog", "Grüße")


@pytest.mark.parametrize(
    "origin", ["peersky://p2p", "peersky://home", "peersky://app-1", "hyper://blog", "http://localhost"]
)
async def test_no_other_page_may(world: World, origin: str) -> None:
    await world.add("kept")
    asker = page(origin)
    assert (await world.pages.get(STATE, asker=asker)).status == 403
    assert (await world.pages.get(EXPORT, asker=asker)).status == 403
    assert (await world.pages.post(STATE, json={"action": "reset"}, asker=asker)).status == 403
    assert (await world.pages.get(EXPORT, asker=page("peersky://settings", origin))).status == 403
    assert await world.contents() == ["kept"]


@pytest.mark.parametrize("path", ["memory", "memory/"])
async def test_the_page(world: World, path: str) -> None:
    reply = await world.pages.get(f"peersky://settings/{path}", asker=Asker(BROWSER, BROWSER, "main-frame"))
    assert (reply.status, "Reset P2P data" in reply.text) == (200, True)
