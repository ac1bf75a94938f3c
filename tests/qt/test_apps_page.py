"""``peersky://apps/`` and the apps that it adds, in the real QtWebEngine: added, opened, kept in, updated, deleted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtCore import Qt

from peersky.core.origins import parse_origin
from peersky.qt.driver import wait_until
from tests.asgi.app_world import zipped
from tests.qt.pages_lab import PATIENCE_S, PagesLab, Tab

PAGE = "peersky://apps/"
NOTES = """<!doctype html><title>Notes</title><link rel=icon href=icon.svg><link rel=stylesheet href=style.css>
<script>window.inline = true</script><script src=app.js></script><script src=https://evil.example/x.js></script>
<h1>Hello</h1><a id=next href=second.html>Next</a><a id=out href=peersky://apps/>Apps</a>"""
FILES = {
    "notes/index.html": NOTES,
    "notes/second.html": "<title>Second</title>",
    "notes/app.js": "window.ran = true",
    "notes/style.css": "h1 { color: rgb(1, 2, 3) }",
    "notes/icon.svg": "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'><circle cx='4' cy='4' r='4'/></svg>",
    "notes/data/big.bin": "x" * 5_000_000,
}

# What Chromium makes of a folder that was chosen: files that know their path below it.
CHOOSE = """
    const transfer = new DataTransfer();
    for (const [path, text] of Object.entries(FILES)) {
        const file = new File([text], path.split('/').pop());
        Object.defineProperty(file, 'webkitRelativePath', {value: path});
        transfer.items.add(file);
    }
    const input = document.getElementById('folder-input');
    const files = [...transfer.files].map((file, number) => {
        Object.defineProperty(file, 'webkitRelativePath', {value: Object.keys(FILES)[number]});
        return file;
    });
    Object.defineProperty(input, 'files', {value: files, configurable: true});
    input.dispatchEvent(new Event('change'));
"""
LOOK = """
    const ask = async (url, options) => {
        try {
            const reply = await fetch(url, options);
            return reply.status;
        } catch (error) { return error.name; }
    };
    const frame = (url) => new Promise((resolve) => {
        const made = document.createElement('iframe');
        made.src = url;
        made.onload = () => {
            let text = '';
            try { text = made.contentDocument?.body?.textContent ?? ''; } catch { text = ''; }
            resolve(text.includes('Hello'));
        };
        document.body.append(made);
    });
    localStorage.setItem('kept', 'yes');
    return {
        origin: location.origin, ran: window.ran, inline: window.inline, llm: typeof window.llm?.chat,
        memory: typeof window.llmMemory?.add, colour: getComputedStyle(document.querySelector('h1')).color,
        own: await ask('data/big.bin', {headers: {Range: 'bytes=4999990-'}}),
        missing: await ask('nothing.txt'),
        types: await ask('peersky://p2p/peersky.d.ts', {mode: 'no-cors'}),
        apis: [
            await ask('peersky://apps/api/apps', {mode: 'no-cors'}), await ask('/api/apps', {method: 'POST'}),
            await ask('peersky://home/api/llm-enable', {method: 'POST', mode: 'no-cors', body: '{}'}),
        ],
        other: await ask(OTHER, {mode: 'no-cors'}),
        ownFramed: await frame('index.html'),
        web: await ask('https://evil.example/'),
    };
"""


@pytest.fixture
def lab(tmp_path: Path, world: Callable[..., Any]) -> Iterator[PagesLab]:
    lab = PagesLab(tmp_path, world)
    yield lab
    lab.close()


def opened(lab: PagesLab, **options: int) -> Tab:
    tab = lab.open(PAGE, **options)
    tab.until("document.getElementById('main').getAttribute('aria-busy') === 'false'")
    return tab


def choose(tab: Tab, files: dict[str, str]) -> None:
    tab.run(CHOOSE.replace("FILES", json.dumps(files)))


def follow(tab: Tab, selector: str, title: str) -> None:
    """Click a link, and wait until the page that it leads to has loaded."""
    ended: list[bool] = []
    tab.page.page.loadFinished.connect(ended.append)
    # Not waited for: the script's page goes.
    tab.page.page.runJavaScript(f"document.querySelector({json.dumps(selector)}).click()")
    wait_until(lambda: bool(ended), PATIENCE_S, f"{selector} leads nowhere.")
    tab.page.page.loadFinished.disconnect(ended.append)
    assert title in tab.run("return document.title")


def key(lab: PagesLab, name: str, number: int = 0) -> str:
    return f'[data-key="{lab.app_store.all()[number].id} {name}"]'


