"""``window.llm`` in the real QtWebEngine: what its calls resolve to and iterate, and what kind of objects they are."""

from __future__ import annotations

import pytest

from peersky.core.chat import ChatChunk, Progress
from peersky.core.errors import BackendFailed
from tests.fakes.scripted_provider import END
from tests.qt.llm_lab import HELLO, HI, Case, Lab, chat

DELTAS = "const seen = []; for await (const delta of {call}) seen.push(delta); return seen;"
USAGE = {"inputTokens": 7, "outputTokens": 3}
CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a"'}}
CALL_REST = {"index": 0, "function": {"arguments": ":1}"}}

ANSWERS = [
    Case(
        "chat resolves to role and content",
        HI + f"return await {chat()};",
        {"role": "assistant", "content": "Héllo 🙂", "finishReason": "stop", "usage": USAGE},
    ),
    Case(
        "chat iterates deltas, the last with finishReason and usage",
        HI + DELTAS.format(call=chat()),
        [
            {"role": "assistant", "content": "Hé"},
            {"content": "llo 🙂"},
            {"content": "", "finishReason": "stop", "usage": USAGE},
        ],
    ),
    Case("complete resolves to a string", "return await window.llm.complete('Hi');", "Héllo 🙂"),
    Case("complete iterates strings", DELTAS.format(call="window.llm.complete('Hi')"), ["Hé", "llo 🙂"]),
    Case(
        "the answer of chat is async-iterable once",
        HI + f"let text = ''; for await (const {{content}} of await {chat()}) text += content; return text;",
        "Héllo 🙂",
    ),
    Case(
        "content is a string in every delta",
        HI + "const kinds = new Set(); for await (const d of " + chat() + ") kinds.add(typeof d.content);"
        "return [...kinds];",
        ["string"],
        [ChatChunk(role="assistant"), ChatChunk(progress=Progress(1, 2)), ChatChunk(reasoning="Hm"), *HELLO],
    ),
    Case(
        "a cut answer says so",
        HI + f"return (await {chat()}).finishReason;",
        "length",
        [ChatChunk(content="He"), ChatChunk(finish_reason="length")],
    ),
    Case(
        "a cut answer says so in the last delta",
        HI + f"let l; for await (const d of {chat()}) l = d; return l;",
        {"content": "", "finishReason": "length"},
        [ChatChunk(content="He"), ChatChunk(finish_reason="length")],
    ),
    Case(
        "reasoning in deltas",
        HI + DELTAS.format(call=chat()),
        [
            {"role": "assistant", "content": "", "reasoning": "Hm."},
            {"content": "Yes"},
            {"content": "", "finishReason": "stop", "usage": USAGE},
        ],
        [ChatChunk(reasoning="Hm."), ChatChunk(content="Yes"), END],
    ),
    Case(
        "reasoning in the answer",
        HI + f"return (await {chat()}).reasoning;",
        "Hm.",
        [ChatChunk(reasoning="H"), ChatChunk(reasoning="m."), END],
    ),
    Case(
        "progress of the prompt",
        HI + f"for await (const d of {chat()}) return d;",
        {"content": "", "progress": {"processed": 256, "total": 1024}},
        [ChatChunk(progress=Progress(256, 1024)), *HELLO],
    ),
    Case(
        "tool calls in the answer, joined; tool_calls is another name",
        HI + f"const m = await {chat()}; return [m.toolCalls, m.tool_calls === m.toolCalls, m.finishReason];",
        [[{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}], True, "tool_calls"],
        [ChatChunk(tool_calls=(CALL,)), ChatChunk(tool_calls=(CALL_REST,)), ChatChunk(finish_reason="tool_calls")],
    ),
    Case(
        "tool calls in deltas",
        HI + "const all = []; for await (const d of " + chat() + ") all.push(d.toolCalls ?? null);return all;",
        [[CALL], [CALL_REST], None],
        [ChatChunk(tool_calls=(CALL,)), ChatChunk(tool_calls=(CALL_REST,)), ChatChunk(finish_reason="tool_calls")],
    ),
    Case(
        "text that looks like the stream's own",
        HI + f"return (await {chat()}).content;",
        "data: [DONE]\n\ndata: {}\r\u2028x",
        [ChatChunk(content="data: [DONE]\n\ndata: {}\r\u2028x"), END],
    ),
    Case(
        "model",
        "return await window.llm.model();",
        {
            "model": "peersky-starter",
            "provider": "builtin",
            "local": True,
            "capabilities": ["completion"],
            "contextLength": 2048,
        },
    ),
]

OBJECT = [
    Case(
        "it is a real promise",
        HI + f"const p = {chat()}; return [p instanceof Promise, typeof p.then, typeof p.catch, typeof p.finally];",
        [True, "function", "function", "function"],
    ),
    Case("then", HI + f"return await {chat()}.then((m) => m.content.length);", 8),
    Case("catch", HI + f"return await {chat()}.catch((e) => e.reason);", "unreachable", [BackendFailed("Gone.")]),
    Case("finally", HI + f"let n = 0; await {chat()}.finally(() => {{ n += 1; }}); return n;", 1),
    Case(
        "Promise.all",
        HI + f"return (await Promise.all([{chat()}, {chat()}])).map((m) => m.content);",
        ["Héllo 🙂", "Héllo 🙂"],
    ),
    Case(
        "what then returns is a plain promise", HI + f"return {chat()}.then(() => {{}}).constructor === Promise;", True
    ),
    Case(
        "the globals are frozen",
        "'use strict'; const errors = [];"
        "for (const change of [() => { window.llm = {}; }, () => { llm.chat = null; }, () => { _llmBridge.x = 1; }])"
        " { try { change(); errors.push(null); } catch (e) { errors.push(e.name); } } return errors;",
        ["TypeError", "TypeError", "TypeError"],
    ),
    Case("they are there before the first script", "return window.early;", ["object", "object"]),
    Case(
        "nothing else is leaked",
        "const f = document.createElement('iframe'); f.sandbox = 'allow-same-origin'; f.srcdoc = ''; "
        "document.body.append(f); await new Promise((r) => { f.onload = r; });"
        "const plain = new Set(Object.getOwnPropertyNames(f.contentWindow));"
        "return Object.getOwnPropertyNames(window).filter((n) => !plain.has(n) && !/^\\d|^__peersky_/.test(n)).sort();",
        ["_llmBridge", "early", "llm", "llmMemory"],
    ),
    Case(
        "a top-level const of the name is no error",
        "const s = document.createElement('script'); s.textContent = 'const llm = window.llm; window.mine = llm;';"
        "document.head.append(s); return window.mine === window.llm;",
        True,
    ),
    Case(
        "what the page does to fetch and Promise later does not matter",
        "const {fetch, Promise: P, JSON: J, TextDecoder: T} = window; window.fetch = () => { throw 1; };"
        "window.TextDecoder = null; try { return await window.llm.complete('Hi'); }"
        "finally { Object.assign(window, {fetch, TextDecoder: T}); }",
        "Héllo 🙂",
    ),
]


@pytest.mark.parametrize("case", [*ANSWERS, *OBJECT], ids=lambda case: case.name)
def test_contract(lab: Lab, case: Case) -> None:
    if case.answer is not None:
        lab.provider.script = case.answer
    assert lab.run(case.script) == case.expected
