"""Tricks on the page's own side: tampered built-ins, openers and messages, races, and downloads with names of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from peersky.qt.downloads import accept
from peersky.qt.driver import wait_until
from peersky.web.page_template import PAGES
from tests.e2e.trust.conftest import successes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PyQt6.QtWebEngineCore import QWebEngineDownloadRequest

    from tests.e2e.trust.conftest import Fortress

pytestmark = pytest.mark.attack("Tricks on the page's own side")

# What the injected scripts, and whoever writes such scripts, would ask; and what carries their requests and answers.
TAMPER = """
    const lie = (object, name, value) => {
      try { Object.defineProperty(object, name, {configurable: true, get: () => value}); } catch { /* not to be had */ }
    };
    lie(self, 'origin', 'peersky://settings');
    lie(location, 'ancestorOrigins', []);
    lie(Location.prototype, 'protocol', 'peersky:');
    lie(URL.prototype, 'origin', 'peersky://settings');
    lie(document, 'URL', 'peersky://settings/');
    lie(document, 'referrer', 'peersky://settings/');
    for (const name of ['includes', 'some', 'every', 'indexOf']) Array.prototype[name] = () => true;
    for (const name of ['startsWith', 'endsWith', 'includes']) String.prototype[name] = () => true;
    RegExp.prototype.test = () => true;
    Set.prototype.has = Map.prototype.has = () => true;
    Object.is = () => true;
    const steal = (thing) => { (self.stolen ??= []).push(typeof thing); return thing; };
    const then = Promise.prototype.then;
    Promise.prototype.then = function (...given) { steal(this); return then.apply(this, given); };
    const next = Object.getPrototypeOf([][Symbol.iterator]()).next;
    Object.getPrototypeOf([][Symbol.iterator]()).next = function () { return steal(next.call(this)); };
    const set = Headers.prototype.set;
    Headers.prototype.set = function (name, value) { steal(value); return set.call(this, name, value); };
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_tampered_built_ins_open_nothing(fortress: Fortress, when: str) -> None:
    """Before: in the page's first script, and in a frame that its parent reaches before the injected scripts do.

    The browser tells who asks; no object of the page is asked.
    """
    with fortress.siege() as seen:
        if when == "before":
            url = fortress.sites.serving("evil.example", f"<script>{TAMPER}</script><script>ATTACKS</script>")
            page = fortress.page(url)
        else:
            page = fortress.page(fortress.sites.url("evil.example"))
            page.page.runJavaScript(f"{{{TAMPER}}}")
        learnt = page.evaluate("return {...await tryModel(), ...await tryApis()}", 60)
        assert successes(learnt) == {}
        framed = page.evaluate(
            f"""
            const source = await (await fetch('/attacks.js')).text();
            const frame = document.createElement('iframe');
            document.body.append(frame);
            frame.contentWindow.eval({json.dumps(f"{{{TAMPER}}}")} + source);
            return {{llm: typeof frame.contentWindow.llm, learnt: await frame.contentWindow.tryModel()}};
            """,
            60,
        )
    assert framed["llm"] == "undefined"
    assert successes(framed["learnt"]) == {}
    assert {str(request.asker.origin) for request in seen} == {fortress.sites.url("evil.example").rstrip("/")}


def test_a_tampered_trusted_page_gets_its_own_rights_and_no_secret(fortress: Fortress) -> None:
    """Who tampers with a page that has the model (a script that got into it) sees what the page sees, and no more."""
    page = fortress.page("hyper://drive/")
    page.page.runJavaScript(f"{{{TAMPER} Promise.prototype.then = then;}}")
    with fortress.siege(*fortress.friends):
        learnt = page.evaluate("return await tryApis()", 60)
        assert successes(learnt) == {}
        header = "return [...(await fetch('llm://bridge/v1/status')).headers].map(String).join()"
        assert fortress.runtime.web._interceptor._secret not in str(page.evaluate(header))


OPENED = "hyper://drive/"


def test_an_opener_has_no_hold_on_the_trusted_page_that_it_opens(fortress: Fortress) -> None:
    page = fortress.page(fortress.sites.url("evil.example"))
    with fortress.siege(*fortress.friends):
        page.evaluate(f"self.opened = open('{OPENED}', 'target')")
        window = fortress.windows[0]
        wait_until(lambda: window.page.title() == "site", 10, "The page did not open.")
        tried = page.evaluate(
            """
            const told = {};
            const attempts = {
              read: () => opened.document.body, llm: () => opened.llm, bridge: () => opened._llmBridge,
              fetch: () => opened.fetch('llm://bridge/v1/status'), run: () => opened.eval('1'),
              add: () => { opened.llm = 1; }, frames: () => opened.frames[0].llm,
            };
            for (const [name, attempt] of Object.entries(attempts)) {
              try { told[name] = String(attempt()); } catch (error) { told[name] = error.name; }
            }
            for (const data of ['llm', {type: 'chat'}, {method: 'POST', url: 'llm://bridge/v1/chat/completions'}]) {
              opened.postMessage(data, '*');
            }
            return told;
            """
        )
    frames = tried.pop("frames")
    assert set(tried.values()) == {"SecurityError"}
    assert frames in ("TypeError", "SecurityError")
    # Sent elsewhere by its opener, the window has the rights of where it is.
    with fortress.siege():
        page.evaluate(f"opened.location = {json.dumps(fortress.sites.url('other.example'))}")
        wait_until(lambda: window.page.url().host() == "other.example", 10, "The window did not go.")
        assert window.evaluate("return typeof llm") == "undefined"
        assert successes(window.evaluate("return await tryModel()")) == {}


