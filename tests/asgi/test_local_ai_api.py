"""The APIs of the settings page about models, and of the log's page, over the real parts and scripted servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from peersky.core.origins import parse_origin
from peersky.core.sse import SseDecoder
from peersky.core.trust import Policy
from peersky.llm.local_ai import LocalAi
from peersky.llm.memory import MemoryStore
from peersky.llm.providers.ollama import OllamaProvider
from peersky.llm.providers.openai_compat import OpenAIProvider
from peersky.system.logbook import Logbook
from peersky.system.notify_port import NobodyToNotify
from peersky.system.paths import open_profile
from peersky.system.permissions import SitePermissions
from peersky.system.prompt_port import Consent, Question
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.web.asker import Asker
from peersky.web.compose import ASSETS, internal_apis
from peersky.web.pages_app import make_pages_app
from tests.asgi.client import AsgiClient, Reply
from tests.fakes.ollama_server import OllamaServer
from tests.fakes.openai_server import OpenAIServer
from tests.fakes.scripted_provider import Hold, ScriptedProvider

API = "peersky://settings/api"
DOWNLOADS, LOGS = f"{API}/downloads", "peersky://logs/api/logs"
EVENTS = {"accept": "text/event-stream"}
CLOSED_PORT = "http://127.0.0.1:9/"


def page(host: str) -> Asker:
    return Asker(parse_origin(f"peersky://{host}"), parse_origin(f"peersky://{host}"), "xhr")


SETTINGS, HOME, LOG = page("settings"), page("home"), page("logs")


class Yes:
    async def ask(self, question: Question) -> Consent:
        return Consent.FOR_GOOD


class Slow(ScriptedProvider):
    """Fetches models until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.hold = Hold()

    async def ensure(self, model: str, report: Any) -> None:
        await self.hold.wait()


class World:
    def __init__(self, folder: Path) -> None:
        profile = open_profile(folder)
        self.settings = SettingsStore(profile.settings_file, SecretStore(profile.secrets_file))
        self.logbook = Logbook(profile.log_file)
        self.builtin = Slow()
        self.ai = LocalAi(
            profile,
            self.settings,
            self.builtin,
            {
                "ollama": lambda endpoint: OllamaProvider(self.settings, self.logbook.record, endpoint=endpoint),
                "openai": lambda endpoint: OpenAIProvider(self.settings, self.logbook.record, endpoint=endpoint),
            },
            SitePermissions(profile.permissions_file, Yes()),
            NobodyToNotify(),
            self.logbook.record,
        )
        self.memory = MemoryStore(profile.memory_file, lambda: False, lambda _sentence: None)
        apis = internal_apis(self.settings, self.logbook, self.ai, self.memory)
        app = make_pages_app(self.settings, self.ai.bridge, Policy, ASSETS, apis)
        self.client = AsgiClient(app, SETTINGS)

    async def close(self) -> None:
        await self.ai.close()
        await self.memory.close()

    async def post(self, name: str, **body: Any) -> Reply:
        return await self.client.post(f"{API}/{name}", json=body)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "profile")
    yield world
    await world.close()


