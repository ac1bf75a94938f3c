"""The bridge: which model answers whom, what stops an answer, what the log tells. Settings are real files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peersky.core.chat import ChatAnswer, ChatChunk, ChatRequest, ModelInfo
from peersky.core.errors import (
    BackendFailed,
    Cancelled,
    ContextExceeded,
    NotAllowed,
    NotSupported,
    PeerSkyError,
    QuotaExceeded,
)
from peersky.core.origins import USER, Origin
from peersky.core.settings_schema import STARTER_MODEL
from peersky.llm.bridge import Bridge
from peersky.llm.consent import CloudConsent
from peersky.system.permissions import SitePermissions
from peersky.system.prompt_port import Consent, PromptPort, Question
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from tests.fakes.scripted_provider import END, USAGE, Hold, Log, ScriptedProvider

PAGE, OTHER = Origin("hyper", "a"), Origin("https", "agregore.mauve.moe", 443)
SETTINGS_PAGE, APPS_PAGE = Origin("peersky", "settings"), Origin("peersky", "p2p")
ASKED = ChatRequest(messages=({"role": "user", "content": "Zebra?"},))
BUILTIN: dict[str, Any] = {"llm.enabled": True, "llm.provider": "builtin"}


@pytest.fixture
def settings(tmp_path: Path) -> SettingsStore:
    return SettingsStore(tmp_path / "settings.json", SecretStore(tmp_path / "secrets.json"))


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def bridge(settings: SettingsStore, provider: ScriptedProvider, log: Log) -> Bridge:
    return Bridge(settings, {"builtin": provider}, log)


def consent_of(folder: Path, prompts: PromptPort) -> CloudConsent:
    return CloudConsent(SitePermissions(folder / "sites.json", prompts))


async def ask(bridge: Bridge, origin: Origin = PAGE, request: ChatRequest = ASKED) -> ChatAnswer:
    answer = ChatAnswer()
    async with asyncio.timeout(10), bridge.chat(origin, request) as chunks:
        async for chunk in chunks:
            answer.add(chunk)
    return answer


# --- which model answers whom


def test_a_fresh_profile_supports_the_user_and_no_page(bridge: Bridge) -> None:
    assert not bridge.is_supported(PAGE)
    assert bridge.is_supported(USER)
    status = bridge.status(USER)
    assert (status["provider"], status["model"], status["isLocal"]) == ("builtin", "peersky-starter", True)


def test_status_of_a_fresh_profile_names_the_documented_defaults(bridge: Bridge) -> None:
    assert bridge.status(PAGE) == {
        "enabled": False,
        "supported": False,
        "provider": "ollama",
        "model": "qwen2.5-coder:3b",
        "isLocal": None,
        "reason": "llm_disabled",
        "active": 0,
        "position": 0,
    }


async def test_disabled_is_refused_with_what_to_do(bridge: Bridge) -> None:
    with pytest.raises(NotAllowed, match="peersky://settings/llm") as caught:
        await ask(bridge)
    assert caught.value.reason == "llm_disabled"


async def test_the_user_needs_no_switch(bridge: Bridge) -> None:
    assert (await ask(bridge, USER)).content == "Hello"


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        ({}, "ollama"),
        ({"llm.apiKey": "sk-x"}, "ollama"),
        ({"llm.baseURL": "http://localhost:11434"}, "ollama"),
        ({"llm.baseURL": "https://openrouter.ai/api/v1/", "llm.apiKey": "sk-or-x"}, "openai"),
        ({"llm.baseURL": "https://example.org/v1"}, "ollama"),
        ({"llm.provider": "openai"}, "openai"),
    ],
)
async def test_a_back_end_that_is_not_there_is_named(
    bridge: Bridge, settings: SettingsStore, stored: dict[str, Any], kind: str
) -> None:
    settings.change({"llm.enabled": True, **stored})
    status = bridge.status(PAGE)
    assert (status["provider"], status["supported"], status["reason"]) == (kind, False, "provider_missing")
    with pytest.raises(NotSupported, match=r"built-in engine in peersky://settings/llm\.$"):
        await ask(bridge)


@pytest.mark.parametrize("key", ["llm.provider", "llm.baseURL"])
def test_the_user_gets_the_chosen_back_end_once_one_was_chosen(
    bridge: Bridge, settings: SettingsStore, key: str
) -> None:
    settings.change({"llm.provider": "ollama"} if key == "llm.provider" else {key: "http://127.0.0.1:11434/"})
    assert bridge.status(USER)["provider"] == "ollama"


async def test_the_built_in_engine_answers_with_the_starter_model_until_one_was_chosen(
    bridge: Bridge, settings: SettingsStore, provider: ScriptedProvider
) -> None:
    settings.change(BUILTIN)
    await ask(bridge)
    settings.change({"llm.model": "other"})
    await ask(bridge)
    assert [request.model for request in provider.requests] == ["peersky-starter", "other"]


@pytest.mark.parametrize("model", ["", "  "])
def test_no_model_is_not_supported(bridge: Bridge, settings: SettingsStore, model: str) -> None:
    settings.change({**BUILTIN, "llm.model": model})
    assert bridge.status(PAGE)["reason"] == "model_missing"
    assert not bridge.is_supported(PAGE)


async def test_a_page_may_name_the_chosen_model_and_no_other(bridge: Bridge, settings: SettingsStore) -> None:
    settings.change(BUILTIN)
    assert (await ask(bridge, PAGE, ChatRequest(ASKED.messages, model="peersky-starter"))).content == "Hello"
    with pytest.raises(NotSupported) as caught:
        await ask(bridge, PAGE, ChatRequest(ASKED.messages, model="other"))
    assert (caught.value.reason, caught.value.param) == ("model_not_exposed", "model")


async def test_a_page_is_not_told_where_the_users_files_are(
    bridge: Bridge, settings: SettingsStore, provider: ScriptedProvider
) -> None:
    file = str(Path.home() / "models" / "mine.gguf")
    settings.change({**BUILTIN, "llm.model": file})
    provider.infos = [ModelInfo(file, "builtin")]
    assert bridge.status(PAGE)["model"] == "mine.gguf"
    assert (await bridge.model_info(PAGE)).name == "mine.gguf"
    assert [info.name for info in await bridge.models(PAGE)] == ["mine.gguf"]
    assert bridge.status(SETTINGS_PAGE)["model"] == file
    for name in ("mine.gguf", file):
        await ask(bridge, PAGE, ChatRequest(ASKED.messages, model=name))
    assert [request.model for request in provider.requests] == [file, file]

    provider.script = [NotSupported(f"{file} is no model; put one into {Path.home()}/.local/models.")]
    with pytest.raises(NotSupported) as caught:
        await ask(bridge, PAGE)
    assert caught.value.message == "mine.gguf is no model; put one into ~/.local/models."
    provider.infos = []
    with pytest.raises(NotSupported, match="no model") as caught:
        await bridge.model_info(PAGE)
    assert str(Path.home()) not in caught.value.message


async def test_the_user_may_name_any_model(bridge: Bridge, provider: ScriptedProvider) -> None:
    await ask(bridge, USER, ChatRequest(ASKED.messages, model="other"))
    assert provider.requests[0].model == "other"


async def test_models_are_listed_to_those_who_may_choose_them(bridge: Bridge, settings: SettingsStore) -> None:
    settings.change(BUILTIN)
    for origin in (USER, SETTINGS_PAGE):
        assert [info.name for info in await bridge.models(origin)] == ["peersky-starter", "other"]
    for origin in (PAGE, APPS_PAGE, OTHER):
        assert [info.name for info in await bridge.models(origin)] == ["peersky-starter"]


async def test_a_back_end_that_is_down_does_not_hide_the_others_models(settings: SettingsStore, log: Log) -> None:
    class Down(ScriptedProvider):
        kind = "ollama"

        async def models(self) -> Any:
            raise BackendFailed("Ollama is not running.")

    bridge = Bridge(settings, {"ollama": Down(), "builtin": ScriptedProvider()}, log)
    assert len(await bridge.models(SETTINGS_PAGE)) == 2
    with pytest.raises(BackendFailed):
        await Bridge(settings, {"ollama": Down()}, log).models(SETTINGS_PAGE)


async def test_model_info_describes_the_chosen_model(bridge: Bridge, settings: SettingsStore) -> None:
    settings.change({**BUILTIN, "llm.model": "other"})
    assert (await bridge.model_info(PAGE)).capabilities == {"completion", "vision", "embedding"}


async def test_embeddings(bridge: Bridge, settings: SettingsStore, log: Log) -> None:
    settings.change(BUILTIN)
    assert await bridge.embed(PAGE, ["one", "three"]) == [[3.0, 0.5], [5.0, 0.5]]
    assert log.of("generation-end")[0]["outcome"] == "stop"


# --- the question and the answer


async def test_defaults_come_from_the_settings(
    bridge: Bridge, settings: SettingsStore, provider: ScriptedProvider
) -> None:
    settings.change({**BUILTIN, "llm.model": "other"})
    await ask(bridge)
    settings.change({"llm.temperature": 0.1, "llm.maxTokens": 5})
    await ask(bridge)
    await ask(bridge, PAGE, ChatRequest(ASKED.messages, temperature=0, max_tokens=9))
    assert [(r.temperature, r.max_tokens) for r in provider.requests] == [(0.7, 2048), (0.1, 5), (0, 9)]


async def test_the_starter_model_answers_best_at_0(
    bridge: Bridge, settings: SettingsStore, provider: ScriptedProvider
) -> None:
    settings.change({**BUILTIN, "llm.model": STARTER_MODEL})
    await ask(bridge)
    await ask(bridge, PAGE, ChatRequest(ASKED.messages, temperature=0.9))
    settings.change({"llm.temperature": 0.7})
    await ask(bridge)
    assert [request.temperature for request in provider.requests] == [0, 0.9, 0.7]


async def test_usage_that_comes_after_the_finish_reason_is_joined_to_it(
    bridge: Bridge, provider: ScriptedProvider
) -> None:
    provider.script = [
        ChatChunk(role="assistant"),
        ChatChunk(content="Hi"),
        ChatChunk(finish_reason="length"),
        ChatChunk(usage=USAGE),
    ]
    async with bridge.chat(USER, ASKED) as chunks:
        seen = [chunk async for chunk in chunks]
    assert seen[-1] == ChatChunk(finish_reason="length", usage=USAGE)
    assert [chunk.finish_reason for chunk in seen] == [None, None, "length"]


async def test_an_answer_that_just_ends_is_an_error(bridge: Bridge, provider: ScriptedProvider, log: Log) -> None:
    provider.script = [ChatChunk(content="Hel")]
    with pytest.raises(BackendFailed) as caught:
        await ask(bridge, USER)
    assert caught.value.reason == "interrupted"
    assert log.of("generation-end")[0]["outcome"] == "interrupted"


@pytest.mark.parametrize(
    "error", [ContextExceeded("Too long.", requested=9, quota=8), BackendFailed("Gone."), RuntimeError("fault")]
)
async def test_errors_pass_and_free_the_turn(bridge: Bridge, provider: ScriptedProvider, error: Exception) -> None:
    provider.script = [ChatChunk(content="He"), error]
    for _ in range(5):
        with pytest.raises(type(error)):
            await ask(bridge, USER)
    assert provider.open == 0
    assert bridge.status(USER)["active"] == 0


async def test_no_more_run_at_once_than_the_setting_says(
    bridge: Bridge, settings: SettingsStore, provider: ScriptedProvider
) -> None:
    settings.change(BUILTIN | {"llm.parallel": 3})
    provider.script = lambda request: [*(ChatChunk(content=str(n)) for n in range(20)), END]
    answers = await asyncio.gather(*(ask(bridge, origin) for origin in [PAGE] * 16 + [OTHER] * 16))
    assert {answer.content for answer in answers} == {"".join(map(str, range(20)))}
    assert provider.most_open == 3


async def test_a_page_that_asks_too_much_is_refused_and_others_are_not(
    bridge: Bridge, settings: SettingsStore, provider: ScriptedProvider
) -> None:
    settings.change(BUILTIN | {"llm.parallel": 1})
    hold = Hold()
    provider.script = [hold, END]
    async with asyncio.TaskGroup() as group:
        for _ in range(65):
            group.create_task(ask(bridge))
        await hold.reached.wait()
        with pytest.raises(QuotaExceeded) as caught:
            await ask(bridge)
        assert caught.value.reason == "queue_full"
        group.create_task(ask(bridge, OTHER))
        await active(bridge, OTHER, 1)
        assert bridge.status(OTHER)["position"] == 2
        hold.released.set()
    assert len(provider.requests) == 66


# --- what stops an answer


async def active(bridge: Bridge, origin: Origin, count: int) -> None:
    """Wait until an origin has that many questions open."""
    changed = asyncio.Event()
    unsubscribe = bridge.subscribe(lambda *_: changed.set())
    async with asyncio.timeout(10):
        while bridge.status(origin)["active"] != count:
            changed.clear()
            await changed.wait()
    unsubscribe()


async def test_leaving_the_block_stops_the_back_end(bridge: Bridge, provider: ScriptedProvider, log: Log) -> None:
    provider.script = [ChatChunk(content="a"), Hold()]
    async with bridge.chat(USER, ASKED) as chunks:
        async for chunk in chunks:
            assert chunk.content == "a"
            break
    assert (provider.open, provider.cut) == (0, 1)
    assert log.of("generation-end")[0]["outcome"] == "cancelled"


async def test_a_cancelled_asker_stops_the_back_end(bridge: Bridge, provider: ScriptedProvider) -> None:
    hold = Hold()
    provider.script = [hold]
    task = asyncio.create_task(ask(bridge, USER))
    await hold.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (provider.open, provider.cut, bridge.status(USER)["active"]) == (0, 1, 0)


async def test_stop_ends_this_origins_questions_running_and_waiting(
    bridge: Bridge, settings: SettingsStore, provider: ScriptedProvider, log: Log
) -> None:
    settings.change(BUILTIN | {"llm.parallel": 2})
    mine, others = Hold(), Hold()
    holds = iter([mine, others])
    provider.script = lambda request: [next(holds), END]
    first = asyncio.create_task(ask(bridge, PAGE))
    await mine.reached.wait()
    other = asyncio.create_task(ask(bridge, OTHER))
    await others.reached.wait()
    second = asyncio.create_task(ask(bridge, PAGE))
    await active(bridge, PAGE, 2)

    assert bridge.stop(PAGE) == 2
    assert bridge.stop(PAGE) == 0
    for task in (first, second):
        with pytest.raises(Cancelled, match="stopped") as caught:
            await task
        assert caught.value.reason == "stopped"
    assert {entry["outcome"] for entry in log.of("generation-end")} == {"stopped"}
    others.released.set()
    assert (await other).finish_reason == "stop"
    assert bridge.stop(PAGE) == 0


async def test_a_time_limit_of_the_asker_is_not_taken_for_a_stop(bridge: Bridge, provider: ScriptedProvider) -> None:
    provider.script = [Hold()]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await ask(bridge, USER)
    assert provider.open == 0


async def test_close_stops_everything_and_closes_the_back_ends(bridge: Bridge, provider: ScriptedProvider) -> None:
    hold = Hold()
    provider.script = [hold]
    task = asyncio.create_task(ask(bridge, USER))
    await hold.reached.wait()
    await asyncio.wait_for(bridge.close(), 10)
    with pytest.raises(Cancelled):
        await task
    assert provider.closed
    assert provider.open == 0
    with pytest.raises(Cancelled, match="closing"):
        await ask(bridge, USER)
    await bridge.close()


# --- who is told


async def test_subscribers_learn_who_is_busy(bridge: Bridge, settings: SettingsStore) -> None:
    settings.change(BUILTIN)
    seen: list[tuple[Origin, int]] = []
    unsubscribe = bridge.subscribe(lambda origin, count: seen.append((origin, count)))
    await ask(bridge, PAGE)
    unsubscribe()
    unsubscribe()
    await ask(bridge, PAGE)
    assert seen == [(PAGE, 1), (PAGE, 0)]


async def test_the_log_tells_who_what_and_how_long_but_never_the_words(
    bridge: Bridge, provider: ScriptedProvider, log: Log
) -> None:
    provider.script = [ChatChunk(content="Quagga"), END]
    await ask(bridge, USER)
    (start,), (end,) = log.of("generation-start"), log.of("generation-end")
    assert start["waited_ms"] >= 0
    assert {key: end[key] for key in ("origin", "provider", "model", "outcome", "input_tokens", "output_tokens")} == {
        "origin": "command-line",
        "provider": "builtin",
        "model": "peersky-starter",
        "outcome": "stop",
        "input_tokens": 7,
        "output_tokens": 3,
    }
    assert 0 <= end["first_token_ms"] <= end["duration_ms"]
    assert "Zebra" not in str(log.entries)
    assert "Quagga" not in str(log.entries)


@pytest.mark.parametrize("call", ["chat", "models", "model_info", "embed"])
async def test_every_call_is_refused_when_disabled(bridge: Bridge, call: str) -> None:
    calls: dict[str, Callable[[], Any]] = {
        "chat": lambda: ask(bridge),
        "models": lambda: bridge.models(PAGE),
        "model_info": lambda: bridge.model_info(PAGE),
        "embed": lambda: bridge.embed(PAGE, ["x"]),
    }
    with pytest.raises(PeerSkyError) as caught:
        await calls[call]()
    assert caught.value.reason == "llm_disabled"


# --- consent, failures, content in the log, thinking


class Person:
    """Answers the browser's questions."""

    def __init__(self) -> None:
        self.answer = False
        self.questions: list[Question] = []
        self.hold: Hold | None = None

    async def ask(self, question: Question) -> Consent:
        self.questions.append(question)
        if self.hold is not None:
            await self.hold.wait()
        return Consent.FOR_GOOD if self.answer else Consent.REFUSED


