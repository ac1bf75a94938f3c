"""What ``peersky://settings/sites`` and ``peersky://activity/`` show and change, over the real stores and apps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.types import ASGIApp

import peersky
from peersky.core.chat import ChatChunk
from peersky.core.origins import parse_origin
from peersky.llm.bridge import Bridge
from peersky.llm.consent import CloudConsent
from peersky.llm.memory import MemoryStore
from peersky.llm.meter import Meter
from peersky.system.logbook import Logbook
from peersky.system.permissions import SitePermissions
from peersky.system.prompt_port import Consent, Question
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.system.site_records import SiteRecords
from peersky.web.asker import Asker
from peersky.web.compose import site_apis
from peersky.web.llm_app import make_llm_app
from peersky.web.memory_app import with_memory
from peersky.web.pages_app import make_pages_app
from tests.asgi.client import AsgiClient, Reply
from tests.fakes.scripted_provider import Hold, Log, ScriptedProvider

ASSETS = Path(peersky.__file__).parent / "assets"
SITES, ACTIVITY = "peersky://settings/api/sites", "peersky://activity/api/activity"
CHAT, MEMORY = "llm://bridge/v1/chat/completions", "llm://bridge/v1/memory/entries"
ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Zebra?"}]}
ENTRY = {"appId": "app", "sessionId": "s", "content": "Hi"}
BLOG = "hyper://blog"


def page(origin: str, top: str | None = None) -> Asker:
    return Asker(parse_origin(origin), parse_origin(top or origin), "xhr")


class World:
    """The apps as the browser puts them together."""

    def __init__(self, folder: Path) -> None:
        self.settings = SettingsStore(folder / "settings.json", SecretStore(folder / "secrets.json"))
        self.settings.change({"llm.enabled": True, "llm.provider": "builtin", "llm.memoryEnabled": True})
        self.logbook = Logbook(None, lambda: ["sk-secret"])
        self.permissions = SitePermissions(folder / "permissions.json", self, self._allowlist)
        self.records = SiteRecords(folder / "activity.sqlite3", clean=self.logbook.clean)
        self.memory = MemoryStore(folder / "memory.sqlite3", lambda: self.settings.flag("llm.memoryEnabled"))
        self.provider = ScriptedProvider()
        self.answer, self.hold = True, Hold()
        self.hold.released.set()
        self.questions: list[Question] = []
        meter = Meter(self.settings, self.permissions, self.records)
        consent = CloudConsent(self.permissions)
        self.bridge = Bridge(self.settings, {"builtin": self.provider}, Log(), consent, meter=meter)
        loop = asyncio.get_running_loop()
        self.permissions.subscribe(lambda _origin: self._recheck(loop))
        policy, note = self.permissions.policy, self.records.note
        llm = make_llm_app(self.bridge, policy, note)
        self.llm = AsgiClient(with_memory(llm, self.memory, policy, self.permissions, note), page(BLOG))
        apis: Any = site_apis(self.permissions, self.records, self.settings)
        pages: ASGIApp = make_pages_app(self.settings, self.bridge, policy, ASSETS, apis)
        self.pages = AsgiClient(pages, page("peersky://settings"))
        self.activity = AsgiClient(pages, page("peersky://activity"))

    def _allowlist(self) -> frozenset[str]:
        listed = self.settings.get("trust.allowlist")
        assert isinstance(listed, list)
        return frozenset(listed)

    def _recheck(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon_threadsafe(self.bridge.recheck)

    async def ask(self, question: Question) -> Consent:
        self.questions.append(question)
        await self.hold.wait()
        return Consent.FOR_GOOD if self.answer else Consent.REFUSED

    async def act(self, action: str, origin: str = BLOG, **more: Any) -> Reply:
        return await self.pages.post(SITES, json={"action": action, "origin": origin, **more})

    async def site(self, origin: str = BLOG) -> dict[str, Any]:
        sites = (await self.pages.get(SITES)).json["sites"]
        return next(site for site in sites if site["origin"] == origin)

    async def events(self, **query: Any) -> list[dict[str, Any]]:
        reply = await self.activity.get(f"{ACTIVITY}?{urlencode(query)}")
        assert reply.status == 200, reply.text
        found: list[dict[str, Any]] = reply.json["entries"]
        return found


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    await made.bridge.close()
    await made.memory.close()
    await made.records.close()


async def test_a_site_is_listed_with_its_rights_its_usage_and_its_limits(world: World) -> None:
    await world.llm.post(CHAT, json=ASKED)
    await world.act("limits", limits={"tokensPerDay": 1000, "parallel": None})
    site = await world.site()
    assert {name: right["answer"] for name, right in site["rights"].items()} == {
        "llm": "yes",
        "memory": "yes",
        "publish": "ask",
        "cloud": "ask",
    }
    assert (site["today"]["requests"], site["today"]["inputTokens"], site["today"]["outputTokens"]) == (1, 7, 3)
    assert site["month"]["requests"] == 1
    assert site["limits"] == {"tokensPerDay": 1000}
    assert (await world.site("https://agregore.mauve.moe"))["listed"] is True


async def test_a_block_is_felt_by_the_page_with_the_reason(world: World) -> None:
    reply = await world.act("decide", capability="llm", decision="block")
    assert reply.status == 200
    refused = await world.llm.post(CHAT, json=ASKED)
    assert (refused.status, refused.json["error"]["code"]) == (403, "blocked_by_user")
    assert (await world.llm.post(MEMORY, json=ENTRY)).json == {"ok": True}
    await world.act("block", forGood=False)
    assert (await world.llm.post(MEMORY, json=ENTRY)).json["error"]["code"] == "blocked_by_user"
    site = await world.site()
    assert {right["decision"] for right in site["rights"].values()} == {"block"}
    assert not site["rights"]["llm"]["forGood"]
    await world.act("forget")
    assert (await world.llm.post(CHAT, json=ASKED)).status == 200


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_block_ends_the_answer_that_is_being_written(world: World, streamed: bool) -> None:
    hold = Hold()
    world.provider.script = [ChatChunk(content="x"), hold]
    reply = world.llm.send("POST", CHAT, json={**ASKED, "stream": streamed})
    await hold.reached.wait()
    await world.act("block")
    body = (await reply.read()).decode()
    last = json.loads(body.removeprefix("data: ").split("\n\n")[-2].removeprefix("data: ")) if streamed else reply.json
    assert (last["error"]["name"], last["error"]["code"]) == ("NotAllowedError", "blocked_by_user")
    assert world.provider.open == 0


async def test_over_a_limit_the_page_reads_when_it_may_ask_again(world: World) -> None:
    await world.act("limits", limits={"tokensPerMinute": 5})
    assert (await world.llm.post(CHAT, json=ASKED)).status == 200
    refused = await world.llm.post(CHAT, json=ASKED)
    error = refused.json["error"]
    assert (refused.status, error["name"], error["code"]) == (429, "QuotaExceededError", "tokens_per_minute")
    assert (error["quota"], 0 < error["retryAfter"] <= 60) == (5, True)
    assert refused.headers["retry-after"] == str(error["retryAfter"])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"action": "decide", "capability": "camera", "decision": "allow"}, "capability"),
        ({"action": "decide", "capability": "llm", "decision": "maybe"}, "decision"),
        ({"action": "decide", "capability": "llm", "decision": "allow", "origin": "null"}, "origin"),
        ({"action": "block", "origin": "peersky://settings"}, "origin"),
        ({"action": "block", "forGood": "yes"}, "forGood"),
        ({"action": "limits", "limits": {"parallel": 0}}, "limits.parallel"),
        ({"action": "limits", "limits": {"x": 1}}, "limits.x"),
        ({"action": "limits", "limits": 3}, "limits"),
        ({"action": "dance"}, "action"),
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused_by_name(world: World, body: dict[str, Any], param: str) -> None:
    reply = await world.pages.post(SITES, json={"origin": BLOG, **body})
    assert (reply.status, reply.json["error"]["param"]) == (400, param)
    assert world.permissions.all() == []


@pytest.mark.parametrize("origin", ["peersky://p2p", "peersky://home", "peersky://app-x", "hyper://blog", "null"])
async def test_no_other_page_reads_or_decides(world: World, origin: str) -> None:
    for client in (world.pages, world.activity):
        for url in (SITES, ACTIVITY, f"{ACTIVITY}-export"):
            assert (await client.get(url, asker=page(origin))).status == 403
            body = {"action": "block", "origin": BLOG}
            assert (await client.post(url, json=body, asker=page(origin))).status == 403
    assert world.permissions.all() == []


# --- asking


async def test_memory_asks_where_the_user_wants_it_and_keeps_the_body(world: World) -> None:
    await world.act("decide", capability="memory", decision="ask")
    assert (await world.llm.get("llm://bridge/v1/memory/status")).json == {"enabled": True}
    assert world.questions == []
    assert (await world.llm.post(MEMORY, content=[json.dumps(ENTRY)[:9].encode(), json.dumps(ENTRY)[9:].encode()])).json
    entries = (await world.llm.get(MEMORY)).json["entries"]
    assert [entry["content"] for entry in entries] == ["Hi"]
    assert [question.capability for question in world.questions] == ["memory"]


async def test_memory_that_is_declined_is_refused(world: World) -> None:
    await world.act("decide", capability="memory", decision="ask")
    world.answer = False
    for _ in range(2):
        assert (await world.llm.post(MEMORY, json=ENTRY)).json["error"]["code"] == "declined"
    assert len(world.questions) == 1


async def test_who_goes_away_while_the_user_is_asked_has_been_refused(world: World) -> None:
    await world.act("decide", capability="memory", decision="ask")
    world.hold.released.clear()
    reply = world.llm.send("POST", MEMORY, json=ENTRY)
    await world.hold.reached.wait()
    await reply.disconnect()
    await reply.finished()
    assert [one.decision.value for one in world.permissions.all()] == ["ask"]
    world.settings.change({"llm.memoryEnabled": True})
    assert (await world.memory.use()).entries == 0


async def test_a_status_asks_nobody_and_a_question_does(world: World) -> None:
    await world.act("decide", capability="llm", decision="ask")
    assert (await world.llm.get("llm://bridge/v1/status")).json["supported"] is True
    assert world.questions == []
    assert (await world.llm.post(CHAT, json=ASKED)).status == 200
    assert [question.capability for question in world.questions] == ["llm"]


# --- activity


async def test_activity_tells_who_asked_what_with_which_outcome(world: World) -> None:
    await world.llm.post(CHAT, json=ASKED)
    for _ in range(3):
        await world.llm.post(CHAT, json=ASKED, asker=page("https://evil.example"))
    await world.llm.post(MEMORY, json=ENTRY, asker=page(BLOG, "peersky://home"))
    told = [
        (event["origin"], event["top"], event["capability"], event["action"], event["outcome"], event["count"])
        for event in await world.events()
    ]
    assert told == [
        (BLOG, "peersky://home", "memory", "write", "allowed", 1),
        ("https://evil.example", "", "llm", "question", "not_trusted", 3),
        (BLOG, "", "llm", "question", "stop", 1),
    ]
    assert [event["origin"] for event in await world.events(outcome="refused")] == ["https://evil.example"]
    assert len(await world.events(capability="llm", search="BLOG")) == 1


async def test_activity_holds_what_was_said_only_while_the_user_wants_it_and_never_a_key(world: World) -> None:
    question = {"messages": [{"role": "user", "content": "Zebra sk-secret?"}]}
    await world.llm.post(CHAT, json=question)
    assert "Zebra" not in json.dumps(await world.events())
    assert (await world.activity.post(ACTIVITY, json={"action": "content", "on": True})).json["content"] is True
    await world.llm.post(CHAT, json=question)
    text = json.dumps(await world.events())
    assert "Zebra (secret)?" in text
    assert "sk-secret" not in text


async def test_activity_is_cleared_and_exported(world: World) -> None:
    await world.llm.post(CHAT, json=ASKED)
    exported = await world.activity.get(f"{ACTIVITY}-export")
    assert "peersky-activity.json" in exported.headers["content-disposition"]
    assert [entry["outcome"] for entry in json.loads(exported.body)] == ["stop"]
    assert (await world.activity.post(ACTIVITY, json={"action": "clear"})).json["entries"] == []
    assert json.loads((await world.activity.get(f"{ACTIVITY}-export")).body) == []
    assert (await world.site())["today"]["requests"] == 1


@pytest.mark.parametrize("query", ["capability=x", "outcome=x", "before=x", "before=-1"])
async def test_a_filter_that_is_none_is_refused(world: World, query: str) -> None:
    assert (await world.activity.get(f"{ACTIVITY}?{query}")).status == 400


async def test_who_follows_the_activity_is_told_of_more(world: World) -> None:
    headers = {"accept": "text/event-stream"}
    async with world.activity.stream("GET", ACTIVITY, headers=headers) as reply:
        assert await reply.next_chunk() == b": open\n\n"
        assert await reply.next_chunk() == b"data: {}\n\n"
        await world.llm.post(CHAT, json=ASKED)
        assert await reply.next_chunk() == b"data: {}\n\n"
