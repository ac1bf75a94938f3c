"""Saving another model: chosen at once where it is there, else after its download; and a cloud never pulls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peersky.core.chat import ModelInfo
from peersky.core.errors import BackendFailed, NotSupported, SettingInvalid
from peersky.llm.connections import Connections
from peersky.llm.downloads import DownloadManager
from peersky.llm.endpoint import Endpoint
from peersky.llm.model_switch import ModelSwitch, Saved
from peersky.llm.providers.base import PullProgress
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from tests.fakes.scripted_provider import Hold, Log, ScriptedProvider

OLD: dict[str, Any] = {"llm.enabled": True, "llm.provider": "builtin", "llm.model": "other"}
CLOUD: dict[str, Any] = {
    "llm.provider": "openai",
    "llm.baseURL": "https://openrouter.ai/api/v1",
    "llm.model": "anthropic/claude-4.5-sonnet",
    "llm.apiKey": "sk-or-1234",
}
OLLAMA: dict[str, Any] = {"llm.provider": "ollama", "llm.baseURL": "http://127.0.0.1:11435", "llm.model": "new:1b"}


class Puller(ScriptedProvider):
    """Has some models and can fetch others."""

    def __init__(self, kind: str, endpoint: Callable[[], Endpoint] | None = None) -> None:
        super().__init__()
        self.kind = kind
        self.endpoint = endpoint
        self.pulled: list[tuple[str, str, str]] = []
        self.hold = Hold()
        self.failure: Exception | None = None
        self.unreachable: Exception | None = None

    async def describe(self, model: str) -> ModelInfo:
        if self.unreachable:
            raise self.unreachable
        return await super().describe(model)

    async def ensure(self, model: str, report: Callable[[PullProgress], None]) -> None:
        where = self.endpoint() if self.endpoint else Endpoint("", "")
        self.pulled.append((model, where.base_url, where.api_key))
        report(PullProgress("Downloading", 1, 4))
        await self.hold.wait()
        if self.failure:
            raise self.failure
        self.infos = [*self.infos, ModelInfo(model, self.kind)]


class World:
    """Real settings, real downloads, providers that fetch when they are told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = SettingsStore(folder / "settings.json", SecretStore(folder / "secrets.json"))
        self.builtin = Puller("builtin")
        self.ollama = Puller("ollama", self.where)
        self.open()

    def where(self) -> Endpoint:
        return self.switch.download_endpoint()

    def open(self) -> None:
        providers = {"builtin": self.builtin, "ollama": self.ollama}
        self.downloads = DownloadManager(providers, self.folder / "downloads.json", Log())
        connections = Connections(
            self.settings, self.builtin, {"ollama": lambda _: self.ollama, "openai": lambda _: Puller("openai")}
        )
        self.switch = ModelSwitch(self.settings, connections, self.downloads, self.folder / "pending.json")

    async def restart(self) -> None:
        await self.close()
        self.settings = SettingsStore(self.folder / "settings.json", SecretStore(self.folder / "secrets.json"))
        self.open()

    async def close(self) -> None:
        self.switch.close()
        await self.downloads.close()

    async def save(self, changes: dict[str, Any]) -> Saved:
        async with asyncio.timeout(10):
            return await self.switch.save(changes)

    def answers(self) -> tuple[str, str]:
        return self.settings.text("llm.provider"), self.settings.text("llm.model")


@pytest.fixture
async def world(tmp_path: Path) -> Any:
    world = World(tmp_path)
    world.settings.change(OLD)
    yield world
    await world.close()


async def test_what_is_there_is_chosen_at_once(world: World) -> None:
    saved = await world.save({"llm.model": "peersky-starter", "llm.temperature": 0.2})
    assert (saved.download, saved.notes) == ("", [])
    assert world.answers() == ("builtin", "peersky-starter")
    assert world.settings.number("llm.temperature") == 0.2


async def test_a_missing_model_is_downloaded_while_the_old_one_serves(world: World) -> None:
    saved = await world.save({"llm.model": "new:1b", "llm.temperature": 0.2})
    assert saved.download
    await asyncio.wait_for(world.builtin.hold.reached.wait(), 10)
    assert world.answers() == ("builtin", "other")
    assert world.settings.number("llm.temperature") == 0.2
    assert world.switch.pending is not None
    assert world.switch.pending.model == "new:1b"
    world.builtin.hold.released.set()
    assert (await world.downloads.wait(saved.download)).state == "done"
    assert world.answers() == ("builtin", "new:1b")
    assert world.switch.pending is None


async def test_saving_twice_or_in_two_tabs_is_one_download(world: World) -> None:
    first, second = await asyncio.gather(world.save({"llm.model": "new:1b"}), world.save({"llm.model": "new:1b"}))
    third = await world.save({"llm.model": "new:1b"})
    assert first.download == second.download == third.download
    world.builtin.hold.released.set()
    await world.downloads.wait(first.download)
    assert [model for model, *_ in world.builtin.pulled] == ["new:1b"]
    assert world.answers() == ("builtin", "new:1b")


