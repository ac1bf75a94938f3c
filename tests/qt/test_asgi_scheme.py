"""The scheme adapter in the real QtWebEngine: requests in, replies out, and no page may crash the browser."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from PyQt6.QtCore import QCoreApplication, QEvent, QTimer

from peersky.qt import asgi_scheme
from peersky.qt.driver import ScriptFailed, wait_until
from tests.qt.echo_app import FILE, EchoApp, wav

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PyQt6.QtWebEngineCore import QWebEngineUrlRequestJob

    from peersky.qt.driver import PageDriver
    from tests.qt.conftest import World


@pytest.fixture
def echo() -> EchoApp:
    return EchoApp()


@pytest.fixture
def page(world: Callable[..., World], echo: EchoApp) -> PageDriver:
    return world(peersky=echo, llm=echo, hyper=echo).page("peersky://home/")


def test_request_reaches_the_app_as_sent(page: PageDriver) -> None:
    seen = page.evaluate(
        """
        const headers = {'X-Mine': 'CaSe', 'X-Peersky-Stamp': 'forged', Host: 'x'};
        const init = {method: 'PUT', body: 'grüße', headers};
        return (await fetch('/echo?a=1&b=%20c', init)).json();
        """
    )
    assert seen == {
        "method": "PUT",
        "path": "/echo",
        "raw_path": "/echo",
        "query": "a=1&b=%20c",
        "type": "text/plain;charset=UTF-8",
        "host": "home",
        "x-mine": "CaSe",
        "cache-control": None,
        "length": 7,
        "sha256": hashlib.sha256("grüße".encode()).hexdigest(),
        "origin": "peersky://home",
        "top": "peersky://home",
        "resource": "xhr",
    }


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_methods(page: PageDriver, method: str) -> None:
    assert page.evaluate(f"return (await (await fetch('/echo', {{method: '{method}'}})).json()).method") == method


def test_head_has_headers_and_no_body(page: PageDriver) -> None:
    script = "const r = await fetch('/status/404', {method: 'HEAD'}); return [r.status, await r.text()]"
    assert page.evaluate(script) == [404, ""]


def test_encoded_path_survives(page: PageDriver) -> None:
    """Slashes that are part of a name stay apart from those that part names; dots are resolved by the browser."""
    script = "const s = await (await fetch('/x/../path/a%2Fb%20c%C3%BC?q=%2F')).json(); return [s.raw_path, s.query]"
    assert page.evaluate(script) == ["/path/a%2Fb%20c%C3%BC", "q=%2F"]


@pytest.mark.parametrize("code", [200, 201, 206, 304, 400, 403, 404, 409, 416, 429, 500, 503])
def test_true_status_in_fetch_and_xhr(page: PageDriver, code: int) -> None:
    script = f"""
        const r = await fetch('/status/{code}');
        const x = await new Promise((done) => {{
          const x = new XMLHttpRequest();
          x.open('GET', '/status/{code}');
          x.onloadend = () => done(x);
          x.send();
        }});
        return [r.status, r.ok, x.status, r.url, x.responseURL, r.clone().status];
    """
    url = f"peersky://home/status/{code}"
    assert page.evaluate(script) == [code, 200 <= code < 300, code, url, url, code]


def test_header_case_and_body_of_an_error(page: PageDriver) -> None:
    script = """
        const r = await fetch('/status/418');
        const x = await new Promise((done) => {
          const x = new XMLHttpRequest();
          x.open('GET', '/status/418');
          x.onload = () => done(x);
          x.send();
        });
        return [r.headers.get('x-case'), r.headers.get('Content-Language'), await r.json(),
          x.getResponseHeader('X-CASE'), x.getAllResponseHeaders().includes('x-peersky'), [...r.headers.keys()]];
    """
    case, language, body, xhr_case, leaks, names = page.evaluate(script)
    assert (case, language, body, xhr_case, leaks) == ("AbC %20", "de-AT", {"code": 418}, "AbC %20", False)
    assert names == ["content-language", "content-length", "content-type", "x-case"]


def test_null_body_status(page: PageDriver) -> None:
    assert page.evaluate("const r = await fetch('/status/204'); return [r.status, r.body]") == [204, None]


def test_stream_arrives_line_by_line(page: PageDriver) -> None:
    script = """
        const reader = (await fetch('/lines?n=10&pause=0.05')).body.getReader();
        const sizes = [];
        for (;;) {
          const {done, value} = await reader.read();
          if (done) return sizes;
          sizes.push(value.length);
        }
    """
    assert page.evaluate(script) == [2] * 10


def test_32_parallel_streams_lose_nothing(page: PageDriver) -> None:
    script = """
        const read = async () => (await (await fetch('llm://bridge/lines?n=2000&pause=0.0001')).text());
        const texts = await Promise.all(Array.from({length: 32}, read));
        const whole = Array.from({length: 2000}, (_, i) => i + '\\n').join('');
        return texts.filter((text) => text === whole).length;
    """
    assert page.evaluate(script, 60) == 32


def test_back_pressure_holds_the_app(page: PageDriver, echo: EchoApp) -> None:
    page.evaluate("window.reader = (await fetch('/bulk?mb=600')).body.getReader(); await window.reader.read();")
    sent: list[int] = []

    def settled() -> bool:
        sent.append(echo.sent_chunks)
        return len(sent) > 20 and sent[-1] == sent[-20]

    assert wait_until(settled, 10, None)
    # Chromium itself buffers up to about 100 MB of a reply that nobody reads yet; 2,400 chunks would be all.
    assert echo.sent_chunks < 800
    page.evaluate("await window.reader.cancel()")


def _close(page: PageDriver) -> None:
    page.page.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


LEAVE: dict[str, Callable[[PageDriver], Any]] = {
    "abort": lambda page: page.evaluate("window.stop.abort()"),
    "cancel": lambda page: page.evaluate("await window.reader.cancel()"),
    "navigate": lambda page: page.load("peersky://home/?elsewhere"),
    "close": _close,
}


@pytest.mark.parametrize("silent", [0, 1], ids=["streaming", "silent"])
@pytest.mark.parametrize("how", LEAVE)
def test_leaving_reaches_the_app(page: PageDriver, echo: EchoApp, how: str, silent: int) -> None:
    page.evaluate(
        f"""
        window.stop = new AbortController();
        const r = await fetch('llm://bridge/forever?name={how}&silent={silent}', {{signal: window.stop.signal}});
        window.reader = r.body.getReader();
        await window.reader.read();
        """
    )
    assert not echo.cancelled
    LEAVE[how](page)
    assert wait_until(lambda: echo.cancelled == [how], 1, None), "the app must hear within a second"


def test_fifty_aborts_all_reach_the_app(page: PageDriver, echo: EchoApp) -> None:
    page.evaluate(
        """
        await Promise.all(Array.from({length: 50}, async (_, i) => {
          const stop = new AbortController();
          const r = await fetch('/forever?name=' + i, {signal: stop.signal});
          await r.body.getReader().read();
          stop.abort();
        }));
        """
    )
    assert wait_until(lambda: len(echo.cancelled) == 50, 5, None)


def test_event_source(page: PageDriver, echo: EchoApp) -> None:
    script = """
        const source = new EventSource('/events');
        const seen = [];
        await new Promise((done) => {
          source.onmessage = ({data}) => { seen.push(data); if (seen.length === 5) done(); };
        });
        source.close();
        return seen;
    """
    assert page.evaluate(script) == ["0", "1", "2", "3", "4"]
    assert wait_until(lambda: "events" in echo.cancelled, 2, None)


def bodies() -> Iterator[Any]:
    zeros = 9_000_000
    yield pytest.param(f"new Blob([new Uint8Array({zeros})])", zeros, id="blob")
    yield pytest.param(f"new File([new Uint8Array({zeros})], 'a.bin')", zeros, id="file")
    yield pytest.param(f"new Uint8Array({zeros}).buffer", zeros, id="buffer")
    yield pytest.param(f"new Uint8Array({zeros})", zeros, id="view")
    yield pytest.param(f"'a'.repeat({zeros})", zeros, id="string")
    yield pytest.param("new URLSearchParams({a: 'b c'})", 5, id="params")
    yield pytest.param("new Blob([])", 0, id="empty-blob")
    yield pytest.param("new Blob([new Uint8Array(4194304)])", 4_194_304, id="one-slice")
    yield pytest.param("new Blob([new Uint8Array(4194305)])", 4_194_305, id="one-slice-and-a-byte")


@pytest.mark.parametrize(("body", "length"), list(bodies()))
def test_bodies_arrive_whole(page: PageDriver, body: str, length: int) -> None:
    script = f"""
        const sent = await (await fetch('/echo', {{method: 'PUT', body: {body}}})).json();
        const got = await new Promise((done) => {{
          const x = new XMLHttpRequest();
          x.open('PUT', '/echo');
          x.onload = () => done(JSON.parse(x.responseText));
          x.send({body});
        }});
        return [sent.length, got.length];
    """
    assert page.evaluate(script) == [length, length]


def test_a_form_keeps_its_boundary_and_file_names(page: PageDriver) -> None:
    script = """
        const form = new FormData();
        form.append('file', new File([new Uint8Array(9e6)], 'Folder/Name.TXT'));
        const seen = await (await fetch('/echo', {method: 'PUT', body: form})).json();
        return [seen.type, seen.length];
    """
    kind, length = page.evaluate(script)
    assert kind.startswith("multipart/form-data; boundary=----WebKitFormBoundary")
    assert length > 9_000_000


def test_a_stream_and_a_request_object_as_body(page: PageDriver) -> None:
    script = """
        const stream = new ReadableStream({
          start(c) { for (let i = 0; i < 10; i++) c.enqueue(new Uint8Array(1e6).fill(i)); c.close(); },
        });
        const a = await (await fetch('/echo', {method: 'PUT', body: stream, duplex: 'half'})).json();
        const request = new Request('/echo', {method: 'POST', body: new Blob([new Uint8Array(6e6)])});
        const b = await (await fetch(request)).json();
        return [a.length, a.sha256, b.length, b.method];
    """
    whole = hashlib.sha256(b"".join(bytes([i]) * 1_000_000 for i in range(10))).hexdigest()
    assert page.evaluate(script) == [10_000_000, whole, 6_000_000, "POST"]


@pytest.mark.parametrize("megabytes", [20, 200])
def test_large_bodies_do_not_stall_the_main_thread(
    page: PageDriver, megabytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a body is all that the main thread does for it: a slice at most between two turns of its loop."""
    turns: list[int] = [0]
    read_body = asgi_scheme._read_body

    def counted(job: QWebEngineUrlRequestJob) -> bytes:
        body = read_body(job)
        turns[-1] += len(body)
        return body

    monkeypatch.setattr(asgi_scheme, "_read_body", counted)
    heart = QTimer()
    heart.timeout.connect(lambda: turns.append(0))
    heart.start(0)
    script = f"""
        const body = new Blob([new Uint8Array({megabytes} * 1e6)]);
        return (await (await fetch('/echo', {{method: 'PUT', body}})).json()).length;
    """
    assert page.evaluate(script, 100) == megabytes * 1_000_000
    heart.stop()
    assert sum(turns) == megabytes * 1_000_000
    assert max(turns) <= 4 * 1024 * 1024


