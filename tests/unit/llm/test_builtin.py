"""The built-in provider, with real files, real settings and the real engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from peersky.core.chat import ChatAnswer, ChatRequest
from peersky.core.errors import (
    BackendFailed,
    ContextExceeded,
    ModelFileInvalid,
    NotEnoughMemory,
    NotSupported,
    PeerSkyError,
)
from peersky.core.settings_schema import STARTER_MODEL
from peersky.llm.builtin_request import chat_payload
from peersky.llm.library.catalogue import library_name_of
from peersky.llm.providers import builtin
from peersky.llm.providers.builtin import BuiltinProvider
from peersky.system.children import RestartPolicy
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore

TOOLS_AND_THINKING = (
    "{%- if tools %}{{- '<tools>' }}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}"
    "{{- '</tools>' }}{%- endif %}"
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"
    "{%- endif %}"
)
TOOL = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


class Home:
    """A profile's models and settings, with the provider on top."""

    def __init__(self, folder: Path, tiny: Path, **options: Any) -> None:
        self.models_dir = folder / "models"
        self.models_dir.mkdir()
        shutil.copy(tiny, self.models_dir / "one.gguf")
        shutil.copy(tiny, self.models_dir / "two.gguf")
        self.settings = SettingsStore(folder / "settings.json", SecretStore(folder / "secrets.json"))
        self.events: list[tuple[str, dict[str, Any]]] = []
        options.setdefault("starter_file", tiny)
        self.provider = BuiltinProvider(
            self.settings,
            self.models_dir,
            lambda kind, **fields: self.events.append((kind, fields)),
            policy=RestartPolicy(back_off_s=(0.0,)),
            **options,
        )

    def starts(self) -> list[int]:
        return [fields["pid"] for kind, fields in self.events if kind == "child.started"]

    async def ask(self, model: str = "one", text: str = "Hello", **more: Any) -> ChatAnswer:
        answer = ChatAnswer()
        async with self.provider.chat(model, ask_for(text, **more)) as chunks:
            async for chunk in chunks:
                answer.add(chunk)
        return answer


def ask_for(content: Any = "Hello", **more: Any) -> ChatRequest:
    more.setdefault("max_tokens", 4)
    return ChatRequest(messages=({"role": "user", "content": content},), temperature=0.0, **more)


@pytest.fixture
async def make_home(tmp_path: Path, tiny: Path) -> AsyncIterator[Callable[..., Home]]:
    made: list[Home] = []

    def make(**options: Any) -> Home:
        made.append(Home(tmp_path, tiny, **options))
        return made[-1]

    yield make
    for home in made:
        await home.provider.close()


@pytest.fixture
def home(make_home: Callable[..., Home]) -> Home:
    return make_home()


async def test_the_three_ways_to_name_a_model(home: Home, tiny: Path) -> None:
    for name in (STARTER_MODEL, "one", str(tiny)):
        answer = await home.ask(name)
        assert answer.finish_reason == "length"
        assert answer.usage is not None


async def test_the_list_holds_the_starter_and_the_folder(home: Home) -> None:
    (home.models_dir / "broken.gguf").write_bytes(b"GGUF")
    (home.models_dir / "notes.txt").write_text("no model")
    (home.models_dir / ".hidden.gguf").write_bytes(b"")
    models = {info.name: info for info in await home.provider.models()}
    assert list(models) == [STARTER_MODEL, "broken", "one", "two"]
    assert models[STARTER_MODEL].note == builtin.STARTER_NOTE
    assert models["one"].present
    assert not models["broken"].present
    assert "incomplete or damaged" in models["broken"].note
    assert home.starts() == []


async def test_a_description_costs_no_start(home: Home) -> None:
    info = await home.provider.describe("one")
    assert (info.name, info.provider, info.context_length) == ("one", "builtin", 4096)
    assert info.capabilities == {"completion"}
    assert info.size_bytes > 200_000
    home.settings.change({"llm.contextLength": 512})
    assert (await home.provider.describe("one")).context_length == 512
    home.settings.change({"llm.contextLength": 100_000})
    assert (await home.provider.describe("one")).context_length == 4096
    assert home.starts() == []


async def test_a_model_without_a_template_says_so(home: Home, make_model: Callable[..., Path]) -> None:
    info = await home.provider.describe(str(make_model("tiny", "--no-template")))
    assert info.note == "random-tiny has no chat template of its own; its answers may be odd or run on."


async def test_one_file_by_two_names_is_one_engine(home: Home) -> None:
    path = str(home.models_dir / "one.gguf")
    await home.ask("one")
    await home.ask(path)
    assert len(home.starts()) == 1
    assert (await home.provider.describe("one")).name == "one"
    assert (await home.provider.describe(path)).name == path


