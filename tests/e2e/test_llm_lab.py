"""The Playground in the real browser: every example runs, with a model that answers as scripted and a real P2P node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import Product
from tests.fakes.openai_server import OpenAIServer, Step, delta, end

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PyQt6.QtWidgets import QApplication

    from peersky.qt.driver import PageDriver

LAB = "peersky://p2p/llm-lab/"
RUN = """
    const {promise, resolve} = Promise.withResolvers();
    const ended = () => { if (document.getElementById('stop').hidden) resolve(); };
    const watch = new MutationObserver(ended);
    watch.observe(document.getElementById('stop'), {attributes: true});
    document.getElementById('run').click();
    await promise;
    watch.disconnect();
    const shown = document.querySelector('#frame iframe').contentDocument;
    return {
      state: document.getElementById('state').textContent,
      text: shown.getElementById('out').innerText,
      problems: [...shown.querySelectorAll('.error')].map((one) => one.textContent),
    };
"""
CHOOSE = """
    const {promise, resolve} = Promise.withResolvers();
    if (location.hash === ID) resolve();
    else addEventListener('hashchange', resolve, {once: true});
    location.hash = ID;
    await promise;
"""

# What stands in the result of an example, beside that it ended without an error.
SAYS = {
    "is-supported": ["Yes: ask it something."],
    "model": ["gpt-x by openai"],
    "chat": ["Hello", '"inputTokens": 7'],
    "chat-stream": ["Hello", '"finishReason": "stop"'],
    "one-answer": ["The same answer, asked once."],
    "stop": ["Left the loop", "AbortError (aborted)"],
    "json": ['"tags": ['],
    "tools": ['It calls time_in({"city":"Lisbon"})', "It is 9:41."],
    "reasoning": ["It thought: Seven times thirteen.", "No."],
    "errors": ["TypeError (invalid_request)", "NotSupportedError (model_not_exposed)"],
    "by-hand": ["data: [DONE]", "400"],
    "embeddings": ["0: 2 numbers"],
    "llm-bridge": ['"model": "gpt-x"', "Hello"],
    "memory": ["Memory is on.", '"content": "What is a drive?"'],
    "memory-sessions": ['"title": "About drives"'],
    "memory-wrong": ['"invalid_entry"', "TypeError (invalid_request)"],
    "hyper-drive": ["201 Created", "Hello, peers!", "The same drive again."],
    "hyper-folder": ['"look/"', "<h1>Hello</h1>"],
    "hyper-range": ["bytes 2-5/26", "cdef", "0123456789", "abcdefghijklmnopqrstuvwxyz"],
    "hyper-delete": ["404"],
    "hyper-messages": ["Said it: 200"],
    "upload-large": ["100 %", "201", "second"],
    "p2p-errors": ["404: ", "400: "],
    "ipfs-file": ["Hello, for ever."],
    "ipfs-folder": ['"today.txt"', '"tomorrow.txt"'],
    "ipfs-read": ["26", "206", "xyz"],
    "ipns": ["First version", "Second version"],
    "ipns-names": ["404"],
}


def answer(body: dict[str, Any]) -> list[Step]:
    """As a model that can do all that the examples ask for."""
    if "tools" in body:
        results = [message["content"] for message in body["messages"] if message["role"] == "tool"]
        if results:
            return [results[0]]
        called = {"name": "time_in", "arguments": '{"city":"Lisbon"}'}
        call = {"index": 0, "id": "call-1", "type": "function", "function": called}
        return [delta({"tool_calls": [call]}), *end("tool_calls")]
    if "response_format" in body:
        return ['{"name": "Clouds", "tags": ["sky"]}']
    if "prime" in str(body["messages"]):
        return [delta({"reasoning_content": "Seven times thirteen."}), "No."]
    return ["Hel", "lo"]


@pytest.fixture
def lab(qt_application: QApplication, tmp_path: Path) -> Iterator[PageDriver]:
    with OpenAIServer() as server:
        server.script = answer
        llm = {"enabled": True, "provider": "openai", "baseURL": f"{server.url}/v1", "model": "gpt-x"}
        product = Product(tmp_path / "profile", {"llm": {**llm, "memoryEnabled": True}})
        yield product.page(LAB)
        product.close()


def choose(page: PageDriver, example: str) -> None:
    page.evaluate(CHOOSE.replace("ID", json.dumps(f"#{example}")))


def write(page: PageDriver, code: str) -> None:
    """Type code in the place of what stands there."""
    page.evaluate(
        "const code = document.getElementById('code').shadowRoot.querySelector('.cm-content');"
        "code.focus(); document.execCommand('selectAll');"
        f"document.execCommand('insertText', false, {json.dumps(code)});"
    )


def test_every_example_runs(lab: PageDriver) -> None:
    examples = lab.evaluate("return [...document.querySelectorAll('nav a')].map((link) => link.hash.slice(1))")
    assert SAYS.keys() <= set(examples)
    for example in examples:
        choose(lab, example)
        result = lab.evaluate(RUN)
        assert result["problems"] == [], (example, result)
        assert result["state"].startswith("Ended after "), (example, result)
        for text in SAYS.get(example, ()):
            assert text in result["text"], (example, result["text"])
    assert lab.console == []


def test_code_is_changed_run_stopped_and_kept_in_the_tab(lab: PageDriver) -> None:
    """What runs is what was typed, when somebody says so; an address brings no code along."""
    write(lab, "const question = 1;\nnone();")
    result = lab.evaluate(RUN)
    assert result["problems"] == ["ReferenceError: none is not defined Line 2."]
    assert result["state"].startswith("Failed after ")
    write(lab, "this is no code")
    assert lab.evaluate(RUN)["problems"][0].startswith("SyntaxError")

    write(lab, "show(typeof window.llm.chat, top === parent);\nawait new Promise(() => {});")
    lab.evaluate(
        """
        document.getElementById('run').click();
        const frame = document.querySelector('#frame iframe');
        await new Promise((resolve) => { frame.onload = resolve; });
        const out = frame.contentDocument.getElementById('out');
        if (!out.textContent) {
          await new Promise((resolve) => {
            new MutationObserver(() => out.children.length > 1 && resolve()).observe(out, {childList: true});
          });
        }
        """
    )
    stopped = lab.evaluate(
        "document.getElementById('stop').click();"
        "return [document.querySelectorAll('iframe').length, document.getElementById('state').textContent]"
    )
    assert stopped == [0, "Stopped: what it had started has ended."]

    lab.load(f"{LAB}?code=show(1)#show(1)")
    assert lab.evaluate("return [document.querySelectorAll('iframe').length, document.title]") == [
        0,
        "Is there a model? · Playground",
    ]
    assert "Promise(() => {})" in lab.evaluate(
        "return document.getElementById('code').shadowRoot.querySelector('.cm-content').innerText"
    )
    lab.evaluate("document.getElementById('reset').click()")
    assert lab.evaluate(RUN)["text"] == "Yes: ask it something."