def test_a_direct_body_over_the_limit_is_413(page: PageDriver) -> None:
    """A page that goes around the wrapper (here: through a frame that has none) is told the limit."""
    script = """
        const frame = document.createElement('iframe');
        document.body.append(frame);
        const body = new Blob([new Uint8Array(33 * 1024 * 1024)]);
        const r = await frame.contentWindow.fetch('/echo', {method: 'PUT', body});
        return [r.headers.get('x-peersky-status'), (await r.json()).error];
    """
    status, error = page.evaluate(script)
    assert status == "413"
    assert (error["name"], error["code"], error["quota"]) == ("QuotaExceededError", "body_too_large", 32 * 1024 * 1024)
    assert error["requested"] == 33 * 1024 * 1024


RANGES: dict[str, tuple[str, int, str | None, int]] = {
    "first": ("bytes=0-9", 206, "bytes 0-9/10240", 10),
    "middle-to-end": ("bytes=10200-", 206, "bytes 10200-10239/10240", 40),
    "suffix": ("bytes=-10", 206, "bytes 10230-10239/10240", 10),
    "suffix-longer-than-all": ("bytes=-99999", 206, "bytes 0-10239/10240", 10240),
    "end-past-the-end": ("bytes=0-99999", 206, "bytes 0-10239/10240", 10240),
    "start-past-the-end": ("bytes=900000-", 416, "bytes */10240", 0),
    "empty-suffix": ("bytes=-0", 416, "bytes */10240", 0),
    "reversed": ("bytes=9-5", 200, None, 10240),
    "several": ("bytes=0-1,4-5", 200, None, 10240),
    "malformed": ("bytes=a-b", 200, None, 10240),
    "other-unit": ("lines=0-1", 200, None, 10240),
    "huge": ("bytes=99999999999999999999-", 416, "bytes */10240", 0),
}


