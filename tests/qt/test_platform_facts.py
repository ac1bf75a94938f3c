"""What QtWebEngine does, not what PeerSky does: the facts that the scheme adapter, the stamp and the scripts stand on.

A Qt update that changes one of them fails here, and the test's text says what then has to be thought about again. No
code of PeerSky runs but the registration of the schemes and the page driver.
"""

from __future__ import annotations

import http.server
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest
from PyQt6.QtCore import QBuffer, QByteArray, QCoreApplication, QEvent, QIODevice, QUrl, pyqtSignal
from PyQt6.QtWebEngineCore import (
    QWebEnginePage,
    QWebEngineProfile,
    QWebEngineScript,
    QWebEngineUrlRequestInfo,
    QWebEngineUrlRequestInterceptor,
    QWebEngineUrlRequestJob,
    QWebEngineUrlSchemeHandler,
)

from peersky.qt.driver import PageDriver, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PyQt6.QtWidgets import QApplication

    from peersky.qt.page import PeerSkyPage

HTML = "<!doctype html><meta charset=utf-8><title>page</title><script>var found = self.early</script><body>page"


class Page(QWebEnginePage):
    """A page with the one signal that the driver needs."""

    console_message = pyqtSignal(str, str, int, str)


class Stamper(QWebEngineUrlRequestInterceptor):
    def interceptRequest(self, info: QWebEngineUrlRequestInfo) -> None:
        info.setHttpHeader(b"X-Stamp", b"Browser")


class Handler(QWebEngineUrlSchemeHandler):
    """Answers every request with what the test says for its path, and remembers what came."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Callable[[QWebEngineUrlRequestJob], None]] = {}
        self.seen: list[dict[str, Any]] = []

    def requestStarted(self, job: QWebEngineUrlRequestJob | None) -> None:
        assert job is not None
        url = job.requestUrl()
        self.seen.append(
            {
                "url": url.toEncoded().data().decode(),
                "path": url.path(),
                "initiator": job.initiator().toString(),
                "valid": job.initiator().isValid(),
                "stamp": {k.data().decode(): v.data().decode() for k, v in job.requestHeaders().items()}.get("X-Stamp"),
                "stamps": [
                    v.data().decode() for k, v in job.requestHeaders().items() if k.data().lower() == b"x-stamp"
                ],
            }
        )
        self.answers.get(url.path(), text(HTML, b"text/html; charset=utf-8"))(job)

    def of(self, path: str) -> list[dict[str, Any]]:
        return [request for request in self.seen if request["path"] == path]


def text(body: str, kind: bytes = b"text/plain", **headers: str) -> Callable[[QWebEngineUrlRequestJob], None]:
    def answer(job: QWebEngineUrlRequestJob) -> None:
        device = QBuffer(job)
        device.setData(QByteArray(body.encode()))
        device.open(QIODevice.OpenModeFlag.ReadOnly)
        pairs = {name.replace("_", "-").encode(): [value.encode()] for name, value in headers.items()}
        job.setAdditionalResponseHeaders(pairs)  # type: ignore[arg-type]
        job.reply(kind, device)

    return answer


class Bench:
    """A bare profile with the handler at ``peersky:``, ``hyper:`` and ``llm:``, and a web site."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.handler, self.stamper = Handler(), Stamper()
        self.profile = QWebEngineProfile()
        self.profile.setUrlRequestInterceptor(self.stamper)
        for scheme in (b"peersky", b"hyper", b"llm"):
            self.profile.installUrlSchemeHandler(scheme, self.handler)
        self._drivers: list[PageDriver] = []

    def page(self, url: str) -> PageDriver:
        driver = PageDriver(cast("PeerSkyPage", Page(self.profile)))
        self._drivers.append(driver)
        driver.load(url)
        return driver

    def close(self) -> None:
        for driver in self._drivers:
            driver.page.deleteLater()
        self._drivers.clear()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        self.profile.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


