"""The user's machine and network: no page of elsewhere sends anything there, and none reaches the browser's servers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from peersky.qt.driver import wait_until
from tests.e2e.trust.sites import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peersky.qt.driver import PageDriver
    from tests.e2e.trust.conftest import Fortress
    from tests.e2e.trust.sites import Server

pytestmark = pytest.mark.attack("The user's machine and network")

# Every way in which a page's script or markup makes the browser send a request. Each adds its own name to the address,
# so that whoever is reached can say by which. A way that fails settles all the same.
WAYS = """
    const settled = (start) => Promise.race([
      new Promise((done) => start(done)).catch(() => {}), new Promise((done) => setTimeout(done, 1500)),
    ]);
    const element = (tag, attributes) => (done) => {
      const one = Object.assign(document.createElement(tag), attributes, {onload: done, onerror: done});
      document.body.append(one);
    };
    const worker = (make) => (done) => {
      const started = make(`fetch('URL', {mode: 'no-cors'}).then(() => tell(1), () => tell(0))`);
      started.onmessage = done;
      started.onerror = done;
    };
    const source = (text) => URL.createObjectURL(new Blob([text], {type: 'text/javascript'}));
    const ways = {
      fetch: (url) => (done) => fetch(url).then(done, done),
      opaque: (url) => (done) => fetch(url, {mode: 'no-cors', method: 'POST', body: '{}'}).then(done, done),
      private: (url) => (done) => fetch(url, {targetAddressSpace: 'loopback'}).then(done, done),
      keepalive: (url) => (done) => fetch(url, {mode: 'no-cors', keepalive: true}).then(done, done),
      xhr: (url) => (done) => {
        const client = new XMLHttpRequest();
        client.onloadend = done;
        client.open('POST', url);
        client.send('{}');
      },
      beacon: (url) => (done) => { navigator.sendBeacon(url, '{}'); done(); },
      events: (url) => (done) => {
        const events = new EventSource(url);
        events.onopen = events.onerror = () => { events.close(); done(); };
      },
      socket: (url) => (done) => {
        const socket = new WebSocket(url.replace('http', 'ws'));
        socket.onopen = socket.onerror = done;
      },
      image: (url) => element('img', {src: url}),
      script: (url) => element('script', {src: url}),
      module: (url) => (done) => import(url).then(done, done),
      style: (url) => element('link', {rel: 'stylesheet', href: url}),
      icon: (url) => element('link', {rel: 'icon', href: url}),
      prefetch: (url) => element('link', {rel: 'prefetch', href: url}),
      preload: (url) => element('link', {rel: 'preload', as: 'fetch', href: url}),
      manifest: (url) => element('link', {rel: 'manifest', href: url}),
      media: (url) => element('video', {src: url, preload: 'auto', onloadeddata: null}),
      font: (url) => (done) => new FontFace('x', `url(${url})`).load().then(done, done),
      frame: (url) => element('iframe', {src: url}),
      object: (url) => element('object', {data: url}),
      embed: (url) => element('embed', {src: url}),
      form: (url) => (done) => {
        const frame = document.createElement('iframe');
        frame.name = 'formtarget';
        document.body.append(frame);
        const form = Object.assign(document.createElement('form'), {method: 'post', target: 'formtarget', action: url});
        document.body.append(form);
        frame.onload = done;
        form.submit();
      },
      nested: (url) => (done) => {
        const frame = document.createElement('iframe');
        frame.srcdoc = `<img src="${url}" onload="top.postMessage(1,'*')" onerror="top.postMessage(0,'*')">`;
        addEventListener('message', done, {once: true});
        document.body.append(frame);
      },
      sandboxed: (url) => (done) => {
        const frame = document.createElement('iframe');
        frame.sandbox = 'allow-scripts';
        frame.srcdoc = `<img src="${url}" onload="top.postMessage(1,'*')" onerror="top.postMessage(0,'*')">`;
        addEventListener('message', done, {once: true});
        document.body.append(frame);
      },
      worker: (url) => worker((text) => new Worker(source(
        text.replace('URL', url).replaceAll('tell(', 'postMessage(')))),
      shared: (url) => worker((text) => {
        const {port} = new SharedWorker(source(
          `onconnect = ({ports}) => { ${text.replace('URL', url).replaceAll('tell(', 'ports[0].postMessage(')} }`));
        port.start();
        return port;
      }),
    };
