"""The page-facing contract with the real browser and the real engine, one test per promise, in three kinds of page.

The model has random weights, so what it says is nonsense, and now and then nothing: a script returns what must hold of
any answer. What depends on the words (reasoning, tool calls, every error) is in ``tests/qt/test_llm_*.py``, against a
provider that plays a script.
"""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final

import pytest
from starlette.responses import HTMLResponse

from tests.e2e.conftest import Product, local_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from PyQt6.QtWidgets import QApplication

    from peersky.qt.driver import PageDriver

HTML: Final = "<!doctype html><meta charset=utf-8><title>An app</title><script>window.early = typeof llm;</script>"
KINDS: Final = ("peersky", "hyper", "localhost")

SAMPLES: Final = {
    "detect support": """
        if (await window.llm?.isSupported()) {
          // safe to use the API
        } else {
          alert('This experience requires the PeerSky LLM bridge.');
        }
        return true;
    """,
    "chat as a promise": """
        const messages = [
          { role: 'system', content: 'You help authors polish blog posts.' },
          { role: 'user', content: 'Improve this headline: Local-first Markdown workflows' }
        ];

        const { role, content } = await window.llm.chat({
          messages,
          temperature: 0.6,
          maxTokens: 512
        });
        return role === 'assistant' && typeof content === 'string';
    """,
    "chat as a stream": """
        document.body.append(Object.assign(document.createElement('p'), { id: 'draft' }));
        const output = document.querySelector('#draft');
        const messages = [
          { role: 'user', content: 'Generate a three paragraph summary of PeerSky.' }
        ];

        for await (const chunk of window.llm.chat({ messages })) {
          const delta = chunk?.content || '';
          output.textContent += delta;
        }
        const written = output.textContent;
        output.remove();
        return !/undefined|object/.test(written);
    """,
    "complete": """
        const tagline = await window.llm.complete('PeerSky is a browser that', {
          temperature: 0.7,
          maxTokens: 64
        });
        return typeof tagline === 'string';
    """,
    "iterate what await gives, as Agregore documents it": """
        const messages = [{ role: 'user', content: 'Hi' }];
        let text = '';
        for await (const { content } of await window.llm.chat({ messages, maxTokens: 8 })) text += content;
        return !text.includes('undefined');
    """,
}
"""The documented samples, word for word but for the last lines, which tell the test what came of them."""

ASK: Final = (
    "const messages = [{role: 'user', content: 'Hi'}]; const options = {messages, maxTokens: 8, temperature: 0};"
)
# An answer that cannot be complete after a few tokens, whatever the weights say.
LONG_FORM: Final = "{type: 'array', minItems: 60, items: {type: 'integer'}}"

