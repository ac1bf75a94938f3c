"""fetch() at the P2P schemes in the real browser: bodies of every kind arrive whole, statuses and headers are true."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import QCoreApplication, QEvent
from PyQt6.QtWebEngineCore import QWebEnginePage

from peersky.core.trust import Policy
from peersky.qt.driver import PageDriver, ScriptFailed, wait_until
from peersky.qt.profile import WebProfile
from peersky.qt.service_thread import ServiceThread
from tests.qt.echo_app import FILE, EchoApp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.qt.conftest import World

DRIVE = f"hyper://{'y' * 52}"
OTHER = f"hyper://{'b' * 52}"
CID = "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
MB = 1 << 20


@pytest.fixture
def echo() -> EchoApp:
    return EchoApp()


@pytest.fixture
def page(world: Callable[..., World], echo: EchoApp) -> PageDriver:
    return world(hyper=echo, ipfs=echo, ipns=echo).page(f"{DRIVE}/")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("target", [DRIVE, OTHER, CID, "ipns://docs.ipfs.tech"])
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_writes_say_their_true_status(page: PageDriver, target: str, method: str) -> None:
    script = f"""
        const found = [];
        for (const code of [201, 403, 404, 409, 504, 507]) {{
          const r = await fetch('{target}/status/' + code, {{method: '{method}', body: 'x'}});
          found.push([r.status, r.ok, (await r.json()).code, r.headers.get('x-case')]);
        }}
        return found;
    """
    assert page.evaluate(script) == [[code, code == 201, code, "AbC %20"] for code in (201, 403, 404, 409, 504, 507)]


BODIES = {
    "string": ("'grüße'", "grüße".encode(), "text/plain;charset=UTF-8"),
    "empty": ("''", b"", "text/plain;charset=UTF-8"),
    "Blob": ("new Blob(['a', 'b'], {type: 'Text/HTML'})", b"ab", "text/html"),
    "large Blob": (f"new Blob([new Uint8Array({9 * MB}).fill(7)])", bytes([7]) * 9 * MB, None),
    "bytes": ("new Uint8Array([0, 255, 10])", b"\x00\xff\n", None),
    "stream": (
        "new Blob(['one', 'two']).stream().pipeThrough(new TransformStream())",
        b"onetwo",
        None,
    ),
    "empty stream": ("new ReadableStream({start: (c) => c.close()})", b"", None),
    "large stream": (f"new Blob([new Uint8Array({6 * MB + 1}).fill(9)]).stream()", bytes([9]) * (6 * MB + 1), None),
}


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("way", ["fetch(url, init)", "fetch(new Request(url, init))"])
def test_bodies_arrive_whole(page: PageDriver, kind: str, way: str) -> None:
    source, sent, content_type = BODIES[kind]
    script = f"""
        const url = '{DRIVE}/echo';
        const init = {{method: 'PUT', body: {source}, duplex: 'half', headers: {{'X-Mine': 'CaSe'}}}};
        return (await {way}).json();
    """
    seen = page.evaluate(script)
    assert (seen["method"], seen["length"], seen["sha256"]) == ("PUT", len(sent), sha256(sent))
    assert (seen["type"], seen["x-mine"]) == (content_type, "CaSe")


@pytest.mark.parametrize("size", [5, 5 * MB])
def test_a_form_keeps_its_boundary_and_its_file_names(page: PageDriver, echo: EchoApp, size: int) -> None:
    script = f"""
        const form = new FormData();
        form.append('file', new File([new Uint8Array({size})], 'sub/Grüße "1".html', {{type: 'text/html'}}));
        form.append('file', new File(['b'], 'b.txt'));
        const expected = await new Response(form).arrayBuffer();
        const seen = await (await fetch('{DRIVE}/form/', {{method: 'PUT', body: form}})).json();
        return [seen, expected.byteLength];
    """
    seen, length = page.evaluate(script)
    boundary = seen["type"].partition("boundary=")[2]
    assert boundary.startswith("----WebKitFormBoundary")
    assert seen["length"] == length
    assert seen["parts"] == [["file", "sub/Grüße %221%22.html", size], ["file", "b.txt", 1]]


def test_a_stream_of_text_is_refused_with_a_sentence(page: PageDriver, echo: EchoApp) -> None:
    stream = "new ReadableStream({start(c) { c.enqueue('text'); c.close(); }})"
    with pytest.raises(ScriptFailed) as caught:
        page.evaluate(f"await fetch('{DRIVE}/echo', {{method: 'PUT', body: {stream}, duplex: 'half'}})")
    assert caught.value.error["name"] == "TypeError"
    assert "TextEncoder" in caught.value.error["message"]
    assert not [request for request in echo.requests if request["path"] == "/echo"]


def test_a_stream_that_breaks_off_or_is_aborted_sends_nothing(page: PageDriver, echo: EchoApp) -> None:
    script = f"""
        const names = [];
        const chunk = new Uint8Array({5 * MB});
        const broken = new ReadableStream({{
          pull(c) {{ this.sent ? c.error(new RangeError('gone')) : c.enqueue(chunk); this.sent = true; }},
        }});
        const put = (body, signal) => fetch('{DRIVE}/echo', {{method: 'PUT', body, duplex: 'half', signal}});
        await put(broken).catch((e) => names.push(e.name));
        const stop = new AbortController();
        let cancelled = false;
        const silent = new ReadableStream({{start: (c) => c.enqueue(chunk), cancel() {{ cancelled = true; }}}});
        const aborted = put(silent, stop.signal).catch((e) => names.push(e.name));
        setTimeout(() => stop.abort(), 50);
        await aborted;
        return [...names, cancelled];
    """
    assert page.evaluate(script) == ["RangeError", "AbortError", True]
    assert not [request for request in echo.requests if request["path"] == "/echo"]


@pytest.mark.parametrize("target", [DRIVE, OTHER])
def test_event_streams(page: PageDriver, echo: EchoApp, target: str) -> None:
    script = f"""
        const source = new EventSource('{target}/events');
        const seen = await new Promise((done) => {{
          const seen = [];
          source.onmessage = (event) => {{ seen.push(event.data); if (seen.length === 3) done(seen); }};
        }});
        source.close();
        return seen;
    """
    assert page.evaluate(script) == ["0", "1", "2"]
    assert wait_until(lambda: echo.cancelled == ["events"], 10, None)


def test_ranges_and_head(page: PageDriver) -> None:
    script = f"""
        const r = await fetch('{OTHER}/file', {{headers: {{Range: 'bytes=10-13'}}}});
        const beyond = await fetch('{OTHER}/file', {{headers: {{Range: 'bytes=99999-'}}}});
        const head = await fetch('{OTHER}/file', {{method: 'HEAD'}});
        return [r.status, r.headers.get('content-range'), [...new Uint8Array(await r.arrayBuffer())], beyond.status,
          head.status, head.headers.get('content-length')];
    """
    whole = len(FILE)
    assert page.evaluate(script) == [206, f"bytes 10-13/{whole}", [10, 11, 12, 13], 416, 200, str(whole)]


STORE = """
    localStorage.mine = 'kept';
    await new Promise((done, failed) => {
      const open = indexedDB.open('mine');
      open.onupgradeneeded = () => open.result.createObjectStore('s').put('kept', 'k');
      open.onsuccess = () => { open.result.close(); done(); };
      open.onerror = failed;
    });
