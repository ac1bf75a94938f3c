"""Chat requests: a wrong value is refused with the option's name, and chunks join to one answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peersky.core.chat import (
    MAX_MESSAGES,
    ChatAnswer,
    ChatChunk,
    ChatRequest,
    ModelInfo,
    Progress,
    Usage,
    chunk_object,
    parse_chat_request,
)
from peersky.core.errors import InvalidRequest

HELLO = [{"role": "user", "content": "Hello"}]
HUGE = 10**400
"""More than a float can hold; JSON can."""


def parsed(**options: Any) -> ChatRequest:
    return parse_chat_request({"messages": HELLO, **options})[0]


def refusal(body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_chat_request(body)
    return caught.value


def test_the_least_and_the_most() -> None:
    assert parsed() == ChatRequest(messages=({"role": "user", "content": "Hello"},))
    tool = {"type": "function", "function": {"name": "f"}}
    request, stream = parse_chat_request(
        {
            "messages": HELLO,
            "temperature": 0,
            "top_p": 1,
            "max_tokens": 5.0,
            "stop": ["a", "", "b"],
            "seed": -1,
            "tools": [tool],
            "tool_choice": "auto",
            "response_format": {"type": "json_object"},
            "think": "low",
            "model": "m",
            "conversation": "c",
            "stream": True,
            "unknown": object(),
        }
    )
    assert stream
    assert (request.temperature, request.top_p, request.max_tokens, request.seed) == (0.0, 1.0, 5, -1)
    assert (request.stop, request.tools, request.tool_choice) == (("a", "b"), (tool,), "auto")
    assert (request.response_format, request.think) == ({"type": "json_object"}, "low")
    assert (request.model, request.conversation) == ("m", "c")


@pytest.mark.parametrize(
    "name",
    [
        "temperature",
        "top_p",
        "max_tokens",
        "stop",
        "seed",
        "tools",
        "tool_choice",
        "response_format",
        "think",
        "model",
        "conversation",
        "stream",
    ],
)
def test_null_is_not_given(name: str) -> None:
    assert parsed(**{name: None}) == parsed()


WRONG_OPTIONS: dict[str, list[Any]] = {
    "temperature": ["0.7", True, [], {}, -0.1, 2.1, float("nan"), float("inf"), HUGE],
    "top_p": ["1", False, -1, 1.5, float("nan"), -HUGE],
    "max_tokens": ["100", True, 0, -5, 1.5, [], float("inf"), float("nan"), HUGE],
    "stop": [1, True, {}, [1], [None], ["a", ["b"]]],
    "seed": ["1", 1.5, True, 2**63, HUGE, []],
    "tools": ["f", {}, [1], [[]], True],
    "tool_choice": [1, True, []],
    "response_format": ["json", [], True, 1],
    "think": ["yes", 1, [], {}, "LOW"],
    "model": [1, [], {}, True, "m" * 513],
    "conversation": [1, [], {}, "c" * 513],
    "stream": ["true", 1, 0, []],
    "messages": [None, [], {}, "Hello", 1, True, HELLO * (MAX_MESSAGES + 1)],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in WRONG_OPTIONS.items() for value in values],
    ids=lambda value: value if isinstance(value, str) and value in WRONG_OPTIONS else repr(value)[:20],
)
def test_a_wrong_option_is_named(name: str, value: Any) -> None:
    error = refusal({"messages": HELLO, name: value})
    assert error.param == name
    assert name in error.message
    assert error.dom_name == "TypeError"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_either_name_of_the_longest_answer_counts_and_is_the_one_named(name: str) -> None:
    assert parsed(**{name: 9}).max_tokens == 9
    assert refusal({"messages": HELLO, name: "nine"}).param == name


@pytest.mark.parametrize(
    ("value", "expected"), [("none", False), ("high", "high"), (True, True), (False, False), (None, None)]
)
def test_think_under_both_names(value: Any, expected: Any) -> None:
    assert parsed(think=value).think == parsed(reasoning_effort=value).think == expected


WRONG_MESSAGES: list[tuple[Any, str]] = [
    ("Hello", ""),
    (None, ""),
    ([], ""),
    ({"role": "user"}, ".content"),
    ({"role": "user", "content": None}, ".content"),
    ({"role": "user", "content": 1}, ".content"),
    ({"role": "user", "content": {}}, ".content"),
    ({"role": "robot", "content": ""}, ".role"),
    ({"role": None, "content": ""}, ".role"),
    ({"role": ["user"], "content": ""}, ".role"),
    ({"content": "", "name": 1}, ".name"),
    ({"content": "", "tool_call_id": 1}, ".tool_call_id"),
    ({"content": "", "tool_calls": "f"}, ".tool_calls"),
    ({"content": "", "tool_calls": {"a": 1}}, ".tool_calls"),
    ({"content": "", "tool_calls": [1]}, ".tool_calls"),
    ({"content": ["text"]}, ".content[0]"),
    ({"content": [{"type": "text"}]}, ".content[0]"),
    ({"content": [{"type": "text", "text": 1}]}, ".content[0]"),
    ({"content": [{"type": "audio", "text": "x"}]}, ".content[0]"),
    ({"content": [{"type": "image_url", "image_url": {}}]}, ".content[0]"),
]


@pytest.mark.parametrize(("message", "where"), WRONG_MESSAGES, ids=repr)
def test_a_wrong_message_is_named_with_its_place(message: Any, where: str) -> None:
    error = refusal({"messages": [*HELLO, message]})
    assert error.param == f"messages[1]{where}"
    assert error.param in error.message


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example/x.png",
        "https://evil.example/x.png",
        "file:///etc/passwd",
        "peersky://settings/",
        "x.png",
        "",
        "data:text/html,x",
        "DATA:image/png;base64,AA",
        " data:image/png;base64,AA",
    ],
)
@pytest.mark.parametrize("wrap", [lambda url: url, lambda url: {"url": url}], ids=["text", "object"])
def test_no_back_end_is_ever_told_to_fetch_an_image(url: str, wrap: Any) -> None:
    message = {"content": [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": wrap(url)}]}
    error = refusal({"messages": [message]})
    assert error.param == "messages[0].content[1]"
    assert "data:" in error.message


def test_both_shapes_of_an_image_become_one() -> None:
    url = "data:image/png;base64,AA"
    parts = [{"type": "image_url", "image_url": shape} for shape in (url, {"url": url, "detail": "low"})]
    (message,) = parsed(messages=[{"role": "user", "content": parts}]).messages
    assert message["content"] == [{"type": "image_url", "image_url": {"url": url}}] * 2


def test_the_role_is_user_where_none_is_named_and_a_call_needs_no_text() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [{"content": "Hi"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    assert parsed(messages=messages).messages == (
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    )


@pytest.mark.parametrize("body", [None, [], "messages", 1, True])
def test_a_body_that_is_no_object(body: Any) -> None:
    assert "object" in refusal(body).message


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(HUGE) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "image_url", "url", "tool_calls", "name"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
OPTIONS = st.dictionaries(st.sampled_from([*WRONG_OPTIONS, "max_completion_tokens", "reasoning_effort"]), ANY_JSON)


@given(OPTIONS, st.booleans())
def test_any_json_is_a_request_or_refused(body: dict[str, Any], with_messages: bool) -> None:
    if with_messages:
        body = {**body, "messages": HELLO}
    refused_for: str | None = None
    try:
        request, stream = parse_chat_request(body)
    except InvalidRequest as error:
        refused_for = error.param or "nothing"
    else:
        assert request.messages
        assert isinstance(stream, bool)
    assert refused_for != "nothing"


def test_a_chunk_on_the_wire() -> None:
    chunk = ChatChunk("Hi", "hm", "assistant", finish_reason="stop", usage=Usage(3, 2, 1), progress=Progress(3, 4))
    wire = json.loads(json.dumps(chunk_object(chunk, "id-1", "m", 7)))
    assert wire["object"] == "chat.completion.chunk"
    assert (wire["id"], wire["model"], wire["created"]) == ("id-1", "m", 7)
    (choice,) = wire["choices"]
    assert choice == {
        "index": 0,
        "delta": {"role": "assistant", "content": "Hi", "reasoning": "hm"},
        "finish_reason": "stop",
    }
    assert wire["usage"]["total_tokens"] == 5
    assert wire["usage"]["prompt_tokens_details"] == {"cached_tokens": 1}
    assert wire["prompt_progress"] == {"processed": 3, "total": 4}


def test_the_first_chunk_carries_a_content_even_if_empty_and_others_only_what_they_have() -> None:
    assert chunk_object(ChatChunk(role="assistant"), "", "", 0)["choices"][0]["delta"] == {
        "role": "assistant",
        "content": "",
    }
    assert chunk_object(ChatChunk(reasoning="x"), "", "", 0)["choices"][0]["delta"] == {"reasoning": "x"}


@given(st.lists(st.builds(ChatChunk, content=st.text(max_size=3), reasoning=st.text(max_size=3)), max_size=8))
def test_an_answer_is_its_chunks_in_order(chunks: list[ChatChunk]) -> None:
    answer = ChatAnswer.of([*chunks, ChatChunk(finish_reason="length", usage=Usage(1, 2))])
    assert answer.content == "".join(chunk.content for chunk in chunks)
    assert answer.reasoning == "".join(chunk.reasoning for chunk in chunks)
    assert (answer.finish_reason, answer.usage) == ("length", Usage(1, 2))


def test_fragments_of_tool_calls_join_by_their_index() -> None:
    fragments = [
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}},
        {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{"}},
        {"index": 0, "function": {"arguments": ":1}"}},
        {"index": 1, "function": {"arguments": "}"}},
    ]
    answer = ChatAnswer.of([ChatChunk(tool_calls=(fragment,)) for fragment in fragments])
    message = answer.as_object("id", "m", 0)["choices"][0]["message"]
    assert [(call["id"], call["function"]) for call in message["tool_calls"]] == [
        ("a", {"name": "f", "arguments": '{"x":1}'}),
        ("b", {"name": "g", "arguments": "{}"}),
    ]


def test_a_whole_answer_on_the_wire() -> None:
    wire = ChatAnswer.of([ChatChunk("Hi"), ChatChunk(finish_reason="stop")]).as_object("id", "m", 7)
    assert wire["object"] == "chat.completion"
    assert wire["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "Hi"},
        "finish_reason": "stop",
    }
    assert wire["usage"] is None


def test_what_a_page_learns_of_a_model() -> None:
    info = ModelInfo("m", "builtin", frozenset({"vision", "completion"}), 4096, 7, note="A note.")
    assert info.as_object() == {
        "id": "m",
        "object": "model",
        "owned_by": "builtin",
        "provider": "builtin",
        "capabilities": ["completion", "vision"],
        "contextLength": 4096,
        "sizeBytes": 7,
        "present": True,
        "note": "A note.",
        "memoryBytes": 0,
        "price": "",
    }