class _Site(http.server.BaseHTTPRequestHandler):
    """A page at every path, but a redirect where the query is an address."""

    def do_GET(self) -> None:
        target = self.path.partition("?to=")[2]
        self.send_response(302 if target else 200)
        self.send_header("location" if target else "content-type", target or "text/html")
        if "strict" in self.path:
            self.send_header("content-security-policy", "connect-src 'none'")
        self.end_headers()
        self.wfile.write(b"" if target else HTML.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://localhost:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def bench(qt_application: QApplication, site: str) -> Iterator[Bench]:
    made = Bench(site)
    yield made
    made.close()


def test_a_typed_address_and_where_a_server_redirects_it_both_have_no_initiator(bench: Bench) -> None:
    """Hence page.py's list of announced navigations: an empty initiator is not the address bar."""
    bench.page("peersky://home/typed")
    bench.page(f"{bench.site}/?to=peersky://home/redirected")
    for path in ("/typed", "/redirected"):
        assert [(request["initiator"], request["valid"]) for request in bench.handler.of(path)] == [("", False)]


def test_the_initiator_names_page_frame_and_worker_that_asked(bench: Bench) -> None:
    page = bench.page(f"{bench.site}/")
    page.evaluate(
        """
        await fetch('hyper://key/page');
        const frame = (set) => new Promise((done) => {
          const one = document.createElement('iframe');
          set(one);
          self.onmessage = done;
          document.body.append(one);
        });
        const tell = "finally(() => parent.postMessage(1, '*'))";
        const ask = (path) => `<script>fetch('hyper://key${path}').${tell}</` + 'script>';
        await frame((one) => { one.srcdoc = ask('/srcdoc'); });
        await frame((one) => { one.srcdoc = ask('/sandbox'); one.sandbox = 'allow-scripts'; });
        await frame((one) => { one.src = 'data:text/html,' + ask('/data'); });
        const code = "fetch('hyper://key/worker', {headers: {'X-Stamp': 'Forged'}}).finally(() => postMessage(1))";
        const worker = new Worker(URL.createObjectURL(new Blob([code])));
        await new Promise((done) => { worker.onmessage = done; });
        """
    )
    for path in ("/page", "/srcdoc", "/worker"):
        assert bench.handler.of(path)[0]["initiator"] == bench.site
    for path in ("/sandbox", "/data"):
        # The text "null", and it counts as a valid URL: only an exact list of origins keeps it out.
        (request,) = bench.handler.of(path)
        assert (request["initiator"], request["valid"]) == ("null", True)


def test_the_interceptors_header_arrives_over_the_pages_and_workers_have_their_own(bench: Bench) -> None:
    """The stamp is the interceptor's word where there is one; a worker can send anything under its name."""
    page = bench.page(f"{bench.site}/")
    page.evaluate(
        """
        const names = ['X-Stamp', 'x-stamp', 'X-STAMP'];
        for (const name of names) await fetch('hyper://key/page', {headers: {[name]: 'Forged'}});
        const code = "fetch('hyper://key/worker', {headers: {'X-Stamp': 'Forged'}}).finally(() => postMessage(1))";
        const worker = new Worker(URL.createObjectURL(new Blob([code])));
        await new Promise((done) => { worker.onmessage = done; });
        """
    )
    assert [request["stamps"] for request in bench.handler.of("/page")] == [["Browser"]] * 3
    assert [request["stamps"] for request in bench.handler.of("/worker")] == [["Forged"]]


def test_cors_protects_nothing(bench: Bench) -> None:
    """Neither a scheme with CorsEnabled nor one without: only the app's own check does."""
    bench.handler.answers["/secret"] = text("secret")
    page = bench.page(f"{bench.site}/")
    script = """
        const read = (url, mode) => fetch(url, {mode}).then(async (r) => [r.type, await r.text()], (e) => e.name);
        return [
          await read('hyper://key/secret', 'cors'),
          await read('hyper://key/secret', 'no-cors'),
          await read('peersky://home/secret', 'cors'),
          await read('peersky://home/secret', 'no-cors'),
        ];
    """
    assert page.evaluate(script) == [["basic", "secret"], ["basic", "secret"], "TypeError", ["basic", "secret"]]


def test_status_is_always_200_and_header_values_lose_their_case(bench: Bench) -> None:
    bench.handler.answers["/reply"] = text("body", b"text/plain;charset=UTF-8", X_Mixed="AbC%2F", Status="404")
    page = bench.page("peersky://home/")
    script = """
        const reply = await fetch('/reply');
        return [reply.status, reply.headers.get('x-mixed'), reply.headers.get('content-type')];
    """
    status, mixed, kind = page.evaluate(script)
    assert (status, mixed) == (200, "abc%2f")
    assert kind.lower().replace(" ", "") == "text/plain;charset=utf-8"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (QWebEngineUrlRequestJob.Error.UrlNotFound, 404),
        (QWebEngineUrlRequestJob.Error.RequestDenied, 403),
        (QWebEngineUrlRequestJob.Error.UrlInvalid, 400),
        (QWebEngineUrlRequestJob.Error.RequestFailed, 400),
    ],
)
def test_a_failed_job_has_a_status_but_a_body_that_never_ends(
    bench: Bench, error: QWebEngineUrlRequestJob.Error, status: int
) -> None:
    """Fit for scripts and images, which then report an error; not for fetch, whose reader would hang."""
    bench.handler.answers["/fail"] = lambda job: job.fail(error)
    page = bench.page("peersky://home/")
    script = """
        const reply = await fetch('/fail');
        const first = await Promise.race([
          reply.text().then(() => 'ended', () => 'failed'),
          (async () => { for (let n = 0; n < 20; n += 1) await fetch('/other'); return 'silent'; })(),
        ]);
        const script = document.createElement('script');
        const event = new Promise((done) => {
          script.onload = () => done('load');
          script.onerror = () => done('error');
        });
        script.src = '/fail';
        document.body.append(script);
        return [reply.status, first, await event];
    """
    assert page.evaluate(script) == [status, "silent", "error"]