"""

NAMES = (
    *("fetch", "opaque", "private", "keepalive", "xhr", "beacon", "events", "socket", "image", "script", "module"),
    *("style", "prefetch", "preload", "media", "font", "frame", "object", "embed", "form", "nested", "sandboxed"),
    *("worker", "shared"),
)
"""Those of the ways that the control below must see arrive; icon and manifest depend on the window."""


def attack(page: PageDriver, *addresses: str, through: str = "") -> None:
    """Try every way to each address; ``through`` stands before the (then encoded) address, as of a redirect."""
    script = f"""
        {WAYS}
        const through = {json.dumps(through)};
        await Promise.all({json.dumps(addresses)}.flatMap((address) => Object.keys(ways).map((name) => {{
          const url = `${{address}}/by/${{name}}`;
          return settled(ways[name](through ? through + encodeURIComponent(url) : url));
        }})));
    """
    page.evaluate(script, 60)


def arrived(server: Server) -> set[str]:
    """The ways that led to a server since it was asked last."""
    found = {path.partition("/by/")[2] for _, path, _ in server.seen if "/by/" in path}
    server.seen.clear()
    return found


@pytest.fixture(scope="module")
def victim() -> Iterator[Server]:
    """A server on this machine that the user did not mean for web pages: a router's page, a printer, a database."""
    with serve() as server:
        yield server


@pytest.fixture
def ollama(fortress: Fortress) -> Iterator[Server]:
    """Where the settings say that Ollama listens."""
    before = fortress.runtime.settings.get("llm.baseURL")
    with serve() as server:
        fortress.runtime.settings.change({"llm.baseURL": f"http://127.0.0.1:{server.port}/"})
        yield server
        fortress.runtime.settings.change({"llm.baseURL": before})


def strangers(fortress: Fortress) -> tuple[str, ...]:
    return (fortress.sites.url("evil.example"), "hyper://drive/")


THIS_MACHINE = (
    "127.0.0.1",
    "localhost",
    "localhost.",
    "x.localhost",
    "0.0.0.0",
    "127.1",
    "0x7f000001",
    "[::ffff:127.0.0.1]",
)
RESOLVES_HERE = ("rebound.example", "127.0.0.1.evil.example")
"""Names that anybody may have, and that lead to this machine: what DNS rebinding comes to."""


@pytest.mark.parametrize("stranger", [0, 1], ids=["web site", "P2P page"])
def test_a_page_of_elsewhere_sends_nothing_to_this_machine(fortress: Fortress, victim: Server, stranger: int) -> None:
    page = fortress.page(strangers(fortress)[stranger])
    attack(page, *(f"http://{host}:{victim.port}" for host in THIS_MACHINE))
    fortress.settle()
    assert arrived(victim) == set()


@pytest.mark.parametrize("stranger", [0, 1], ids=["web site", "P2P page"])
def test_no_name_that_leads_here_lets_a_page_in(fortress: Fortress, victim: Server, stranger: int) -> None:
    """DNS rebinding: whatever a name resolves to, and whenever."""
    page = fortress.page(strangers(fortress)[stranger])
    attack(page, *(f"http://{host}:{victim.port}" for host in RESOLVES_HERE))
    fortress.settle()
    assert arrived(victim) == set()


def test_no_redirect_leads_a_page_to_this_machine(fortress: Fortress, victim: Server) -> None:
    site = fortress.sites.url("evil.example", "/to?code=307&url=")
    for host in ("127.0.0.1", "rebound.example"):
        attack(fortress.page(fortress.sites.url("evil.example")), f"http://{host}:{victim.port}", through=site)
        fortress.settle()
        assert arrived(victim) == set()


def test_a_frame_of_elsewhere_in_a_developers_page_sends_nothing(fortress: Fortress, victim: Server) -> None:
    """The developer's page may; what it frames is somebody else's."""
    page = fortress.page(fortress.sites.url("localhost"))
    body = f"""<script>
        const told = () => top.postMessage('done', '*');
        fetch('http://localhost:{victim.port}/by/frame', {{mode: 'no-cors'}}).then(told, told)</script>"""
    frame = fortress.sites.serving("evil.example", body)
    assert page.evaluate(f"return await reportsOf(1, () => addFrame({{src: {json.dumps(frame)}}}))") == ["done"]
    fortress.settle()
    assert arrived(victim) == set()


def test_a_developers_page_talks_to_other_servers_of_this_machine(fortress: Fortress, victim: Server) -> None:
    """The control: what is refused to others works here, so the ways are ways. localhost:5173 to localhost:8000."""
    page = fortress.page(fortress.sites.url("localhost"))
    attack(page, f"http://localhost:{victim.port}")
    fortress.settle()
    assert arrived(victim) >= set(NAMES) - {"sandboxed"}


