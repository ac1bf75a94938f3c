"""The editor in the real QtWebEngine: from a description to a published page, with what small models really answer."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtCore import Qt

from peersky.qt.driver import wait_until
from tests.fakes.http_server import Abort, Hold
from tests.fakes.openai_server import delta
from tests.qt.editor_lab import MODEL, EditorLab, answer, code, copy_site, generate
from tests.qt.pages_lab import PATIENCE_S


@pytest.fixture
def lab(tmp_path: Path, world: Callable[..., Any]) -> Iterator[EditorLab]:
    lab = EditorLab(tmp_path, world)
    yield lab
    lab.close()


def test_describe_accept_undo_publish_and_publish_again(lab: EditorLab) -> None:
    tab = lab.open()
    tab.until_text("#welcome", "What should your page be?")
    chatter = answer("chatter")
    lab.answers = [[*chatter[:6], Hold("middle"), *chatter[6:]], answer("css-chatter"), answer("js-none")]
    tab.fill("#wish", "Bread")
    tab.click("#generate")
    # It can be watched, and nothing can be accepted yet.
    tab.until_text("#proposal-state", "Writing HTML")
    assert tab.run("return document.getElementById('accept').disabled && document.getElementById('publish').disabled")
    lab.server.release("middle")
    tab.until_text("#proposal-state", "The model changes 2 files.")
    assert tab.focused == "accept"
    assert code(tab, "html") == ""
    tab.click("#accept")
    tab.until("!document.getElementById('proposal').checkVisibility()")
    assert '<link rel="stylesheet" href="style.css">' in code(tab, "html")
    assert code(tab, "css").startswith("h1, h2 {")
    assert tab.value("#name") == "Bread"

    tab.until_text("#undo", "Undo “Bread”")
    tab.click("#undo")
    assert (code(tab, "html"), code(tab, "css")) == ("", "")
    tab.click("#redo")
    assert "<h1>Bread</h1>" in code(tab, "html")

    tab.click("#publish")
    assert tab.value("#drive") == "bread"
    lab.p2p.refusal = (507, "The disk is full.")
    tab.click("#publish-go")
    tab.until_text("#publish-problem", "The disk is full.")
    tab.click("#publish-go")
    tab.until_text("#published", "It is published")
    root = tab.text("#published-link")
    assert sorted(lab.p2p.sites[root]) == ["index.html", "style.css"]
    assert lab.p2p.calls[-1][2] == {"publication-app": "Editor", "publication-model": MODEL}
    assert tab.run("return document.querySelector('#qr path').getAttribute('d').length > 1000")
    tab.click("#publish-close")

    # The next version: what the model leaves as it is stays, the address too.
    lab.answers = [['{"title": "Bread", "files": ["style.css"]}'], ["```css\nh1 { color: navy; }\n```"]]
    generate(tab, "Make the heading blue")
    tab.until_text("#proposal-files", "style.css")
    tab.click("#accept")
    assert lab.server.chats()[-2]["response_format"]["type"] == "json_schema"
    tab.click("#publish")
    tab.click("#publish-go")
    tab.until_text("#publish-state", "Published.")
    assert tab.text("#published-link") == root
    assert lab.p2p.sites[root]["style.css"] == b"h1 { color: navy; }\n"
    tab.click("#publish-form [value=ipfs]")
    tab.click("#publish-go")
    tab.until("document.getElementById('published-link').textContent.startsWith('ipfs://')")
    assert tab.page.console == []


def test_what_small_models_do_wrong(lab: EditorLab) -> None:
    tab = lab.open(width=320)
    assert tab.run("return document.documentElement.scrollWidth <= innerWidth")
    # No page, twice.
    lab.answers = [answer("talk"), answer("talk")]
    generate(tab, "Bread")
    tab.until_text("#problem", "The model wrote no HTML. It said: “I'm sorry")
    assert not tab.run("return document.getElementById('proposal').checkVisibility()")
    # Round in circles: stopped at the server too, and what is there can be kept.
    lab.answers = [[*answer("loop"), Hold("for ever")]]
    generate(tab, "Bread")
    tab.until_text("#proposal-notes", "The model repeated itself in index.html")
    # Going on from there, with the fence opened again and the last line once more.
    lab.answers = [["```html\n<li>Rye</li>\n</ul>\n</body>\n</html>\n```"], ["a { }"]]
    tab.click("#go-on")
    tab.until_text("#proposal-state", "The model changes 2 files.")
    tab.click("#reject")
    assert code(tab, "html") == ""
    # Everything in one file.
    lab.answers = [answer("all-in-one")]
    generate(tab, "Bread")
    tab.click("#accept")
    tab.click("#tab-css")
    assert "sienna" in code(tab, "css")
    assert tab.run("return document.documentElement.scrollWidth <= innerWidth")
    # Cut at its longest, and the service breaks down in the middle: words, and the part that is whole.
    lab.answers = [['{"files": ["script.js"]}'], ["```js\nlet a;\n", delta({}, "length")], ["let b;\n```"]]
    generate(tab, "Add a script")
    tab.until_text("#proposal-state", "The model changes")
    tab.click("#accept")
    tab.click("#tab-js")
    assert code(tab, "js") == "let a;\nlet b;\n"
    lab.answers = [['{"files": ["style.css"]}'], ["```css\nb { }\nc {", Abort]]
    generate(tab, "More")
    tab.until("document.getElementById('problem').checkVisibility()")
    tab.until_text("#proposal-notes", "style.css stops in the middle.")
    lab.answers = [[" color: red; }\n```"]]
    tab.click("#go-on")
    tab.until_text("#proposal-state", "The model changes one file.")
    tab.click("#accept")
    tab.click("#tab-css")
    assert code(tab, "css") == "b { }\nc { color: red; }\n"


def test_stop(lab: EditorLab) -> None:
    tab = lab.open()
    lab.answers = [[*answer("clean")[:3], Hold("never")]]
    tab.fill("#wish", "Bread")
    tab.click("#generate")
    tab.until_text("#proposal-state", "Writing HTML")
    tab.focus_view()
    tab.key(Qt.Key.Key_Escape)
    tab.until_text("#proposal-state", "This much was written before it ended: one file.")
    assert not tab.run("return document.getElementById('problem').checkVisibility()")
    tab.click("#reject")
    assert (tab.value("#wish"), code(tab, "html")) == ("Bread", "")


def test_a_draft_survives_a_crash_and_belongs_to_one_tab(lab: EditorLab) -> None:
    tab = lab.open()
    tab.focus_view()
    tab.key(Qt.Key.Key_F2)
    tab.until("document.activeElement.id === 'code-html'")
    tab.write("hello")
    tab.until("document.getElementById('saved').textContent === 'Draft saved'")
    # The other tab gets a page of its own, not this one.
    other = lab.open()
    assert code(other, "html") == ""
    died: list[object] = []
    tab.page.page.renderProcessTerminated.connect(lambda *_: died.append(True))
    os.kill(tab.page.page.renderProcessPid(), signal.SIGKILL)
    wait_until(lambda: bool(died), PATIENCE_S, "The page did not crash.")
    again = lab.open()
    assert code(again, "html") == "hello"


def test_a_site_is_opened_as_a_copy_with_its_pictures_and_pages(lab: EditorLab) -> None:
    tab = lab.open()
    tab.click("#open")
    tab.fill("#address", "https://example.com/")
    tab.click("#copy")
    tab.until_text("#copy-state", "hyper://, ipfs:// or ipns://")
    tab.fill("#address", f"hyper://{'y' * 52}/")
    tab.click("#copy")
    tab.until_text("#copy-state", "No peer had it in time.")
    tab.click("#open-dialog .actions button")
    page = "<title>A site</title><img src=a.png><a href=about.html>About</a>"
    copy_site(tab, lab.site(index_html=page, about_html="<h1>About</h1>", a_png="no picture"))
    assert code(tab, "html") == page
    tab.click("#files")
    tab.until_text("#file-list", "a.png (10 bytes)")
    tab.click("[aria-label='Edit about.html']")
    assert code(tab, "html") == "<h1>About</h1>"
    assert tab.run("return document.getElementById('file-html').value") == "about.html"
