"""The provider of Ollama against a server that speaks its API over real HTTP, with one fault at a time."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from peersky.core.chat import ChatChunk, ChatRequest, Usage
from peersky.core.errors import (
    BackendFailed,
    ContextExceeded,
    InvalidRequest,
    NotAllowed,
    NotEnoughMemory,
    NotSupported,
    PeerSkyError,
    QuotaExceeded,
)
from peersky.llm.endpoint import Endpoint
from peersky.llm.http import Limits
from peersky.llm.providers.base import PullProgress
from peersky.llm.providers.ollama import OllamaProvider, canonical
from peersky.system.settings_store import SettingsStore
from tests.fakes.http_server import Abort, Cut, Drip, Hold, Refuse, Silence
from tests.fakes.ollama_server import Model, OllamaServer
from tests.fakes.scripted_provider import Log
from tests.unit.llm.provider_home import PNG, TOOL, ask, ask_for, ask_until_it_breaks, chunks_of, open_settings

MODEL = "qwen2.5-coder:3b"
EVERYTHING = ("completion", "tools", "vision", "thinking", "embedding")
SHORT = Limits(connect_s=2.0, first_byte_s=5.0, idle_s=0.3)


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


# --- a question and its answer


async def test_an_answer_is_one_request_and_comes_as_it_is_written(
    provider: OllamaProvider, server: OllamaServer
) -> None:
    server.script = ["Hel", Hold(), "lo"]
    async with provider.chat(MODEL, ask_for()) as chunks:
        assert await anext(chunks) == ChatChunk(content="Hel")
        server.release()
        assert [chunk async for chunk in chunks] == [
            ChatChunk(content="lo"),
            ChatChunk(finish_reason="stop", usage=Usage(7, 2)),
        ]
    assert server.paths() == ["POST /api/chat"]


async def test_the_request_says_everything_and_no_more(
    provider: OllamaProvider, settings: SettingsStore, server: OllamaServer
) -> None:
    settings.change({"llm.contextLength": 8192, "llm.idleTimeout": 77})
    await chunks_of(
        provider,
        MODEL,
        ask_for(temperature=0.5, top_p=0.9, max_tokens=9, stop=("a", "b"), seed=-1, think=False, conversation="secret"),
    )
    assert server.chats() == [
        {
            "model": MODEL,
            "messages": [{"role": "user", "content": "Hello"}],
            "stream": True,
            "truncate": False,
            "keep_alive": 77,
            "think": False,
            "options": {
                "num_ctx": 8192,
                "temperature": 0.5,
                "top_p": 0.9,
                "num_predict": 9,
                "seed": 0x7FFF_FFFF,
                "stop": ["a", "b"],
            },
        }
    ]
    headers = server.requests[0].headers
    assert not {"origin", "referer", "authorization", "cookie"} & headers.keys()


async def test_num_ctx_stays_the_same_whatever_is_learned_meanwhile(
    provider: OllamaProvider, settings: SettingsStore, server: OllamaServer
) -> None:
    server.models = [Model("small", context_length=2048), Model("late", context_length=2048)]
    assert [info.context_length for info in await provider.models()] == [2048, 2048]
    server.models.append(Model("unknown", context_length=2048))
    await ask(provider, "small")
    await ask(provider, "unknown")
    await provider.models()
    await ask(provider, "unknown:latest")
    assert [body["options"]["num_ctx"] for body in server.chats()] == [2048, 4096, 4096]
    settings.change({"llm.contextLength": 1024})
    await ask(provider, "small")
    assert server.chats()[-1]["options"]["num_ctx"] == 1024


async def test_images_tools_and_their_results_in_ollamas_form(provider: OllamaProvider, server: OllamaServer) -> None:
    server.models = [Model(MODEL, EVERYTHING)]
    call = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": '{"zone":"UTC"}'}}
    svg = {"type": "image_url", "image_url": {"url": "data:image/svg+xml,%3Csvg/%3E"}}
    messages: tuple[dict[str, Any], ...] = (
        {"role": "user", "content": [{"type": "text", "text": "What?"}, PNG, svg]},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "12:00", "tool_call_id": "c1"},
    )
    await chunks_of(provider, MODEL, ChatRequest(messages, tools=(TOOL,)))
    assert server.chats()[0]["messages"] == [
        {"role": "user", "content": "What?", "images": ["AAAA", "PHN2Zy8+"]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "function": {"name": "now", "arguments": {"zone": "UTC"}}}],
        },
        {"role": "tool", "content": "12:00", "tool_name": "now", "tool_call_id": "c1"},
    ]
    assert server.chats()[0]["tools"] == [TOOL]


@pytest.mark.parametrize(
    ("response_format", "sent"),
    [
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}, {"type": "object"}),
        ({"type": "text"}, None),
    ],
)
async def test_json_output(provider: OllamaProvider, server: OllamaServer, response_format: Any, sent: Any) -> None:
    await ask(provider, MODEL, response_format=response_format)
    assert server.chats()[0].get("format") == sent


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"tools": (TOOL,), "tool_choice": "required"}, "tool_choice"),
    ],
)
async def test_what_the_api_has_no_field_for_is_refused_unasked(
    provider: OllamaProvider, server: OllamaServer, more: dict[str, Any], param: str
) -> None:
    with pytest.raises((InvalidRequest, NotSupported)) as caught:
        await ask(provider, MODEL, **more)
    assert caught.value.param == param
    assert server.requests == []


async def test_tool_calls_get_ids_numbers_and_text_arguments(provider: OllamaProvider, server: OllamaServer) -> None:
    calls = [{"function": {"name": "now", "arguments": {"zone": "é"}}}, {"function": {"name": "then", "arguments": {}}}]
    server.script = [{"message": {"tool_calls": calls[:1]}}, {"message": {"tool_calls": calls[1:]}}]
    answer = await ask(provider, MODEL, tools=(TOOL,))
    assert answer.finish_reason == "tool_calls"
    assert [call["function"] for call in answer.tool_calls] == [
        {"name": "now", "arguments": '{"zone": "é"}'},
        {"name": "then", "arguments": "{}"},
    ]
    assert len({call["id"] for call in answer.tool_calls}) == 2


async def test_thinking_is_kept_apart(provider: OllamaProvider, server: OllamaServer) -> None:
    server.models = [Model(MODEL, EVERYTHING)]
    server.script = [{"message": {"thinking": "hm"}}, "Hi"]
    server.end = {"done_reason": "length", "prompt_eval_count": 1, "eval_count": 1}
    answer = await ask(provider, MODEL, think="high")
    assert (answer.reasoning, answer.content, answer.finish_reason) == ("hm", "Hi", "length")
    assert server.chats()[0]["think"] == "high"


# --- what a model cannot do


@pytest.mark.parametrize("told_before", [True, False])
@pytest.mark.parametrize(
    ("content", "more", "param"),
    [("Hello", {"tools": (TOOL,)}, "tools"), ("Hello", {"think": True}, "think")],
)
async def test_a_missing_ability_is_not_supported(
    provider: OllamaProvider, server: OllamaServer, told_before: bool, content: Any, more: dict[str, Any], param: str
) -> None:
    server.models = [Model(MODEL, ("completion",))]
    if told_before:
        await provider.models()
    with pytest.raises(NotSupported) as caught:
        await ask(provider, MODEL, content, **more)
    assert (caught.value.param, caught.value.reason) == (param, "capability_missing")
    assert len(server.chats()) == (0 if told_before else 1)


async def test_images_for_a_model_without_eyes(provider: OllamaProvider, server: OllamaServer) -> None:
    inner = {
        "error": {"code": 400, "message": "Multimodal data provided, but model does not support multimodal requests."}
    }
    server.script = [Refuse(400, {"error": json.dumps(inner)})]
    with pytest.raises(NotSupported) as unknown:
        await ask(provider, MODEL, [PNG])
    await provider.models()
    with pytest.raises(NotSupported) as known:
        await ask(provider, MODEL, [PNG])
    assert unknown.value.param == known.value.param == "messages"
    assert len(server.chats()) == 1


async def test_thinking_by_default_is_left_out_where_the_model_cannot(
    provider: OllamaProvider, server: OllamaServer
) -> None:
    await ask(provider, MODEL, think=True, think_if_possible=True)
    assert ["think" in body for body in server.chats()] == [True, False]
    await provider.models()
    await ask(provider, MODEL, think=True, think_if_possible=True)
    assert ["think" in body for body in server.chats()] == [True, False, False]


# --- refusals and failures


def overflow(requested: int, quota: int) -> dict[str, Any]:
    message = f"request ({requested} tokens) exceeds the available context size ({quota} tokens), try increasing it"
    detail = {"code": 400, "message": message, "type": "exceed_context_size_error"}
    return {"error": json.dumps({"error": {**detail, "n_prompt_tokens": requested, "n_ctx": quota}})}


@pytest.mark.parametrize(
    ("refusal", "kind", "reason", "says"),
    [
        (
            Refuse(404, {"error": f"model '{MODEL}' not found"}),
            NotSupported,
            "model_missing",
            "no model qwen2.5-coder:3b",
        ),
        (Refuse(404, "<html>nginx</html>"), BackendFailed, "backend_error", "no Ollama"),
        (Refuse(400, overflow(2622, 512)), ContextExceeded, "context_length", "2,622"),
        (
            Refuse(400, {"error": "the input length exceeds the context length"}),
            ContextExceeded,
            "context_length",
            "context",
        ),
        (Refuse(400, {"error": "invalid model name"}), InvalidRequest, "invalid_request", "invalid model name"),
        (Refuse(400, {"error": "json: cannot unmarshal"}), InvalidRequest, "invalid_request", "json: cannot"),
        (
            Refuse(401, {"error": "unauthorized", "signin_url": "https://x.test/s"}),
            BackendFailed,
            "key_refused",
            "Sign in at",
        ),
        (Refuse(403, ""), BackendFailed, "key_refused", "403"),
        (Refuse(429, {"error": "too many"}), QuotaExceeded, "rate_limited", "too many"),
        (Refuse(499, {"error": "request canceled"}), BackendFailed, "interrupted", "request canceled"),
        (Refuse(503, {"error": "server busy, please try again."}), QuotaExceeded, "rate_limited", "server busy"),
        (Refuse(500, {"error": "llama runner terminated"}), BackendFailed, "backend_error", "runner terminated"),
        (Refuse(500, ""), BackendFailed, "backend_error", "status 500"),
        (
            Refuse(302, "", {"location": "http://127.0.0.1:1/"}),
            BackendFailed,
            "backend_error",
            "another address|127.0.0.1:1",
        ),
        (
            Refuse(500, {"error": "model requires more system memory (5.5 GiB) than is available (3.2 GiB)"}),
            NotEnoughMemory,
            "not_enough_memory",
            "5.5 GB",
        ),
    ],
    ids=lambda value: str(getattr(value, "status", "")) or None,
)
async def test_a_refusal_is_the_right_error_with_ollamas_sentence(
    provider: OllamaProvider, server: OllamaServer, refusal: Refuse, kind: type[PeerSkyError], reason: str, says: str
) -> None:
    server.script = [refusal]
    with pytest.raises(kind, match=says) as caught:
        await ask(provider, MODEL)
    assert caught.value.reason == reason
    assert server.paths() == ["POST /api/chat"]


async def test_the_numbers_of_an_overflow(provider: OllamaProvider, server: OllamaServer) -> None:
    server.script = [Refuse(400, overflow(2622, 512))]
    with pytest.raises(ContextExceeded) as caught:
        await ask(provider, MODEL)
    assert (caught.value.requested, caught.value.quota) == (2622, 512)


async def test_an_old_server_that_cuts_the_prompt_is_caught(provider: OllamaProvider, server: OllamaServer) -> None:
    server.end = {"done_reason": "stop", "prompt_eval_count": 4096, "eval_count": 3}
    text, error = await ask_until_it_breaks(provider, MODEL, ask_for())
    assert isinstance(error, ContextExceeded)
    assert (text, error.quota) == ("Hello", 4096)


@pytest.mark.parametrize(
    ("steps", "kind", "reason"),
    [
        ([Abort], BackendFailed, "interrupted"),
        ([Cut], BackendFailed, "interrupted"),
        ([Silence], BackendFailed, "interrupted"),
        ([{"error": "model runner has unexpectedly stopped"}], BackendFailed, "backend_error"),
        ([{"error": "an error was encountered while running the model: json: bad"}], BackendFailed, "backend_error"),
        ([overflow(9, 8)], ContextExceeded, "context_length"),
        ([b"nonsense\n" * 6], BackendFailed, "backend_error"),
        ([b"x" * (9 * 1024 * 1024)], BackendFailed, "backend_error"),
    ],
    ids=[
        "reset",
        "end without done",
        "silence",
        "error line",
        "other error line",
        "overflow",
        "no JSON",
        "endless line",
    ],
)
async def test_a_stream_that_breaks_keeps_its_text_and_never_looks_whole(
    provider: OllamaProvider, server: OllamaServer, steps: list[Any], kind: type[PeerSkyError], reason: str
) -> None:
    server.script = ["Hel", "lo", *steps]
    text, error = await ask_until_it_breaks(provider, MODEL, ask_for())
    assert isinstance(error, kind), error
    assert (text, error.reason) == ("Hello", reason)


async def test_bytes_that_drip_are_silence(provider: OllamaProvider, server: OllamaServer) -> None:
    server.script = ["Hel", Drip]
    text, error = await ask_until_it_breaks(provider, MODEL, ask_for())
    assert isinstance(error, BackendFailed)
    assert (text, "was silent for too long" in error.message) == ("Hel", True)


async def test_a_few_bad_lines_are_skipped(provider: OllamaProvider, server: OllamaServer) -> None:
    server.script = ["Hel", b"{bad\n", b"[1]\n", b"\r\n\n", {}, {"message": None}, {"message": {"content": 5}}, "lo"]
    assert (await ask(provider, MODEL)).content == "Hello"


async def test_text_in_pieces_of_bytes(provider: OllamaProvider, server: OllamaServer) -> None:
    line = json.dumps({"message": {"content": "é😀\u2028data: x"}}, ensure_ascii=False).encode() + b"\r\n"
    server.script = [line[i : i + 1] for i in range(len(line))]
    assert (await ask(provider, MODEL)).content == "é😀\u2028data: x"


@pytest.mark.parametrize("hold", [[Hold()], ["Hel", Hold()]], ids=["before the first token", "in mid-answer"])
async def test_leaving_stops_the_server(provider: OllamaProvider, server: OllamaServer, hold: list[Any]) -> None:
    server.script = [*hold, "lo"]
    started = asyncio.Event()

    async def read() -> None:
        async with provider.chat(MODEL, ask_for()) as chunks:
            started.set()
            async for _ in chunks:
                pass

    reading = asyncio.ensure_future(read())
    await server.until(lambda: bool(server.chats()))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await server.until(lambda: server.requests[0].gone)


async def test_a_server_that_is_down_is_said_to_be_down(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    provider = OllamaProvider(open_settings(tmp_path, baseURL=url + "/"), Log())
    sentence = f"Ollama cannot be reached at {url}; start it, or choose the built-in engine in peersky://settings/llm."
    for attempt in (ask(provider, MODEL), provider.models(), provider.describe(MODEL), provider.embed(MODEL, ["a"])):
        with pytest.raises(BackendFailed) as caught:
            await attempt
        assert (caught.value.message, caught.value.reason) == (sentence, "unreachable")
    await provider.close()


async def test_plain_http_to_a_public_address_is_refused(tmp_path: Path, settings: SettingsStore) -> None:
    provider = OllamaProvider(settings, Log(), endpoint=lambda: Endpoint("http://192.0.43.8:11434", ""))
    with pytest.raises(NotAllowed) as caught:
        await ask(provider, MODEL)
    assert caught.value.reason == "insecure_url"


async def test_a_proxy_from_the_environment_is_not_asked(
    provider: OllamaProvider, server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await ask(provider, MODEL)).content == "Hello"


async def test_a_server_that_closes_at_once(provider: OllamaProvider, server: OllamaServer) -> None:
    server.everything = Refuse(200, "")
    with pytest.raises(BackendFailed) as caught:
        await ask(provider, MODEL)
    assert caught.value.reason == "interrupted"
    with pytest.raises(BackendFailed, match="no JSON"):
        await provider.models()


# --- models


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


# --- downloads


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


# --- embeddings


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


# --- keys


async def test_a_key_goes_to_a_server_that_has_one_and_the_word_ollama_nowhere(
    settings: SettingsStore, server: OllamaServer
) -> None:
    for key, sent in (("ollama", None), ("", None), ("sk-proxy-1", "Bearer sk-proxy-1")):
        provider = OllamaProvider(settings, Log(), endpoint=lambda key=key: Endpoint(server.url, key))  # type: ignore[misc]
        await ask(provider, MODEL)
        assert server.requests[-1].headers.get("authorization") == sent
        assert (await provider.check_key()).state == ("unknown" if sent else "none")
        await provider.close()
