"""Settings of a profile and what tests of providers ask of any of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peersky.core.chat import ChatAnswer, ChatChunk, ChatRequest
from peersky.llm.providers.base import Provider
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore

PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOL = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}


def open_settings(folder: Path, **changes: Any) -> SettingsStore:
    """Settings of a fresh profile, changed: ``baseURL="http://…"`` is ``llm.baseURL``."""
    settings = SettingsStore(folder / "settings.json", SecretStore(folder / "secrets.json"))
    settings.change({f"llm.{name}": value for name, value in changes.items()})
    return settings


def ask_for(content: Any = "Hello", **more: Any) -> ChatRequest:
    """A question of one message."""
    return ChatRequest(messages=({"role": "user", "content": content},), **more)


async def chunks_of(provider: Provider, model: str, request: ChatRequest) -> list[ChatChunk]:
    """The whole answer, chunk by chunk."""
    found = []
    async with provider.chat(model, request) as chunks:
        async for chunk in chunks:
            found.append(chunk)  # noqa: PERF401 a comprehension would lose what came before an error
    return found


async def ask(provider: Provider, model: str, content: Any = "Hello", **more: Any) -> ChatAnswer:
    """The whole answer to a question."""
    return ChatAnswer.of(await chunks_of(provider, model, ask_for(content, **more)))


async def ask_until_it_breaks(provider: Provider, model: str, request: ChatRequest) -> tuple[str, Exception]:
    """The text that came, and the error that ended it."""
    text = ""
    try:
        async with provider.chat(model, request) as chunks:
            async for chunk in chunks:
                text += chunk.content
    except Exception as error:  # noqa: BLE001 the test looks at it
        return text, error
    raise AssertionError(f"it ended as if it were whole: {text!r}")