class Cloud(ScriptedProvider):
    kind = "openai"
    is_local = False


CLOUD: dict[str, Any] = {
    "llm.enabled": True,
    "llm.provider": "openai",
    "llm.baseURL": "https://openrouter.ai/api/v1",
    "llm.model": "peersky-starter",
}


async def test_a_page_asks_the_user_before_its_questions_leave_this_computer(
    tmp_path: Path, settings: SettingsStore, log: Log
) -> None:
    cloud, prompts = Cloud(), Person()
    bridge = Bridge(settings, {"openai": cloud}, log, consent_of(tmp_path, prompts))
    settings.change(CLOUD)
    with pytest.raises(NotAllowed) as caught:
        await ask(bridge)
    assert caught.value.reason == "declined"
    with pytest.raises(NotAllowed):
        await bridge.embed(PAGE, ["text"])
    assert cloud.requests == []
    assert [question.capability for question in prompts.questions] == ["cloud"]
    await ask(bridge, APPS_PAGE)
    prompts.answer = True
    await ask(bridge, OTHER)
    assert len(cloud.requests) == 2


async def test_what_the_user_has_still_to_allow_is_no_answer_under_way(
    tmp_path: Path, settings: SettingsStore, log: Log
) -> None:
    """The page's sign says that a service is answering: not before anything went there."""
    prompts = Person()
    prompts.hold, prompts.answer = Hold(), True
    bridge = Bridge(settings, {"openai": Cloud()}, log, consent_of(tmp_path, prompts))
    settings.change(CLOUD)
    counts: list[int] = []
    bridge.subscribe(lambda _origin, count: counts.append(count))
    question = asyncio.ensure_future(ask(bridge))
    await prompts.hold.reached.wait()
    assert set(counts) == {0}
    prompts.hold.released.set()
    await question
    assert counts == [0, 1, 0]