"""
READ = """
    const databases = (await indexedDB.databases()).map((found) => found.name);
    return [localStorage.mine ?? null, databases];
"""
LACKING = """
    let stored = 'stored';
    document.cookie = 'a=b';
    try { await navigator.storage.getDirectory(); } catch (e) { stored = e.name; }
    let cached = 'cached';
    try { await (await caches.open('x')).put('/a', new Response('b')); } catch (e) { cached = e.name; }
    let worker = 'registered';
    try { await navigator.serviceWorker.register('/script/200'); } catch (e) { worker = e.name; }
    let module = 'imported';
    try { await import('OTHER/script/200'); } catch (e) { module = e.name; }
    const plays = (type) => document.createElement('video').canPlayType(type) !== '';
    const inWorker = `onmessage = async ({data}) => {
      const reply = await fetch(data, {method: 'PUT', body: 'x'});
      postMessage(reply.headers.get('x-peersky-status'));
    }`;
    const thread = new Worker(URL.createObjectURL(new Blob([inWorker])));
    const written = await new Promise((done) => {
      thread.onmessage = ({data}) => done(data);
      thread.postMessage(location.origin + '/echo');
    });
    let beacon;
    try { beacon = navigator.sendBeacon('/echo', 'x'); } catch (e) { beacon = e.name; }
    return {secure: isSecureContext, cookie: document.cookie, opfs: stored, caches: cached, worker, module, written,
      persist: await navigator.storage.persist(), beacon,
      h264: plays('video/mp4; codecs="avc1.42E01E"'), aac: plays('audio/mp4; codecs="mp4a.40.2"'),
      webm: plays('video/webm; codecs="vp9,opus"'), av1: plays('video/webm; codecs="av01.0.05M.08"'),
      mp3: plays('audio/mpeg')};