PROMISES: Final = {
    "it is there before the first script": "return window.early === 'object' || !('early' in window);",
    "isSupported": "return await window.llm.isSupported() === true;",
    "model, and nothing of where its file is": """
        const {model, provider, capabilities, contextLength} = await window.llm.model();
        return /^tiny-[0-9a-f]+[.]gguf$/.test(model) && provider === 'builtin' && capabilities.includes('completion')
            && contextLength >= 512;
    """,
    "chat gives role, content, finishReason and usage": """
        const {role, content, finishReason, usage} = await window.llm.chat(options);
        return role === 'assistant' && content.length > 0 && ['stop', 'length'].includes(finishReason)
            && usage.inputTokens > 0 && usage.outputTokens > 0 && usage.outputTokens <= 8;
    """,
    "deltas have a string as content, the last finishReason and usage": """
        const deltas = [];
        for await (const delta of window.llm.chat(options)) deltas.push(delta);
        const last = deltas.at(-1);
        return deltas.length > 2 && deltas.every((d) => typeof d.content === 'string')
            && ['stop', 'length'].includes(last.finishReason) && last.usage.outputTokens > 0
            && deltas.slice(0, -1).every((d) => !d.finishReason);
    """,
    "complete iterates strings, and gives their sum": """
        const whole = await window.llm.complete('Hi', {maxTokens: 8, temperature: 0});
        const pieces = [];
        for await (const piece of window.llm.complete('Hi', {maxTokens: 8, temperature: 0})) pieces.push(piece);
        return pieces.every((p) => typeof p === 'string' && p) && pieces.join('') === whole;
    """,
    "iterating and awaiting share one generation": """
        const answer = window.llm.chat({...options, temperature: 2});
        let text = '';
        for await (const {content} of answer) text += content;
        return (await answer).content === text && (await answer) === (await answer);
    """,
    "a promise": """
        const answer = window.llm.chat(options);
        let ran = false;
        const length = await answer.finally(() => { ran = true; }).then(({content}) => content.length);
        return answer instanceof Promise && ran && length > 0;
    """,
    "content in parts": """
        const parts = [{role: 'user', content: [{type: 'text', text: 'Hi'}]}];
        return (await window.llm.chat({...options, messages: parts})).content.length > 0;
    """,
    "all roles": """
        const all = ['system', 'user', 'assistant', 'user'].map((role) => ({role, content: 'Hi'}));
        return (await window.llm.chat({...options, messages: all})).content.length > 0;
    """,
    "an image is refused by a model without eyes": """
        const pixel = 'data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=';
        const seen = [];
        for (const image_url of [pixel, {url: pixel}]) {
            const parts = [{role: 'user', content: [{type: 'image_url', image_url}]}];
            await window.llm.chat({...options, messages: parts}).catch((e) => seen.push(e.name, e.reason));
        }
        return seen.join() === 'NotSupportedError,capability_missing,NotSupportedError,capability_missing';
    """,
    "a cut answer says so": f"""
        const {{finishReason, usage}} = await window.llm.chat({{...options, responseFormat: {LONG_FORM}}});
        return finishReason === 'length' && usage.outputTokens === 8;
    """,
    "stop, as a string and as an array": """
        const whole = await window.llm.complete('Hi', {maxTokens: 32, temperature: 0});
        const [at] = whole.slice(whole.length / 2);
        for (const stop of [at, [at, '\\u0001']]) {
            const cut = await window.llm.complete('Hi', {maxTokens: 32, temperature: 0, stop});
            if (cut.includes(at) || !whole.startsWith(cut)) return [whole, at, cut];
        }
        return true;
    """,
    "seed": """
        const ask = (seed) => window.llm.complete('Hi', {maxTokens: 16, temperature: 2, seed});
        return await ask(7) === await ask(7) && await ask(7) !== await ask(8);
    """,
    "OpenAI's spellings": f"""
        const form = {{type: 'json_schema', json_schema: {{name: 'x', schema: {LONG_FORM}}}}};
        const {{usage}} = await window.llm.chat({{messages, max_tokens: 3, top_p: 0.5, response_format: form}});
        return usage.outputTokens === 3;
    """,
    "responseFormat": """
        const schema = {type: 'object', properties: {ok: {const: true}}, required: ['ok'], additionalProperties: false};
        const {content} = await window.llm.chat({messages, temperature: 0, maxTokens: 200, responseFormat: schema});
        return JSON.parse(content).ok === true;
    """,
    "wrong types are TypeErrors that name the option": """
        const wrong = {messages: 7, temperature: 'x', maxTokens: 0, stop: 7, signal: 7, tools: 7, seed: 'x', topP: 9};
        for (const [name, value] of Object.entries(wrong)) {
            const error = await window.llm.chat({...options, [name]: value}).catch((e) => e);
            if (!(error instanceof TypeError) || !error.message.includes(name)) return [name, String(error)];
        }
        return true;
    """,
    "a prompt past the context": """
        const error = await window.llm.complete('word '.repeat(4000)).catch((e) => e);
        return error instanceof QuotaExceededError && error instanceof DOMException && error.quota === 1024
            && error.requested > 4000 && error.reason === 'context_length';
    """,
    "a model that the user did not choose": """
        const error = await window.llm.chat({...options, model: 'gpt-5'}).catch((e) => e);
        return error instanceof DOMException && error.name === 'NotSupportedError'
            && error.reason === 'model_not_exposed';
    """,
    "abort": """
        const control = new AbortController();
        const answer = window.llm.chat({...options, maxTokens: 1000, signal: control.signal});
        for await (const delta of answer) { control.abort(); break; }
        const error = await answer.catch((e) => e);
        return error instanceof DOMException && error.name === 'AbortError' && typeof error.reason === 'string';
    """,
    "_llmBridge": """
        const {isSupported, modelInfo, chat, complete} = window._llmBridge;
        const {chatStream, completeStream, iteratorNext, iteratorReturn} = window._llmBridge;
        const {model, vision} = await modelInfo();
        const message = await chat(options);
        const text = await complete('Hi', {maxTokens: 8, temperature: 0});
        const ids = [await chatStream(options), await completeStream('Hi', {maxTokens: 8, temperature: 0})];
        const firsts = [(await iteratorNext(ids[0])).value.content, (await iteratorNext(ids[1])).value];
        for (const id of ids) await iteratorReturn(id);
        return await isSupported() && model.endsWith('.gguf') && vision === false && message.content.length > 0
            && typeof text === 'string' && firsts.every((first) => typeof first === 'string');
    """,
    "llm://bridge/v1": """
        const base = 'llm://bridge/v1';
        const {data: [{id}]} = await (await fetch(base + '/models')).json();
        const ask = (extra) => fetch(base + '/chat/completions', {
            method: 'POST', body: JSON.stringify({model: id, messages, max_tokens: 8, temperature: 0, ...extra})});
        const whole = await (await ask({})).json();
        const events = (await (await ask({stream: true})).text()).trim().split('\\n\\n');
        const refused = await ask({temperature: 'hot'});
        return whole.object === 'chat.completion' && whole.choices[0].message.content.length > 0
            && whole.usage.total_tokens === whole.usage.prompt_tokens + whole.usage.completion_tokens
            && events.at(-1) === 'data: [DONE]' && JSON.parse(events.at(-2).slice(6)).usage.completion_tokens > 0
            && refused.status === 400 && (await refused.json()).error.param === 'temperature';
    """,
}


