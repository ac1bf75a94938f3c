"""The parts about models, put together: who is told of what. Back ends are real ones, at ports that nobody serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from peersky.core.chat import ChatRequest
from peersky.core.errors import BackendFailed, QuotaExceeded
from peersky.core.origins import Origin
from peersky.llm.local_ai import LocalAi
from peersky.llm.providers.base import PullProgress
from peersky.llm.providers.ollama import OllamaProvider
from peersky.llm.providers.openai_compat import OpenAIProvider
from peersky.system.paths import open_profile
from peersky.system.permissions import SitePermissions
from peersky.system.prompt_port import Consent, Question
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from tests.fakes.scripted_provider import Log, ScriptedProvider

PAGE = Origin("hyper", "a")
NOBODY_THERE = "http://127.0.0.1:9/"
ASKED = ChatRequest(messages=({"role": "user", "content": "Hello"},))


class Fetcher(ScriptedProvider):
    failure: Exception | None = None

    async def ensure(self, model: str, report: Callable[[PullProgress], None]) -> None:
        if self.failure:
            raise self.failure


class World:
    def __init__(self, folder: Path) -> None:
        profile = open_profile(folder)
        self.settings = SettingsStore(profile.settings_file, SecretStore(profile.secrets_file))
        self.notices: list[tuple[str, str]] = []
        self.shown: list[str] = []
        self.builtin = Fetcher()
        log = Log()
        self.ai = LocalAi(
            profile,
            self.settings,
            self.builtin,
            {
                "ollama": lambda endpoint: OllamaProvider(self.settings, log, endpoint=endpoint),
                "openai": lambda endpoint: OpenAIProvider(self.settings, log, endpoint=endpoint),
            },
            SitePermissions(profile.permissions_file, self),
            self,
            log,
        )
        self.ai.unreachable.show = self.shown.append

    async def ask(self, question: Question) -> Consent:
        return Consent.FOR_GOOD

    def notify(self, title: str, text: str) -> None:
        self.notices.append((title, text))

    async def chat(self) -> None:
        async with asyncio.timeout(20), self.ai.bridge.chat(PAGE, ASKED) as chunks:
            async for _ in chunks:
                pass


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "profile")
    yield world
    await world.ai.close()


def at(kind: str, **more: Any) -> dict[str, Any]:
    return {"llm.enabled": True, "llm.provider": kind, "llm.baseURL": NOBODY_THERE, "llm.model": "m", **more}


async def test_a_page_and_the_dialog_get_the_same_sentence_and_the_dialog_once(world: World) -> None:
    world.settings.change(at("ollama"))
    for _ in range(2):
        with pytest.raises(BackendFailed) as caught:
            await world.chat()
        assert (caught.value.reason, caught.value.dom_name) == ("unreachable", "NetworkError")
        assert world.shown == [caught.value.message]


async def test_a_service_that_is_down_shows_no_dialog(world: World) -> None:
    world.settings.change(at("openai"))
    with pytest.raises(BackendFailed):
        await world.chat()
    assert world.shown == []


async def test_the_built_in_engine_is_taken_on_request(world: World) -> None:
    world.settings.change(at("ollama"))
    await world.ai.use_builtin()
    assert (world.settings.text("llm.provider"), world.settings.text("llm.model")) == ("builtin", "peersky-starter")
    await world.chat()


async def test_the_end_of_a_download_is_told(world: World) -> None:
    download = world.ai.downloads.start("builtin", "new:1b")
    await world.ai.downloads.wait(download.id)
    assert world.notices == [("new:1b is ready", "The download is done, and the model can answer.")]
    world.builtin.failure = QuotaExceeded("The disk is too full.")
    failed = world.ai.downloads.start("builtin", "other:1b")
    await world.ai.downloads.wait(failed.id)
    assert world.notices[1:] == [("other:1b was not downloaded", "The disk is too full.")]


async def test_a_service_on_the_network_downloads_nothing(world: World) -> None:
    with pytest.raises(Exception, match="no provider openai"):
        world.ai.downloads.start("openai", "m")


async def test_closing_twice_is_safe(world: World) -> None:
    await world.ai.close()
    await world.ai.close()
