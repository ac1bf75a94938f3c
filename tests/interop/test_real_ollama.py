"""The table of tests/unit/llm/ollama/, as far as a real Ollama can be brought to play it.

The server is the real one. From 0.30 on, its engine's place is taken by PeerSky's (see llama_server.py), but for the
test that has none.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from peersky.core.errors import (
    BackendFailed,
    ContextExceeded,
    InvalidRequest,
    NotSupported,
    PeerSkyError,
    QuotaExceeded,
)
from peersky.llm.providers.base import PullProgress
from peersky.llm.providers.ollama import OllamaProvider
from peersky.system.settings_store import SettingsStore
from tests.conftest import ROOT
from tests.fakes.registry_server import Fault, RegistryServer
from tests.fakes.scripted_provider import Log
from tests.interop.conftest import CONTEXT, SYSTEM
from tests.interop.real_ollama import RealOllama
from tests.unit.llm.provider_home import PNG, TOOL, ask, ask_for, ask_until_it_breaks, chunks_of, open_settings

STARTER = ROOT / "src/peersky/assets/models/starter.gguf"
ENDED = ("length", "stop")
"""Random weights now and then happen to end an answer."""


# --- without any model


async def test_a_fresh_ollama_says_its_version_and_has_no_models(provider: OllamaProvider, ollama: RealOllama) -> None:
    version = ollama.ask("GET", "/api/version").json()["version"]
    assert tuple(map(int, version.split("."))) == ollama.version
    assert await provider.models() == []
    assert (await provider.check_key()).state == "none"
    assert provider.is_local


async def test_a_model_that_it_does_not_have(provider: OllamaProvider) -> None:
    for attempt in (ask(provider, "nothing:1b"), provider.describe("nothing:1b"), provider.embed("nothing:1b", ["a"])):
        with pytest.raises(NotSupported, match="no model nothing:1b") as caught:
            await attempt
        assert caught.value.reason == "model_missing"


async def test_a_name_that_is_none(provider: OllamaProvider) -> None:
    with pytest.raises((InvalidRequest, NotSupported)):
        await ask(provider, "no good name")


# --- downloads


async def test_a_download_with_one_overall_figure(
    provider: OllamaProvider, ollama: RealOllama, registry: RegistryServer, weights: bytes
) -> None:
    name = registry.add("pulled:1b", {"model": weights, "system": SYSTEM, "params": b'{"stop":["<|im_end|>"]}'})
    seen: list[PullProgress] = []
    await provider.ensure(name, seen.append)
    completed = [progress.completed_bytes for progress in seen]
    manifest = json.loads(registry.manifests["library/pulled/1b"])
    total = manifest["config"]["size"] + sum(layer["size"] for layer in manifest["layers"])
    assert completed == sorted(completed)
    assert {progress.total_bytes for progress in seen[1:]} == {total}
    assert (seen[-1].status, seen[-1].completed_bytes) == ("success", total)
    assert any(progress.verifying for progress in seen)

    info = await provider.describe(name)
    assert (info.capabilities, info.context_length) == ({"completion"}, CONTEXT)
    assert info.size_bytes == total
    shown = ollama.ask("POST", "/api/show", {"model": name}).json()
    assert shown["model_info"]["llama.context_length"] == 4096

    sent = registry.sent_bytes
    await provider.ensure(name, lambda progress: pytest.fail(f"reported {progress}"))
    assert registry.sent_bytes == sent


async def test_capabilities_and_context_are_what_the_server_tells(
    provider: OllamaProvider, registry: RegistryServer, weights: bytes, pooling: bytes
) -> None:
    template = b"{{ range .Tools }}{{ . }}{{ end }}{{ range .Messages }}{{ .Content }}{{ end }}"
    tools = registry.add("tools:1b", {"model": weights, "template": template})
    embedding = registry.add("pooling:1b", {"model": pooling})
    for name in (tools, embedding):
        await provider.ensure(name, lambda progress: None)
    infos = {info.name: info for info in await provider.models()}
    assert infos[tools].capabilities == {"completion", "tools"}
    assert infos[embedding].capabilities == {"embedding"}
    assert infos[embedding].context_length == CONTEXT


async def test_there_is_no_such_model_to_download(provider: OllamaProvider, registry: RegistryServer) -> None:
    with pytest.raises(NotSupported, match="no model") as caught:
        await provider.ensure(f"{registry.host}/library/nothing:1b", lambda progress: None)
    assert caught.value.reason == "model_missing"


async def test_a_download_with_a_wrong_byte(provider: OllamaProvider, registry: RegistryServer, weights: bytes) -> None:
    name = registry.add("wrong:1b", {"model": weights + b"\0"})
    registry.always = Fault("flip")
    try:
        with pytest.raises(BackendFailed, match="digest mismatch") as caught:
            await provider.ensure(name, lambda progress: None)
    finally:
        registry.always = None
    assert caught.value.reason == "backend_error"
    await provider.ensure(name, lambda progress: None)
    assert (await provider.describe(name)).name == name


async def test_a_cancelled_download_goes_on_with_the_next(
    provider: OllamaProvider, registry: RegistryServer, weights: bytes
) -> None:
    name = registry.add("paused:1b", {"model": weights + bytes(64)})
    registry.stalled.clear()
    registry.gate.clear()
    pulling = asyncio.ensure_future(provider.ensure(name, lambda progress: None))
    assert await asyncio.to_thread(registry.stalled.wait, 30)
    pulling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pulling
    registry.gate.set()
    await provider.ensure(name, lambda progress: None)
    assert (await provider.describe(name)).name == name


async def test_a_download_whose_connection_breaks_goes_on(
    provider: OllamaProvider, registry: RegistryServer, weights: bytes
) -> None:
    content = weights + bytes(128)
    name = registry.add("broken:1b", {"model": content})
    registry.faults.append(Fault("drop", after=40_000))
    await provider.ensure(name, lambda progress: None)
    assert not registry.faults
    assert (await provider.describe(name)).name == name


async def test_two_downloads_of_one_model_are_one(
    provider: OllamaProvider, registry: RegistryServer, weights: bytes
) -> None:
    name = registry.add("twice:1b", {"model": weights + bytes(256)})
    sent = registry.sent_bytes
    seen: tuple[list[PullProgress], list[PullProgress]] = ([], [])
    registry.stalled.clear()
    registry.gate.clear()
    both = asyncio.gather(*(provider.ensure(name, progress.append) for progress in seen))
    assert await asyncio.to_thread(registry.stalled.wait, 30)
    registry.gate.set()
    await both
    assert [progress[-1].status for progress in seen] == ["success", "success"]
    size = (await provider.describe(name)).size_bytes
    assert registry.sent_bytes - sent <= size


async def test_a_registry_that_is_down(provider: OllamaProvider) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(BackendFailed, match="connection refused") as caught:
        await provider.ensure(f"127.0.0.1:{port}/library/down:1b", lambda progress: None)
    assert caught.value.reason == "backend_error"


async def test_a_disk_that_is_full(
    small_disk: Path, program: Path, tmp_path: Path, registry: RegistryServer, weights: bytes
) -> None:
    name = registry.add("large:1b", {"model": weights})
    with RealOllama(program, tmp_path / "ollama", store=small_disk) as server:
        provider = provider_of(server, tmp_path)
        with pytest.raises(QuotaExceeded) as caught:
            await provider.ensure(name, lambda progress: None)
        assert caught.value.reason == "disk_full"
        await provider.close()


# --- answers


async def test_the_starter_model_answers_in_words(provider: OllamaProvider, registry: RegistryServer) -> None:
    name = registry.add("starter:latest", {"model": STARTER.read_bytes()})
    await provider.ensure(name, lambda progress: None)
    answer = await ask(provider, name, "Hello!", temperature=0.0, max_tokens=80)
    assert answer.finish_reason == "stop"
    assert answer.content.strip()
    assert "<|" not in answer.content


async def test_an_answer(provider: OllamaProvider, ollama: RealOllama, model: str) -> None:
    request = ask_for(max_tokens=12, seed=7, temperature=0.0)
    chunks = await chunks_of(provider, model, request)
    assert len([chunk for chunk in chunks if chunk.content]) > 1
    last = chunks[-1]
    assert last.finish_reason == "length"
    assert last.usage is not None
    assert last.usage.output_tokens == 12
    assert last.usage.input_tokens > 0
    text = "".join(chunk.content for chunk in chunks)
    assert (await ask(provider, model, max_tokens=12, seed=7, temperature=0.0)).content == text
    loaded = [entry for entry in ollama.ask("GET", "/api/ps").json()["models"] if entry["name"] == model]
    # Old versions do not tell it.
    assert [entry.get("context_length", CONTEXT) for entry in loaded] == [CONTEXT]


async def test_the_model_is_loaded_once(provider: OllamaProvider, ollama: RealOllama, model: str) -> None:
    await ask(provider, model, max_tokens=2)
    starts = ollama.loads()
    assert starts >= 1
    await ask(provider, model, max_tokens=3, temperature=0.3, stop=("x",))
    await provider.models()
    await ask(provider, model, max_tokens=4, top_p=0.5, seed=3)
    assert ollama.loads() == starts


async def test_json_by_a_schema(provider: OllamaProvider, model: str) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": {**schema, "additionalProperties": False}}}
    answer = await ask(provider, model, response_format=wanted, max_tokens=200, temperature=0.0)
    assert isinstance(json.loads(answer.content)["ok"], bool)


async def test_a_prompt_that_does_not_fit_is_refused_and_not_cut(
    provider: OllamaProvider, ollama: RealOllama, model: str
) -> None:
    with pytest.raises(ContextExceeded) as caught:
        await ask(provider, model, "word " * 2000, max_tokens=2)
    assert caught.value.quota == CONTEXT
    if ollama.has_own_engine:
        assert "this old version of Ollama has cut it" in caught.value.message
    else:
        assert caught.value.requested is not None
        assert caught.value.requested > CONTEXT


@pytest.mark.parametrize("told_before", [True, False])
async def test_what_the_model_cannot_do(
    provider: OllamaProvider, ollama: RealOllama, model: str, told_before: bool
) -> None:
    if not told_before:
        provider._known.clear()
    with pytest.raises(NotSupported) as tools:
        await ask(provider, model, tools=(TOOL,), max_tokens=2)
    assert tools.value.param == "tools"
    # Asked unprepared, the old one passes over what it does not know.
    if told_before or not ollama.has_own_engine:
        with pytest.raises(NotSupported) as think:
            await ask(provider, model, think=True, max_tokens=2)
        with pytest.raises(NotSupported) as images:
            await ask(provider, model, [PNG], max_tokens=2)
        assert (think.value.param, images.value.param) == ("think", "messages")
    answer = await ask(provider, model, think=True, think_if_possible=True, max_tokens=2)
    assert answer.finish_reason in ENDED


async def test_leaving_an_answer_frees_the_model(provider: OllamaProvider, model: str) -> None:
    async with provider.chat(model, ask_for(temperature=0.0)) as chunks:
        await anext(chunks)
    # Ollama answers one at a time: this one would wait for the other's end.
    answer = await asyncio.wait_for(ask(provider, model, max_tokens=2), 20)
    assert answer.finish_reason in ENDED


async def test_embeddings(provider: OllamaProvider, registry: RegistryServer, model: str, pooling: bytes) -> None:
    name = registry.add("pooling:1b", {"model": pooling})
    await provider.ensure(name, lambda progress: None)
    one, other, again = await provider.embed(name, ["one", "another text", "one"])
    assert len(one) == len(other) == 64
    assert one == pytest.approx(again, abs=1e-3)
    assert one != pytest.approx(other, abs=1e-3)
    with pytest.raises(NotSupported):
        await ask(provider, name, max_tokens=2)
    with pytest.raises(ContextExceeded):
        await provider.embed(name, ["word " * 5000])


async def test_a_model_that_is_deleted_is_missing_at_the_next_question(
    provider: OllamaProvider, ollama: RealOllama, registry: RegistryServer, weights: bytes
) -> None:
    name = registry.add("gone:1b", {"model": weights})
    await provider.ensure(name, lambda progress: None)
    assert (await ask(provider, name, max_tokens=2)).finish_reason in ENDED
    assert ollama.ask("DELETE", "/api/delete", {"model": name}).status_code == 200
    with pytest.raises(NotSupported) as caught:
        await ask(provider, name, max_tokens=2)
    assert caught.value.reason == "model_missing"
    assert name not in [info.name for info in await provider.models()]


# --- servers that end


def provider_of(server: RealOllama, folder: Path) -> OllamaProvider:
    """A provider of a server that a test has for itself."""
    profile = folder / "profile"
    profile.mkdir()
    return OllamaProvider(open_settings(profile, baseURL=server.url, contextLength=CONTEXT), Log())


async def read_and(provider: OllamaProvider, model: str, act: Callable[[], None]) -> tuple[str, PeerSkyError | None]:
    """Do something at the first words of a long answer; what was read, and the error that ended it."""
    text = ""
    try:
        async with provider.chat(model, ask_for(max_tokens=5000, seed=7)) as chunks:
            async for chunk in chunks:
                if not text:
                    act()
                text += chunk.content
    except PeerSkyError as error:
        return text, error
    return text, None


async def test_an_engine_that_is_killed_in_mid_answer(
    program: Path, tmp_path: Path, registry: RegistryServer, weights: bytes
) -> None:
    name = registry.add("tiny:f16", {"model": weights})
    with RealOllama(program, tmp_path / "ollama") as server:
        provider = provider_of(server, tmp_path)
        await provider.ensure(name, lambda progress: None)
        text, error = await read_and(provider, name, server.kill_engine)
        assert isinstance(error, BackendFailed), error
        assert (bool(text), error.reason in ("backend_error", "interrupted")) == (True, True)
        # The next question starts it again.
        assert (await ask(provider, name, max_tokens=2)).finish_reason in ENDED
        await provider.close()


async def test_a_server_that_is_killed_in_mid_answer(
    program: Path, tmp_path: Path, registry: RegistryServer, weights: bytes
) -> None:
    name = registry.add("tiny:f16", {"model": weights})
    with RealOllama(program, tmp_path / "ollama") as server:
        provider = provider_of(server, tmp_path)
        await provider.ensure(name, lambda progress: None)
        text, error = await read_and(provider, name, server.kill)
        assert isinstance(error, BackendFailed), error
        assert (bool(text), error.reason) == (True, "interrupted")
        with pytest.raises(BackendFailed, match="cannot be reached") as gone:
            await ask(provider, name)
        assert gone.value.reason == "unreachable"
        await provider.close()


async def test_an_ollama_without_its_engine_says_so(
    program: Path, tmp_path: Path, registry: RegistryServer, weights: bytes
) -> None:
    name = registry.add("tiny:f16", {"model": weights})
    with RealOllama(program, tmp_path / "ollama", with_engine=False) as server:
        if server.has_own_engine:
            pytest.skip("this version cannot be without its engine")
        provider = provider_of(server, tmp_path)
        await provider.ensure(name, lambda progress: None)
        text, error = await ask_until_it_breaks(provider, name, ask_for(max_tokens=2))
        assert isinstance(error, BackendFailed)
        assert (text, error.reason) == ("", "backend_error")
        assert "llama-server binary not found" in error.message
        await provider.close()


async def test_a_registry_on_loopback_is_told_to_be_one(
    settings: SettingsStore, ollama: RealOllama, registry: RegistryServer, weights: bytes
) -> None:
    # What the provider spares people: without the word Ollama insists on https.
    name = registry.add("plain:1b", {"model": weights})
    reply = ollama.ask("POST", "/api/pull", {"model": name, "stream": False, "insecure": False})
    assert reply.status_code == 500
    provider = OllamaProvider(settings, Log())
    await provider.ensure(name, lambda progress: None)
    await provider.close()