RACES = {
    "keepalive": "post('llm://bridge/v1/chat/completions', QUESTION, {}, {keepalive: true}); location.href = TARGET",
    "going": "location.href = TARGET; for (let n = 0; n < 50; n += 1) request('llm://bridge/v1/status')",
    "hidden": """
        for (const event of ['beforeunload', 'pagehide', 'unload', 'visibilitychange']) {
          addEventListener(event, () => post('llm://bridge/v1/chat/completions', QUESTION, {}, {keepalive: true}));
        }
        location.href = TARGET
    """,
    "there and back": """
        location.href = TARGET;
        setTimeout(() => { stop(); request('llm://bridge/v1/status'); }, 5);
        for (let n = 0; n < 50; n += 1) setTimeout(() => request('llm://bridge/v1/models'), n)
    """,
}


@pytest.mark.parametrize("race", RACES)
def test_a_request_is_its_senders_whatever_page_comes_next(fortress: Fortress, race: str) -> None:
    """The tab shows a trusted page when the request is looked at; the one that sent it was not."""
    hostile = fortress.sites.url("evil.example")
    for target in ("hyper://drive/", fortress.sites.url("localhost")):
        page = fortress.page(hostile)
        with fortress.siege(*fortress.friends) as seen:
            page.page.runJavaScript(f"{{const TARGET = {json.dumps(target)}; {RACES[race]}}}")
            wait_until(lambda: not page.page.isLoading(), 10, "The tab did not come to rest.")  # noqa: B023
            fortress.settle()
        assert {request.status for request in seen if request.scheme == "llm"} <= {403}


def test_no_internal_page_is_framed_or_popped_up(fortress: Fortress) -> None:
    """Every one that there is, by a hostile site and by a P2P page."""
    pages = [f"peersky://{page.host}{page.path}" for page in PAGES]
    for outsider in (fortress.sites.url("evil.example"), "hyper://drive/"):
        page = fortress.page(outsider)
        with fortress.siege():
            page.evaluate(f"for (const url of {json.dumps(pages)}) openFrames(url)")
            fortress.settle()
            page.evaluate("await new Promise((done) => { setTimeout(done, 300); })")
            inside = page.evaluate("return lookIntoFrames()")
            assert len(inside) == 3 * len(pages)
            assert not [text for text in inside if "main" in text or "PeerSky" in text]
        opened = page.evaluate(
            f"""
            const seen = [];
            for (const url of {json.dumps([url for url in pages if url != "peersky://settings/llm"])}) {{
              const window = open(url, '_blank');
              try {{ seen.push(window?.document?.title ?? ''); }} catch (error) {{ seen.push(error.name); }}
            }}
            return seen;
            """
        )
        assert set(opened) <= {"", "SecurityError"}
        fortress.settle()
        for window in fortress.windows:
            wait_until(lambda: not window.page.isLoading(), 10, "A window did not come to rest.")  # noqa: B023
            assert not window.evaluate("return document.querySelector('script[src*=\"/home.js\"], #general') !== null")


@pytest.fixture
def downloads(fortress: Fortress, tmp_path: Path) -> Iterator[list[QWebEngineDownloadRequest]]:
    """Downloads as the window takes them, into a folder beside a file of the profile."""
    taken: list[QWebEngineDownloadRequest] = []

    def take(request: QWebEngineDownloadRequest) -> None:
        taken.append(request)
        accept(request, tmp_path / "profile" / "downloads", lambda _name: "")

    before = fortress.runtime.profile.downloadPath()
    fortress.runtime.profile.setDownloadPath(str(tmp_path / "profile" / "downloads"))
    fortress.runtime.profile.downloadRequested.connect(take)
    yield taken
    fortress.runtime.profile.downloadRequested.disconnect(take)
    fortress.runtime.profile.setDownloadPath(before)


NAMES = [
    "../settings.json",
    "..\\settings.json",
    "ABSOLUTE/settings.json",
    "%2e%2e%2fsettings.json",
    ".bashrc",
    "a\0b",
    "settings.json",
]


def test_a_download_overwrites_nothing_and_leaves_its_folder_by_no_name(
    fortress: Fortress, downloads: list[Any], tmp_path: Path
) -> None:
    folder = tmp_path / "profile" / "downloads"
    folder.mkdir(parents=True)
    kept = [folder.parent / "settings.json", folder / "settings.json", folder / "secrets.json"]
    for file in kept:
        file.write_text("mine")
    for site in (fortress.sites.url("evil.example"), "hyper://drive/"):
        for name in NAMES:
            page = fortress.page(site)
            count = len(downloads)
            page.page.runJavaScript(
                f"""{{
                const link = document.createElement('a');
                link.download = {json.dumps(name.replace("ABSOLUTE", str(folder.parent)))};
                link.href = URL.createObjectURL(new Blob(['hostile']));
                document.body.append(link);
                link.click();
                }}"""
            )
            wait_until(lambda: len(downloads) > count and downloads[-1].isFinished(), 10, f"{name} was not saved.")  # noqa: B023
    assert [file.read_text() for file in kept] == ["mine"] * 3
    assert sorted(file.name for file in folder.parent.iterdir()) == ["downloads", "settings.json"]
    for request in downloads:
        file = Path(request.downloadDirectory()) / request.downloadFileName()
        assert file.parent == folder
        assert not file.name.startswith(".")
        assert file.resolve().parent == folder.resolve()
