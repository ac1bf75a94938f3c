"""AI chat and ``<llm-history>`` in the real browser: a scripted service answers; memory, engine and nodes are real."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from PyQt6.QtCore import Qt
from starlette.requests import Request
from starlette.responses import HTMLResponse

import peersky
from peersky.qt.driver import wait_until
from peersky.web.static import file_response, find_file
from tests.e2e.conftest import Product
from tests.fakes.http_server import Hold
from tests.fakes.openai_server import OpenAIServer, delta, end
from tests.p2p.conftest import bootstrap
from tests.qt.pages_lab import Tab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PyQt6.QtWidgets import QApplication

__all__ = ["bootstrap"]

CHAT: Final = "peersky://p2p/ai-chat/"
APPS: Final = Path(peersky.__file__).parent / "assets" / "apps"
SEES: Final = {"id": "sees", "object": "model", "capabilities": ["vision"]}
COMPONENT: Final = '<script src="peersky://p2p/components/llm-history.js"></script>'
PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

ROOT: Final = "document.querySelector('llm-history').shadowRoot"


class Chat(Tab):
    """The app in a window."""

    def ask(self, text: str) -> None:
        self.until("!document.getElementById('model').hidden")
        self.fill("#prompt", text)
        self.run("document.getElementById('composer').requestSubmit()")

    def settled(self, count: int) -> None:
        """Wait until there are this many messages and none is being written."""
        self.until(f"document.querySelectorAll('.message').length === {count} && !document.querySelector('.streaming')")

    def press(self, label: str, message: str = ".message:last-child") -> None:
        found = f"[...document.querySelectorAll('{message} button')].find((b) => b.textContent === {json.dumps(label)})"
        self.until(found)
        self.run(f"({found}).click()")

    @property
    def texts(self) -> list[str]:
        return list(self.run("return [...document.querySelectorAll('.message .body')].map((b) => b.innerText.trim())"))

    @property
    def kept(self) -> list[str]:
        """The lines of the list of conversations."""
        return list(self.run(f"return [...{ROOT}.querySelectorAll('.title')].map((t) => t.textContent)"))

    def fill_search(self, text: str) -> None:
        self.run(
            f"const field = {ROOT}.querySelector('.search'); field.value = {json.dumps(text)};"
            "field.dispatchEvent(new Event('input', {bubbles: true}))"
        )

    def until_kept(self, *titles: str) -> None:
        self.until(
            f"document.querySelector('llm-history') && [...{ROOT}.querySelectorAll('.title')].map("
            f"(t) => t.textContent).join('|') === {json.dumps('|'.join(titles))}"
        )


class World:
    """A browser whose model is a script."""

    def __init__(self, folder: Path, server: OpenAIServer) -> None:
        self.server = server
        llm = {"enabled": True, "provider": "openai", "baseURL": f"{server.url}/v1", "model": "plain"}
        self.product = Product(folder, {"llm": llm})
        self._tabs: list[Tab] = []

    def chat(self, url: str = CHAT) -> Chat:
        chat = Chat(self.product.page(url), 1200, 900)
        self._tabs.append(chat)
        return chat

    def change(self, **settings: Any) -> None:
        self.product.runtime.settings.change({f"llm.{name}": value for name, value in settings.items()})

    def close(self) -> None:
        for tab in self._tabs:
            tab.view.deleteLater()
        self.product.close()


@pytest.fixture(scope="module")
def module_world(qt_application: QApplication, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with OpenAIServer(models=["plain", SEES]) as server:
        world = World(tmp_path_factory.mktemp("profile"), server)
        yield world
        world.close()


@pytest.fixture
def world(module_world: World) -> World:
    """Forgets what the last test kept and changed."""
    module_world.change(memoryEnabled=False, model="plain")
    services = module_world.product.runtime.services
    module_world.product.runtime.call(services.memory.reset()).result(10)
    module_world.server.script = ["Hel", "lo"]
    module_world.server.requests.clear()
    return module_world


@pytest.fixture
def keeping(world: World) -> Chat:
    world.change(memoryEnabled=True)
    return world.chat()


# --- conversations that are kept ------------------------------------------------------------------------------------


def test_conversations_are_kept_found_named_pinned_and_deleted_on_the_keyboard(keeping: Chat) -> None:
    keeping.ask("About bread")
    keeping.settled(2)
    keeping.click("#new")
    keeping.ask("About cheese")
    keeping.settled(2)
    keeping.until_kept("About cheese", "About bread")
    keeping.focus_view()
    keeping.run(f"{ROOT}.querySelector('.open').focus()")
    keeping.key(Qt.Key.Key_Down)
    keeping.key(Qt.Key.Key_Return)
    keeping.until("document.querySelector('.message .body').innerText === 'About bread'")
    assert keeping.texts == ["About bread", "Hello"]
    assert keeping.run(f"return {ROOT}.querySelectorAll('[aria-current]')[0].innerText").startswith("About bread")
    keeping.key(Qt.Key.Key_F2)
    keeping.until(f"{ROOT}.activeElement.matches('input')")
    keeping.write("Rye")
    keeping.key(Qt.Key.Key_Return)
    keeping.until_kept("About cheese", "Rye")
    keeping.until(f"{ROOT}.activeElement?.matches('.open')")
    keeping.key(Qt.Key.Key_Tab)
    keeping.key(Qt.Key.Key_Tab)
    keeping.until(f"{ROOT}.activeElement.textContent === 'Pin'")
    keeping.key(Qt.Key.Key_Space)
    keeping.until_kept("Rye", "About cheese")
    keeping.fill_search("CHEE")
    keeping.until_kept("About cheese")
    keeping.fill_search("hello")
    keeping.until_kept("Rye", "About cheese")
    keeping.fill_search("")
    keeping.until_kept("Rye", "About cheese")
    keeping.run(f"{ROOT}.querySelector('.open').focus()")
    keeping.key(Qt.Key.Key_Delete)
    keeping.until(f"{ROOT}.activeElement.textContent === 'Delete for good'")
    keeping.key(Qt.Key.Key_Return)
    keeping.until_kept("About cheese")
    # It was the open one: nothing of it is left on the page either.
    keeping.settled(0)


def test_versions_options_and_thoughts_come_back_from_memory(keeping: Chat, world: World) -> None:
    world.server.script = [delta({"reasoning_content": "Hm."}), "One"]
    keeping.run(
        "document.getElementById('options-open').click(); document.getElementById('system').value = 'Be brief.';"
        "document.getElementById('temperature').value = '0.3';"
        "document.getElementById('options-form').requestSubmit()"
    )
    keeping.ask("First")
    keeping.settled(2)
    world.server.script = ["Two"]
    keeping.press("Ask again")
    keeping.until("document.querySelector('.message:last-child .body').innerText.trim() === 'Two'")
    keeping.settled(2)
    sent = world.server.chats()[-1]
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "First"}]
    assert sent["temperature"] == 0.3
    keeping.press("Edit", ".message.user")
    keeping.run(
        "document.querySelector('.edit textarea').value = 'Other'; document.querySelector('.edit').requestSubmit()"
    )
    keeping.until("document.querySelector('.message.user .body')?.innerText === 'Other'")
    keeping.settled(2)
    keeping.until_kept("First")
    other = world.chat()
    other.until_kept("First")
    other.run(f"{ROOT}.querySelector('.open').click()")
    other.settled(2)
    assert other.texts == ["Other", "Two"]
    other.press("‹", ".message.user")
    other.until("document.querySelector('.message.user .body').innerText === 'First'")
    other.press("‹")
    other.until("document.querySelector('.message:last-child .body').innerText.trim() === 'One'")
    assert other.run("return document.querySelector('.thoughts').textContent") == "Hm."
    assert other.run("return document.querySelector('.thinking').open") is False
    other.press("Ask again")
    other.until("document.querySelector('.message:last-child .versions')?.textContent === '3 of 3'")
    assert world.server.chats()[-1]["messages"][0] == {"role": "system", "content": "Be brief."}


def test_a_reload_in_mid_answer_loses_nothing_and_memory_off_keeps_nothing(world: World) -> None:
    chat = world.chat()
    world.server.script = ["Half an ", Hold()]
    chat.ask("Tell me")
    chat.until("document.querySelector('.message:last-child').innerText.includes('Half an')")
    chat.page.load(CHAT)
    world.server.release("hold")
    chat.settled(2)
    assert chat.texts == ["Tell me", "Half an"]
    assert chat.run("return (await llmMemory.list()).length + localStorage.length") == 0
    chat.click("#sidebar-toggle")
    chat.until(f"{ROOT}.querySelector('a')?.href === 'peersky://settings/memory'")
    assert "stays in this tab" in chat.text("#kept-where")
    world.change(memoryEnabled=True)
    chat.run("document.dispatchEvent(new Event('visibilitychange'))")
    chat.until("document.getElementById('kept-where').hidden")
    world.server.script = ["Whole"]
    chat.ask("Again")
    chat.settled(4)
    chat.until_kept("Tell me")
    assert [entry["content"] for entry in chat.run("return llmMemory.list()")] == [
        "Tell me",
        "Half an ",
        "Again",
        "Whole",
    ]


# --- what is written, and what comes of it --------------------------------------------------------------------------


def test_pictures_go_to_a_model_that_sees(world: World) -> None:
    drop = f"""
        const bytes = Uint8Array.from(atob('{PIXEL}'), (char) => char.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], 'one.png', {{type: 'image/png'}}));
        const target = document.getElementById('prompt');
        const paste = new ClipboardEvent('paste', {{clipboardData: transfer, bubbles: true, cancelable: true}});
        if (KIND === 'paste') target.dispatchEvent(paste);
        else document.dispatchEvent(new DragEvent('drop', {{dataTransfer: transfer, bubbles: true, cancelable: true}}));
    """
    blind = world.chat()
    blind.until("!document.getElementById('model').hidden")
    blind.run(drop.replace("KIND", "'paste'"))
    blind.until_text("#notice", "does not see pictures")
    world.change(model="sees")
    chat = world.chat()
    chat.until("document.getElementById('attach').checkVisibility()")
    for kind in ("paste", "drop"):
        chat.run(drop.replace("KIND", f"'{kind}'"))
    chat.until("document.querySelectorAll('#attachments img').length === 2")
    chat.run("document.querySelector('#attachments button').click()")
    chat.ask("What is it?")
    chat.settled(2)
    picture, text = world.server.chats()[-1]["messages"][0]["content"]
    assert picture["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert text == {"type": "text", "text": "What is it?"}
    assert chat.run("return document.querySelectorAll('.message.user img').length") == 1


HOSTILE: Final = {
    "script": "<script>window.hacked = 1</script>",
    "onerror": "<img src=x onerror='window.hacked = 1'><svg onload='window.hacked = 1'>",
    "nested": "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;<img src=1 onerror=window.hacked=1>'>",
    "links": "[a](javascript:window.hacked=1) [b](JaVaScRiPt&colon;window.hacked=1) <javascript:window.hacked=1>",
    "data": "[c](data:text/html,x) [d](vbscript:x) [e](blob:x) [f](file:///etc/passwd) [g](view-source:x)",
    "pictures": "![x](SERVER/pixel.png) ![y][z]\n\n[z]: SERVER/other.png\n",
    "style": "<style>body{display:none}</style><link rel=stylesheet href=SERVER/a.css><p style='position:fixed'>x</p>",
    "frame": "<iframe src='SERVER/frame'></iframe><object data='SERVER/o'></object>",
    "form": "<form action='SERVER/f'><input name=a><button>Send</button></form>",
    "maths": "$\\href{javascript:window.hacked=1}{x} \\includegraphics{SERVER/m.png} \\htmlData{a=b}{c}$",
    "endless maths": "$$\\def\\a{\\a\\a}\\a$$",
    "code": '```html\n<script>window.hacked = 1</script>\n```\n\n```"><img/src=x/onerror=window.hacked=1>\nx\n```',
    "direction": "abc\u202egnp.exe \u2066hidden\u2069 \x1b[2J\x1b]0;title\x07 end",
    "deep": "> " * 3000 + "x\n" + "- " * 3000,
    "broken": "**[`<a href=\n\n|||\n|-|\n```\n$$",
    "one line": "*a[" * 33_334,
}


def test_hostile_answers_do_nothing(world: World) -> None:
    chat = world.chat()
    for count, (name, text) in enumerate(HOSTILE.items(), 1):
        answer = text.replace("SERVER", world.server.url)
        world.server.script = [answer[at : at + 3000] for at in range(0, len(answer), 3000)]
        chat.ask(name)
        chat.settled(2 * count)
    assert chat.run("return window.hacked === undefined")
    forbidden = (
        "script, img, iframe, object, form:not(.composer), input, style, link, [onerror], [onload], [href^='java']"
    )
    assert chat.run(f"return document.querySelectorAll({json.dumps(f'#log :is({forbidden})')}).length") == 0
    links = set(chat.run("return [...document.querySelectorAll('#log .body a[href]')].map((a) => a.protocol)"))
    assert links <= {"http:"}
    assert {request.path for request in world.server.requests} <= {"/v1/chat/completions", "/v1/models"}
    said = chat.run("return document.getElementById('log').innerText")
    assert not set("\u202e\u2066\x1b\x07") & set(said)
    assert "abcgnp.exe hidden end" in said
    assert len(chat.texts[-1]) >= 100_000
    assert not [line for line in chat.page.console if "Content Security Policy" in line or "TypeError" in line]
    assert chat.run("return getComputedStyle(document.body).display") == "grid"


def test_code_is_coloured_and_maths_are_set(world: World) -> None:
    world.server.script = ["```js\nconst a = 1;\n```\n\nIt is $x^2$."]
    chat = world.chat()
    chat.ask("Show me")
    chat.until("document.querySelector('.hljs-keyword')?.textContent === 'const' && document.querySelector('.katex')")
    assert chat.run("return document.querySelector('.maths-set math').textContent").startswith("x2")
    assert chat.run("return [...document.fonts].length > 0")


def test_errors_say_what_to_do(world: World) -> None:
    world.server.models[:], models = [], list(world.server.models)
    try:
        chat = world.chat()
        chat.fill("#prompt", "Hello")
        chat.until("!document.getElementById('send').disabled")
        chat.run("document.getElementById('composer').requestSubmit()")
        chat.settled(2)
        assert chat.text("#log .problem")
        assert chat.run("return document.querySelector('#log .row a').href") == "peersky://settings/llm"
    finally:
        world.server.models[:] = models
    world.server.script = ["Fine"]
    chat.press("Try again")
    chat.until("document.querySelector('.message:last-child .body').innerText.trim() === 'Fine'")
    assert world.server.chats()[-1]["messages"] == [{"role": "user", "content": "Hello"}]


# --- export and publishing ------------------------------------------------------------------------------------------

ANSWER: Final = (
    "**Bold** $x^2$ <script>window.hacked = 1</script>\n\n```js\nlet a;\n```\n\n![p](https://evil.example/p.png)"
)


def test_a_conversation_is_saved_and_printed(world: World) -> None:
    world.server.script = [ANSWER, *end("length")]
    chat = world.chat()
    chat.ask("Show <b>me</b>")
    chat.settled(2)
    chat.run(
        "window.saved = {}; HTMLAnchorElement.prototype.click = function () {"
        " fetch(this.href).catch(() => 0); window.saved[this.download] = window.blob; };"
        "const make = URL.createObjectURL; URL.createObjectURL = (blob) => { window.blob = blob; return make(blob); };"
        "document.getElementById('share-open').click(); document.getElementById('share-name').value = 'My talk';"
        "document.getElementById('save-markdown').click(); document.getElementById('save-html').click()"
    )
    chat.until("Object.keys(window.saved).length === 2")
    markdown, html = chat.run("return Promise.all(['my-talk.md', 'my-talk.html'].map((n) => window.saved[n].text()))")
    assert markdown.startswith(f"# My talk\n\n## You\n\nShow <b>me</b>\n\n## Answer (plain)\n\n{ANSWER}")
    assert "(cut at its longest length)" in markdown
    assert "<strong>Bold</strong>" in html
    assert "Show &lt;b&gt;me&lt;/b&gt;" in html
    assert "<math" in html
    assert "hljs-keyword" in html
    assert not any(part in html for part in ("<script", "<img", "style=", "target="))
    printed: list[str] = []
    chat.page.page.printRequested.connect(lambda: printed.append(chat.page.page.title()))
    chat.run("document.getElementById('print').click()")
    wait_until(lambda: bool(printed), 10, "Nothing was printed.")
    assert printed == ["My talk"]


def test_a_conversation_is_published_to_hyper_and_ipfs(
    qt_application: QApplication, tmp_path: Path, bootstrap: list[str]
) -> None:
    with OpenAIServer(models=["plain"]) as server:
        server.script = [ANSWER]
        llm = {"enabled": True, "provider": "openai", "baseURL": f"{server.url}/v1", "model": "plain"}
        p2p = {"listen": "loopback", "lookupSeconds": 5, "hyper.bootstrap": bootstrap}
        product = Product(tmp_path / "profile", {"llm": llm, "p2p": p2p})
        chat = Chat(product.page(CHAT), 1000, 900)
        try:
            chat.ask("Publish this")
            chat.settled(2)
            chat.click("#share-open")
            addresses = []
            for to in ("hyper", "ipfs", "hyper"):
                chat.run(f"document.querySelector('[value={to}]').click()")
                chat.run("document.getElementById('published').hidden = true")
                chat.click("#publish")
                wait_until(
                    lambda: bool(chat.run("return !document.getElementById('published').hidden")), 60, "Not published."
                )
                assert chat.run("return document.querySelectorAll('#published-qr svg path').length") == 1
                addresses.append(str(chat.run("return document.getElementById('published-link').href")))
            assert addresses[0] == addresses[2]
            for url in addresses[:2]:
                page = product.page(url)
                assert page.evaluate("return document.title") == "Publish this"
                assert "Bold" in page.evaluate("return document.querySelector('article.assistant').innerText")
                assert page.evaluate("return [typeof window.hacked, document.scripts.length]") == ["undefined", 0]
                assert not page.console
        finally:
            chat.view.deleteLater()
            product.close()


# --- <llm-history> in other pages -----------------------------------------------------------------------------------

OTHER: Final = f"""<!doctype html><meta charset=utf-8><title>Notes</title>{COMPONENT}
<llm-history app-id=notes limit=2></llm-history>"""
FILL: Final = """
    await llmMemory.clear();
    const add = (sessionId, content, n) => llmMemory.add({appId: 'notes', sessionId, content, ts: 1000 * n});
    await add('a', 'First note', 1);
    await add('b', '<img src=x onerror=window.hacked=1>\\u202e', 2);
    await add('b', 'More of b', 3);
    await add('c', 'Third', 4);
    await llmMemory.add({appId: 'other', sessionId: 'd', content: 'Not ours'});
    window.told = [];
    const list = document.querySelector('llm-history');
    for (const type of ['select-session', 'select-entry', 'session-deleted'])
      document.addEventListener(type, ({detail}) => told.push([type, detail.sessionId, detail.entries?.length ?? 0]));
    await list.refresh();
    const root = list.shadowRoot;
    const titles = () => [...root.querySelectorAll('.title')].map((title) => title.textContent);