async def test_stop_withdraws_the_question_to_the_user(tmp_path: Path, settings: SettingsStore, log: Log) -> None:
    prompts = Person()
    prompts.hold = Hold()
    bridge = Bridge(settings, {"openai": Cloud()}, log, consent_of(tmp_path, prompts))
    settings.change(CLOUD)

    async def stop_when_asked() -> None:
        assert prompts.hold is not None
        await prompts.hold.reached.wait()
        assert bridge.stop(PAGE) == 1

    async with asyncio.TaskGroup() as group:
        group.create_task(stop_when_asked())
        with pytest.raises(Cancelled):
            await ask(bridge)


async def test_a_model_on_this_computer_needs_no_consent(
    tmp_path: Path, settings: SettingsStore, provider: ScriptedProvider, log: Log
) -> None:
    bridge = Bridge(settings, {"builtin": provider}, log, consent_of(tmp_path, Person()))
    settings.change(BUILTIN)
    assert (await ask(bridge)).content == "Hello"


async def test_who_wants_to_know_is_told_of_a_failure(
    settings: SettingsStore, provider: ScriptedProvider, log: Log
) -> None:
    told: list[tuple[Origin, str, PeerSkyError]] = []
    bridge = Bridge(settings, {"builtin": provider}, log, on_failure=lambda *args: told.append(args))
    settings.change(BUILTIN)
    failure = BackendFailed("Nobody there.")
    provider.script = [failure]
    with pytest.raises(BackendFailed):
        await ask(bridge)
    assert told == [(PAGE, "builtin", failure)]