def test_a_folder_is_added_opened_kept_in_and_led_from_page_to_page(lab: PagesLab) -> None:
    tab = opened(lab, width=360)
    tab.until_text("#builtin", "AI chat")
    choose(tab, FILES)
    tab.until_text("#said", "Notes was added")
    choose(tab, {"other/index.html": "<title>Other</title>Hello"})
    tab.until_text("#said", "Other was added")
    tab.until("document.querySelector('.app img.icon').naturalWidth > 0")
    assert tab.run("return document.documentElement.scrollWidth <= innerWidth")
    notes, other = lab.app_store.all()
    assert (notes.files, notes.source) == (6, "notes")

    follow(tab, key(lab, "open"), "Notes")
    learnt = tab.run(LOOK.replace("OTHER", json.dumps(f"{other.origin}/")))
    assert learnt == {
        "origin": notes.origin,
        "ran": True,
        "inline": True,
        "llm": "function",
        "memory": "function",
        "colour": "rgb(1, 2, 3)",
        "own": 206,
        "missing": 404,
        "types": 200,
        "apis": ["TypeError", 405, "TypeError"],
        "other": "TypeError",
        "ownFramed": True,
        "web": "TypeError",
    }
    follow(tab, "#out", "This page is closed")
    tab.page.load(f"{notes.origin}/")
    follow(tab, "#next", "Second")
    tab.page.load(f"{other.origin}/")
    assert tab.run("return localStorage.getItem('kept')") is None


def test_an_app_is_pinned_published_updated_renamed_and_deleted(lab: PagesLab) -> None:
    tab = opened(lab)
    choose(tab, {"notes/index.html": "<title>Notes</title>"})
    tab.until_text("#said", "Notes was added")
    tab.click(key(lab, "pin"))
    tab.until_text("#said", "on the home page")
    home = lab.open("peersky://home/")
    home.until_text("#pinned-list", "Notes")
    tab.click(key(lab, "publish"))
    tab.click("#ask-choices .primary")
    tab.until_text("#ask-title", "Notes is published")
    app = lab.app_store.all()[0]
    assert tab.value("#url") == f"hyper://app-{app.id}/"
    assert [(to, name) for _, to, _, name in lab.publications] == [("hyper", "Notes")]
    tab.click("#ask-choices .primary")
    tab.until_text(".address", f"hyper://app-{app.id}/")

    tab.run(f"document.querySelector('{key(lab, 'more')}').click()")
    tab.click(key(lab, "rename"))
    tab.fill("#name", "Mine")
    tab.click("#ask-choices .primary")
    tab.until_text(".app h3", "Mine")
    tab.click(key(lab, "update"))
    tab.until_text("#ask-body", "It was copied from notes")
    choose(tab, {"notes/index.html": "<title>Second version</title>"})
    tab.until_text("#said", "Mine was updated")
    assert (lab.app_store.content(lab.app_store.all()[0]) / "index.html").read_text() == "<title>Second version</title>"
    tab.click(key(lab, "delete"))
    tab.until_text("#ask-body", "nothing can read it any more")
    tab.click("#ask-choices .danger")
    tab.until_text("#said", "Mine was deleted")
    assert lab.app_store.all() == []
    assert parse_origin(app.origin) in lab.forgotten
    tab.page.load(f"{app.origin}/")
    tab.until_text("h1", "There is no such app here")


def test_what_cannot_be_added_is_said_and_leaves_nothing(lab: PagesLab) -> None:
    tab = opened(lab)
    choose(tab, {"site/index.html": "x", "site/con.html": "x"})
    tab.until_text("#problem", "the name of a device on Windows")
    choose(tab, {"site/readme.txt": "x"})
    tab.until_text("#problem", "no web page")
    tab.until("document.getElementById('choose-folder').checkVisibility()")
    # A zip that was dropped, as Chromium hands it over.
    data = list(zipped({"../index.html": b"x"}))
    tab.run(
        f"const transfer = new DataTransfer(); transfer.items.add(new File([new Uint8Array({data})], 'a.zip'));"
        "const input = document.getElementById('zip-input'); input.files = transfer.files;"
        "input.dispatchEvent(new Event('change'))"
    )
    tab.until_text("#problem", "leads out of the app's folder")
    assert [path for path in lab.profile.apps_dir.rglob("*") if path.is_file()] == []


def test_a_link_with_the_keyboard_alone(lab: PagesLab) -> None:
    tab = opened(lab)
    tab.focus_view()
    tab.tab_to("e.id === 'add-link'")
    tab.key(Qt.Key.Key_Return)
    tab.until("document.activeElement.id === 'link-url'")
    tab.write("https://example.org/")
    tab.key(Qt.Key.Key_Return)
    tab.until_text("#ask-problem", "no address of a peer-to-peer site")
    tab.fill("#link-url", f"hyper://{'y' * 52}/")
    tab.fill("#link-name", "A blog")
    tab.key(Qt.Key.Key_Return)
    tab.until_text(".app h3", "A blog")
    tab.tab_to("e.dataset.key?.endsWith('/ remove')")
    tab.key(Qt.Key.Key_Return)
    tab.until("document.querySelector('.app') === null")
    assert lab.app_store.links() == []


def test_about_tells_versions_and_licences(lab: PagesLab) -> None:
    tab = lab.open("peersky://about/", width=360)
    tab.until_text("#version", "Chromium 1")
    tab.until_text("#count", "libraries come with PeerSky")
    tab.click("summary")
    tab.click(".text-link")
    tab.until("document.getElementById('licence-text').innerText.length > 500")
    assert tab.run("return document.documentElement.scrollWidth <= innerWidth")
    assert tab.page.console == []