class _LocalApp(BaseHTTPRequestHandler):
    """A developer's own server at ``http://localhost``."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(HTML.encode())

    def log_message(self, *_: Any) -> None:
        """Test output stays free of it."""


async def _p2p_app(scope: Any, receive: Any, send: Any) -> None:
    """What a drive or a CID would hold."""
    await HTMLResponse(HTML)(scope, receive, send)


@pytest.fixture(scope="module")
def local_port() -> Iterator[int]:
    with local_server(_LocalApp) as port:
        yield port


class Pages:
    """One page of each kind, with one engine behind them."""

    def __init__(self, product: Product, local_port: int) -> None:
        self.product = product
        product.runtime.web.serve("hyper", _p2p_app)
        self._urls = {
            "peersky": "peersky://p2p/ai-chat/",
            "hyper": "hyper://blog/",
            "localhost": f"http://localhost:{local_port}/",
            "stranger": f"http://127.0.0.1:{local_port}/",
        }
        self._open: dict[str, PageDriver] = {}

    def page(self, kind: str) -> PageDriver:
        if kind not in self._open:
            self._open[kind] = self.product.page(self._urls[kind])
        return self._open[kind]


@pytest.fixture(scope="module")
def pages(
    qt_application: QApplication, tmp_path_factory: pytest.TempPathFactory, tiny: Path, local_port: int
) -> Iterator[Pages]:
    llm = {"enabled": True, "provider": "builtin", "model": str(tiny), "contextLength": 1024}
    product = Product(tmp_path_factory.mktemp("profile"), {"llm": llm})
    yield Pages(product, local_port)
    product.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sample", SAMPLES)
def test_documented_samples_run_verbatim(pages: Pages, kind: str, sample: str) -> None:
    assert pages.page(kind).evaluate(SAMPLES[sample], 60) is True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("promise", PROMISES)
def test_contract(pages: Pages, kind: str, promise: str) -> None:
    assert pages.page(kind).evaluate(ASK + PROMISES[promise], 60) is True


def test_elsewhere_there_is_nothing(pages: Pages) -> None:
    stranger = pages.page("stranger")
    assert stranger.evaluate("return [typeof window.llm, typeof window._llmBridge, window.early];") == ["undefined"] * 3
    by_hand = "const reply = await fetch('llm://bridge/v1/status'); return (await reply.json()).error.code;"
    assert stranger.evaluate(by_hand) == "not_trusted"


def test_is_supported_starts_no_engine(product: Callable[..., Product], tiny: Path) -> None:
    one = product(tiny)
    page = one.page("peersky://p2p/ai-chat/")
    assert page.evaluate("return await window.llm.isSupported();") is True
    one.runtime.settings.change({"llm.enabled": False})
    assert page.evaluate("return await window.llm.isSupported();") is False
    refusal = "try { await window.llm.complete('Hi'); } catch (e) { return [e.name, e.reason]; }"
    assert page.evaluate(refusal) == ["NotAllowedError", "llm_disabled"]
    assert one.log("child.ready") == []


def test_the_log_tells_of_each_question_and_never_its_words(product: Callable[..., Product], tiny: Path) -> None:
    one = product(tiny)
    one.page("peersky://p2p/ai-chat/").evaluate(
        f"await window.llm.complete('Zebra', {{maxTokens: 40, responseFormat: {LONG_FORM}}});"
    )
    (entry,) = one.log("generation-end")
    assert (entry["origin"], entry["provider"], entry["outcome"]) == ("peersky://p2p", "builtin", "length")
    assert 0 < entry["first_token_ms"] <= entry["duration_ms"]
    assert entry["output_tokens"] == 40
    assert "Zebra" not in one.profile.log_file.read_text(encoding="utf-8")