async def test_what_was_said_is_in_the_log_only_if_the_user_wants_it(
    bridge: Bridge, settings: SettingsStore, log: Log
) -> None:
    settings.change(BUILTIN)
    await ask(bridge)
    assert "Zebra" not in str(log.entries)
    assert "Hello" not in str(log.entries)
    settings.change({"logs.content": True})
    await ask(bridge)
    entry = log.of("generation-end")[-1]
    assert (entry["asked"], entry["answered"]) == (["user: Zebra?"], "Hello")


@pytest.mark.parametrize(
    ("setting", "page", "sent"),
    [
        ("", None, (None, False)),
        ("off", None, (False, True)),
        ("on", None, (True, True)),
        ("high", None, ("high", True)),
        ("high", False, (False, False)),
    ],
)
async def test_thinking_follows_the_setting_unless_the_page_says_otherwise(
    bridge: Bridge, settings: SettingsStore, provider: ScriptedProvider, setting: str, page: Any, sent: Any
) -> None:
    settings.change({**BUILTIN, "llm.think": setting})
    await ask(bridge, request=replace(ASKED, think=page))
    assert (provider.requests[0].think, provider.requests[0].think_if_possible) == sent


async def test_where_questions_go(bridge: Bridge, settings: SettingsStore, log: Log) -> None:
    settings.change(BUILTIN)
    assert bridge.service(PAGE) is None
    cloud, ollama = Cloud(), Cloud()
    ollama.kind = "ollama"
    bridge = Bridge(settings, {"openai": cloud, "ollama": ollama}, log)
    settings.change(CLOUD)
    assert str(bridge.service(PAGE)) == "https://openrouter.ai"
    settings.change({"llm.provider": "ollama", "llm.baseURL": "http://127.0.0.1:11434"})
    assert str(bridge.service(PAGE)) == "https://ollama.com"
    settings.change({"llm.baseURL": "http://192.168.1.5:11434"})
    assert str(bridge.service(PAGE)) == "http://192.168.1.5:11434"
