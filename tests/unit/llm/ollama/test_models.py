"""The models of Ollama, their downloads and embeddings, by a server that speaks its API over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from peersky.core.errors import (
    BackendFailed,
    ContextExceeded,
    NotSupported,
    PeerSkyError,
    QuotaExceeded,
)
from peersky.llm.endpoint import Endpoint
from peersky.llm.providers.base import PullProgress
from peersky.llm.providers.ollama import OllamaProvider, canonical
from peersky.system.settings_store import SettingsStore
from tests.fakes.http_server import Abort, Cut, Hold, Refuse
from tests.fakes.ollama_server import Model, OllamaServer
from tests.fakes.scripted_provider import Log
from tests.unit.llm.ollama.conftest import EVERYTHING, MODEL
from tests.unit.llm.provider_home import ask, open_settings


async def test_the_list_of_a_new_server_costs_one_request(provider: OllamaProvider, server: OllamaServer) -> None:
    server.models = [
        Model("a:1b", ("completion", "vision", "insert", "image"), 1024, 5),
        Model("gpt-oss:120b-cloud", ("completion",), remote_host="https://ollama.com:443"),
    ]
    first, cloud = await provider.models()
    assert (first.name, first.capabilities, first.size_bytes, first.context_length) == (
        "a:1b",
        {"completion", "vision"},
        5,
        1024,
    )
    assert (cloud.size_bytes, cloud.note) == (0, "Runs on https://ollama.com:443, not on this computer.")
    assert server.paths() == ["GET /api/tags"]


async def test_an_old_server_is_asked_once_about_each_model(provider: OllamaProvider, server: OllamaServer) -> None:
    server.old = True
    server.models = [Model("a", EVERYTHING, 1024), Model("b", ("embedding",), 512)]
    for _ in range(2):
        infos = await provider.models()
        assert [(info.capabilities, info.context_length) for info in infos] == [
            (frozenset(EVERYTHING), 1024),
            ({"embedding"}, 512),
        ]
    assert server.paths().count("POST /api/show") == 2


@pytest.mark.parametrize(
    ("asked", "found"),
    [("qwen", False), ("Qwen:7B", True), ("a", True), ("a:latest", True), ("a:1", False), ("", False)],
)
async def test_a_name_is_matched_whole(provider: OllamaProvider, server: OllamaServer, asked: str, found: bool) -> None:
    server.models = [Model("qwen:7b"), Model("a:latest")]
    if found:
        assert (await provider.describe(asked)).name == asked
    else:
        with pytest.raises(NotSupported) as caught:
            await provider.describe(asked)
        assert caught.value.reason == "model_missing"


def test_names_that_ollama_takes_for_equal() -> None:
    assert canonical("A/B") == "a/b:latest"
    assert canonical("localhost:5000/ns/model") == "localhost:5000/ns/model:latest"


async def test_what_is_deleted_during_a_chat_is_missing_at_the_next(
    provider: OllamaProvider, server: OllamaServer
) -> None:
    await provider.models()
    server.models = []
    with pytest.raises(NotSupported) as caught:
        await ask(provider, MODEL)
    assert caught.value.reason == "model_missing"


@pytest.mark.parametrize(
    ("base_url", "model", "local"),
    [
        ("http://127.0.0.1:11434/", MODEL, True),
        ("http://localhost:11434/v1", MODEL, True),
        ("http://127.0.0.1:11434/", "gpt-oss:120b-cloud", False),
        ("http://127.0.0.1:11434/", "kimi:cloud", False),
        ("http://192.168.1.5:11434/", MODEL, False),
        ("https://127.0.0.1.evil.example/", MODEL, False),
    ],
)
def test_local_is_what_stays_here(tmp_path: Path, base_url: str, model: str, local: bool) -> None:
    settings = open_settings(tmp_path, baseURL=base_url, model=model)
    assert OllamaProvider(settings, Log()).is_local is local


def layer(letter: str, total: int, completed: int = 0) -> dict[str, Any]:
    line = {"status": f"pulling {letter * 12}", "digest": f"sha256:{letter * 64}", "total": total}
    return line | ({"completed": completed} if completed else {})


async def test_a_model_that_is_there_is_not_pulled(provider: OllamaProvider, server: OllamaServer) -> None:
    await provider.ensure(MODEL.upper(), lambda progress: pytest.fail(f"reported {progress}"))
    assert server.paths() == ["GET /api/tags"]


@pytest.mark.parametrize("manifest_known", [True, False])
async def test_one_overall_figure_that_never_goes_back(
    settings: SettingsStore, server: OllamaServer, manifest_known: bool
) -> None:
    async def sizes(model: str) -> Mapping[str, int]:
        return {f"sha256:{letter * 64}": size for letter, size in (("a", 900), ("b", 100))} if manifest_known else {}

    provider = OllamaProvider(settings, Log(), layer_sizes=sizes)
    server.pull_script = [
        {"status": "pulling manifest"},
        layer("a", 900),
        layer("a", 900, 600),
        layer("a", 900, 300),
        layer("a", 900, 900),
        layer("b", 100),
        layer("b", 100, 100),
        {"status": "verifying sha256 digest"},
    ]
    seen: list[PullProgress] = []
    await provider.ensure("new:1b", seen.append)
    await provider.close()
    shares = [progress.completed_bytes / progress.total_bytes for progress in seen if progress.total_bytes]
    assert shares == sorted(shares)
    completed = [progress.completed_bytes for progress in seen]
    assert completed == sorted(completed)
    assert (seen[-1].completed_bytes, seen[-1].total_bytes) == (1000, 1000)
    if manifest_known:
        assert {progress.total_bytes for progress in seen[1:]} == {1000}
        assert completed == [0, 0, 0, 600, 600, 900, 900, 1000, 1000, 1000]
    assert [progress.verifying for progress in seen[-2:]] == [True, False]
    assert [request.json for request in server.requests if request.path == "/api/pull"] == [
        {"model": "new:1b", "stream": True, "insecure": False}
    ]


async def test_the_total_comes_from_the_manifest_of_the_registry(settings: SettingsStore, server: OllamaServer) -> None:
    from tests.fakes.http_server import Answer, FakeServer, Recorded

    class Registry(FakeServer):
        async def handle(self, request: Recorded, answer: Answer) -> None:
            layers = [{"mediaType": "x", "digest": "sha256:" + "b" * 64, "size": 500}]
            config = {"mediaType": "x", "digest": "sha256:" + "c" * 64, "size": 500}
            await answer.json({"schemaVersion": 2, "config": config, "layers": layers})

    with Registry() as registry:
        provider = OllamaProvider(settings, Log())
        seen: list[PullProgress] = []
        await provider.ensure(f"127.0.0.1:{registry.port}/library/new:1b", seen.append)
        await provider.close()
        assert registry.paths() == ["GET /v2/library/new/manifests/1b"]
    assert seen[1].total_bytes == 1000
    assert next(r.json["insecure"] for r in server.requests if r.path == "/api/pull") is True


@pytest.mark.parametrize(
    ("steps", "kind", "reason"),
    [
        ([{"error": "pull model manifest: file does not exist"}], NotSupported, "model_missing"),
        ([{"error": "write /blobs/x: no space left on device"}], QuotaExceeded, "disk_full"),
        ([{"error": "max retries exceeded: EOF"}], BackendFailed, "backend_error"),
        ([{"error": "digest mismatch, file must be downloaded again: want a, got b"}], BackendFailed, "backend_error"),
        (
            [{"error": 'realm host "huggingface.co" does not match original host "hf.co"'}],
            NotSupported,
            "model_missing",
        ),
        ([layer("a", 9, 3), Abort], BackendFailed, "interrupted"),
        ([layer("a", 9, 3), Cut], BackendFailed, "interrupted"),
    ],
    ids=["no such model", "disk full", "network", "digest", "hugging face", "reset", "cut"],
)
async def test_a_download_that_fails(
    provider: OllamaProvider, server: OllamaServer, steps: list[Any], kind: type[PeerSkyError], reason: str
) -> None:
    server.pull_script = [{"status": "pulling manifest"}, *steps]
    with pytest.raises(kind) as caught:
        await provider.ensure("new", lambda progress: None)
    assert caught.value.reason == reason


async def test_cancelling_a_download_lets_go_of_it_and_the_next_goes_on(
    provider: OllamaProvider, server: OllamaServer
) -> None:
    server.pull_script = [layer("a", 9, 3), Hold()]
    arrived = asyncio.Event()
    pulling = asyncio.ensure_future(provider.ensure("new", lambda p: arrived.set() if p.completed_bytes else None))
    await asyncio.wait_for(arrived.wait(), 10)
    pulling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pulling
    await server.until(lambda: any(request.gone for request in server.requests))
    server.release()
    await provider.ensure("new", lambda progress: None)


async def test_embeddings_in_batches_and_in_order(provider: OllamaProvider, server: OllamaServer) -> None:
    server.models = [Model("nomic", ("embedding",))]
    texts = ["x" * n for n in range(100)]
    assert [vector[0] for vector in await provider.embed("nomic", texts)] == [float(n) for n in range(100)]
    assert [len(request.json["input"]) for request in server.requests] == [64, 36]
    assert all(request.json["truncate"] is False for request in server.requests)
    assert await provider.embed("nomic", []) == []


async def test_embeddings_of_a_model_without(provider: OllamaProvider, server: OllamaServer) -> None:
    """The server refuses, not the list of models: that one lacks ``embedding`` for some models that make them."""
    with pytest.raises(NotSupported):
        await provider.embed(MODEL, ["a"])
    await provider.models()
    with pytest.raises(NotSupported):
        await provider.embed(MODEL, ["a"])
    assert server.paths().count("POST /api/embed") == 2


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"embeddings": [[1.0], [2.0]]}, BackendFailed),
        ({"nothing": 1}, BackendFailed),
        (Refuse(400, {"error": "the input length exceeds the context length"}), ContextExceeded),
        (Refuse(200, "<html>"), BackendFailed),
    ],
)
async def test_embeddings_that_fail(
    provider: OllamaProvider, server: OllamaServer, reply: Any, kind: type[PeerSkyError]
) -> None:
    server.embed_reply = reply
    with pytest.raises(kind):
        await provider.embed(MODEL, ["a"])


async def test_a_key_goes_to_a_server_that_has_one_and_the_word_ollama_nowhere(
    settings: SettingsStore, server: OllamaServer
) -> None:
    for key, sent in (("ollama", None), ("", None), ("sk-proxy-1", "Bearer sk-proxy-1")):
        provider = OllamaProvider(settings, Log(), endpoint=lambda key=key: Endpoint(server.url, key))  # type: ignore[misc]
        await ask(provider, MODEL)
        assert server.requests[-1].headers.get("authorization") == sent
        assert (await provider.check_key()).state == ("unknown" if sent else "none")
        await provider.close()
