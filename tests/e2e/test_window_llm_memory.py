"""``window.llmMemory`` in the real browser: each line of its contract in three kinds of page, and the settings page."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final

import pytest
from starlette.responses import HTMLResponse

from peersky.qt.driver import wait_until
from tests.e2e.conftest import Product, local_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from PyQt6.QtWebEngineCore import QWebEngineDownloadRequest
    from PyQt6.QtWidgets import QApplication

    from peersky.qt.driver import PageDriver

HTML: Final = (
    "<!doctype html><meta charset=utf-8><title>An app</title><script>window.early = typeof llmMemory;</script>"
    "<iframe src='/frame'></iframe>"
)
# No connections at all: PeerSky's own bridge is not the page's to allow.
POLICY: Final = "default-src 'none'; script-src 'unsafe-inline'; frame-src 'self'"
KINDS: Final = ("peersky", "hyper", "localhost", "localhost-csp")

START: Final = """
    const memory = window.llmMemory;
    const entry = {appId: 'app', sessionId: 's', content: 'Hi'};
    const told = (promise) => promise.then(() => 'nothing', (e) => [e.name, e.reason, e.message]);
    await memory.clear();
"""

CONTRACT: Final[dict[str, str]] = {
    "it is there, frozen, with promises": """
        return Object.isFrozen(memory) && Object.values(memory).every((method) => typeof method === 'function')
            && [memory.isEnabled(), memory.list(), memory.listSessions()].every((one) => one instanceof Promise)
            && Object.keys(memory).join() === 'isEnabled,add,list,listSessions,clear,updateSession';
    """,
    "isEnabled": "return await memory.isEnabled() === true;",
    "add and list, with the defaults": """
        const before = Date.now();
        const {ok, reason} = await memory.add(entry);
        const [{ts, ...rest}, ...more] = await memory.list();
        return ok === true && reason === undefined && more.length === 0
            && new Date(ts).toISOString() === ts && Date.parse(ts) >= before && Date.parse(ts) <= Date.now()
            && JSON.stringify(rest) === JSON.stringify(
                {appId: 'app', sessionId: 's', role: 'user', content: 'Hi', model: '', meta: {}});
    """,
    "everything that an entry holds": """
        const whole = {appId: 'app', sessionId: 's', role: 'assistant', content: 'Grüße 🙂\\0\\u2028', model: 'm',
            ts: '2026-01-02T03:04:05.678Z', meta: {a: [1, {é: null}]}};
        await memory.add(whole);
        return JSON.stringify(await memory.list()) === JSON.stringify([whole]);
    """,
    "a Date and a number of milliseconds are times, too": """
        await memory.add({...entry, ts: new Date(1767323045678)});
        await memory.add({...entry, ts: 1767323045679});
        return (await memory.list()).map(({ts}) => ts).join() === '2026-01-02T03:04:05.678Z,2026-01-02T03:04:05.679Z';
    """,
    "what does not fit is answered, not thrown": """
        const wrong = [undefined, null, 7, 'Hi', [], {}, {...entry, appId: 'x'.repeat(65)},
            {...entry, sessionId: 'x'.repeat(65)}, {...entry, role: 'x'.repeat(17)}, {...entry, content: 7},
            {...entry, content: 'x'.repeat(100001)}, {...entry, content: 'x'.repeat(5000000)},
            {...entry, model: 'x'.repeat(129)}, {...entry, ts: 'soon'}, {...entry, meta: []}, {...entry, meta: 1n}];
        const cycle = {...entry, meta: {}};
        cycle.meta.cycle = cycle;
        for (const one of [...wrong, cycle]) {
            const answer = await memory.add(one);
            if (answer.ok !== false || answer.reason !== 'invalid_entry') return [String(one), answer];
        }
        return (await memory.list()).length === 0;
    """,
    "the longest that fits": """
        const longest = {appId: 'x'.repeat(64), sessionId: 'x'.repeat(64), role: 'x'.repeat(16),
            content: '\\u0001'.repeat(100000), model: 'x'.repeat(128)};
        const {ok} = await memory.add(longest);
        return ok && (await memory.list())[0].content === longest.content;
    """,
    "oldest first, and limit takes the last ones": """
        for (const content of ['1', '2', '3']) await memory.add({...entry, content});
        const seen = async (options) => (await memory.list(options)).map(({content}) => content).join();
        return await seen() === '1,2,3' && await seen({limit: 2}) === '2,3' && await seen({limit: 9}) === '1,2,3'
            && await seen({limit: null, appId: undefined, search: ''}) === '1,2,3'
            && await seen({limit: Infinity}) === '1,2,3';
    """,
    "list by app and session": """
        for (const [appId, sessionId] of ['a1', 'a2', 'b1'])
            await memory.add({appId, sessionId, content: appId + sessionId});
        const seen = async (options) => (await memory.list(options)).map(({content}) => content).join();
        return await seen({appId: 'a'}) === 'a1,a2' && await seen({sessionId: '1'}) === 'a1,b1'
            && await seen({appId: 'b', sessionId: '1'}) === 'b1' && await seen({appId: 'b', sessionId: '2'}) === '';
    """,
    "search is a substring, whatever the case": """
        for (const content of ['Ärger & Co?', 'plain', 'x%_*"y']) await memory.add({...entry, content});
        const seen = async (search) => (await memory.list({search})).map(({content}) => content).join();
        return await seen('ÄRGER & c') === 'Ärger & Co?' && await seen('o?') === 'Ärger & Co?'
            && await seen('LAI') === 'plain' && await seen('%_*"') === 'x%_*"y' && await seen('%') === 'x%_*"y'
            && await seen('nowhere') === '' && (await memory.list({search: 'A', limit: 1})).length === 1;
    """,
    "sessions": """
        await memory.add({...entry, role: 'system', content: 'Be kind', ts: '2026-01-01T00:00:00Z'});
        await memory.add({...entry, content: 'W'.repeat(90), ts: '2026-01-01T00:00:01Z'});
        await memory.add({...entry, role: 'assistant', content: 'A', model: 'm', ts: '2026-01-01T00:00:03Z'});
        await memory.add({...entry, sessionId: 't', content: 'Second', ts: '2026-01-01T00:00:02Z'});
        const sessions = await memory.listSessions();
        const expected = [
            {sessionId: 's', appId: 'app', title: 'W'.repeat(80), ts: '2026-01-01T00:00:03Z', model: 'm',
                messageCount: 3, pinned: false},
            {sessionId: 't', appId: 'app', title: 'Second', ts: '2026-01-01T00:00:02Z', model: '',
                messageCount: 1, pinned: false},
        ];
        return JSON.stringify(sessions) === JSON.stringify(expected)
            && (await memory.listSessions({limit: 1}))[0].sessionId === 's'
            && (await memory.listSessions({appId: 'other'})).length === 0;
    """,
    "a session is named and pinned": """
        await memory.add(entry);
        const session = {appId: 'app', sessionId: 's'};
        const answers = [await memory.updateSession(session, {title: 'Mine'}),
            await memory.updateSession(session, {pinned: true})];
        const [{title, pinned}] = await memory.listSessions();
        await memory.updateSession(session, {title: null, pinned: false});
        const [again] = await memory.listSessions();
        const missing = await memory.updateSession({...session, sessionId: 'x'}, {title: 'Mine'});
        return answers.every(({ok}) => ok === true) && title === 'Mine' && pinned === true
            && again.title === 'Hi' && again.pinned === false && missing.reason === 'no_such_session';
    """,
    "clear, where both given means that both must match": """
        const fill = async () => {
            await memory.clear({});
            for (const [appId, sessionId] of ['a1', 'a2', 'b1'])
                await memory.add({appId, sessionId, content: appId + sessionId});
        };
        const left = async (options) => {
            await fill();
            const {ok} = await memory.clear(options);
            return ok === true && (await memory.list()).map(({content}) => content).join();
        };
        return await left({appId: 'a'}) === 'b1' && await left({sessionId: '1'}) === 'a2'
            && await left({appId: 'a', sessionId: '1'}) === 'a2,b1' && await left({}) === '' && await left() === '';
    """,
    "20 at once": """
        const answers = await Promise.all(Array.from({length: 20}, (_, n) => memory.add({...entry, content: `${n}`})));
        const kept = (await memory.list()).map(({content}) => Number(content)).sort((a, b) => a - b);
        return answers.every(({ok}) => ok) && kept.length === 20 && kept.every((n, at) => n === at);
    """,
    "an entry is taken as it is at the call": """
        const changing = {...entry};
        const added = memory.add(changing);
        changing.content = 'changed';
        await added;
        return (await memory.list())[0].content === 'Hi';
    """,
    "wrong options are TypeErrors that name them": """
        const wrong = {'list limit': -1, 'list search': 7, 'list appId': {}, 'listSessions limit': '2',
            'clear sessionId': [], 'list limit ': 1.5};
        for (const [call, value] of Object.entries(wrong)) {
            const [method, name] = call.split(' ');
            const [type, reason, message] = await told(memory[method]({[name]: value}));
            if (type !== 'TypeError' || reason !== 'invalid_request' || !message.includes(name)) return [call, message];
        }
        const calls = [memory.list('x'), memory.updateSession({appId: 'app'}), memory.updateSession(), memory.clear(7),
            memory.updateSession({appId: 'app', sessionId: 's'}, 7)];
        return (await Promise.all(calls.map(told))).every(([type]) => type === 'TypeError');
    """,
    "the page cannot change what it calls": """
        const {fetch, JSON: json} = window;
        window.fetch = () => Promise.reject(new Error('no'));
        const {ok} = await memory.add(entry);
        window.fetch = fetch;
        return ok;
    """,
}


class _LocalApp(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        if self.path.startswith("/csp"):
            self.send_header("content-security-policy", POLICY)
        self.end_headers()
        self.wfile.write(HTML.encode() if self.path != "/frame" else b"<!doctype html><title>Frame</title>")

    def log_message(self, *_: Any) -> None:
        """Test output stays free of it."""


async def _p2p_app(scope: Any, receive: Any, send: Any) -> None:
    """What a drive or a CID would hold."""
    await HTMLResponse(HTML if scope["path"] != "/frame" else "<!doctype html>")(scope, receive, send)


@pytest.fixture(scope="module")
def local_port() -> Iterator[int]:
    with local_server(_LocalApp) as port:
        yield port


class Pages:
    """Pages of each kind, and the browser behind them with memory on."""

    def __init__(self, product: Product, local_port: int) -> None:
        self.product = product
        self.port = local_port
        for scheme in ("hyper", "ipfs"):
            product.runtime.web.serve(scheme, _p2p_app)
        self._urls = {
            "peersky": "peersky://p2p/ai-chat/",
            "hyper": "hyper://blog/",
            "hyper-other": "hyper://other/",
            "ipfs": "ipfs://bafy/",
            "localhost": f"http://localhost:{local_port}/",
            "localhost-csp": f"http://localhost:{local_port}/csp",
            "stranger": f"http://127.0.0.1:{local_port}/",
            "home": "peersky://home/",
        }
        self._open: dict[str, PageDriver] = {}

    def page(self, kind: str) -> PageDriver:
        if kind not in self._open:
            self._open[kind] = self.product.page(self._urls[kind])
        return self._open[kind]

    def switch(self, on: bool) -> None:
        self.product.runtime.settings.change({"llm.memoryEnabled": on})


@pytest.fixture(scope="module")
def module_pages(
    qt_application: QApplication, tmp_path_factory: pytest.TempPathFactory, local_port: int
) -> Iterator[Pages]:
    product = Product(tmp_path_factory.mktemp("profile"), {"llm": {"memoryEnabled": True}})
    yield Pages(product, local_port)
    product.close()


@pytest.fixture
def pages(module_pages: Pages) -> Pages:
    module_pages.switch(True)
    return module_pages


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("promise", CONTRACT)
def test_contract(pages: Pages, kind: str, promise: str) -> None:
    assert pages.page(kind).evaluate(START + CONTRACT[promise], 60) is True


@pytest.mark.parametrize("kind", ["hyper", "localhost", "localhost-csp"])
def test_it_is_there_before_the_first_script_and_in_frames(pages: Pages, kind: str) -> None:
    script = "return [window.early, typeof frames[0].llmMemory];"
    expected = ["object", "object"]
    assert pages.page(kind).evaluate(script) == expected


def test_elsewhere_there_is_nothing(pages: Pages) -> None:
    stranger = pages.page("stranger")
    assert stranger.evaluate("return [typeof window.llmMemory, window.early];") == ["undefined"] * 2
    by_hand = """
        const seen = [];
        for (const [path, body] of [['entries'], ['status'], ['clear', '{}'], ['entries', '{}']]) {
            const reply = await fetch(`llm://bridge/v1/memory/${path}`, body && {method: 'POST', body});
            seen.push((await reply.json()).error.code);
        }
        return seen;
    """
    assert stranger.evaluate(by_hand) == ["not_trusted"] * 4


def test_off_by_default(product: Callable[..., Product]) -> None:
    script = (
        START
        + """
        return [await memory.isEnabled(), await memory.add(entry), await memory.list(), await memory.listSessions(),
            await memory.clear(), await memory.updateSession({appId: 'app', sessionId: 's'}, {title: 'x'})];
    """
    )
    off = {"ok": False, "reason": "memory_disabled"}
    found = product().page("peersky://p2p/ai-chat/").evaluate(script)
    assert found == [False, off, [], [], {"ok": True}, off]


def test_turning_it_off_hides_and_keeps(pages: Pages) -> None:
    page = pages.page("hyper")
    page.evaluate(START + "await memory.add(entry);")
    pages.switch(False)
    state = "return [await llmMemory.isEnabled(), (await llmMemory.list()).length];"
    assert page.evaluate(state) == [False, 0]
    pages.switch(True)
    assert page.evaluate(state) == [True, 1]


def test_nobody_sees_or_clears_what_another_keeps(pages: Pages) -> None:
    kinds = ["peersky", "hyper", "hyper-other", "ipfs", "localhost", "home"]
    for kind in kinds:
        pages.page(kind).evaluate(START + f"await memory.add({{...entry, content: 'of {kind}'}});")
    seen = """
        const contents = (await llmMemory.list({search: 'of'})).map(({content}) => content);
        return [...contents, ...(await llmMemory.listSessions()).map(({title}) => title)];
    """
    for kind in kinds:
        assert pages.page(kind).evaluate(seen) == [f"of {kind}"] * 2
    # What a page says of itself by hand changes nothing.
    forged = """
        await fetch('llm://bridge/v1/memory/clear?app=ai-chat&origin=peersky://p2p', {method: 'POST', body: '{}',
            headers: {Origin: 'peersky://p2p', Referer: 'peersky://p2p/ai-chat/'}});
    """
    pages.page("hyper").evaluate(forged)
    assert [len(pages.page(kind).evaluate(seen)) for kind in kinds] == [2, 0, 2, 2, 2, 2]


def test_built_in_apps_are_kept_apart(pages: Pages) -> None:
    chat = pages.page("peersky")
    other = pages.product.page("peersky://p2p/peersky.d.ts")
    for page, name in ((chat, "chat"), (other, "other")):
        page.evaluate(START + f"await memory.add({{...entry, content: 'of {name}'}});")
    seen = "return (await llmMemory.list({appId: 'app'})).map(({content}) => content);"
    assert chat.evaluate(seen) == ["of chat"]
    assert other.evaluate(seen) == ["of other"]
    other.evaluate("history.pushState(null, '', '/ai-chat/'); await llmMemory.clear();")
    assert chat.evaluate(seen) == ["of chat"]


def test_a_full_memory_is_a_quota_exceeded_error(pages: Pages) -> None:
    pages.product.runtime.services.memory._quota_bytes = 1000
    try:
        script = (
            START
            + """
            const error = await memory.add({...entry, content: 'x'.repeat(2000)}).catch((e) => e);
            return [error instanceof DOMException, error.name, error.reason, error.quota, error.requested];
        """
        )
        assert pages.page("hyper").evaluate(script) == [True, "QuotaExceededError", "memory_full", 1000, 2202]
    finally:
        pages.product.runtime.services.memory._quota_bytes = 50_000_000


def test_it_is_there_the_next_day(qt_application: QApplication, tmp_path: Path) -> None:
    for expected in (0, 1):
        product = Product(tmp_path, {"llm": {"memoryEnabled": True}})
        page = product.page("peersky://p2p/ai-chat/")
        assert page.evaluate("return (await llmMemory.list()).length;") == expected
        page.evaluate("await llmMemory.add({appId: 'app', sessionId: 's', content: 'Hi'});")
        product.close()


# --- peersky://settings/memory


def test_the_settings_page_switches_exports_and_resets(product: Callable[..., Product], tmp_path: Path) -> None:
    one = product()
    app, page = one.page("peersky://p2p/ai-chat/"), one.page("peersky://settings/memory")
    until = """
        const until = async (condition) => {
            for (let i = 0; i < 200 && !condition(); i++) await new Promise((done) => setTimeout(done, 20));
            return condition();
        };
        const at = (id) => document.getElementById(id);
    """
    ready = "await until(() => !at('enabled').disabled);"
    first = (
        until
        + ready
        + "return [at('enabled').checked, at('kept').textContent, at('export').disabled, at('reset').disabled];"
    )
    assert page.evaluate(first) == [False, "Nothing is kept.", True, True]
    assert page.evaluate(until + "at('enabled').click(); return await until(() => at('enabled').checked);")
    wait_until(lambda: one.runtime.settings.flag("llm.memoryEnabled"), 5, "The switch did nothing.")
    assert app.evaluate("return (await llmMemory.add({appId: 'a', sessionId: 's', content: 'Grüße'})).ok;")

    downloads: list[QWebEngineDownloadRequest] = []

    def accept(request: QWebEngineDownloadRequest) -> None:
        request.setDownloadDirectory(str(tmp_path))
        request.accept()
        downloads.append(request)

    one.runtime.profile.downloadRequested.connect(accept)
    page.load("peersky://settings/memory")
    assert page.evaluate(until + ready + "const text = at('kept').textContent; at('export').click(); return text;") == (
        "1 message, 209 bytes."
    )
    wait_until(lambda: bool(downloads) and downloads[0].isFinished(), 10, "The export was not downloaded.")
    file = tmp_path / "peersky-memory.json"
    assert downloads[0].downloadFileName() == file.name
    assert json.loads(file.read_text("utf-8"))["entries"][0]["content"] == "Grüße"

    dialog = until + "at('reset').click(); const open = at('confirm').open;"
    cancel = "at('confirm').querySelector('[value=cancel]').click(); return [open, at('confirm').open];"
    assert page.evaluate(dialog + cancel) == [True, False]
    assert app.evaluate("return (await llmMemory.list()).length;") == 1
    confirmed = """
        at('confirm-reset').click();
        return [await until(() => at('kept').textContent === 'Nothing is kept.'), at('result').textContent];
    """
    assert page.evaluate(dialog + confirmed) == [True, "All conversations were deleted."]
    assert app.evaluate("return (await llmMemory.list()).length;") == 0