"""


@pytest.mark.parametrize("way", ["fetch", "xhr"])
def test_a_large_body_that_fills_the_disk_is_507(
    page: PageDriver, echo: EchoApp, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr("peersky.web.uploads.shutil.disk_usage", lambda _folder: SimpleNamespace(free=1000))
    send = {
        "fetch": "const r = await fetch('/echo', {method: 'PUT', body}); return [r.status, await r.text()];",
        "xhr": """
            const request = new XMLHttpRequest();
            request.open('PUT', '/echo');
            await new Promise((done) => { request.onloadend = done; request.send(body); });
            return [request.status, request.responseText];
        """,
    }
    refused = [507, "The disk is too full for this upload; free some space and try again."]
    assert page.evaluate("const body = new Blob([new Uint8Array(9e6)]);" + send[way]) == refused
    assert echo.requests == []


def test_reloading_asks_for_the_newest_and_following_a_link_does_not(page: PageDriver, echo: EchoApp) -> None:
    asked = "return JSON.parse(document.body.innerText)['cache-control']"
    page.load("ipns://docs.ipfs.tech/echo")
    assert page.evaluate(asked) is None
    ended: list[bool] = []
    page.page.loadFinished.connect(ended.append)
    page.page.triggerAction(QWebEnginePage.WebAction.Reload)
    wait_until(lambda: bool(ended), 30, "the page was not reloaded")
    assert page.evaluate(asked) == "no-cache"


def test_storage_is_apart_per_key(page: PageDriver) -> None:
    page.evaluate(STORE)
    assert page.evaluate(READ) == ["kept", ["mine"]]
    for other in (OTHER, CID):
        page.load(f"{other}/")
        assert page.evaluate(READ) == [None, []]
    page.load(f"{DRIVE}/path/x")
    assert page.evaluate(READ) == ["kept", ["mine"]]


def test_what_the_platform_lacks(page: PageDriver) -> None:
    """docs/p2p.md, "What pages lack": a Qt update that changes one of these should change that section."""
    assert page.evaluate(LACKING.replace("OTHER", OTHER)) == {
        "secure": True,
        "cookie": "",
        "opfs": "SecurityError",
        "caches": "TypeError",
        "worker": "TypeError",
        "module": "imported",
        "written": "403",
        "persist": False,
        "beacon": "TypeError",
        "h264": False,
        "aac": False,
        "webm": True,
        "av1": True,
        "mp3": True,
    }


def test_storage_is_there_again_after_a_restart(qt_application: object, tmp_path: Path, echo: EchoApp) -> None:
    errors: list[str] = []
    for script, expected in ((STORE, None), (READ, ["kept", ["mine"]])):
        services = ServiceThread()
        profile = WebProfile({"hyper": echo}, services, Policy, tmp_path / "web", tmp_path / "spool", errors.append)
        driver = PageDriver(profile.new_page())
        driver.load(f"{DRIVE}/")
        assert driver.evaluate(script) == expected
        driver.page.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        profile.close()
        services.stop()
    assert not errors
