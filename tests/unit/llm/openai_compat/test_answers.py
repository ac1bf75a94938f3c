"""Answers of OpenAI-compatible services, by a server that speaks OpenAI's API over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from peersky.core.chat import ChatChunk, Usage
from peersky.llm.providers import openai_compat
from tests.fakes.http_server import Abort, Cut, Drip, Hold, Silence
from tests.fakes.openai_server import DONE, USAGE, OpenAIServer, delta, end
from tests.unit.llm.openai_compat.conftest import KEY, MODEL, Home
from tests.unit.llm.provider_home import PNG, TOOL, ask, ask_for


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