def test_a_page_of_elsewhere_talks_to_the_public_network(fortress: Fortress) -> None:
    """The other control: sites of the web reach each other as ever, but for unencrypted WebSockets to names."""
    for stranger in strangers(fortress):
        page = fortress.page(stranger)
        fetched = f"return (await request('{fortress.sites.url('other.example')}', {{mode: 'no-cors'}})).status"
        began = len(fortress.sites.seen)
        assert page.evaluate(fetched) == 0, "an opaque reply"
        assert [path for _, path, _ in fortress.sites.seen[began:] if path == "/"]


INSIDERS = ("http://localhost", "hyper://drive/", "peersky://p2p/ai-chat/", "evil.example")


def insider(fortress: Fortress, name: str) -> PageDriver:
    url = {"http://localhost": fortress.sites.url("localhost"), "evil.example": fortress.sites.url("evil.example")}
    return fortress.page(url.get(name, name))


@pytest.mark.parametrize("name", ["http://localhost", "hyper://drive/"])
def test_no_page_reaches_ollama_around_the_bridge(fortress: Fortress, ollama: Server, name: str) -> None:
    """Not even one that may ask the model, and not by a name that leads there."""
    page = insider(fortress, name)
    attack(page, *(f"http://{host}:{ollama.port}" for host in ("127.0.0.1", "localhost", "rebound.example")))
    fortress.settle()
    assert arrived(ollama) == set()


NAVIGATIONS = {
    "location": "location.href = TARGET",
    "window": "open(TARGET)",
    "redirect": "location.href = REDIRECT",
    "form": """
        document.body.innerHTML = `<form method=post enctype=text/plain action='${TARGET}'><input name=x></form>`;
        document.forms[0].submit()
    """,
    "download": """
        const a = Object.assign(document.createElement('a'), {href: TARGET, download: 'x'});
        document.body.append(a);
        a.click()
    """,
}


def test_no_page_leads_its_tab_to_ollama_either(fortress: Fortress, ollama: Server) -> None:
    """A form that is posted there would be a request to it as any other."""
    for name in ("http://localhost", "evil.example"):
        for way, script in NAVIGATIONS.items():
            page = insider(fortress, name)
            target = f"http://localhost:{ollama.port}/by/{way}"
            redirect = fortress.sites.redirect("evil.example", target)
            body = script.replace("TARGET", "target").replace("REDIRECT", "redirect")
            page.page.runJavaScript(
                f"{{const target = {json.dumps(target)}, redirect = {json.dumps(redirect)}; {body}}}"
            )
            fortress.settle()
    # A page that is there afterwards: everything that the others started has been decided.
    fortress.page(fortress.sites.url("localhost"))
    fortress.settle()
    assert arrived(ollama) == set()


def test_a_redirect_gives_a_page_of_this_machine_no_answer_of_ollama(fortress: Fortress, ollama: Server) -> None:
    """The one request that is on its way before Chromium asks whether it may: its reply is kept from the page."""
    page = fortress.page(fortress.sites.url("localhost"))
    target = f"http://localhost:{ollama.port}/serve?body=secret&header=access-control-allow-origin:*"
    learnt = page.evaluate(f"return await request({json.dumps(fortress.sites.redirect('localhost', target))})")
    assert learnt == {"threw": "TypeError"}


def test_a_link_leads_to_a_page_of_this_machine(fortress: Fortress, victim: Server) -> None:
    """As it does in every browser: the user sees it, and signing in with another site's help depends on it."""
    page = fortress.page(fortress.sites.url("evil.example"))
    redirect = fortress.sites.redirect("other.example", f"http://localhost:{victim.port}/?callback")
    page.page.runJavaScript(f"location.href = {json.dumps(redirect)}")
    wait_until(lambda: page.page.url().query() == "callback", 10, "The link led nowhere.")


def test_the_user_may_look_at_ollamas_own_page(fortress: Fortress, ollama: Server) -> None:
    """The control: typed, the address is the user's own request."""
    fortress.page(f"http://localhost:{ollama.port}/?/by/hand")
    assert arrived(ollama) == {"hand"}


def test_no_page_reaches_the_engine(fortress: Fortress) -> None:
    """Its health is all that it tells without a key, and not even that to pages."""
    page = fortress.page(fortress.sites.url("localhost"))
    assert page.evaluate("return (await post('llm://bridge/v1/chat/completions', QUESTION)).status") == 200
    (port,) = fortress.runtime.services.builtin.ports()
    learnt: dict[str, Any] = page.evaluate(
        f"""
        const learnt = {{}};
        for (const host of ['127.0.0.1', 'localhost']) {{
          for (const mode of ['cors', 'no-cors']) {{
            learnt[`${{host}} ${{mode}}`] = await request(`http://${{host}}:{port}/health`, {{mode}});
          }}
        }}
        return learnt;
        """
    )
    assert learnt == {key: {"threw": "TypeError"} for key in learnt}
    assert len(learnt) == 4
