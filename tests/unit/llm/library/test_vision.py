"""Models with a part for images: pulled, seen by the real engine, and refused where llama.cpp could not load it."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from peersky.core.chat import ChatAnswer, ChatRequest
from peersky.core.errors import NotSupported
from peersky.core.model_names import parse_model_name
from peersky.llm.library.store import ModelStore
from peersky.llm.providers.builtin import BuiltinProvider
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from tests.fakes.random_projector import write_projector
from tests.fakes.registry_server import RegistryServer
from tests.unit.llm.library.conftest import Progress, PullerMaker


def png(width: int = 32, height: int = 32) -> str:
    """A picture as a data: address."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + bytes(value for x in range(width) for value in (x * 8 % 256, 99, 128))
    content = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(row * height))
        + chunk(b"IEND", b"")
    )
    return "data:image/png;base64," + base64.b64encode(content).decode()


def look(url: str) -> ChatRequest:
    content: list[dict[str, Any]] = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    return ChatRequest(messages=({"role": "user", "content": content},), max_tokens=4, temperature=0.0)


@pytest.fixture
def eyes(tmp_path: Path) -> bytes:
    return write_projector(tmp_path / "eyes.gguf").read_bytes()


@pytest.fixture
def old_eyes(tmp_path: Path) -> bytes:
    return write_projector(tmp_path / "old.gguf", projector_type="").read_bytes()


@pytest.fixture
def model(tiny: Path) -> bytes:
    return tiny.read_bytes()


@pytest.fixture
async def provider(store: ModelStore, make_puller: PullerMaker, tmp_path: Path) -> AsyncIterator[BuiltinProvider]:
    settings = SettingsStore(tmp_path / "settings.json", SecretStore(tmp_path / "secrets.json"))
    provider = BuiltinProvider(settings, store.folder, lambda kind, **fields: None, store=store, puller=make_puller())
    yield provider
    await provider.close()


async def answer(provider: BuiltinProvider, name: str, request: ChatRequest) -> ChatAnswer:
    whole = ChatAnswer()
    async with provider.chat(name, request) as chunks:
        async for chunk in chunks:
            whole.add(chunk)
    return whole


@pytest.mark.parametrize("hub", [False, True], ids=["Ollama's registry", "Hugging Face"])
async def test_a_pulled_model_sees(
    provider: BuiltinProvider, registry: RegistryServer, model: bytes, eyes: bytes, hub: bool
) -> None:
    name = registry.add("seeing:1b", {"model": model, "projector": eyes})
    if hub:
        name = "hf.co/user/Seeing"
        registry.hub["user/Seeing"] = {"mmproj-f32.gguf": b"x", "seeing-Q4_K_M.gguf": model, "mmproj-f16.gguf": eyes}
    await provider.ensure(name, Progress())
    info = await provider.describe(name)
    assert "vision" in info.capabilities
    assert info.size_bytes >= len(model) + len(eyes)
    with_image = await answer(provider, name, look(png()))
    text = ChatRequest(messages=({"role": "user", "content": "What is this?"},), max_tokens=4, temperature=0.0)
    without = await answer(provider, name, text)
    assert with_image.usage is not None
    assert without.usage is not None
    assert with_image.usage.input_tokens >= without.usage.input_tokens + 4, "a picture of 2 by 2 patches"


@pytest.mark.parametrize(
    "url", ["https://example.org/x.png", "http://127.0.0.1:1/x.png", "file:///etc/passwd", "data:text/html,x"]
)
async def test_the_engine_fetches_no_images(
    provider: BuiltinProvider, registry: RegistryServer, model: bytes, eyes: bytes, url: str
) -> None:
    name = registry.add("seeing:1b", {"model": model, "projector": eyes})
    await provider.ensure(name, Progress())
    with pytest.raises(NotSupported, match="fetches no images"):
        await answer(provider, name, look(url))


async def test_a_part_that_llama_cpp_does_not_know_is_refused_first(
    make_puller: PullerMaker, store: ModelStore, registry: RegistryServer, model: bytes, old_eyes: bytes
) -> None:
    name = parse_model_name(registry.add("llava:7b", {"model": model, "projector": old_eyes}))
    with pytest.raises(NotSupported, match=r"sees images is stored in Ollama's own variant.*Choose hf\.co/"):
        await make_puller().pull(name, Progress())
    assert store.names() == []
    assert registry.sent_bytes < len(old_eyes) + 100
