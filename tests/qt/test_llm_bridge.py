"""``window._llmBridge``, which apps shipped with PeerSky use, and ``llm://bridge/v1`` called by hand from a page."""

from __future__ import annotations

import pytest

from tests.qt.llm_lab import HI, Case, Lab, error_of

STREAM = """
    const seen = [];
    for (;;) {
        const {done, value} = await _llmBridge.iteratorNext(id);
        if (done) break;
        seen.push(value.content ?? value);
    }
    await _llmBridge.iteratorReturn(id);
    return seen;
"""

BRIDGE = [
    Case("isSupported", "return await _llmBridge.isSupported();", True),
    Case("modelInfo", "return await _llmBridge.modelInfo();", {"model": "peersky-starter", "vision": False}),
    Case("chat", HI + "return (await _llmBridge.chat({messages})).content;", "Héllo 🙂"),
    Case("complete", "return await _llmBridge.complete('Hi', {maxTokens: 3});", "Héllo 🙂"),
    Case("complete as PeerSky's apps call it", "return await _llmBridge.complete({prompt: 'Hi'});", "Héllo 🙂"),
    Case("an id", HI + "return typeof await _llmBridge.chatStream({messages});", "number"),
    Case("chatStream", HI + "const id = await _llmBridge.chatStream({messages});" + STREAM, ["Hé", "llo 🙂", ""]),
    Case("completeStream", "const id = await _llmBridge.completeStream('Hi', {seed: 1});" + STREAM, ["Hé", "llo 🙂"]),
    Case(
        "two streams",
        """
            const a = await _llmBridge.completeStream('Hi');
            const b = await _llmBridge.completeStream('Hi');
            return [a !== b, (await _llmBridge.iteratorNext(b)).value, (await _llmBridge.iteratorNext(a)).value];
        """,
        [True, "Hé", "Hé"],
    ),
    Case("an unknown id", error_of("await _llmBridge.iteratorNext(99);", "e.name"), "TypeError"),
    Case(
        "a returned id",
        error_of(
            "const id = await _llmBridge.chatStream({messages}); await _llmBridge.iteratorReturn(id);"
            "await _llmBridge.iteratorNext(id);",
            "e.name",
        ),
        "TypeError",
    ),
    Case(
        "errors",
        error_of("await _llmBridge.iteratorNext(await _llmBridge.chatStream({messages: 1}));", "e.message"),
        "The option messages must be a list of messages.",
    ),
]


@pytest.mark.parametrize("case", BRIDGE, ids=lambda case: case.name)
def test_llm_bridge(lab: Lab, case: Case) -> None:
    assert lab.run(case.script) == case.expected


def test_vision_is_told(lab: Lab) -> None:
    lab.settings.change({"llm.model": "other"})
    assert lab.run("return await _llmBridge.modelInfo();") == {"model": "other", "vision": True}


def test_llm_bridge_v1_by_hand(lab: Lab) -> None:
    """What an OpenAI client library does in a page."""
    script = """
        const body = {model: 'peersky-starter', messages: [{role: 'user', content: 'Hi'}], temperature: 9};
        const reply = await fetch('llm://bridge/v1/chat/completions', {
            method: 'POST',
            headers: {'Content-Type': 'application/json', Authorization: 'Bearer none'},
            body: JSON.stringify(body),
        });
        return [reply.ok, reply.status, reply.headers.get('content-type'), (await reply.json()).error.param];
    """
    assert lab.run(script) == [False, 400, "application/json", "temperature"]
    good = script.replace("temperature: 9", "stream: true").replace("(await reply.json()).error.param", "reply.url")
    url = "llm://bridge/v1/chat/completions"
    assert lab.run(good) == [True, 200, "text/event-stream; charset=utf-8", url]