class Events:
    """Reads the events of a stream."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._decoder = SseDecoder()
        self._waiting: list[Any] = []

    async def next(self) -> Any:
        while not self._waiting:
            self._waiting += [json.loads(event) for event in self._decoder.feed(await self._reply.next_chunk())]
        return self._waiting.pop(0)


# --- models and tests of what a form says


async def test_models_of_a_server_that_is_not_saved(world: World) -> None:
    with OllamaServer(models=["llama3.2:3b"]) as server:
        reply = await world.post("models", provider="ollama", baseURL=server.url)
    assert [model["id"] for model in reply.json["models"]] == ["llama3.2:3b"]
    assert reply.json["keySet"] is False
    assert reply.json["freeMemoryBytes"] > 0
    assert not world.settings.is_stored("llm.baseURL")


async def test_a_server_that_is_down_is_a_sentence(world: World) -> None:
    reply = await world.post("models", provider="ollama", baseURL=CLOSED_PORT)
    assert reply.status == 200
    assert reply.json["models"] == []
    assert "cannot be reached" in reply.json["problem"]["message"]
    tested = await world.post("llm-test", provider="ollama", baseURL=CLOSED_PORT)
    assert (tested.json["ok"], tested.json["reached"], tested.json["param"]) == (False, False, "llm.baseURL")


async def test_the_key_of_one_origin_is_never_sent_to_another(world: World) -> None:
    with OpenAIServer(key="sk-mine-1") as mine, OpenAIServer() as other:
        world.settings.change({"llm.provider": "openai", "llm.baseURL": mine.url, "llm.apiKey": "sk-mine-1"})
        for name in ("models", "llm-test"):
            assert (await world.post(name, provider="openai", baseURL=other.url)).status == 200
            assert (await world.post(name, provider="openai", baseURL=mine.url)).status == 200
        await world.post("llm-save", changes={"llm.baseURL": other.url, "llm.model": "gpt-x"})
        await world.post("llm-test", provider="openai", baseURL=other.url)
        assert other.requests
        assert "sk-mine-1" not in str([(request.path, request.headers, request.json) for request in other.requests])
        assert "sk-mine-1" in str([request.headers for request in mine.requests])


async def test_a_key_is_known_only_as_set(world: World) -> None:
    with OpenAIServer(key="sk-mine-1") as server:
        saved = await world.post(
            "llm-save",
            changes={
                "llm.provider": "openai",
                "llm.baseURL": server.url,
                "llm.model": "gpt-x",
                "llm.apiKey": "sk-mine-1",
            },
        )
        listed = await world.post("models", provider="openai", baseURL=server.url)
        everything = await world.client.get(f"{API}/settings")
        for reply in (saved, listed, everything):
            assert "sk-mine-1" not in reply.text
        assert listed.json["keySet"] is True
        assert (await world.post("llm-key", baseURL=server.url)).status == 200
        assert (await world.post("models", provider="openai", baseURL=server.url)).json["keySet"] is False


@pytest.mark.parametrize(
    ("name", "body", "param"),
    [
        ("models", {}, "provider"),
        ("models", {"provider": "evil", "baseURL": "http://x"}, "provider"),
        ("models", {"provider": "openai", "baseURL": "file:///etc/passwd"}, "llm.baseURL"),
        ("models", {"provider": "openai", "baseURL": 3}, "llm.baseURL"),
        ("llm-test", {"provider": "openai", "baseURL": "http://x", "apiKey": 3}, "llm.apiKey"),
        ("llm-key", {"baseURL": "nonsense"}, "llm.baseURL"),
        ("llm-save", {}, "changes"),
        ("llm-save", {"changes": {"llm.temperature": 9}}, "llm.temperature"),
        ("downloads", {"action": "explode", "id": "x"}, "action"),
        ("downloads", {"action": "pause"}, "id"),
        ("downloads", {"action": "start", "provider": "openai", "model": "m"}, "provider"),
    ],
)
async def test_what_is_wrong_is_named(world: World, name: str, body: dict[str, Any], param: str) -> None:
    reply = await world.post(name, **body)
    assert (reply.status, reply.json["error"]["param"]) == (400, param)
    assert world.ai.downloads.list() == []


# --- downloads


async def test_a_save_starts_a_download_that_every_page_sees(world: World) -> None:
    world.settings.change({"llm.provider": "builtin", "llm.model": "other"})
    async with (
        world.client.stream("GET", DOWNLOADS, headers=EVENTS) as one,
        world.client.stream("GET", "peersky://home/api/downloads", headers=EVENTS, asker=HOME) as two,
    ):
        assert one.headers["content-type"].startswith("text/event-stream")
        tabs = Events(one), Events(two)
        for tab in tabs:
            assert await tab.next() == {"downloads": [], "pending": None}
        saved = await world.post("llm-save", changes={"llm.model": "new:1b"})
        assert saved.json["pending"]["model"] == "new:1b"
        for tab in tabs:
            while (state := await tab.next())["pending"] is None:
                pass
            assert [download["model"] for download in state["downloads"]] == ["new:1b"]
        world.builtin.hold.released.set()
        for tab in tabs:
            while (state := await tab.next())["downloads"][0]["state"] != "done":
                pass
            assert state["pending"] is None
    assert world.settings.text("llm.model") == "new:1b"


async def test_a_download_is_started_paused_resumed_cancelled(world: World) -> None:
    async def act(action: str, **more: str) -> list[str]:
        reply = await world.client.post(DOWNLOADS, json={"action": action, **more})
        return [download["state"] for download in reply.json["downloads"]]

    assert await act("start", provider="builtin", model="new:1b") in (["queued"], ["running"])
    await asyncio.wait_for(world.builtin.hold.reached.wait(), 10)
    only = world.ai.downloads.list()[0].id
    assert await act("pause", id=only) == ["paused"]
    assert await act("resume", id=only) in (["queued"], ["running"])
    assert await act("cancel", id=only) == []
    gone = await world.client.post(DOWNLOADS, json={"action": "cancel", "id": only})
    assert (gone.status, gone.json["error"]["code"]) == (404, "not_found")


async def test_home_may_look_and_not_steer(world: World) -> None:
    reply = await world.client.post("peersky://home/api/downloads", json={"action": "start"}, asker=HOME)
    assert reply.status == 405


# --- the log


async def test_the_log_is_followed_cleared_and_never_holds_a_key(world: World) -> None:
    world.logbook.record("generation-start", number=1, origin="hyper://abc")
    async with world.client.stream("GET", LOGS, headers=EVENTS, asker=LOG) as reply:
        events = Events(reply)
        first = await events.next()
        assert [entry["kind"] for entry in first["entries"]] == ["generation-start"]
        assert first["content"] is False
        await asyncio.to_thread(world.logbook.record, "generation-end", number=1, apiKey="sk-1")
        assert (await events.next())["entry"]["apiKey"] == "(withheld)"
    cleared = await world.client.post(LOGS, json={"action": "clear"}, asker=LOG)
    assert cleared.json["entries"] == []
    assert (await world.client.get(LOGS, asker=LOG)).json["entries"] == []


async def test_what_was_said_is_logged_on_request(world: World) -> None:
    reply = await world.client.post(LOGS, json={"action": "content", "on": True}, asker=LOG)
    assert reply.json["content"] is True
    assert world.settings.flag("logs.content")
    refused = await world.client.post(LOGS, json={"action": "content", "on": "yes"}, asker=LOG)
    assert (refused.status, refused.json["error"]["param"]) == (400, "logs.content")
    unknown = await world.client.post(LOGS, json={"action": "burn"}, asker=LOG)
    assert (unknown.status, unknown.json["error"]["param"]) == (400, "action")


@pytest.mark.parametrize("asker", [SETTINGS, HOME, page("p2p"), page("app-1")], ids=lambda asker: str(asker.origin))
async def test_the_log_is_for_its_own_page(world: World, asker: Asker) -> None:
    assert (await world.client.get(LOGS, asker=asker)).status == 403


@pytest.mark.parametrize("name", ["models", "llm-test", "llm-key", "llm-save", "downloads", "cloud"])
@pytest.mark.parametrize("asker", [HOME, LOG, page("p2p"), page("app-1")], ids=lambda asker: str(asker.origin))
async def test_the_settings_are_for_their_own_page(world: World, asker: Asker, name: str) -> None:
    reply = await world.client.post(f"{API}/{name}", json={}, asker=asker)
    assert (reply.status, reply.json["error"]["code"]) == (403, "not_trusted")


async def test_a_stream_ends_with_its_page(world: World) -> None:
    async with world.client.stream("GET", DOWNLOADS, headers=EVENTS) as reply:
        await Events(reply).next()
    assert reply.is_finished
    world.ai.downloads.start("builtin", "new:1b")