"""
USE: Final = """
    const settle = async (count) => { while (told.length < count) await new Promise((done) => setTimeout(done, 10)); };
    const first = titles();
    root.querySelectorAll('.open')[1].click();
    await settle(1);
    list.setAttribute('mode', 'entries');
    await list.refresh();
    const entries = titles();
    root.querySelector('.open').click();
    await settle(2);
    list.setAttribute('mode', 'sessions');
    list.setAttribute('readonly', '');
    await list.refresh();
    const readonly = root.querySelectorAll('.tools').length;
    return {first, entries, told, readonly, hacked: typeof window.hacked};
"""


def _use(page: Any) -> None:
    found = page.evaluate(FILL + USE)
    assert found == {
        "first": ["Third", "<img src=x onerror=window.hacked=1>\u202e"],
        "entries": ["Third", "More of b"],
        "told": [["select-session", "b", 2], ["select-entry", "c", 1]],
        "readonly": 0,
        "hacked": "undefined",
    }
    assert not page.console


def test_llm_history_in_a_hyper_page_and_in_an_imported_app(world: World) -> None:
    world.change(memoryEnabled=True)

    async def drive(scope: Any, receive: Any, send: Any) -> None:
        await HTMLResponse(OTHER)(scope, receive, send)

    product = world.product
    product.runtime.web.serve("hyper", drive)
    _use(product.page("hyper://notes/"))
    store = product.runtime.services.app_store
    incoming = store.begin()
    with zipfile.ZipFile(incoming.zip_file, "w") as archive:
        archive.writestr("index.html", OTHER)
    incoming.unpack()
    app = store.install(incoming, "Notes")
    page = product.page(f"{app.origin}/")
    _use(page)
    # Off: nothing is shown, and the way to turn it on is one that every trusted page may go.
    world.change(memoryEnabled=False)
    script = """
        const list = document.querySelector('llm-history');
        await list.refresh();
        const link = list.shadowRoot.querySelector('a');
        return [list.shadowRoot.querySelectorAll('li').length, new URL(link.href).pathname];
    """
    assert product.page("hyper://notes/").evaluate(script) == [0, "/llm"]


def test_the_app_works_where_it_is_published_with_a_memory_of_its_own(world: World) -> None:
    world.change(memoryEnabled=True)

    async def drive(scope: Any, receive: Any, send: Any) -> None:
        file = find_file(APPS, scope["path"])
        assert file, scope["path"]
        await file_response(Request(scope, receive), file)(scope, receive, send)

    world.product.runtime.web.serve("hyper", drive)
    chat = world.chat("hyper://somebody/ai-chat/")
    world.server.script = ["`code` $x$"]
    chat.ask("From a drive")
    chat.settled(2)
    chat.until_kept("From a drive")
    chat.until("document.querySelector('.katex')")
    assert not chat.page.console
    own = world.chat()
    shown = ROOT.replace(".shadowRoot", "?.shadowRoot")
    own.until(f"{shown}?.querySelector('p')?.textContent === 'Nothing is kept yet.'")


# --- the real engine ------------------------------------------------------------------------------------------------


def test_a_conversation_with_the_real_engine(product: Callable[..., Product], tiny: Path) -> None:
    chat = Chat(product(tiny, contextLength=1024, maxTokens=12, memoryEnabled=True).page(CHAT), 1000, 900)
    try:
        chat.ask("Hello")
        chat.settled(2)
        assert "on this computer" in chat.text("#model")
        assert "was cut" in chat.text(".message:last-child")
        before = chat.run("return document.querySelector('.message:last-child .body').textContent.length")
        chat.press("Continue")
        chat.settled(2)
        after = chat.run("return document.querySelector('.message:last-child .body').textContent.length")
        assert after > before
        chat.until_kept("Hello")
    finally:
        chat.view.deleteLater()
