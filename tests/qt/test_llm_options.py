"""``window.llm`` in the real QtWebEngine: options under either spelling, wrong ones named, messages in every form."""

from __future__ import annotations

from peersky.core.chat import ChatChunk
from peersky.core.settings_schema import STARTER_TEMPERATURE
from tests.qt.llm_lab import HI, Lab, chat, error_of

SPELLINGS = [
    ("temperature: 0.6", "temperature", 0.6),
    ("maxTokens: 512", "max_tokens", 512),
    ("max_tokens: 9", "max_tokens", 9),
    ("maxTokens: 5, max_tokens: 9", "max_tokens", 5),
    ("max_tokens: 9, maxTokens: 5", "max_tokens", 5),
    ("max_completion_tokens: 3", "max_tokens", 3),
    ("stop: 'x'", "stop", ("x",)),
    ("stop: ['x', 'y']", "stop", ("x", "y")),
    ("seed: 7", "seed", 7),
    ("topP: 0.5", "top_p", 0.5),
    ("top_p: 0.5", "top_p", 0.5),
    ("think: 'low'", "think", "low"),
    ("think: false", "think", False),
    ("reasoning_effort: 'none'", "think", False),
    ("model: 'peersky-starter'", "model", "peersky-starter"),
    ("conversation: 'c'", "conversation", "c"),
    ("tools: [{type: 'function'}]", "tools", ({"type": "function"},)),
    ("toolChoice: 'auto'", "tool_choice", "auto"),
    ("tool_choice: {type: 'x'}", "tool_choice", {"type": "x"}),
    ("responseFormat: {type: 'json_object'}", "response_format", {"type": "json_object"}),
    ("response_format: {type: 'json_object'}", "response_format", {"type": "json_object"}),
    (
        "responseFormat: {type: 'object', properties: {}}",
        "response_format",
        {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object", "properties": {}}}},
    ),
    ("temperature: null, maxTokens: undefined", "temperature", STARTER_TEMPERATURE),
    ("stream: true", "max_tokens", 2048),
]

WRONG = [
    ("messages: 'Hi'", "messages"),
    ("messages: [7]", "messages"),
    ("messages: []", "messages"),
    ("messages: null", "messages"),
    ("messages: [{role: 'king', content: ''}]", "messages[0].role"),
    ("messages: [{role: 'user', content: 7}]", "messages[0].content"),
    (
        "messages: [{role: 'user', content: [{type: 'image_url', image_url: 'https://x.example/y.png'}]}]",
        "messages[0].content[0]",
    ),
    ("messages: [{role: 'user', content: 1n}]", "messages"),
    ("messages, temperature: '1'", "temperature"),
    ("messages, temperature: NaN", "temperature"),
    ("messages, temperature: 7", "temperature"),
    ("messages, maxTokens: '9'", "maxTokens"),
    ("messages, maxTokens: 0", "maxTokens"),
    ("messages, max_tokens: 0", "max_tokens"),
    ("messages, maxTokens: 1.5", "maxTokens"),
    ("messages, stop: 7", "stop"),
    ("messages, stop: [7]", "stop"),
    ("messages, topP: 'x'", "topP"),
    ("messages, topP: 2", "topP"),
    ("messages, top_p: []", "top_p"),
    ("messages, seed: 'x'", "seed"),
    ("messages, tools: {}", "tools"),
    ("messages, toolChoice: 7", "toolChoice"),
    ("messages, responseFormat: 'json'", "responseFormat"),
    ("messages, think: 'hard'", "think"),
    ("messages, model: 7", "model"),
    ("messages, signal: true", "signal"),
    ("messages, conversation: 7", "conversation"),
]


def test_options_arrive_under_either_spelling(lab: Lab) -> None:
    for option, field, expected in SPELLINGS:
        lab.run(HI + f"await {chat(f'{{messages, {option}}}')};")
        assert getattr(lab.asked, field) == expected, option
    lab.run("await window.llm.complete('Once', {maxTokens: 4, temperature: 0});")
    assert (lab.asked.max_tokens, lab.asked.temperature) == (4, 0)
    assert lab.asked.messages == ({"role": "user", "content": "Once"},)
    assert lab.page.console == []


def test_messages_arrive_as_they_are(lab: Lab) -> None:
    pixel = "data:image/png;base64,AAAA"
    lab.run(f"""
        await window.llm.chat({{messages: [
            {{role: 'system', content: 'Be brief.'}},
            {{role: 'user', content: [
                {{type: 'text', text: 'What is it?'}},
                {{type: 'image_url', image_url: {{url: '{pixel}'}}}},
                {{type: 'image_url', image_url: '{pixel}'}}]}},
            {{role: 'assistant', content: null, tool_calls: [{{id: 'c1'}}]}},
            {{role: 'tool', tool_call_id: 'c1', content: '42'}},
            {{role: 'assistant', content: '', toolCalls: [{{id: 'c2'}}]}},
            {{role: 'tool', toolCallId: 'c2', content: '43'}}]}});
    """)
    image = {"type": "image_url", "image_url": {"url": pixel}}
    assert lab.asked.messages == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, image, image]},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c1"}]},
        {"role": "tool", "content": "42", "tool_call_id": "c1"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c2"}]},
        {"role": "tool", "content": "43", "tool_call_id": "c2"},
    )


def test_an_answer_can_be_sent_back(lab: Lab) -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    lab.provider.script = [ChatChunk(tool_calls=(call,)), ChatChunk(finish_reason="tool_calls")]
    lab.run(HI + f"messages.push(await {chat()}, {{role: 'tool', content: '4', toolCallId: 'c1'}}); await {chat()};")
    assert lab.asked.messages[1]["tool_calls"][0]["function"]["arguments"] == '{"a":1}'


def test_a_megabyte_arrives(lab: Lab) -> None:
    lab.run("await window.llm.complete('ä'.repeat(3_000_000));")
    assert lab.asked.messages[0]["content"] == "ä" * 3_000_000


def test_wrong_types_are_type_errors_that_name_the_option(lab: Lab) -> None:
    for options, name in WRONG:
        script = error_of(f"await {chat(f'{{{options}}}')};", "[e instanceof TypeError, e.reason, e.message]")
        is_type_error, reason, message = lab.run(script)
        assert (is_type_error, reason) == (True, "invalid_request"), options
        assert name in message, options
    for call in ("chat()", "chat(null)", "chat('Hi')", "chat([])", "complete()", "complete(7)", "complete('x', 'y')"):
        # A promise-returning operation rejects; it does not throw.
        script = f"const p = window.llm.{call}; return await p.catch((e) => e instanceof TypeError);"
        assert lab.run(script) is True, call
    assert lab.provider.requests == []


def test_wrong_types_reject_in_iteration_too(lab: Lab) -> None:
    assert lab.run(error_of("for await (const d of llm.chat({messages: 7})) return d;", "e.message")) == (
        "The option messages must be a list of messages."
    )


def test_unknown_options_are_ignored_with_one_warning(lab: Lab) -> None:
    for _ in range(2):
        lab.run(HI + f"await {chat('{messages, topK: 3, constructor: 1, stream: true}')};")
    warnings = [line for line in lab.page.console if line.startswith("warning")]
    assert len(warnings) == 1
    assert "topK, constructor" in warnings[0]