@pytest.mark.parametrize("name", RANGES)
def test_ranges(page: PageDriver, name: str) -> None:
    header, status, content_range, length = RANGES[name]
    script = f"""
        const r = await fetch('/file', {{headers: {{Range: '{header}'}}}});
        const bytes = new Uint8Array(await r.arrayBuffer());
        return [r.status, r.headers.get('content-range'), bytes.length, [...bytes.slice(0, 3)]];
    """
    got = page.evaluate(script)
    assert got[:3] == [status, content_range, length]
    if status == 206 and content_range:
        start = int(content_range.split()[1].split("-")[0])
        assert got[3] == list(FILE[start : start + 3])


@pytest.mark.parametrize("header", [header for header, *_ in RANGES.values()])
@pytest.mark.parametrize("path", ["/empty", "/status/404", "/lines?n=3", "/status/204", "/break", "/redirect?code=302"])
def test_a_range_against_any_reply_leaves_the_browser_alive(
    world: Callable[..., World], echo: EchoApp, path: str, header: str
) -> None:
    """A device of a size that a range does not fit brings the whole browser down."""
    one = world(peersky=echo)
    page = one.page("peersky://home/")
    page.evaluate(f"await fetch('{path}', {{headers: {{Range: '{header}'}}}}).then((r) => r.text()).catch(() => 0)")
    assert page.evaluate("return 1 + 1") == 2
    one.errors.clear()


