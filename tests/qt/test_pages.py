"""The internal pages and AI chat in the real QtWebEngine, over a real bridge and a provider that answers as told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtWebEngineWidgets import QWebEngineView
from starlette.responses import HTMLResponse

import peersky
from peersky.core.chat import ChatChunk, ChatRequest, Progress
from peersky.core.errors import BackendFailed, ContextExceeded
from peersky.core.settings_schema import STARTER_MODEL
from peersky.qt.driver import wait_until
from tests.fakes.scripted_provider import END, USAGE, Hold, Step
from tests.qt.pages_lab import PagesLab

ASSETS = Path(peersky.__file__).parent / "assets"
CUT = ChatChunk(finish_reason="length", usage=USAGE)
ON = {"llm.enabled": True, "llm.provider": "builtin"}
NAMES = ["home/", "settings/", "settings/llm", "logs/", "p2p/"]
CHAT = "peersky://p2p/ai-chat/"
LAST = "document.querySelector('.message:last-child')"


class Lab:
    """The real apps and one page."""

    def __init__(self, folder: Path, world: Callable[..., Any]) -> None:
        self.parts = PagesLab(folder, world, hyper=_chat_published)
        self.settings, self.provider, self.world = self.parts.settings, self.parts.builtin, self.parts.world
        self.page = self.world.page()
        self.view = QWebEngineView()
        self.view.setPage(self.page.page)
        self.view.resize(800, 700)
        self.view.show()

    def open(self, url: str) -> None:
        self.page.load(url)

    def run(self, script: str) -> Any:
        return self.page.evaluate(script, timeout_s=20)

    def until(self, condition: str) -> None:
        """Wait until an expression is true in the page."""
        wait_until(lambda: bool(self.run(f"return Boolean({condition})")), 10, f"This did not become true: {condition}")

    def follow(self, selector: str, url: str) -> None:
        """Click a link and wait until the page it leads to is there."""
        self.until(f"document.querySelector({json.dumps(selector)})?.checkVisibility()")
        page = self.page.page
        # Not by `run`: its answer would go away with the page.
        page.runJavaScript(f"document.querySelector({json.dumps(selector)}).click()")
        wait_until(lambda: page.url().toString() == url and not page.isLoading(), 10, f"The page is not at {url}.")

    def text(self, selector: str) -> str:
        return str(self.run(f"return document.querySelector({json.dumps(selector)}).innerText"))

    def click(self, selector: str) -> None:
        self.until(f"document.querySelector({json.dumps(selector)})?.checkVisibility()")
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def press(self, label: str) -> None:
        """Press the button of the last message that has this label."""
        found = f"[...{LAST}.querySelectorAll('button')].find((b) => b.textContent === {json.dumps(label)})"
        self.until(found)
        self.run(f"({found}).click()")

    def type(self, text: str) -> None:
        self.until("!document.getElementById('unsupported').checkVisibility()")
        self.run(
            f"prompt.value = {json.dumps(text)}; prompt.dispatchEvent(new Event('input', {{bubbles: true}}));".replace(
                "prompt", "document.getElementById('prompt')"
            )
        )

    def key(self, key: str, **options: bool) -> None:
        event = json.dumps({"key": key, "bubbles": True, "cancelable": True, **options})
        self.run(f"document.getElementById('prompt').dispatchEvent(new KeyboardEvent('keydown', {event}))")

    def ask(self, text: str) -> None:
        self.type(text)
        self.key("Enter")

    def settled(self, count: int) -> None:
        """Wait until there are this many messages and none is being written."""
        self.until(f"document.querySelectorAll('.message').length === {count} && !document.querySelector('.streaming')")

    def sent(self) -> list[tuple[str, Any]]:
        """Role and content of what the model was asked last."""
        return [(message["role"], message["content"]) for message in self.provider.requests[-1].messages]


async def _chat_published(scope: Any, receive: Any, send: Any) -> None:
    """The app's folder as somebody's site."""
    name = scope["path"].removeprefix("/ai-chat/") or "index.html"
    types = {
        ".css": "text/css",
        ".js": "text/javascript",
        ".svg": "image/svg+xml",
        ".html": "text/html",
        ".woff2": "font/woff2",
    }
    file = ASSETS / "apps" / "ai-chat" / name
    content = file.read_bytes()
    response = HTMLResponse(content, headers={"content-type": f"{types[file.suffix]}; charset=utf-8"})
    await response(scope, receive, send)


@pytest.fixture
def lab(tmp_path: Path, world: Callable[..., Any]) -> Iterator[Lab]:
    lab = Lab(tmp_path, world)
    yield lab
    lab.view.deleteLater()
    lab.parts.close()


@pytest.fixture
def chat(lab: Lab) -> Lab:
    lab.settings.change(ON)
    lab.open(CHAT)
    return lab


# --- home and settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["peersky://home/", "peersky://settings/", "peersky://settings/llm", "peersky://logs/", "peersky://p2p/", CHAT],
)
def test_pages_load_without_a_complaint_and_fit_narrow_windows(lab: Lab, url: str) -> None:
    lab.open(url)
    assert lab.page.console == []
    assert lab.run("return document.styleSheets.length") >= 2
    for width in (2560, 320):
        lab.view.resize(width, 700)
        lab.until(f"innerWidth === {width}")
        assert lab.run("return document.documentElement.scrollWidth") <= width
    assert lab.run("return document.querySelectorAll('main').length") == 1
    unnamed = (
        "return [...document.querySelectorAll('input, textarea, select, button')]"
        ".filter((e) => !e.labels?.length && !e.ariaLabel && !e.textContent.trim()).length"
    )
    assert lab.run(unnamed) == 0


def test_home_turns_local_ai_on_with_one_click(lab: Lab) -> None:
    lab.open("peersky://home/")
    lab.until("document.getElementById('ai-state').textContent === 'Off'")
    assert "small demonstration" in lab.text("#ai-note")
    lab.click("#ai-enable")
    lab.until("document.getElementById('ai-state').textContent === 'On'")
    assert lab.text("#ai-text") == f"{STARTER_MODEL} answers on this computer."
    assert lab.settings.flag("llm.enabled")
    lab.follow("#ai-chat", CHAT)
    lab.until("document.getElementById('model').checkVisibility()")
    assert lab.text("#model") == "Starter model, a demonstration · on this computer"


@pytest.mark.fault("Engine given up: the page has a sentence and a button")
@pytest.mark.parametrize(
    ("url", "button", "place"),
    [("peersky://home/", "#ai-restart", "#ai-text"), ("peersky://settings/llm", "#restart", "#state")],
)
def test_a_crashed_engine_is_started_again_with_a_button(lab: Lab, url: str, button: str, place: str) -> None:
    lab.settings.change(ON)
    lab.provider.now = ("crash_loop", "The engine ended three times.")
    lab.open(url)
    lab.click(button)
    lab.until(f"!document.querySelector('{button}').checkVisibility()")
    assert "answers on this computer" in lab.text(place)
    assert lab.provider.now[0] == "stopped"


def test_general_settings_are_generated_and_stored(lab: Lab) -> None:
    lab.open("peersky://settings/")
    lab.until("document.getElementById('browser-colorScheme')")
    lab.run(
        "document.getElementById('browser-colorScheme').value = 'dark';document.getElementById('form').requestSubmit()"
    )
    lab.until("document.getElementById('result').textContent === 'Saved.'")
    assert lab.settings.text("browser.colorScheme") == "dark"
    lab.run("document.getElementById('form').requestSubmit()")
    lab.until("document.getElementById('result').textContent === 'Nothing was changed.'")


# --- AI chat --------------------------------------------------------------------------------------------------------


def test_chat_shows_an_answer_while_it_is_written(chat: Lab) -> None:
    hold = Hold()
    reading = ChatChunk(progress=Progress(1, 4))
    chat.provider.script = [reading, ChatChunk(reasoning="Hm."), ChatChunk(content="Once **upon**"), hold, END]
    chat.ask("Tell me")
    chat.until(f"{LAST}.querySelector('strong')?.textContent === 'upon'")
    assert chat.run(f"return {LAST}.querySelector('.thoughts').textContent") == "Hm."
    assert chat.run("return document.getElementById('stop').checkVisibility()")
    assert chat.text("#announce") == "The model is answering."
    chat.world.services.call(_release(hold)).result(5)
    chat.settled(2)
    assert chat.text("#announce") == "Once **upon**"
    assert chat.sent() == [("user", "Tell me")]
    assert chat.run("return document.getElementById('log').getAttribute('aria-live')") == "off"


async def _release(hold: Hold) -> None:
    hold.released.set()


def test_enter_sends_and_shift_enter_does_not(chat: Lab) -> None:
    chat.type("first")
    chat.key("Enter", shiftKey=True)
    chat.key("Enter", isComposing=True)
    assert chat.run("return document.querySelectorAll('.message').length") == 0
    chat.key("Enter")
    chat.settled(2)
    chat.ask("   ")
    assert chat.run("return document.querySelectorAll('.message').length") == 2


def test_escape_stops_the_answer_at_the_back_end(chat: Lab) -> None:
    chat.provider.script = [ChatChunk(content="Half of "), Hold()]
    chat.ask("Tell me")
    chat.until(f"{LAST}.textContent.includes('Half of')")
    chat.key("Escape")
    chat.settled(2)
    assert "You stopped this answer." in chat.text(".message:last-child")
    wait_until(lambda: chat.provider.open == 0, 5, "The provider still writes.")
    chat.provider.script = [ChatChunk(content="More"), END]
    chat.ask("Go on")
    chat.settled(4)
    assert chat.sent() == [("user", "Tell me"), ("assistant", "Half of "), ("user", "Go on")]


def test_a_cut_answer_says_so_and_can_be_continued(chat: Lab) -> None:
    chat.provider.script = [ChatChunk(content="One, two"), CUT]
    chat.ask("Count")
    chat.settled(2)
    assert "was cut" in chat.text(".message:last-child")
    chat.provider.script = [ChatChunk(content=", three"), END]
    chat.press("Continue")
    chat.until(f"{LAST}.querySelector('.body').textContent.trim() === 'One, two, three'")
    chat.settled(2)
    assert "was cut" not in chat.text(".message:last-child")
    assert [role for role, _ in chat.sent()] == ["user", "assistant", "user"]
    assert chat.sent()[1] == ("assistant", "One, two")


def test_an_error_is_shown_and_never_told_to_the_model(chat: Lab) -> None:
    chat.provider.script = [BackendFailed("The model died; ask again.", reason="interrupted")]
    chat.ask("First")
    chat.settled(2)
    assert chat.text(".problem") == "The model died; ask again."
    assert chat.run("return document.querySelector('.problem').getAttribute('role')") == "alert"
    chat.provider.script = [ChatChunk(content="Fine"), END]
    chat.press("Try again")
    chat.settled(2)
    assert chat.sent() == [("user", "First")]
    chat.provider.script = [BackendFailed("The model died; ask again.", reason="interrupted")]
    chat.ask("Second")
    chat.settled(4)
    chat.provider.script = [ChatChunk(content="Good"), END]
    chat.ask("Third")
    chat.settled(6)
    # Two questions in a row are one message: chat templates insist on turns.
    assert chat.sent() == [("user", "First"), ("assistant", "Fine"), ("user", "Second\n\nThird")]


def test_a_conversation_that_is_too_long_can_go_on_without_its_past(chat: Lab) -> None:
    def answer(request: ChatRequest) -> list[Step]:
        if len(request.messages) > 1:
            return [ContextExceeded("The conversation is too long.", requested=3000, quota=2048)]
        return [ChatChunk(content="Short"), END]

    chat.provider.script = answer
    chat.ask("First")
    chat.settled(2)
    chat.ask("Second")
    chat.settled(4)
    assert chat.text(".problem") == "The conversation is too long."
    chat.press("Ask without the earlier messages")
    chat.settled(4)
    assert chat.sent() == [("user", "Second")]
    assert chat.run("return document.querySelectorAll('#log .problem').length") == 0


def test_markdown_of_the_model_is_harmless(chat: Lab) -> None:
    chat.provider.script = [
        ChatChunk(
            content="<script>window.hacked = 1</script><img src=x onerror='window.hacked=1'>\n\n"
            "![p](https://evil.example/p.png) [a](javascript:window.hacked=1) [b](data:text/html,x) [c](/x)\n\n"
            "[good](https://example.org/ 'title') [hyper](hyper://abc/)\n\n"
            "```js\n<b>code</b>\n```\n\n| a | b |\n|---|---|\n| 1 | <i onclick=x>2</i> |\n\n- [x] done"
        ),
        END,
    ]
    chat.ask("Attack")
    chat.settled(2)
    body = f"{LAST}.querySelector('.body')"
    assert chat.run("return window.hacked === undefined")
    forbidden = "script, img, iframe, i, b, style, input, form, svg, [onclick], [onerror], [style], [id]"
    assert chat.run(f"return {body}.querySelectorAll({json.dumps(forbidden)}).length") == 0
    links = chat.run(f"return [...{body}.querySelectorAll('a')].map((a) => [a.getAttribute('href'), a.rel, a.target])")
    safe = ["noopener noreferrer", "_blank"]
    assert links == [
        ["https://evil.example/p.png", *safe],
        [None, *safe],
        [None, *safe],
        [None, *safe],
        ["https://example.org/", *safe],
        ["hyper://abc/", *safe],
    ]
    assert chat.run(f"return {body}.querySelector('pre').innerText.trim()") == "<b>code</b>"
    assert chat.run(f"return {body}.querySelector('.code-head span').textContent") == "js"
    # Nothing was even tried that the policy had to stop.
    assert not [line for line in chat.page.console if "Content Security Policy" in line]


def test_complete_blocks_stay_as_they_are_while_more_is_written(chat: Lab) -> None:
    hold, second = Hold(), Hold()
    chat.provider.script = [ChatChunk(content="First block.\n\nSec"), hold, ChatChunk(content="ond, see [x]"), second]
    chat.provider.script += [ChatChunk(content=" there.\n\n[x]: https://example.org/\n"), END]
    chat.ask("Two")
    chat.until(f"{LAST}.querySelectorAll('p').length >= 2 && {LAST}.textContent.includes('Sec')")
    chat.run(f"window.first = {LAST}.querySelector('.body p')")
    chat.world.services.call(_release(hold)).result(5)
    chat.until(f"{LAST}.textContent.includes('Second')")
    assert chat.run(f"return {LAST}.querySelector('.body p') === window.first")
    chat.world.services.call(_release(second)).result(5)
    chat.settled(2)
    # A link whose address came after it is one in the end.
    assert chat.run(f"return {LAST}.querySelector('.body a').href") == "https://example.org/"


def test_a_reload_keeps_the_conversation_and_nothing_else_does(chat: Lab) -> None:
    chat.ask("Hello?")
    chat.settled(2)
    chat.provider.script = [ChatChunk(content="Never en"), Hold()]
    chat.ask("Endless")
    chat.until(f"{LAST}.textContent.includes('Never en')")
    chat.open(CHAT)
    chat.settled(4)
    wait_until(lambda: chat.provider.open == 0, 5, "The provider still writes.")
    assert "You stopped this answer." in chat.text(".message:last-child")
    assert chat.run("return localStorage.length") == 0
    other = chat.world.page(CHAT)
    assert other.evaluate("return document.querySelectorAll('.message').length") == 0
    chat.click("#new")
    assert chat.run("return sessionStorage.length") == 0
    assert chat.run("return document.querySelectorAll('.message').length") == 0
    assert chat.run("return document.getElementById('welcome').checkVisibility()")


def test_new_chat_stops_the_answer(chat: Lab) -> None:
    chat.provider.script = [ChatChunk(content="Never en"), Hold()]
    chat.ask("Endless")
    chat.until(f"{LAST}.textContent.includes('Never en')")
    chat.click("#new")
    wait_until(lambda: chat.provider.open == 0, 5, "The provider still writes.")
    chat.provider.script = [ChatChunk(content="Fresh"), END]
    chat.ask("Next")
    chat.settled(2)
    assert chat.sent() == [("user", "Next")]


def test_the_end_stays_in_sight_unless_the_reader_scrolled_up(chat: Lab) -> None:
    hold = Hold()
    lines = "\n\n".join(f"Line {number}" for number in range(80))
    chat.provider.script = [ChatChunk(content=lines), hold, ChatChunk(content=f"\n\n{lines}"), END]
    chat.ask("Long")
    box = "document.getElementById('scroller')"
    at_end = f"{box}.scrollHeight - {box}.scrollTop - {box}.clientHeight < 5"
    chat.until(f"{box}.scrollHeight > 2 * {box}.clientHeight && {at_end}")
    chat.run(f"{box}.scrollTop = 0")
    chat.until("document.getElementById('latest').checkVisibility()")
    chat.world.services.call(_release(hold)).result(5)
    chat.settled(2)
    assert chat.run(f"return {box}.scrollTop") == 0
    chat.click("#latest")
    chat.until(at_end)


def test_without_a_model_the_chat_says_where_to_get_one(lab: Lab) -> None:
    lab.open(CHAT)
    lab.until("document.getElementById('unsupported').checkVisibility()")
    assert lab.run("return document.getElementById('unsupported-link').href") == "peersky://settings/llm"
    assert lab.run("return document.getElementById('send').disabled")


def test_the_app_works_where_it_is_published(lab: Lab) -> None:
    lab.settings.change(ON)
    lab.open("hyper://somebody/ai-chat/")
    lab.ask("Hello?")
    lab.settled(2)
    assert "Hello" in lab.text(".message:last-child .body")
    assert not [line for line in lab.page.console if "Refused" in line or "Error" in line]
    lab.settings.change({"llm.enabled": False})
    lab.open("hyper://somebody/ai-chat/")
    lab.follow("#unsupported-link", "peersky://settings/llm")
