"""Limits and counting at the bridge: what is refused with which time, what counts, what a block does at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from peersky.core.chat import ChatAnswer, ChatChunk, ChatRequest, Usage
from peersky.core.errors import NotAllowed, QuotaExceeded
from peersky.core.origins import USER, Origin
from peersky.core.trust import Decision
from peersky.llm.bridge import Bridge
from peersky.llm.consent import CloudConsent
from peersky.llm.meter import Meter
from peersky.system.permissions import SitePermissions
from peersky.system.prompt_port import Consent, Question
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.system.site_records import SiteRecords
from tests.fakes.scripted_provider import Hold, Log, ScriptedProvider

PAGE, OTHER, APPS = Origin("hyper", "a"), Origin("https", "agregore.mauve.moe", 443), Origin("peersky", "p2p")
ASKED = ChatRequest(messages=({"role": "user", "content": "Zebra?"},))


class Cloud(ScriptedProvider):
    kind = "openai"
    is_local = False


class World:
    """A bridge with limits; ``now`` is its clock."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.settings = SettingsStore(folder / "settings.json", SecretStore(folder / "secrets.json"))
        self.settings.change({"llm.enabled": True, "llm.provider": "builtin"})
        self.permissions = SitePermissions(folder / "permissions.json", self)
        self.records = SiteRecords(folder / "activity.sqlite3")
        self.builtin, self.cloud = ScriptedProvider(), Cloud()
        self.questions: list[Question] = []
        self.asked = asyncio.Event()
        self.answer: bool | None = True
        self.meter = Meter(self.settings, self.permissions, self.records, lambda: self.now)
        consent = CloudConsent(self.permissions)
        providers = {"builtin": self.builtin, "openai": self.cloud}
        self.bridge = Bridge(self.settings, providers, Log(), consent, meter=self.meter)
        self.permissions.subscribe(lambda _origin: self.bridge.recheck())

    async def ask(self, question: Question) -> Consent:
        self.questions.append(question)
        self.asked.set()
        if self.answer is None:
            await asyncio.Event().wait()
        return Consent.FOR_GOOD if self.answer else Consent.REFUSED

    async def question(self, origin: Origin = PAGE) -> str:
        answer = ChatAnswer()
        async with asyncio.timeout(10), self.bridge.chat(origin, ASKED) as chunks:
            async for chunk in chunks:
                answer.add(chunk)
        return answer.content

    def use_cloud(self) -> None:
        self.settings.change({"llm.provider": "openai", "llm.baseURL": "https://cloud.example/v1", "llm.model": "m"})

    async def refused(self, origin: Origin = PAGE) -> QuotaExceeded:
        with pytest.raises(QuotaExceeded) as caught:
            await self.question(origin)
        return caught.value


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    await world.bridge.close()
    await world.records.close()


async def test_over_the_limit_of_a_minute_the_page_learns_when_there_is_room(world: World) -> None:
    world.settings.change({"limits.tokensPerMinute": 15})
    await world.question()
    world.now = 20.0
    await world.question()
    error = await world.refused()
    assert (error.reason, error.quota, error.retry_after_s) == ("tokens_per_minute", 15, 40)
    assert error.as_object()["retryAfter"] == 40
    assert "in 40 seconds" in error.message
    assert await world.question(OTHER) == "Hello"
    world.now = 60.0
    await world.question()
    assert (await world.refused()).retry_after_s == 20


async def test_the_limit_of_a_day_survives_a_restart(world: World, tmp_path: Path) -> None:
    world.settings.change({"limits.tokensPerDay": 10})
    await world.question()
    error = await world.refused()
    assert error.reason == "tokens_per_day"
    assert error.retry_after_s is not None
    assert 0 < error.retry_after_s <= 25 * 3600
    await world.records.close()
    again = World(tmp_path)
    assert (await again.refused()).reason == "tokens_per_day"
    await again.bridge.close()
    await again.records.close()


async def test_services_on_the_network_have_limits_of_their_own(world: World) -> None:
    world.settings.change({"limits.cloudTokensPerDay": 5})
    await world.question()
    world.use_cloud()
    await world.question()
    assert (await world.refused()).reason == "tokens_per_day"
    world.settings.change({"llm.provider": "builtin"})
    assert await world.question() == "Hello"


async def test_a_site_may_have_limits_of_its_own(world: World) -> None:
    world.permissions.set_limits(str(PAGE), {"tokensPerDay": 1})
    await world.question()
    await world.refused()
    assert await world.question(OTHER) == "Hello"
    world.permissions.set_limits(str(PAGE), {})
    assert await world.question() == "Hello"