@pytest.mark.parametrize(
    "name",
    [
        "none",
        "",
        "..",
        "../one",
        "models/one",
        "a\\b",
        ".hidden",
        "nul\0",
        "/etc/passwd",
        "/nowhere/x.gguf",
        "x" * 5000,
    ],
)
async def test_missing_models(home: Home, name: str) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [lambda: home.provider.describe(name), lambda: home.ask(name)]
    if library_name_of(name) is None:  # What the library could have is looked for in the network.
        calls.append(lambda: home.provider.ensure(name, lambda _: None))
    for call in calls:
        with pytest.raises(NotSupported) as caught:
            await call()
        assert caught.value.reason == "model_missing"
    assert home.starts() == []


async def test_an_installation_without_the_starter_model(make_home: Callable[..., Home], tmp_path: Path) -> None:
    home = make_home(starter_file=tmp_path / "starter.gguf")
    with pytest.raises(NotSupported, match="lacks the starter model"):
        await home.ask(STARTER_MODEL)
    assert not (await home.provider.models())[0].present


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is no GGUF"),
        (b"<html>not found</html>", "is no GGUF"),
        (b"GGUF\3\0\0\0" + b"\xff" * 100, "damaged"),
        (None, "is incomplete"),
    ],
)
async def test_files_that_are_no_model(home: Home, content: bytes | None, sentence: str) -> None:
    bad = home.models_dir / "bad.gguf"
    if content is None:
        shutil.copy(home.models_dir / "one.gguf", bad)
        os.truncate(bad, bad.stat().st_size - 1000)
    else:
        bad.write_bytes(content)
    with pytest.raises(ModelFileInvalid, match=sentence):
        await home.ask("bad")
    with pytest.raises(ModelFileInvalid, match=r"bad\.gguf"):
        await home.provider.ensure("bad", lambda _: None)
    assert home.starts() == []


async def test_one_part_of_a_model(home: Home) -> None:
    import gguf

    writer = gguf.GGUFWriter(home.models_dir / "part.gguf", "llama")
    writer.add_uint16("split.count", 3)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ModelFileInvalid, match="one of 3 parts"):
        await home.ask("part")


async def test_a_replaced_file_is_loaded_anew(home: Home, make_model: Callable[..., Path]) -> None:
    await home.ask("one")
    other = home.models_dir / "new.part"
    shutil.copy(make_model("tiny", "--ctx", "1024"), other)
    other.replace(home.models_dir / "one.gguf")
    await home.ask("one")
    assert len(home.starts()) == 2
    assert (await home.provider.describe("one")).context_length == 1024


async def test_another_model_replaces_the_engine(home: Home) -> None:
    await home.ask("one")
    await home.ask("two")
    first, second = home.starts()
    assert not psutil.pid_exists(first)
    assert psutil.pid_exists(second)


async def test_another_model_waits_until_the_answer_is_finished(home: Home) -> None:
    order: list[str] = []

    async def other() -> None:
        await home.ask("two")
        order.append("two")

    async with home.provider.chat("one", ask_for(max_tokens=800)) as chunks:
        await anext(chunks)
        waiting = asyncio.ensure_future(other())
        async for _ in chunks:
            pass
        order.append("one")
    await waiting
    assert order == ["one", "two"]
    assert len(home.starts()) == 2


async def test_a_waiting_question_that_is_withdrawn_changes_nothing(home: Home) -> None:
    async with home.provider.chat("one", ask_for(max_tokens=800)) as chunks:
        await anext(chunks)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await home.ask("two")
        finish = [chunk.finish_reason async for chunk in chunks if chunk.finish_reason]
    assert len(finish) == 1
    await home.ask("one")
    assert len(home.starts()) == 1


@pytest.mark.parametrize("change", [{"llm.contextLength": 1024}, {"llm.parallel": 3}])
async def test_changed_settings_count_from_the_next_question(home: Home, change: dict[str, Any]) -> None:
    await home.ask()
    home.settings.change(change)
    await home.ask()
    await home.ask()
    assert len(home.starts()) == 2


async def test_the_idle_timeout_is_the_settings(home: Home) -> None:
    home.settings.change({"llm.idleTimeout": 5})
    await home.ask()
    assert home.provider.state()[0] == "ready"
    engine = home.provider._chat_seat.engine
    assert engine is not None
    assert engine.idle_timeout_s == 5
    home.settings.change({"llm.idleTimeout": 50})
    await home.ask()
    assert engine.idle_timeout_s == 50


async def test_context_exceeded(home: Home) -> None:
    with pytest.raises(ContextExceeded) as caught:
        await home.ask(text="a" * 20_000)
    assert caught.value.quota == 4096
    assert caught.value.requested is not None
    assert caught.value.requested > 4096


async def test_memory_is_refused_before_loading(make_home: Callable[..., Home]) -> None:
    home = make_home(free_memory=lambda: 0)
    with pytest.raises(NotEnoughMemory) as caught:
        await home.ask()
    assert caught.value.quota == 0
    assert caught.value.requested is not None
    assert caught.value.requested > 250_000
    assert home.starts() == []


