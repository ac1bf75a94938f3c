"""P2P addresses that pages write: keys that no URL host can hold are rewritten before the URL parser sees them."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from PyQt6.QtWebEngineCore import QWebEngineLoadingInfo

from peersky.core.keys import hyper_host, ipfs_host, ipns_host
from peersky.core.load_errors import explain
from peersky.qt.driver import ScriptFailed, wait_until
from tests.qt.echo_app import EchoApp
from tests.qt.window_host import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from peersky.qt.driver import PageDriver
    from tests.qt.conftest import World

HEX = hashlib.sha256(b"drive").hexdigest()
Z32 = hyper_host(HEX)
V0 = "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR"
V1 = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
PEER = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
NAME = ipns_host(PEER)
LONG = "g" * 64
HOME = f"hyper://{'y' * 52}/"


@pytest.fixture
def echo() -> EchoApp:
    return EchoApp()


@pytest.fixture
def page(world: Callable[..., World], echo: EchoApp) -> PageDriver:
    return world(peersky=echo, hyper=echo, ipfs=echo, ipns=echo).page(HOME)


def spellings() -> list[tuple[str, str, str]]:
    """Scheme, key as somebody wrote it, host that Python makes of it."""
    cases: list[tuple[str, str]] = [("hyper", "blog.example"), ("hyper", LONG[:63]), ("ipns", "docs.ipfs.tech")]
    for number in range(12):
        digest = hashlib.sha256(bytes([number])).digest()
        drive, binary = digest.hex(), b"\x01\x55\x12\x20" + digest
        cases += [("hyper", drive), ("hyper", drive.upper()), ("hyper", str(hyper_host(drive)).upper())]
        lower = "b" + base64.b32encode(binary).decode().rstrip("=").lower()
        coded = "u" + base64.urlsafe_b64encode(binary).decode().rstrip("=")
        cases += [("ipfs", cid) for cid in (lower, lower.upper(), "f" + binary.hex(), coded, V0, lower[:-2], "Qm" + V0)]
        key = (b"\x01\x72\x00\x24\x08\x01\x12\x20" + digest).hex()
        cases += [("ipns", "f" + key), ("ipns", str(ipns_host("f" + key)).upper()), ("ipns", PEER), ("ipns", V0)]
    convert = {"hyper": hyper_host, "ipfs": ipfs_host, "ipns": ipns_host}
    return [(scheme, text, convert[scheme](text) or text.lower()) for scheme, text in cases]


def test_pages_and_the_address_bar_spell_keys_the_same(page: PageDriver) -> None:
    cases = spellings()
    urls = [f"{scheme}://{text}/Path%20x?Query#End" for scheme, text, _ in cases]
    found = page.evaluate(f"return {json.dumps(urls)}.map((url) => new Request(url).url)")
    assert found == [f"{scheme}://{host}/Path%20x?Query#End" for scheme, _, host in cases]


@pytest.mark.parametrize(
    ("typed", "host"), [(f"hyper://{HEX}", Z32), (f"ipfs://{V0}", V1), (f"ipns://{PEER}", NAME)], ids=["0", "1", "2"]
)
def test_fetch_request_xhr_and_event_source(page: PageDriver, typed: str, host: str) -> None:
    script = f"""
        const typed = {json.dumps(typed)};
        const x = await new Promise((done) => {{
          const x = new XMLHttpRequest();
          x.open('PUT', typed + '/status/201');
          x.onloadend = () => done(x);
          x.send('x');
        }});
        const e = await new Promise((done) => {{
          const e = new EventSource(typed + '/events');
          e.onmessage = () => {{ e.close(); done(e); }};
        }});
        const f = await fetch(typed + '/echo', {{method: 'DELETE'}});
        const r = await fetch(new Request(typed + '/status/403', {{method: 'PUT', body: 'x'}}));
        return [f.url, (await f.json()).host, r.url, r.status, x.status, x.responseURL, e.url, r instanceof Response];
    """
    base = f"{typed.partition('://')[0]}://{host}"
    assert page.evaluate(script) == [
        *(f"{base}/echo", host, f"{base}/status/403", 403, 201, f"{base}/status/201", f"{base}/events", True)
    ]


def test_request_stays_the_native_constructor(page: PageDriver) -> None:
    script = """
        class Mine extends Request {}
        const mine = new Mine('ipfs://' + 'x', {method: 'PUT'});
        return [mine instanceof Mine, mine instanceof Request, mine.clone().constructor === Request, Request.name,
          new Request('/a').url, EventSource.CONNECTING];
    """
    assert page.evaluate(script) == [True, True, True, "Request", f"{HOME}a", 0]


@pytest.mark.parametrize("call", ["fetch(URL)", "new Request(URL)", "new XMLHttpRequest().open('GET', URL)"])
def test_what_is_no_key_and_too_long_gets_a_sentence(page: PageDriver, call: str) -> None:
    with pytest.raises(ScriptFailed) as caught:
        page.evaluate(f"await {call.replace('URL', json.dumps(f'hyper://{LONG}/'))}")
    assert caught.value.error["name"] == "TypeError"
    assert "is too long for an address and no key" in caught.value.error["message"]


GO = {
    "link": "document.body.innerHTML = `<a id=a href='${url}'><b id=b>go</b></a>`; b.click()",
    "link in a shadow tree": "const s = document.body.attachShadow({mode: 'open'});"
    "s.innerHTML = `<a href='${url}'>x</a>`; s.firstChild.click()",
    "form": "document.body.innerHTML = `<form action='${url}'><button id=b>go</button></form>`; b.click()",
    "button's own action": "document.body.innerHTML = `<form><button id=b formaction='${url}'>go</button></form>`;"
    "b.click()",
    "form.submit()": "document.body.innerHTML = `<form id=f action='${url}'></form>`; f.submit()",
}


@pytest.mark.parametrize("way", GO)
def test_links_and_forms_open_the_canonical_address(page: PageDriver, way: str) -> None:
    page.page.runJavaScript(f"{{ const url = 'ipfs://{V0}/path/x'; {GO[way]} }}")
    wait_until(lambda: page.page.url().path() == "/path/x", 20, "the page did not open")
    assert page.page.url().host() == V1


@pytest.mark.parametrize("way", ["location = url", "location.replace(url)", "location.href = url"])
def test_a_hex_key_given_to_location_is_caught(page: PageDriver, way: str) -> None:
    page.page.runJavaScript(f"{{ const url = 'hyper://{HEX.upper()}/path/x'; {way} }}")
    wait_until(lambda: page.page.url().path() == "/path/x", 20, "the page did not open")
    assert page.page.url().host() == Z32


def test_window_open(page: PageDriver) -> None:
    opened: list[Any] = []
    page.page.newWindowRequested.connect(lambda request: opened.append(request.requestedUrl().toString()))
    settings = page.page.settings()
    assert settings is not None
    settings.setAttribute(settings.WebAttribute.JavascriptCanOpenWindows, True)
    page.evaluate(f"window.open('hyper://{HEX}/x')")
    wait_until(lambda: bool(opened), 20, "no window")
    assert opened == [f"hyper://{Z32}/x"]


def test_an_address_that_is_no_key_fails_as_an_invalid_one(page: PageDriver) -> None:
    """What Chromium makes of it is an empty URL; the error panel has a sentence for that."""
    outcome: list[QWebEngineLoadingInfo] = []
    page.page.loadingChanged.connect(lambda info: outcome.append(QWebEngineLoadingInfo(info)))
    page.page.runJavaScript(f"location = 'hyper://{LONG}/'")
    wait_until(lambda: any(info.status() == info.LoadStatus.LoadFailedStatus for info in outcome), 20, str(outcome))
    failed = next(info for info in outcome if info.status() == info.LoadStatus.LoadFailedStatus)
    assert (failed.errorCode(), failed.url().toString()) == (-300, "")
    assert "longer than an address can hold" in explain("", -300).sentence


def test_links_of_untrusted_pages_lead_on_too_and_show_them_nothing(page: PageDriver) -> None:
    site = Site({"/": f"<a id=a href='hyper://{HEX}/path/x'>x</a>"})
    try:
        page.load(site.url("/"))
        assert page.evaluate("return [typeof canonicalUrl, Request.toString()]") == [
            "undefined",
            "function Request() { [native code] }",
        ]
        page.page.runJavaScript("a.click()")
        wait_until(lambda: page.page.url().path() == "/path/x", 20, "the page did not open")
        assert page.page.url().host() == Z32
    finally:
        site.close()