def test_media_seeks_with_ranges(page: PageDriver, echo: EchoApp) -> None:
    echo.sound = wav(120)
    script = """
        const sound = document.createElement('audio');
        sound.src = '/sound';
        sound.preload = 'auto';
        await new Promise((done, fail) => { sound.onloadedmetadata = done; sound.onerror = () => fail(sound.error); });
        const times = [];
        for (const at of [110, 5, 60]) {
          sound.currentTime = at;
          await new Promise((done) => { sound.onseeked = done; });
          times.push(Math.round(sound.currentTime));
        }
        return [Math.round(sound.duration), times];
    """
    assert page.evaluate(script) == [120, [110, 5, 60]]
    assert any(header and not header.startswith("bytes=0-") for header in echo.ranges)


def test_redirect_keeps_method_and_body(page: PageDriver) -> None:
    script = """
        const r = await fetch('/redirect', {method: 'POST', body: 'abc'});
        const seen = await r.json();
        return [r.redirected, r.url, seen.method, seen.length];
    """
    assert page.evaluate(script) == [True, "peersky://home/echo?redirected=1", "POST", 3]


def test_an_error_is_not_run_as_a_script(page: PageDriver) -> None:
    script = """
        const add = (code) => new Promise((done) => {
          const element = document.createElement('script');
          element.onload = () => done('load');
          element.onerror = () => done('error');
          element.src = '/script/' + code;
          document.body.append(element);
        });
        const outcomes = [await add(404), await add(500), window.ran];
        return [...outcomes, await add(200), window.ran];
    """
    assert page.evaluate(script) == ["error", "error", None, "load", True]


def test_a_fault_of_the_app_fails_that_request_alone(world: Callable[..., World], echo: EchoApp) -> None:
    one = world(peersky=echo)
    page = one.page("peersky://home/")
    assert page.evaluate("return (await fetch('/crash')).status") == 500
    with pytest.raises(ScriptFailed, match="TypeError"):
        page.evaluate("return await (await fetch('/break')).text()")
    assert page.evaluate("return (await fetch('/status/200')).status") == 200
    assert [error.count("ValueError") for error in one.errors] == [1, 1]
    one.errors.clear()


def test_an_app_that_never_answers_in_http(world: Callable[..., World]) -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
            await send({"type": "http.response.body", "body": b"<p>"})

    one = world(peersky=silent)
    page = one.page("peersky://home/")
    script = "const r = await fetch('/silent'); return [r.status, (await r.json()).error.code]"
    assert page.evaluate(script) == [500, "internal_error"]
    one.errors.clear()
