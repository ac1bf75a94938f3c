"""A provider of OpenAI-compatible services, and the server that it asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from peersky.llm.http import Limits
from peersky.llm.providers.openai_compat import OpenAIProvider
from peersky.system.settings_store import SettingsStore
from tests.fakes.openai_server import OpenAIServer
from tests.fakes.scripted_provider import Log
from tests.unit.llm.provider_home import open_settings

MODEL = "gpt-x"
KEY = "sk-0123456789abcdef"
# A busy computer is silent for a moment, too.
SHORT = Limits(connect_s=5.0, first_byte_s=20.0, idle_s=2.0)


def said(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


class Home:
    """A provider with everything that happens to it."""

    def __init__(self, settings: SettingsStore, **options: Any) -> None:
        self.settings = settings
        self.log = Log()
        self.pauses: list[float] = []
        options.setdefault("limits", SHORT)
        self.provider = OpenAIProvider(settings, self.log, pause=self._pause, **options)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
async def home(tmp_path: Path, server: OpenAIServer) -> AsyncIterator[Home]:
    made = Home(open_settings(tmp_path, provider="openai", baseURL=server.url + "/v1", apiKey=KEY))
    yield made
    await made.provider.close()
