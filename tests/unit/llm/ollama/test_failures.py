"""What goes wrong with Ollama, by a server that speaks its API over real HTTP, with one fault at a time."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

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
from peersky.llm.providers.ollama import OllamaProvider
from peersky.system.settings_store import SettingsStore
from tests.fakes.http_server import Abort, Cut, Drip, Hold, Refuse, Silence
from tests.fakes.ollama_server import OllamaServer
from tests.fakes.scripted_provider import Log
from tests.unit.llm.ollama.conftest import MODEL
from tests.unit.llm.provider_home import ask, ask_for, ask_until_it_breaks, open_settings


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
        (Refuse(403, ""), BackendFailed, "backend_error", "OLLAMA_HOST"),
        (Refuse(403, {"error": "not yours"}), BackendFailed, "key_refused", r"reports: not yours\."),
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


@pytest.mark.fault("Ollama breaks in the middle of an answer")
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


@pytest.mark.fault("Ollama sends bytes that never become a line")
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


@pytest.mark.fault("Ollama is down")
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


@pytest.mark.fault("Ollama closes at once")
async def test_a_server_that_closes_at_once(provider: OllamaProvider, server: OllamaServer) -> None:
    server.everything = Refuse(200, "")
    with pytest.raises(BackendFailed) as caught:
        await ask(provider, MODEL)
    assert caught.value.reason == "interrupted"
    with pytest.raises(BackendFailed, match="no JSON"):
        await provider.models()