async def test_the_last_choice_counts(world: World) -> None:
    first = await world.save({"llm.model": "new:1b"})
    await world.save({"llm.model": "peersky-starter"})
    world.builtin.hold.released.set()
    await world.downloads.wait(first.download)
    assert world.answers() == ("builtin", "peersky-starter")


async def test_a_cancelled_download_changes_nothing(world: World) -> None:
    saved = await world.save({"llm.model": "new:1b"})
    world.downloads.cancel(saved.download)
    assert world.switch.pending is None
    assert world.answers() == ("builtin", "other")


async def test_a_failed_download_can_be_tried_again_and_then_counts(world: World) -> None:
    world.builtin.failure = BackendFailed("The connection broke.", reason="interrupted")
    world.builtin.hold.released.set()
    saved = await world.save({"llm.model": "new:1b"})
    assert (await world.downloads.wait(saved.download)).message == "The connection broke."
    assert world.answers() == ("builtin", "other")
    world.builtin.failure = None
    world.downloads.resume(saved.download)
    assert (await world.downloads.wait(saved.download)).state == "done"
    assert world.answers() == ("builtin", "new:1b")


async def test_a_quit_keeps_the_choice_and_the_next_start_goes_on(world: World) -> None:
    saved = await world.save(OLLAMA)
    await asyncio.wait_for(world.ollama.hold.reached.wait(), 10)
    await world.restart()
    pending = world.switch.pending
    assert pending is not None
    assert (pending.provider, pending.model, pending.download) == ("ollama", "new:1b", saved.download)
    world.ollama.hold.released.set()
    world.downloads.resume(saved.download)
    assert (await world.downloads.wait(saved.download)).state == "done"
    assert world.answers() == ("ollama", "new:1b")
    assert world.settings.text("llm.baseURL") == "http://127.0.0.1:11435"
    assert not (world.folder / "pending.json").exists()


async def test_another_ollama_is_asked_for_the_download_before_it_is_stored(world: World) -> None:
    world.settings.change({"llm.apiKey": "sk-stored"})
    saved = await world.save({**OLLAMA, "llm.apiKey": "sk-typed"})
    await asyncio.wait_for(world.ollama.hold.reached.wait(), 10)
    assert world.ollama.pulled == [("new:1b", "http://127.0.0.1:11435", "sk-typed")]
    assert world.settings.secret("llm.apiKey") == "sk-stored"
    assert "sk-typed" not in (world.folder / "pending.json").read_text()
    world.ollama.hold.released.set()
    await world.downloads.wait(saved.download)
    assert world.settings.secret("llm.apiKey") == "sk-typed"


async def test_saving_a_cloud_never_pulls(world: World) -> None:
    saved = await world.save(CLOUD)
    assert saved.download == ""
    assert world.answers() == ("openai", "anthropic/claude-4.5-sonnet")
    assert world.downloads.list() == []
    assert world.builtin.pulled == world.ollama.pulled == []


async def test_a_server_that_is_down_is_said_and_stored(world: World) -> None:
    world.ollama.unreachable = BackendFailed("Ollama cannot be reached.")
    saved = await world.save(OLLAMA)
    assert (saved.download, saved.notes) == ("", ["Ollama cannot be reached."])
    assert world.answers() == ("ollama", "new:1b")


async def test_the_model_that_answers_already_but_is_missing_is_downloaded(world: World) -> None:
    world.settings.change(OLLAMA)
    saved = await world.save({"llm.model": "new:1b"})
    assert saved.download
    assert world.switch.pending is None
    assert world.answers() == ("ollama", "new:1b")


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"llm.model": " "}, "llm.model"),
        ({"llm.model": "/nowhere/a.gguf"}, "llm.model"),
        ({"llm.model": "peersky-starter "}, None),
        ({"llm.baseURL": "nonsense", "llm.provider": "ollama"}, "llm.baseURL"),
        ({"llm.temperature": 9, "llm.model": "new:1b"}, "llm.temperature"),
        ({"llm.nothing": 1}, "llm.nothing"),
    ],
)
async def test_what_cannot_be_saved_names_its_field(world: World, changes: dict[str, Any], param: str | None) -> None:
    if param is None:
        await world.save(changes)
        return
    with pytest.raises(SettingInvalid) as caught:
        await world.save(changes)
    assert caught.value.param == param
    assert world.answers() == ("builtin", "other")
    assert world.downloads.list() == []


async def test_a_model_that_the_engine_cannot_run_is_refused_beside_its_name(world: World) -> None:
    world.builtin.unreachable = NotSupported("This engine cannot run it.", reason="capability_missing")
    with pytest.raises(SettingInvalid, match="cannot run") as caught:
        await world.save({"llm.model": "new:1b"})
    assert caught.value.param == "llm.model"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"download": 1}', json.dumps({"download": "x", "changes": {}})])
async def test_a_broken_file_means_that_nothing_waits(tmp_path: Path, text: str) -> None:
    (tmp_path / "pending.json").write_text(text)
    world = World(tmp_path)
    assert world.switch.pending is None
    await world.close()
