"""The provider of OpenAI-compatible services against a server that speaks their API over real HTTP, with each fault."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from peersky.core.chat import ChatChunk, Usage
from peersky.core.errors import (
    BackendFailed,
    BodyTooLarge,
    ContextExceeded,
    InvalidRequest,
    NotAllowed,
    NotSupported,
    PeerSkyError,
    QuotaExceeded,
)
from peersky.llm.endpoint import Endpoint
from peersky.llm.http import Limits
from peersky.llm.openai_calls import PASSING
from peersky.llm.providers import openai_compat
from peersky.llm.providers.openai_compat import OpenAIProvider
from peersky.system.settings_store import SettingsStore
from tests.fakes.http_server import Abort, Cut, Drip, Hold, Refuse, Silence
from tests.fakes.ollama_server import OllamaServer
from tests.fakes.openai_server import DONE, USAGE, OpenAIServer, delta, end
from tests.fakes.scripted_provider import Log
from tests.unit.llm.provider_home import PNG, TOOL, ask, ask_for, ask_until_it_breaks, chunks_of, open_settings

MODEL = "gpt-x"
KEY = "sk-0123456789abcdef"
SHORT = Limits(connect_s=2.0, first_byte_s=5.0, idle_s=0.3)


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


# --- a question and its answer


async def test_an_answer_is_one_request_and_comes_as_it_is_written(home: Home, server: OpenAIServer) -> None:
    server.script = ["Hel", Hold(), "lo"]
    async with home.provider.chat(MODEL, ask_for()) as chunks:
        assert await anext(chunks) == ChatChunk(content="Hel")
        server.release()
        rest = [chunk async for chunk in chunks]
    assert rest == [ChatChunk(content="lo"), ChatChunk(finish_reason="stop"), ChatChunk(usage=Usage(7, 2))]
    assert server.paths() == ["POST /v1/chat/completions"]


async def test_the_request_says_everything_and_no_more(home: Home, server: OpenAIServer) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    more: dict[str, Any] = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 9, "stop": ("a",), "seed": 3}
    more |= {"tools": (TOOL,), "tool_choice": "auto", "response_format": schema, "conversation": "secret"}
    await ask(home.provider, MODEL, [{"type": "text", "text": "What?"}, PNG], **more)
    assert server.chats() == [
        {
            "model": MODEL,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, PNG]}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 9,
            "stop": ["a"],
            "seed": 3,
            "tools": [TOOL],
            "tool_choice": "auto",
            "response_format": schema,
        }
    ]
    headers = server.requests[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert not {"origin", "referer", "cookie", "x-title", "http-referer"} & headers.keys()


@pytest.mark.parametrize(("think", "sent"), [(True, "medium"), (False, "none"), ("low", "low"), (None, None)])
async def test_thinking_is_asked_for_as_effort(home: Home, server: OpenAIServer, think: Any, sent: Any) -> None:
    await ask(home.provider, MODEL, think=think)
    assert server.chats()[0].get("reasoning_effort") == sent


async def test_thoughts_within_the_text_are_taken_apart(home: Home, server: OpenAIServer) -> None:
    server.script = ["<thi", "nk>Let me", " see.</th", "ink>\n\n", "Hi <b>there</b>"]
    answer = await ask(home.provider, MODEL)
    assert (answer.reasoning, answer.content) == ("Let me see.", "Hi <b>there</b>")


async def test_a_server_with_thoughts_of_their_own_keeps_its_tags(home: Home, server: OpenAIServer) -> None:
    server.script = [delta({"reasoning": "hm"}), "<think>", "is a tag"]
    answer = await ask(home.provider, MODEL)
    assert (answer.reasoning, answer.content) == ("hm", "<think>is a tag")


async def test_tool_calls_in_fragments(home: Home, server: OpenAIServer) -> None:
    server.script = [
        delta({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "now", "arguments": ""}}]}),
        delta({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
        delta({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
        *end("tool_calls"),
    ]
    answer = await ask(home.provider, MODEL, tools=(TOOL,))
    assert answer.finish_reason == "tool_calls"
    assert answer.tool_calls == [{"id": "c1", "type": "function", "function": {"name": "now", "arguments": '{"a":1}'}}]


async def test_calls_without_number_and_id_are_not_mixed(home: Home, server: OpenAIServer) -> None:
    calls = [{"function": {"name": name, "arguments": {"n": name}}} for name in ("a", "b")]
    server.script = [delta({"tool_calls": calls}), *end("tool_calls")]
    answer = await ask(home.provider, MODEL, tools=(TOOL,))
    assert [call["function"] for call in answer.tool_calls] == [
        {"name": "a", "arguments": '{"n": "a"}'},
        {"name": "b", "arguments": '{"n": "b"}'},
    ]


async def test_a_server_that_ignores_stream(home: Home, server: OpenAIServer) -> None:
    message = {"role": "assistant", "content": "<think>hm</think>Hello"}
    server.whole = {"choices": [{"index": 0, "message": message, "finish_reason": "length"}], "usage": USAGE}
    answer = await ask(home.provider, MODEL)
    assert (answer.content, answer.reasoning, answer.finish_reason) == ("Hello", "hm", "length")
    assert answer.usage == Usage(7, 2)


QUIRKS: dict[str, list[Any]] = {
    "comments": [b": OPENROUTER PROCESSING\n\n", "Hel", b": \r\n\r\n", "lo"],
    "CRLF": [b'data: {"choices":[{"delta":{"content":"Hello"}}]}\r\n\r\n'],
    "split UTF-8": [bytes([byte]) for byte in b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n'],
    "no space": [b'data:{"choices":[{"delta":{"content":"Hello"}}]}\n\n'],
    "named events": [b'event: message\nid: 1\nretry: 9\ndata: {"choices":[{"delta":{"content":"Hello"}}]}\n\n'],
    "several lines": [b'data: {"choices":\ndata: [{"delta":{"content":"Hello"}}]}\n\n'],
    "empty choices": [{"choices": []}, {"choices": None}, {}, "Hello"],
    "null delta": [delta(None), delta({"content": None}), "Hello"],
    "parts": [delta({"content": [{"type": "text", "text": "Hello"}]})],
    "empty finish": [delta({"content": "Hello"}, "")],
    "usage on each": [delta({"content": "Hel"}, usage=USAGE), delta({"content": "lo"}, usage=USAGE)],
    "bad events": [b"data: {bad\n\n", "Hello", b"data: 5\n\n"],
    "several choices": [{"choices": [{"index": 1, "delta": {"content": "x"}}]}, "Hello"],
    "no DONE": ["Hello", delta({}, "stop")],
    "DONE twice": ["Hello", *end(), DONE, b"garbage"],
    "no line end at the end": ["Hello", b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}'],
    "open after the end": ["Hello", *end(), Silence],
}


@pytest.mark.parametrize("script", QUIRKS.values(), ids=QUIRKS.keys())
async def test_what_servers_do_differently(home: Home, server: OpenAIServer, script: list[Any]) -> None:
    server.script = script
    answer = await ask(home.provider, MODEL)
    assert (answer.content, answer.finish_reason) == ("Hello", "stop")
    assert len(server.requests) == 1


async def test_an_answer_that_is_whole_needs_no_proper_end(
    home: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_compat, "AFTER_END_S", 0.1)
    for last in (Silence, Abort, Cut, Drip):
        server.script = ["Hello", delta({}, "stop"), last]
        assert (await ask(home.provider, MODEL)).content == "Hello"


@pytest.mark.parametrize("text", ["data: x", "[DONE]", "a\u2028b\u2029c\u0085d", "😀é\r\n\n", '{"error": 1}'])
async def test_text_that_looks_like_the_protocol(home: Home, server: OpenAIServer, text: str) -> None:
    server.script = [text]
    assert (await ask(home.provider, MODEL)).content == text


# --- refusals and failures


def said(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


REFUSALS: list[tuple[Refuse, type[PeerSkyError], str, str]] = [
    (Refuse(400, said("bad thing")), InvalidRequest, "invalid_request", "bad thing"),
    (Refuse(400, {"error": "bad thing"}), InvalidRequest, "invalid_request", "bad thing"),
    (
        Refuse(422, {"detail": [{"loc": ["body", "x"], "msg": "bad thing"}]}),
        InvalidRequest,
        "invalid_request",
        "bad thing",
    ),
    (Refuse(400, {"object": "error", "message": "bad thing"}), InvalidRequest, "invalid_request", "bad thing"),
    (Refuse(400, [said("bad thing")]), InvalidRequest, "invalid_request", "bad thing"),
    (Refuse(401, said("No auth")), BackendFailed, "key_refused", "No auth"),
    (Refuse(402, said("Insufficient credits")), QuotaExceeded, "credits", "Insufficient credits"),
    (Refuse(403, said("flagged")), NotAllowed, "refused_by_service", "flagged"),
    (Refuse(408, said("slow")), QuotaExceeded, "rate_limited", "slow"),
    (Refuse(429, said("slow down")), QuotaExceeded, "rate_limited", "slow down"),
    (Refuse(429, said("pay", code="insufficient_quota")), QuotaExceeded, "credits", "pay"),
    (Refuse(413, said("too big")), BodyTooLarge, "body_too_large", "too big"),
    (Refuse(500, said("oops")), BackendFailed, "backend_error", "oops"),
    (Refuse(502, "<html>Bad Gateway</html>"), BackendFailed, "backend_error", "status 502"),
    (Refuse(503, said("Loading model")), BackendFailed, "backend_error", "Loading model"),
    (
        Refuse(404, said("The model `x` does not exist", code="model_not_found")),
        NotSupported,
        "model_missing",
        "not exist",
    ),
    (Refuse(400, said("x is not a valid model ID")), NotSupported, "model_missing", "not a valid model"),
    (Refuse(404, said("No endpoints found that support tool use.")), NotSupported, "capability_missing", "tool use"),
    (Refuse(400, said("image input is not supported")), NotSupported, "capability_missing", "image input"),
    (Refuse(501, said("not here")), NotSupported, "capability_missing", "not here"),
    (
        Refuse(400, said("This model's maximum context length is 8 tokens. However, you requested 9 tokens")),
        ContextExceeded,
        "context_length",
        "9 tokens",
    ),
    (
        Refuse(400, said("too long", code="context_length_exceeded")),
        ContextExceeded,
        "context_length",
        "too long",
    ),
]
BY_STATUS = [f"{refusal.status} {reason} {n}" for n, (refusal, _, reason, _) in enumerate(REFUSALS)]


@pytest.mark.parametrize(("refusal", "kind", "reason", "says"), REFUSALS, ids=BY_STATUS)
async def test_a_refusal_is_the_right_error_with_the_services_sentence(
    home: Home, server: OpenAIServer, refusal: Refuse, kind: type[PeerSkyError], reason: str, says: str
) -> None:
    server.refusals = [refusal] * 2
    with pytest.raises(kind, match=says) as caught:
        await ask(home.provider, MODEL)
    assert caught.value.reason == reason
    passes = refusal.status in PASSING and reason != "credits"
    assert len(server.chats()) == (2 if passes else 1)


WITHIN_200 = [
    case for case in REFUSALS if isinstance(case[0].body, dict) and isinstance(case[0].body.get("error"), dict)
]


@pytest.mark.parametrize(("refusal", "kind", "reason", "says"), WITHIN_200)
async def test_the_same_error_within_a_reply_that_looks_well(
    home: Home, server: OpenAIServer, refusal: Refuse, kind: type[PeerSkyError], reason: str, says: str
) -> None:
    error = {"code": refusal.status, **refusal.body["error"]}
    server.whole = {"error": error}
    with pytest.raises(PeerSkyError, match=says) as caught:
        await ask(home.provider, MODEL)
    if isinstance(error["code"], int) and kind is not InvalidRequest:
        assert (type(caught.value), caught.value.reason) == (kind, reason)
    assert len(server.chats()) == 1


async def test_when_to_ask_again_is_in_the_sentence(home: Home, server: OpenAIServer) -> None:
    server.refusals = [Refuse(429, said("slow down"), {"retry-after": "45"})]
    with pytest.raises(QuotaExceeded, match=r"slow down Ask again in 45 seconds\."):
        await ask(home.provider, MODEL)
    assert (len(server.chats()), home.pauses) == (1, [])


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"retry-after": "7"}, 7, 7.5),
        ({"retry-after-ms": "2500"}, 2.5, 3),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0, 0.5),
        ({"retry-after": "nonsense"}, 1, 1.5),
        ({"retry-after": "-3"}, 0, 0.5),
        ({}, 1, 1.5),
    ],
)
async def test_what_passes_is_tried_once_more_after_the_wanted_pause(
    home: Home, server: OpenAIServer, headers: dict[str, str], low: float, high: float
) -> None:
    server.refusals = [Refuse(503, said("busy"), headers)]
    assert (await ask(home.provider, MODEL)).content == "Hello"
    assert len(server.chats()) == 2
    assert low <= home.pauses[0] <= high
    assert home.log.of("backend.retry")[0]["why"] == "503"


async def test_nothing_is_tried_twice_after_the_first_word(home: Home, server: OpenAIServer) -> None:
    for last in (Abort, Cut, said("busy", code=503)):
        server.script = ["Hel", last]
        text, _ = await ask_until_it_breaks(home.provider, MODEL, ask_for())
        assert text == "Hel"
    assert (len(server.chats()), home.pauses) == (3, [])


async def test_a_connection_that_breaks_before_the_reply_is_not_asked_again(home: Home, server: OpenAIServer) -> None:
    # The service may have the question already, and charge for it.
    server.refusals = [Abort]
    with pytest.raises(BackendFailed) as caught:
        await ask(home.provider, MODEL)
    assert (caught.value.reason, len(server.chats())) == ("interrupted", 1)


BREAKS: dict[str, tuple[list[Any], type[PeerSkyError], str]] = {
    "reset": ([Abort], BackendFailed, "interrupted"),
    "end without finish": ([Cut], BackendFailed, "interrupted"),
    "DONE without finish": ([DONE, Cut], BackendFailed, "interrupted"),
    "silence": ([Silence], BackendFailed, "interrupted"),
    "drip": ([Drip], BackendFailed, "interrupted"),
    "error event": ([said("overloaded", code=502)], BackendFailed, "backend_error"),
    "OpenRouter's": (
        [{**said("gone", code="server_error"), **delta({"content": ""}, "error")}],
        BackendFailed,
        "backend_error",
    ),
    "finish error": ([delta({}, "error")], BackendFailed, "backend_error"),
    "rate limit": ([said("slow", code=429)], QuotaExceeded, "rate_limited"),
    "overflow": ([said("Context size has been exceeded.", code=500)], ContextExceeded, "context_length"),
    "refusal too late": ([said("bad", code=400)], BackendFailed, "backend_error"),
    "no JSON": ([b"data: x\n\n" * 6], BackendFailed, "backend_error"),
    "endless line": ([b"data: " + b"x" * (9 * 1024 * 1024)], BackendFailed, "backend_error"),
}


@pytest.mark.parametrize(("steps", "kind", "reason"), BREAKS.values(), ids=BREAKS.keys())
async def test_a_stream_that_breaks_keeps_its_text_and_never_looks_whole(
    home: Home, server: OpenAIServer, steps: list[Any], kind: type[PeerSkyError], reason: str
) -> None:
    server.script = ["Hel", "lo", *steps, Cut]
    text, error = await ask_until_it_breaks(home.provider, MODEL, ask_for())
    assert isinstance(error, kind), error
    assert (text, error.reason) == ("Hello", reason)
    assert len(server.chats()) == 1


async def test_a_reply_without_a_word_is_no_answer(home: Home, server: OpenAIServer) -> None:
    server.script = [Cut]
    _, error = await ask_until_it_breaks(home.provider, MODEL, ask_for())
    assert isinstance(error, BackendFailed)
    assert error.reason == "interrupted"


async def test_silence_before_the_first_byte(tmp_path: Path, server: OpenAIServer) -> None:
    limits = Limits(connect_s=0.2, first_byte_s=0.2, idle_s=0.2)
    home = Home(open_settings(tmp_path, baseURL=server.url), limits=limits)
    server.script = [Hold()]
    _, error = await ask_until_it_breaks(home.provider, MODEL, ask_for())
    assert isinstance(error, BackendFailed)
    assert error.reason == "interrupted"
    await home.provider.close()


@pytest.mark.parametrize("hold", [[Hold()], ["Hel", Hold()]], ids=["before the first word", "in mid-answer"])
async def test_leaving_closes_the_connection(home: Home, server: OpenAIServer, hold: list[Any]) -> None:
    server.script = [*hold, "lo"]
    reading = asyncio.ensure_future(chunks_of(home.provider, MODEL, ask_for()))
    await server.until(lambda: bool(server.chats()))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await server.until(lambda: server.requests[0].gone)


async def test_a_service_that_is_down_is_said_to_be_down(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    home = Home(open_settings(tmp_path, baseURL=f"http://127.0.0.1:{port}/v1"))
    with pytest.raises(BackendFailed, match=f"cannot be reached at http://127.0.0.1:{port}/v1") as caught:
        await ask(home.provider, MODEL)
    assert caught.value.reason == "unreachable"
    assert len(home.pauses) == 1
    await home.provider.close()


# --- options that a server does not take


async def test_the_other_name_of_the_limit_is_remembered(home: Home, server: OpenAIServer) -> None:
    server.not_taken = {"max_tokens"}
    for _ in range(2):
        assert (await ask(home.provider, MODEL, max_tokens=9)).content == "Hello"
    names = [{"max_tokens", "max_completion_tokens"} & body.keys() for body in server.chats()]
    assert names == [{"max_tokens"}, {"max_completion_tokens"}, {"max_completion_tokens"}]


@pytest.mark.parametrize("option", ["temperature", "top_p", "stream_options"])
async def test_an_option_that_is_refused_is_left_out_and_remembered(
    home: Home, server: OpenAIServer, option: str
) -> None:
    server.not_taken = {option}
    for _ in range(2):
        assert (await ask(home.provider, MODEL, temperature=0.5, top_p=0.5)).content == "Hello"
    assert [option in body for body in server.chats()] == [True, False, False]
    assert home.log.of("backend.option-refused")[0]["option"] == option


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Unsupported value: 'temperature' does not support 0.5. Only the default is supported."}},
        {
            "detail": [
                {"loc": ["body", "temperature"], "type": "extra_forbidden", "msg": "Extra inputs are not permitted"}
            ]
        },
        {"error": "Unrecognized request argument supplied: temperature"},
    ],
)
async def test_the_option_is_found_in_whatever_form_it_is_named(home: Home, server: OpenAIServer, body: Any) -> None:
    server.refusals = [Refuse(400, body)]
    assert (await ask(home.provider, MODEL, temperature=0.5)).content == "Hello"
    assert ["temperature" in sent for sent in server.chats()] == [True, False]


@pytest.mark.parametrize("option", ["tools", "response_format", "seed", "stop"])
async def test_what_was_asked_for_is_never_left_out(home: Home, server: OpenAIServer, option: str) -> None:
    server.not_taken = {option}
    more: dict[str, Any] = {"tools": (TOOL,), "response_format": {"type": "json_object"}, "seed": 1, "stop": ("a",)}
    with pytest.raises((NotSupported, InvalidRequest), match=option):
        await ask(home.provider, MODEL, **more)
    assert len(server.chats()) == 1


async def test_thinking_that_a_page_asked_for_is_not_left_out_silently(home: Home, server: OpenAIServer) -> None:
    server.not_taken = {"reasoning_effort"}
    with pytest.raises(NotSupported) as caught:
        await ask(home.provider, MODEL, think="high")
    assert caught.value.param == "think"
    assert (await ask(home.provider, MODEL, think=True, think_if_possible=True)).content == "Hello"
    assert (await ask(home.provider, MODEL, think=False)).content == "Hello"


async def test_a_server_that_refuses_everything_is_not_asked_for_ever(home: Home, server: OpenAIServer) -> None:
    server.not_taken = {"max_tokens", "max_completion_tokens", "temperature", "top_p", "stream_options"}
    with pytest.raises((InvalidRequest, NotSupported)):
        await ask(home.provider, MODEL, temperature=0.5, top_p=0.5, max_tokens=9)
    assert len(server.chats()) <= openai_compat.MOST_REFUSALS


# --- base URLs


@pytest.mark.parametrize(
    ("path", "written"),
    [
        *[("/v1", written) for written in ("", "/", "/v1", "/v1/", "//v1//", "/v1/chat/completions", "/v1/models/")],
        *[("/api/v1", written) for written in ("", "/api", "/api/v1", "/api/v1/", "/api/v1/models")],
        *[("", written) for written in ("", "/", "/chat/completions")],
        *[("/v1beta/openai", written) for written in ("/v1beta/openai/", "/v1beta/openai/chat/completions")],
    ],
)
async def test_the_api_is_found_where_people_point(tmp_path: Path, path: str, written: str) -> None:
    with OpenAIServer(path=path) as server:
        home = Home(open_settings(tmp_path, baseURL=server.url + written))
        for _ in range(2):
            assert (await ask(home.provider, MODEL)).content == "Hello"
        await home.provider.close()
        # What worked is remembered.
        assert server.paths()[-1] == f"POST {path}/chat/completions"
        assert len(server.chats()) <= 4


async def test_the_web_site_of_a_service_is_not_its_api(tmp_path: Path) -> None:
    with OpenAIServer(path="/api/v1") as server:
        server.elsewhere = Refuse(200, "<!doctype html><title>Chat</title>")
        home = Home(open_settings(tmp_path, baseURL=server.url))
        assert (await ask(home.provider, MODEL)).content == "Hello"
        server.path = "/moved"
        with pytest.raises(BackendFailed, match="no OpenAI-compatible API at") as caught:
            await ask(home.provider, MODEL)
        assert caught.value.reason == "backend_error"
        server.path = "/v1"
        assert (await ask(home.provider, MODEL)).content == "Hello"
        await home.provider.close()


@pytest.mark.parametrize("url", ["http://openrouter.ai/api/v1", "http://192.0.43.8/v1", "http://example.org"])
async def test_plain_http_over_the_internet_is_refused(tmp_path: Path, url: str) -> None:
    home = Home(open_settings(tmp_path), endpoint=lambda: Endpoint(url, KEY))
    for attempt in (ask(home.provider, MODEL), home.provider.models()):
        with pytest.raises(NotAllowed) as caught:
            await attempt
        assert caught.value.reason == "insecure_url"
        assert KEY not in caught.value.message


@pytest.mark.parametrize(
    ("url", "local"),
    [("http://127.0.0.1:1234/v1", True), ("http://192.168.1.7:8000", False), ("https://openrouter.ai/api/v1", False)],
)
def test_local_is_what_stays_here(tmp_path: Path, url: str, local: bool) -> None:
    assert Home(open_settings(tmp_path, baseURL=url)).provider.is_local is local


# --- the key


async def test_the_key_of_one_origin_never_reaches_another(tmp_path: Path) -> None:
    with OpenAIServer(key=KEY) as own, OpenAIServer() as other:
        settings = open_settings(tmp_path, provider="openai", baseURL=own.url + "/v1", apiKey=KEY)
        home = Home(settings)
        await ask(home.provider, MODEL)
        look_alikes = [
            other.url,
            other.url.replace("127.0.0.1", "localhost") + "/v1",
            f"{other.url}/127.0.0.1:{own.port}/v1",
        ]
        for url in look_alikes:
            settings.change({"llm.baseURL": url})
            for attempt in (ask(home.provider, MODEL), home.provider.models(), home.provider.embed(MODEL, ["a"])):
                with suppress(PeerSkyError):
                    await attempt
        assert other.requests
        assert other.keys() == set()
        settings.change({"llm.baseURL": own.url})
        await ask(home.provider, MODEL)
        assert own.keys() == {f"Bearer {KEY}"}
        await home.provider.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(home: Home, server: OpenAIServer, status: int) -> None:
    with OpenAIServer() as other:
        target = f"{other.url}/v1/chat/completions?key={KEY}"
        server.refusals = [Refuse(status, "", {"location": target})]
        with pytest.raises(BackendFailed, match=f"sends questions on to {other.url}") as caught:
            await ask(home.provider, MODEL)
        assert KEY not in caught.value.message
        server.list_reply = Refuse(status, "", {"location": f"{other.url}/v1/models"})
        with pytest.raises(BackendFailed):
            await home.provider.models()
        assert other.requests == []
    assert len(server.requests) == 2


ECHOES: list[Any] = [
    Refuse(401, said(f"Incorrect API key provided: {KEY}.")),
    Refuse(400, f"bad header Authorization: Bearer {KEY}"),
    Refuse(400, said("x" * (400 - 10) + KEY)),
    Refuse(500, {"error": {"message": "no", "metadata": {"raw": KEY}}}),
    Refuse(403, json.dumps(said(KEY)).replace("sk-", "\\u0073k-")),
    Refuse(404, said(f"The model {KEY} does not exist")),
    Refuse(402, [said(KEY)]),
]


@pytest.mark.parametrize("echo", ECHOES, ids=[str(echo.status) for echo in ECHOES])
async def test_a_server_that_repeats_the_key_is_not_quoted(
    home: Home, server: OpenAIServer, echo: Refuse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.refusals = [echo] * 2
    with pytest.raises(PeerSkyError) as caught:
        await ask(home.provider, MODEL)
    server.refusals = []
    server.script = ["Hel", said(f"upstream says {KEY}", code=502), Cut]
    _, in_stream = await ask_until_it_breaks(home.provider, MODEL, ask_for())
    server.whole = said(f"no {KEY}")
    with pytest.raises(PeerSkyError) as in_reply:
        await ask(home.provider, MODEL)
    for error in (caught.value, in_stream, in_reply.value):
        assert KEY[:12] not in str(error)
    assert KEY not in caplog.text
    assert KEY not in json.dumps(home.log.entries)
    assert all(KEY not in request.path for request in server.requests)


async def test_the_key_is_in_no_repr(home: Home) -> None:
    server = await home.provider._server()
    assert server.key == KEY
    for shown in (repr(server), repr(home.provider), repr(home.provider.__dict__), str(server)):
        assert KEY not in shown


@pytest.mark.parametrize("key", ["sk-ключ-1234", "sk-12 34", "sk-12\n34", "sk-1234\x00"])
async def test_what_can_be_no_key_is_said_before_it_is_sent(tmp_path: Path, server: OpenAIServer, key: str) -> None:
    home = Home(open_settings(tmp_path), endpoint=lambda: Endpoint(server.url, key))
    with pytest.raises(BackendFailed) as caught:
        await ask(home.provider, MODEL)
    assert caught.value.reason == "key_refused"
    assert key not in caught.value.message
    assert server.requests == []


@pytest.mark.parametrize("key", ["ollama", "", "  "])
async def test_a_server_without_keys_gets_none(tmp_path: Path, server: OpenAIServer, key: str) -> None:
    home = Home(open_settings(tmp_path), endpoint=lambda: Endpoint(server.url, key))
    await ask(home.provider, MODEL)
    assert server.keys() == set()
    assert (await home.provider.check_key()).state == "none"
    await home.provider.close()


async def test_a_missing_key_is_another_matter_than_a_refused_one(tmp_path: Path) -> None:
    with OpenAIServer(key="another") as server:
        for key, reason in (("", "key_missing"), (KEY, "key_refused")):
            home = Home(open_settings(tmp_path), endpoint=lambda key=key: Endpoint(server.url, key))
            with pytest.raises(BackendFailed) as caught:
                await ask(home.provider, MODEL)
            assert caught.value.reason == reason
            await home.provider.close()


async def test_checking_the_key(tmp_path: Path) -> None:
    with OpenAIServer(key=KEY) as server:
        for key, state in ((KEY, "accepted"), ("sk-wrong", "refused")):
            home = Home(open_settings(tmp_path), endpoint=lambda key=key: Endpoint(server.url, key))
            checked = await home.provider.check_key()
            assert checked.state == state
            assert ("sk-wrong" in checked.sentence, bool(checked.sentence)) == (False, state == "refused")
            await home.provider.close()


# --- models and embeddings


async def test_the_list_and_one_of_it(home: Home, server: OpenAIServer) -> None:
    server.models = [{"id": "a", "max_model_len": 4096}, {"id": "b"}]
    assert [(info.name, info.context_length) for info in await home.provider.models()] == [("a", 4096), ("b", 0)]
    assert (await home.provider.describe("a")).context_length == 4096
    assert "does not list" in (await home.provider.describe("c")).note
    assert server.paths() == ["GET /v1/models"]


@pytest.mark.parametrize(
    "reply", [{"nothing": 1}, [], "no", Refuse(200, "<html>"), Refuse(404, {"detail": "Not Found"})]
)
async def test_a_server_without_a_list(home: Home, server: OpenAIServer, reply: Any) -> None:
    server.list_reply = reply
    if reply != []:
        with pytest.raises(BackendFailed):
            await home.provider.models()
    assert (await home.provider.describe(MODEL)).name == MODEL


async def test_choosing_a_cloud_never_pulls(tmp_path: Path) -> None:
    """Not from the service, nor from an Ollama that runs beside it."""
    with OpenAIServer() as server, OllamaServer(models=[]) as ollama:
        settings = open_settings(tmp_path, baseURL=ollama.url)
        home = Home(settings)
        settings.change(
            {"llm.provider": "openai", "llm.baseURL": server.url, "llm.apiKey": KEY, "llm.model": "not-there"}
        )
        reported: list[Any] = []
        await home.provider.ensure("not-there", reported.append)
        await home.provider.ensure(MODEL, reported.append)
        assert (server.paths(), ollama.paths(), reported) == (["GET /v1/models"], [], [])
        await home.provider.close()


async def test_embeddings_in_batches_and_in_order(home: Home, server: OpenAIServer) -> None:
    texts = ["x" * n for n in range(200)]
    assert [vector[0] for vector in await home.provider.embed(MODEL, texts)] == [float(n) for n in range(200)]
    assert [len(request.json["input"]) for request in server.requests] == [128, 72]


async def test_embeddings_as_base64(home: Home, server: OpenAIServer) -> None:
    packed = base64.b64encode(struct.pack("<2f", 0.5, -1.0)).decode()
    server.embed_reply = {"data": [{"index": 0, "embedding": packed}]}
    assert await home.provider.embed(MODEL, ["a"]) == [[0.5, -1.0]]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"data": []}, BackendFailed),
        ({"data": [{"embedding": "?"}]}, BackendFailed),
        ({"data": [None]}, BackendFailed),
        ({"error": {"message": "no", "code": 429}}, QuotaExceeded),
        (Refuse(400, said("maximum context length is 8 tokens, however you requested 9")), ContextExceeded),
        (Refuse(501, said("This server does not support embeddings.")), NotSupported),
        (Refuse(400, said("model does not support embeddings")), NotSupported),
    ],
)
async def test_embeddings_that_fail(home: Home, server: OpenAIServer, reply: Any, kind: type[PeerSkyError]) -> None:
    server.embed_reply = reply
    with pytest.raises(kind):
        await home.provider.embed(MODEL, ["a"])


async def test_a_service_without_embeddings(home: Home, server: OpenAIServer) -> None:
    server.embed_reply = Refuse(404, {"detail": "Not Found"})
    await ask(home.provider, MODEL)
    with pytest.raises(NotSupported, match="makes no embeddings"):
        await home.provider.embed(MODEL, ["a"])
    assert (await ask(home.provider, MODEL)).content == "Hello"


@pytest.mark.parametrize(
    ("base_url", "titled"),
    [
        ("https://openrouter.ai", True),
        ("https://openrouter.ai.evil.example/api/v1", False),
        ("http://127.0.0.1:1", False),
    ],
)
async def test_only_openrouter_is_told_who_asks(
    tmp_path: Path, base_url: str, titled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, dict[str, str]]] = []

    async def send(client: httpx.AsyncClient, request: httpx.Request, **_: Any) -> httpx.Response:
        sent.append((str(request.url), dict(request.headers)))
        raise httpx.ConnectError("no network in this test")

    monkeypatch.setattr(httpx.AsyncClient, "send", send)
    home = Home(open_settings(tmp_path), endpoint=lambda: Endpoint(base_url, KEY))
    with pytest.raises(BackendFailed):
        await ask(home.provider, MODEL)
    assert all(("x-title" in headers) is titled for _, headers in sent)
    if titled:
        assert sent[0][0] == "https://openrouter.ai/api/v1/chat/completions"
        assert sent[0][1]["x-title"] == "PeerSky"
    await home.provider.close()