def test_an_injected_script_runs_before_the_pages_own_in_every_frame_with_an_address(bench: Bench) -> None:
    script = QWebEngineScript()
    script.setSourceCode("window.early = true")
    script.setInjectionPoint(QWebEngineScript.InjectionPoint.DocumentCreation)
    script.setWorldId(QWebEngineScript.ScriptWorldId.MainWorld)
    script.setRunsOnSubFrames(True)
    scripts = bench.profile.scripts()
    assert scripts is not None
    scripts.insert(script)
    page = bench.page(f"{bench.site}/")
    found = page.evaluate(
        """
        const tell = '<script>parent.postMessage(String(window.early), "*")</' + 'script>';
        const heard = (set) => new Promise((done) => {
          const frame = document.createElement('iframe');
          set(frame);
          self.onmessage = ({data}) => done(data);
          document.body.append(frame);
        });
        const worker = () => new Worker(URL.createObjectURL(new Blob(['postMessage(typeof early)'])));
        return {
          page: String(window.found),
          srcdoc: await heard((frame) => { frame.srcdoc = tell; }),
          data: await heard((frame) => { frame.src = 'data:text/html,' + tell; }),
          blob: await heard((frame) => { frame.src = URL.createObjectURL(new Blob([tell], {type: 'text/html'})); }),
          sandbox: await heard((frame) => { frame.srcdoc = tell; frame.sandbox = 'allow-scripts'; }),
          worker: await new Promise((done) => { worker().onmessage = ({data}) => done(data); }),
        };
        """
    )
    assert found == {
        "page": "true",
        "srcdoc": "true",
        "data": "true",
        "blob": "true",
        "sandbox": "true",
        "worker": "undefined",
    }


def test_a_host_with_a_label_over_63_characters_leaves_no_address(bench: Bench) -> None:
    """Hex hyper keys and CIDv0 must be rewritten before a URL parser sees them (core/keys.py)."""
    page = bench.page("hyper://key/")
    bench.handler.seen.clear()
    page.evaluate(f"await fetch('hyper://{'a' * 64}/x').catch(() => 0)")
    page.evaluate("await fetch('hyper://QmUpperCase/a%2Fb/../c').catch(() => 0)")
    assert [request["url"] for request in bench.handler.seen] == ["", "hyper://qmuppercase/c"]


class _Pipe(QIODevice):
    """Gives one chunk and then says that it is at its end."""

    def __init__(self, *, sequential: bool, parent: Any) -> None:
        super().__init__(parent)
        self._left, self._sequential = [b"chunk"], sequential
        self.open(QIODevice.OpenModeFlag.ReadOnly | QIODevice.OpenModeFlag.Unbuffered)

    def isSequential(self) -> bool:
        return self._sequential

    def size(self) -> int:
        return 0

    def atEnd(self) -> bool:
        return not self._left

    def bytesAvailable(self) -> int:
        return sum(map(len, self._left))

    def seek(self, pos: int) -> bool:
        return True

    def readData(self, maxlen: int) -> bytes:
        return self._left.pop() if self._left else b""

    def writeData(self, data: object) -> int:
        return -1


