"""Events as servers really send them, into chunks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from peersky.core.chat import ChatAnswer, ChatChunk, Progress, Usage
from peersky.core.errors import (
    BackendFailed,
    ContextExceeded,
    InvalidRequest,
    NotSupported,
    PeerSkyError,
)
from peersky.llm.openai_stream import MAX_BAD_EVENTS, OpenAIStream, error_of, sentence_of


def delta(value: Any = None, finish: Any = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": value, "finish_reason": finish}], **more}


def read(*events: Any) -> list[ChatChunk]:
    stream = OpenAIStream("The server")
    chunks = [
        chunk for event in events for chunk in stream.read(event if isinstance(event, str) else json.dumps(event))
    ]
    stream.finish()
    return chunks


END = delta({}, "stop")
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}


def test_an_answer_of_llama_cpp() -> None:
    progress = {"total": 10, "cache": 4, "processed": 6, "time_ms": 5}
    assert read(
        delta({"role": "assistant", "content": None}, prompt_progress=progress),
        delta({"role": "assistant", "content": None}),
        delta({"reasoning_content": "hm"}),
        delta({"content": "Hi"}),
        END,
        {"choices": [], "usage": USAGE, "timings": {}},
        "[DONE]",
    ) == [
        ChatChunk(role="assistant", progress=Progress(6, 10)),
        ChatChunk(reasoning="hm"),
        ChatChunk(content="Hi"),
        ChatChunk(finish_reason="stop"),
        ChatChunk(usage=Usage(7, 2, 3)),
    ]


@pytest.mark.parametrize(
    ("value", "content", "reasoning"),
    [
        ({"content": "a"}, "a", ""),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab", ""),
        ({"content": ["a", "b"]}, "ab", ""),
        ({"content": "a", "reasoning": "r"}, "a", "r"),
        ({"content": None, "thinking": "r"}, "", "r"),
        ({"reasoning_content": "", "reasoning": "r", "reasoning_details": [{}]}, "", "r"),
        ({"content": "<think>no</think>"}, "<think>no</think>", ""),
        ({"content": 7, "reasoning": {"a": 1}, "role": 5}, "", ""),
    ],
)
def test_contents(value: dict[str, Any], content: str, reasoning: str) -> None:
    answer = ChatAnswer.of(read(delta(value), END))
    assert (answer.content, answer.reasoning) == (content, reasoning)


@pytest.mark.parametrize(
    "event", [{}, {"choices": []}, {"choices": None}, {"choices": [None]}, delta(None), delta("x"), delta({}, "")]
)
def test_events_that_say_nothing(event: dict[str, Any]) -> None:
    assert read(event, END) == [ChatChunk(finish_reason="stop")]


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        *[(name, name) for name in ("stop", "length", "tool_calls", "content_filter")],
        *[("eos", "stop"), ("max_tokens", "length"), ("function_call", "tool_calls")],
    ],
)
def test_finish_reasons(sent: str, meant: str) -> None:
    assert read(delta({}, None), delta({"content": "a"}, sent))[-1].finish_reason == meant


def test_the_first_finish_reason_counts() -> None:
    assert read(END, delta({}, "length"), END) == [ChatChunk(finish_reason="stop")]


def test_other_choices_are_not_mixed_in() -> None:
    event = {"choices": [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}]}
    assert read(event, END)[0].content == "a"


def test_usage_on_every_chunk_counts_once() -> None:
    chunks = read(delta({"content": "a"}, usage={**USAGE, "completion_tokens": 1}), delta({}, "stop", usage=USAGE))
    assert [chunk.usage for chunk in chunks] == [None, Usage(7, 2, 3)]


@pytest.mark.parametrize("usage", [None, [], {}, {"prompt_tokens": None}, {"prompt_tokens": "7"}])
def test_strange_usage(usage: Any) -> None:
    assert read(delta({}, "stop", usage=usage))[0].usage in (None, Usage(0, 0))


def test_a_whole_answer_where_a_stream_was_asked_for() -> None:
    answer = {"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}], "usage": USAGE}
    assert read(answer) == [ChatChunk(role="assistant", content="Hi", finish_reason="stop", usage=Usage(7, 2, 3))]


def test_nothing_counts_after_done() -> None:
    assert read(END, "[DONE]", delta({"content": "x"}), "[DONE]", "garbage") == [ChatChunk(finish_reason="stop")]


def call(**fields: Any) -> dict[str, Any]:
    return delta({"tool_calls": [fields]})


@pytest.mark.parametrize("numbered", [True, False])
def test_tool_calls(numbered: bool) -> None:
    def at(index: int) -> dict[str, Any]:
        return {"index": index} if numbered else {}

    answer = ChatAnswer.of(
        read(
            call(**at(0), id="c1", type="function", function={"name": "add", "arguments": ""}),
            call(**at(0), function={"arguments": '{"a":'}),
            call(**at(0), function={"arguments": "1}"}),
            call(**at(1), id="c2", function={"name": "now", "arguments": {"zone": "UTC"}}),
            delta({}, "tool_calls"),
        )
    )
    assert [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in answer.tool_calls] == [
        ("c1", "add", {"a": 1}),
        ("c2", "now", {"zone": "UTC"}),
    ]


@pytest.mark.parametrize("value", [None, {}, "x", [None], [{"function": None}], [{"index": -1}], [{"index": 10**9}]])
def test_strange_tool_calls_do_no_harm(value: Any) -> None:
    ChatAnswer.of(read(delta({"tool_calls": value}), END))


@pytest.mark.parametrize("events", [[], [delta({"content": "a"})], ["[DONE]"], [{"choices": [], "usage": USAGE}]])
def test_an_end_without_finish_reason_is_a_failure(events: list[Any]) -> None:
    with pytest.raises(BackendFailed, match="The server broke off") as caught:
        read(*events)
    assert caught.value.reason == "interrupted"


@pytest.mark.parametrize(
    "event",
    [
        {"error": {"code": 500, "message": "Out of luck.", "type": "server_error"}},
        {"error": "Out of luck."},
        {"error": {"message": "Out of luck."}, "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]},
        {"choices": [{"delta": {}, "error": {"message": "Out of luck."}}]},
    ],
)
def test_errors_in_the_stream(event: dict[str, Any]) -> None:
    with pytest.raises(BackendFailed, match=r"^The server reports: Out of luck\.$") as caught:
        read(delta({"content": "a"}), event, END)
    assert caught.value.reason == "backend_error"


def test_finish_reason_error() -> None:
    with pytest.raises(BackendFailed, match="gave up in the middle"):
        read(delta({}, "error"))


def test_some_garbage_is_skipped_and_much_is_not() -> None:
    assert read(*["{not json", "7", "  "] * 2, END) == [ChatChunk(finish_reason="stop")]
    with pytest.raises(BackendFailed, match="no JSON"):
        read(*["{not json"] * (MAX_BAD_EVENTS + 1), END)


def test_context_exceeded_with_the_numbers() -> None:
    detail = {"code": 400, "type": "exceed_context_size_error", "message": "…", "n_prompt_tokens": 4017, "n_ctx": 512}
    error = error_of(400, {"error": detail}, "The server")
    assert isinstance(error, ContextExceeded)
    assert (error.requested, error.quota) == (4017, 512)
    assert "4,017" in error.message
    cloud = error_of(400, {"error": {"code": "context_length_exceeded", "message": "Too long."}}, "The server")
    assert isinstance(cloud, ContextExceeded)
    assert (cloud.message, cloud.requested, cloud.quota) == ("Too long.", None, None)
    text = "input (1035 tokens) is too large to process. increase the physical batch size (current batch size: 1024)"
    embedding = error_of(500, {"error": {"message": text}}, "The server")
    assert isinstance(embedding, ContextExceeded)
    assert (embedding.requested, embedding.quota) == (1035, 1024)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, InvalidRequest), (422, InvalidRequest), (501, NotSupported), (500, BackendFailed), (404, BackendFailed)],
)
def test_kinds_of_errors(status: int, kind: type[PeerSkyError]) -> None:
    assert type(error_of(status, {"error": "x"}, "The server")) is kind


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"error": {"message": "a"}}, "a"),
        ({"error": "a"}, "a"),
        ({"detail": "a"}, "a"),
        ({"detail": [{"loc": [], "msg": "a"}]}, "a"),
        ({"message": "a", "object": "error"}, "a"),
        ([{"error": {"message": "a"}}], "a"),
        ("a  \n b", "a b"),
        ("<html><body>502 Bad Gateway</body></html>", ""),
        (None, ""),
        ([], ""),
        ({}, ""),
        ({"error": {}}, ""),
        ("x" * 1000, "x" * 400 + "…"),
    ],
)
def test_sentences(body: Any, sentence: str) -> None:
    assert sentence_of(body) == sentence


def test_a_silent_server_still_gives_a_sentence() -> None:
    assert error_of(503, "", "The server").message == "The server failed (status 503)."