async def test_killed_in_mid_answer_and_after_too_often(home: Home) -> None:
    for _ in range(3):
        with pytest.raises(BackendFailed) as caught:
            await _read_and_kill(home)
        assert caught.value.reason == "interrupted"
    state, sentence = home.provider.state()
    assert state == "crash_loop"
    assert "is not started again" in sentence
    with pytest.raises(BackendFailed) as refused:
        await home.ask()
    assert (refused.value.reason, refused.value.message) == ("crash_loop", sentence)
    home.provider.reset()
    assert (await home.ask()).finish_reason == "length"
    assert home.provider.state() == ("ready", "The built-in engine is running.")


async def _read_and_kill(home: Home) -> None:
    async with home.provider.chat("one", ask_for(max_tokens=2000)) as chunks:
        async for chunk in chunks:
            if chunk.content:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(home.starts()[-1], signal.SIGKILL)


async def test_closing_ends_answers_and_processes(home: Home) -> None:
    assert home.provider.state()[0] == "stopped"
    with pytest.raises(BackendFailed, match="was stopped before the answer was finished"):
        await _read_and_close(home)
    assert not psutil.pid_exists(home.starts()[0])
    await home.provider.close()
    with pytest.raises(NotSupported, match="shut down"):
        await home.ask("two")


async def _read_and_close(home: Home) -> None:
    async with home.provider.chat("one", ask_for(max_tokens=2000)) as chunks:
        async for chunk in chunks:
            if chunk.content:
                await home.provider.close()


async def test_what_a_plain_model_cannot_do(home: Home) -> None:
    for request, param in ((ask_for(tools=(TOOL,)), "tools"), (ask_for([PNG]), "messages")):
        with pytest.raises(NotSupported) as caught:
            async with home.provider.chat("one", request):
                pass
        assert caught.value.param == param
    with pytest.raises(NotSupported, match="makes no embeddings"):
        await home.provider.embed("one", ["a"])
    assert home.starts() == []


async def test_text_parts_seeds_and_stops(home: Home) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    for seed in (0, -1, -(2**63), 2**63 - 1):
        assert (await home.ask(text=parts, seed=seed, top_p=0.5, stop=("x",))).finish_reason  # type: ignore[arg-type]


async def test_a_json_schema(home: Home) -> None:
    schema = {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    answer = await home.ask(response_format=form, max_tokens=200)
    assert json.loads(answer.content) == {"a": 1}


async def test_tools_and_thinking(home: Home, make_model: Callable[..., Path]) -> None:
    able = str(make_model("tiny", template=TOOLS_AND_THINKING))
    assert (await home.provider.describe(able)).capabilities == {"completion", "tools", "thinking"}
    lengths = {}
    for think in (True, False, "low"):
        usage = (await home.ask(able, think=think, tools=(TOOL,))).usage
        assert usage is not None
        lengths[think] = usage.input_tokens
    assert lengths[False] > lengths[True] == lengths["low"]


async def test_embeddings(home: Home, make_model: Callable[..., Path]) -> None:
    model = str(make_model("tiny", "--pooling"))
    assert "embedding" in (await home.provider.describe(model)).capabilities
    texts = [f"text {n}" for n in range(20)]
    vectors = await home.provider.embed(model, texts)
    assert {len(vector) for vector in vectors} == {64}
    assert len({tuple(vector) for vector in vectors}) == 20
    assert (await home.provider.embed(model, texts[:1]))[0] == pytest.approx(vectors[0], abs=1e-3)
    assert await home.provider.embed(model, []) == []
    with pytest.raises(ContextExceeded) as caught:
        await home.provider.embed(model, ["a" * 5000])
    assert caught.value.quota == 2048
    # The engine for chat is another one.
    await home.ask(model)
    assert len(home.starts()) == 2


async def test_every_error_is_ours(home: Home) -> None:
    nonsense: list[dict[str, Any]] = [
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "nonsense"}}}},
        {"response_format": {"type": "json_schema", "json_schema": 7}},
        {"response_format": {"type": "nonsense"}},
    ]
    for more in nonsense:
        with contextlib.suppress(PeerSkyError):
            await home.ask(**more)
    broken = ChatRequest(messages=({"role": "assistant", "content": "", "tool_calls": [{"nope": 1}]},))
    with pytest.raises(PeerSkyError, match="The built-in engine reports"):
        async with home.provider.chat("one", broken):
            pass
    assert (await home.ask()).finish_reason
    assert len(home.starts()) == 1


def test_the_request_says_what_was_asked_and_no_more() -> None:
    plain = chat_payload(ChatRequest(messages=({"role": "user", "content": "a"},), conversation="secret"))
    assert plain == {
        "messages": [{"role": "user", "content": "a"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
        "cache_prompt": True,
    }
    full = chat_payload(ask_for(tools=(TOOL,), tool_choice="auto", think="high", seed=-1, stop=("x",), top_p=0.5))
    assert full["tools"] == [TOOL]
    assert full["tool_choice"] == "auto"
    assert (full["temperature"], full["top_p"], full["max_tokens"], full["stop"]) == (0.0, 0.5, 4, ["x"])
    assert full["seed"] == 0xFFFF_FFFF
    assert full["chat_template_kwargs"] == {"enable_thinking": True}
    assert full["reasoning_effort"] == "high"
