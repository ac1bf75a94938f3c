"""Answers of Ollama, by a server that speaks its API over real HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from peersky.core.chat import ChatChunk, ChatRequest, Usage
from peersky.core.errors import (
    InvalidRequest,
    NotSupported,
)
from peersky.llm.providers.ollama import OllamaProvider
from peersky.system.settings_store import SettingsStore
from tests.fakes.http_server import Hold, Refuse
from tests.fakes.ollama_server import Model, OllamaServer
from tests.unit.llm.ollama.conftest import EVERYTHING, MODEL
from tests.unit.llm.provider_home import PNG, TOOL, ask, ask_for, chunks_of


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