def test_only_a_device_that_is_not_sequential_ever_ends(bench: Bench) -> None:
    """Hence StreamDevice.isSequential() is False, though it is a stream."""
    pipes: list[_Pipe] = []

    def piped(*, sequential: bool) -> Callable[[QWebEngineUrlRequestJob], None]:
        def answer(job: QWebEngineUrlRequestJob) -> None:
            pipes.append(_Pipe(sequential=sequential, parent=job))
            job.reply(b"text/plain", pipes[-1])
            pipes[-1].readyRead.emit()

        return answer

    bench.handler.answers["/random"] = piped(sequential=False)
    bench.handler.answers["/sequential"] = piped(sequential=True)
    page = bench.page("peersky://home/")
    assert page.evaluate("return (await fetch('/random')).text()") == "chunk"
    script = """
        const text = (await fetch('/sequential')).text();
        const later = async () => { for (let n = 0; n < 20; n += 1) await fetch('/other'); return 'silent'; };
        return await Promise.race([text, later()]);
    """
    assert page.evaluate(script) == "silent"


def test_a_body_is_whole_in_one_large_read_and_a_stream_is_empty(bench: Bench) -> None:
    lengths: list[int] = []

    def read(job: QWebEngineUrlRequestJob) -> None:
        device = job.requestBody()
        assert device is not None
        assert device.open(QIODevice.OpenModeFlag.ReadOnly | QIODevice.OpenModeFlag.Unbuffered)
        lengths.append(len(device.read(1 << 28) or b""))
        text("ok")(job)

    bench.handler.answers["/body"] = read
    page = bench.page("peersky://home/")
    page.evaluate(
        """
        const send = (body, more = {}) => fetch('/body', {method: 'POST', body, ...more});
        await send('text');
        await send(new Uint8Array(3e6));
        await send(new Blob([new Uint8Array(2e6), 'end']));
        await send(new Blob(['stream']).stream(), {duplex: 'half'}).catch(() => 0);
        """
    )
    assert lengths[:3] == [4, 3_000_000, 2_000_003]
    assert lengths[3:] in ([], [0])


@pytest.mark.parametrize("leave", ["stop.abort()", "location = '/elsewhere'"])
def test_a_page_that_leaves_destroys_the_job(bench: Bench, leave: str) -> None:
    """The one sign that nobody waits any more; it becomes http.disconnect."""
    jobs: list[str] = []
    devices: list[QBuffer] = []

    def hold(job: QWebEngineUrlRequestJob) -> None:
        jobs.append("began")
        job.destroyed.connect(lambda: jobs.append("destroyed"))
        devices.append(QBuffer())

    bench.handler.answers["/held"] = hold
    page = bench.page("peersky://home/")
    page.evaluate("self.stop = new AbortController(); fetch('/held', {signal: stop.signal}).catch(() => 0)")
    wait_until(lambda: bool(jobs), 10, "The request did not arrive.")
    page.page.runJavaScript(leave)
    wait_until(lambda: len(jobs) > 1, 10, "The job outlived the page's interest.")
    assert jobs == ["began", "destroyed"]


def test_a_strict_page_reaches_the_bridge_and_nothing_else(bench: Bench) -> None:
    """ContentSecurityPolicyIgnored is for ``llm:`` alone: a page with connect-src 'none' can ask the model."""
    page = bench.page(f"{bench.site}/strict")
    script = """
        const reach = (url) => fetch(url).then((reply) => reply.status, (error) => error.name);
        return [await reach('llm://bridge/x'), await reach('hyper://key/x'), isSecureContext];
    """
    assert page.evaluate(script) == [200, "TypeError", True]


def test_each_host_of_a_scheme_is_an_origin_and_keeps_its_own_storage(bench: Bench) -> None:
    """What Syntax.Host is for."""
    one, other = bench.page("hyper://one/"), bench.page("hyper://other/")
    assert one.evaluate("localStorage.setItem('k', 'v'); return [self.origin, isSecureContext]") == [
        "hyper://one",
        True,
    ]
    assert other.evaluate("return [self.origin, localStorage.getItem('k')]") == ["hyper://other", None]


def test_a_url_keeps_its_encoded_slash_and_loses_a_user_name_when_asked() -> None:
    url = QUrl.fromEncoded(b"hyper://user:word@key/a%2Fb%20c?q=%2F#f")
    options = QUrl.UrlFormattingOption.RemoveUserInfo | QUrl.UrlFormattingOption.RemoveFragment
    assert url.toEncoded(options).data() == b"hyper://key/a%2Fb%20c?q=%2F"
