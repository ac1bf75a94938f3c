"""Listing and testing what is not saved yet: whose key goes where, and what people are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from peersky.core.errors import BackendFailed, InvalidRequest, SettingInvalid
from peersky.llm.connections import Candidate, Connections
from peersky.llm.endpoint import Endpoint
from peersky.llm.providers.base import KeyCheck
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from tests.fakes.scripted_provider import ScriptedProvider

CLOUD = "https://openrouter.ai/api/v1"


class Service(ScriptedProvider):
    """Remembers where it was asked to go, and with which key."""

    kind = "openai"
    is_local = False

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self.endpoint = endpoint
        self.key_check: KeyCheck | Exception = KeyCheck("accepted")
        self.failure: Exception | None = None

    async def check_key(self) -> KeyCheck:
        if isinstance(self.key_check, Exception):
            raise self.key_check
        return self.key_check


class World:
    def __init__(self, folder: Path) -> None:
        self.settings = SettingsStore(folder / "settings.json", SecretStore(folder / "secrets.json"))
        self.builtin = ScriptedProvider()
        self.made: list[Service] = []
        self.key_check: KeyCheck | Exception = KeyCheck("accepted")
        self.connections = Connections(self.settings, self.builtin, {"openai": self.make, "ollama": self.make})

    def make(self, endpoint: Callable[[], Endpoint]) -> Service:
        self.made.append(Service(endpoint()))
        self.made[-1].key_check = self.key_check
        return self.made[-1]

    @property
    def went(self) -> Endpoint:
        return self.made[-1].endpoint


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_models_of_a_candidate(world: World) -> None:
    assert [model.name for model in await world.connections.models(Candidate("openai", CLOUD))] == [
        "peersky-starter",
        "other",
    ]
    assert world.made[0].closed
    assert await world.connections.models(Candidate("builtin", "")) == world.builtin.infos
    assert not world.builtin.closed


async def test_a_stored_key_goes_to_its_own_origin_alone(world: World) -> None:
    world.settings.change({"llm.baseURL": CLOUD, "llm.apiKey": "sk-or-1234"})
    await world.connections.models(Candidate("openai", "https://openrouter.ai"))
    assert world.went.api_key == "sk-or-1234"
    for url in ("https://openrouter.ai.evil.example/api/v1", "http://openrouter.ai/", "https://openrouter.ai:444/"):
        await world.connections.models(Candidate("openai", url))
        assert (world.went.base_url, world.went.api_key) == (url, "ollama")


async def test_a_typed_key_goes_with_the_typed_address(world: World) -> None:
    world.settings.change({"llm.baseURL": CLOUD, "llm.apiKey": "sk-or-1234"})
    await world.connections.test(Candidate("openai", "https://api.example/v1", "sk-typed\n"))
    assert (world.went.base_url, world.went.api_key) == ("https://api.example/v1", "sk-typed")
    assert "sk-typed" not in repr(world.went)


async def test_a_connection_in_words(world: World) -> None:
    world.key_check = KeyCheck("accepted", "$4.20 are left.")
    assert await world.connections.test(Candidate("openai", CLOUD, "sk-1")) == {
        "ok": True,
        "reached": True,
        "models": 2,
        "key": "accepted",
        "sentences": [
            "The service at https://openrouter.ai answers and has 2 models.",
            "It accepts the API key.",
            "$4.20 are left.",
        ],
    }


async def test_a_refused_key_is_told_with_the_servers_sentence(world: World) -> None:
    world.key_check = KeyCheck("refused", "No auth credentials found.")
    report = await world.connections.test(Candidate("openai", CLOUD, "sk-1"))
    assert (report["ok"], report["reached"], report["param"]) == (False, True, "llm.apiKey")
    assert report["sentences"][1:] == ["It refuses the API key.", "No auth credentials found."]


async def test_a_failure_in_mid_test_is_told(world: World) -> None:
    world.key_check = BackendFailed("It broke off.", reason="interrupted")
    report = await world.connections.test(Candidate("ollama", "http://127.0.0.1:1", None))
    assert (report["ok"], report["param"], report["sentences"][-1]) == (False, "llm.baseURL", "It broke off.")


async def test_the_built_in_engine_needs_no_address(world: World) -> None:
    report = await world.connections.test(Candidate("builtin", ""))
    assert (report["ok"], report["sentences"]) == (True, ["The built-in engine answers and has 2 models."])


async def test_a_form_that_makes_no_sense(world: World) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await world.connections.models(Candidate("evil", CLOUD))
    assert caught.value.param == "provider"
    with pytest.raises(SettingInvalid) as refused:
        await world.connections.models(Candidate("openai", "ftp://x"))
    assert refused.value.param == "llm.baseURL"
