"""A provider of Ollama, and the server that it asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from peersky.llm.http import Limits
from peersky.llm.providers.ollama import OllamaProvider
from peersky.system.settings_store import SettingsStore
from tests.fakes.ollama_server import OllamaServer
from tests.fakes.scripted_provider import Log
from tests.unit.llm.provider_home import open_settings

MODEL = "qwen2.5-coder:3b"
EVERYTHING = ("completion", "tools", "vision", "thinking", "embedding")
# A busy computer is silent for a moment, too.
SHORT = Limits(connect_s=5.0, first_byte_s=20.0, idle_s=2.0)


async def no_sizes(model: str) -> Mapping[str, int]:
    return {}


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, server: OllamaServer) -> SettingsStore:
    return open_settings(tmp_path, baseURL=server.url)


@pytest.fixture
async def provider(settings: SettingsStore) -> AsyncIterator[OllamaProvider]:
    made = OllamaProvider(settings, Log(), limits=SHORT, layer_sizes=no_sizes)
    yield made
    await made.close()
