"""The model library reads a store that a real Ollama wrote, and changes nothing in it."""

from __future__ import annotations

from pathlib import Path

from peersky.core.model_names import parse_model_name
from peersky.llm.library.blobs import ollama_stores
from peersky.llm.library.puller import Puller
from peersky.llm.library.store import ModelStore
from peersky.llm.providers.ollama import OllamaProvider
from tests.fakes.registry_server import RegistryServer
from tests.interop.conftest import SYSTEM
from tests.interop.real_ollama import RealOllama


async def test_what_ollama_downloaded_is_not_downloaded_again(
    tmp_path: Path,
    ollama: RealOllama,
    provider: OllamaProvider,
    registry: RegistryServer,
    model: str,
    weights: bytes,
) -> None:
    name = parse_model_name(model)
    stores = ollama_stores({"OLLAMA_MODELS": str(ollama.store)}, tmp_path)
    assert ollama.store in stores
    before, sent = ollama.files(), registry.sent_bytes

    store = ModelStore(tmp_path / "models", [ollama.store])
    puller = Puller(store)
    await puller.pull(name, lambda progress: None)
    await puller.close()

    installed = store.installed(name)
    assert installed is not None
    assert installed.file.read_bytes() == weights
    assert installed.extras.system == SYSTEM.decode()
    assert registry.sent_bytes == sent
    assert ollama.files() == before

    store.remove(name)
    assert ollama.files() == before
    assert (await provider.describe(model)).name == model


async def test_ollamas_store_has_the_layout_of_ours(ollama: RealOllama, model: str, weights: bytes) -> None:
    reply = ollama.ask("POST", "/api/copy", {"source": model, "destination": "mine:1b"})
    assert reply.status_code == 200
    name = parse_model_name("mine:1b")
    theirs = ModelStore(ollama.store)
    assert name in theirs.names()
    installed = theirs.installed(name)
    assert installed is not None
    assert installed.file.read_bytes() == weights
    assert installed.extras.system == SYSTEM.decode()