async def test_the_user_and_the_browsers_own_apps_are_not_limited(world: World) -> None:
    world.settings.change({"limits.tokensPerMinute": 1, "limits.tokensPerDay": 1})
    for origin in (USER, APPS):
        assert [await world.question(origin) for _ in range(2)] == ["Hello", "Hello"]


async def test_the_day_ends_an_answer_that_is_being_written(world: World) -> None:
    world.settings.change({"limits.tokensPerDay": 100})
    world.builtin.script = [ChatChunk(content="x")] * 1000
    error = await world.refused()
    assert error.reason == "tokens_per_day"
    assert world.builtin.cut == 1
    assert world.records.today(str(PAGE)).output_tokens < 150


async def test_answers_at_once_of_one_site_are_limited(world: World) -> None:
    world.settings.change({"limits.parallel": 1, "llm.parallel": 4})
    hold = Hold()
    world.builtin.script = [hold, ChatChunk(content="x", finish_reason="stop")]
    first = asyncio.ensure_future(world.question())
    await hold.reached.wait()
    second = asyncio.ensure_future(world.question())
    assert world.builtin.open == 1
    hold.released.set()
    assert await asyncio.gather(first, second) == ["x", "x"]
    assert world.builtin.most_open == 1


async def test_a_question_that_waited_is_refused_if_the_limit_was_used_up_meanwhile(world: World) -> None:
    world.settings.change({"limits.parallel": 1, "limits.tokensPerMinute": 5})
    hold = Hold()
    world.builtin.script = [hold, ChatChunk(content="x", finish_reason="stop", usage=Usage(7, 3))]
    first, second = (asyncio.ensure_future(world.question()) for _ in range(2))
    await hold.reached.wait()
    hold.released.set()
    assert await first == "x"
    with pytest.raises(QuotaExceeded):
        await second
    assert len(world.builtin.requests) == 1


async def test_what_was_used_is_kept_with_what_the_service_charged(world: World) -> None:
    world.use_cloud()
    world.cloud.script = [ChatChunk(content="x", finish_reason="stop", usage=Usage(7, 3, cost=0.01))]
    await world.question()
    used = world.records.today(str(PAGE), cloud=True)
    assert (used.requests, used.input_tokens, used.output_tokens, used.cost) == (1, 7, 3, 0.01)


async def test_what_no_back_end_counts_is_estimated(world: World) -> None:
    world.builtin.script = [*[ChatChunk(content="x")] * 4, ChatChunk(content="x", finish_reason="stop")]
    await world.question()
    await world.bridge.embed(PAGE, ["x" * 40])
    used = world.records.today(str(PAGE))
    assert (used.requests, used.input_tokens, used.output_tokens) == (2, 2 + 10, 5)


async def test_a_block_stops_the_running_answer_at_once(world: World) -> None:
    hold = Hold()
    world.builtin.script = [ChatChunk(content="x"), hold]
    question = asyncio.ensure_future(world.question())
    await hold.reached.wait()
    world.permissions.decide(str(OTHER), "llm", Decision.BLOCK)
    assert world.builtin.open == 1
    world.permissions.block(str(PAGE))
    with pytest.raises(NotAllowed) as caught:
        await question
    assert caught.value.reason == "blocked_by_user"
    assert (world.builtin.open, world.builtin.cut) == (0, 1)
    assert (await world.records.events())[0]["outcome"] == "blocked_by_user"


async def test_a_block_withdraws_the_question_to_the_user(world: World) -> None:
    world.permissions.decide(str(PAGE), "llm", Decision.ASK)
    world.answer = None
    question = asyncio.ensure_future(world.question())
    await world.asked.wait()
    world.permissions.block(str(PAGE))
    with pytest.raises(NotAllowed) as caught:
        await question
    assert caught.value.reason == "blocked_by_user"


async def test_a_site_of_which_the_user_wants_to_be_asked(world: World) -> None:
    world.permissions.decide(str(PAGE), "llm", Decision.ASK)
    world.answer = False
    for _ in range(2):
        with pytest.raises(NotAllowed) as caught:
            await world.question()
        assert caught.value.reason == "declined"
    assert [question.capability for question in world.questions] == ["llm"]
    assert world.builtin.requests == []


@pytest.mark.parametrize("content", [False, True])
async def test_the_activity_tells_what_was_said_only_if_the_user_wants_it(world: World, content: bool) -> None:
    world.settings.change({"logs.content": content})
    await world.question()
    event = (await world.records.events())[0]
    assert (event["origin"], event["capability"], event["action"], event["outcome"]) == (
        *("hyper://a", "llm", "question"),
        "stop",
    )
    details: dict[str, Any] = event["details"]
    assert (details["model"], details["inputTokens"]) == ("peersky-starter", 7)
    assert (details.get("answered"), "Zebra?" in str(details)) == (("Hello", True) if content else (None, False))
