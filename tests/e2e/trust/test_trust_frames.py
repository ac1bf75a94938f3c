"""Frames: a trusted page in a hostile one has nothing, a hostile one in a trusted one has nothing either."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.e2e.trust.conftest import successes

if TYPE_CHECKING:
    from peersky.qt.driver import PageDriver
    from tests.e2e.trust.conftest import Fortress

pytestmark = pytest.mark.attack("Frames")

Frames = dict[str, dict[str, str]]


def attacker(fortress: Fortress, name: str) -> str:
    """Markup of a frame that attacks and reports under a name."""
    script = fortress.sites.url("evil.example", "/attacks.js")
    return f"<script src='{script}'></script><script>reportToTop('{name}')</script>"


def frames_of_no_site(fortress: Fortress) -> Frames:
    """Frames whose origin is the parent's or none at all."""
    names = ("srcdoc", "blob", "data", "sandboxed srcdoc", "sandboxed blob", "sandboxed same-origin")
    markup = {name: attacker(fortress, name) for name in names}
    scripts, same = {"sandbox": "allow-scripts"}, {"sandbox": "allow-scripts allow-same-origin"}
    return {
        "srcdoc": {"srcdoc": markup["srcdoc"]},
        "blob": {"blob": markup["blob"]},
        "data": {"src": f"data:text/html,{quote(markup['data'])}"},
        "sandboxed srcdoc": {"srcdoc": markup["sandboxed srcdoc"], **scripts},
        "sandboxed blob": {"blob": markup["sandboxed blob"], **scripts},
        "sandboxed same-origin": {"srcdoc": markup["sandboxed same-origin"], **same},
    }


def frames_of_sites(*urls: str, **attributes: str) -> Frames:
    return {url: {"src": url, **attributes} for url in urls}


def reports(page: PageDriver, frames: Frames) -> dict[str, dict[str, Any]]:
    """What each frame reports, by the name it gives itself: its own or its address."""
    script = f"""
        const frames = {json.dumps(list(frames.values()))};
        return await reportsOf(frames.length, () => frames.forEach(addFrame));
    """
    found = {report.pop("name"): report for report in page.evaluate(script, 30)}
    assert len(found) == len(frames)
    return found


def assert_nothing(report: dict[str, Any]) -> None:
    assert (report["llm"], report["bridge"]) == ("undefined", "undefined"), report["origin"]
    assert successes(report["learnt"]) == {}, report["origin"]


EMPTY_FRAMES = {
    "about:blank": "document.body.append(frame)",
    "javascript:": "frame.src = `javascript:'<p>script'`; document.body.append(frame); await loaded",
    "document.write": "document.body.append(frame); frame.contentDocument.write('<p>written')",
}


def empty_frames(fortress: Fortress, page: PageDriver) -> dict[str, dict[str, Any]]:
    """What frames without an address of their own learn when their parent makes them attack."""
    source = fortress.sites.url("evil.example" if "evil" in page.page.url().host() else "localhost", "/attacks.js")
    return {
        name: page.evaluate(
            f"""
            const source = await (await fetch('{source}')).text();
            const frame = document.createElement('iframe');
            const loaded = new Promise((done) => {{ frame.onload = done; }});
            {make};
            frame.contentWindow.eval(source);
            return await frame.contentWindow.probe();
            """
        )
        for name, make in EMPTY_FRAMES.items()
    }


def test_a_hostile_page_frames_trusted_pages_in_vain(fortress: Fortress) -> None:
    nested = f"<iframe src='{fortress.sites.url('localhost', '/probe#nested')}'></iframe>"
    nested_drive = "<iframe src='hyper://drive/probe#nested'></iframe>"
    with fortress.siege() as seen:
        page = fortress.page(fortress.sites.url("evil.example"))
        found = reports(page, frames_of_sites("hyper://drive/probe", "hyper://other/probe"))
        found |= reports(page, {"nested": {"src": f"hyper://other/serve?body={quote(nested_drive)}"}})
        # A site of the public network does not even load what is on this machine; one of this machine does.
        page = fortress.page(fortress.sites.url("127.0.0.1"))
        found |= reports(page, frames_of_sites(fortress.sites.url("localhost", "/probe")))
        found |= reports(page, {"nested": {"src": fortress.sites.serving("localhost", nested)}})
    assert {report["origin"] for report in found.values()} == {
        f"http://localhost:{fortress.sites.port}",
        "hyper://drive",
        "hyper://other",
    }
    for report in found.values():
        assert_nothing(report)
    assert len([request for request in seen if request.status == 403]) > 20


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1"])
def test_a_hostile_page_has_nothing_in_any_frame_of_its_own(fortress: Fortress, host: str) -> None:
    with fortress.siege():
        page = fortress.page(fortress.sites.url(host))
        for report in reports(page, frames_of_no_site(fortress)).values():
            assert_nothing(report)


def test_a_hostile_page_has_nothing_in_a_frame_without_an_address(fortress: Fortress) -> None:
    with fortress.siege():
        for report in empty_frames(fortress, fortress.page(fortress.sites.url("evil.example"))).values():
            assert_nothing(report)


@pytest.mark.parametrize("site", ["http", "hyper"])
def test_a_hostile_frame_in_a_trusted_page_has_nothing(fortress: Fortress, site: str) -> None:
    trusted = {"http": fortress.sites.url("localhost"), "hyper": "hyper://drive/"}[site]
    hosts = ("evil.example", "localhost.evil.example", *(["127.0.0.1"] if site == "http" else []))
    hostile = frames_of_sites(*(fortress.sites.url(host, "/probe") for host in hosts))
    hostile |= {name: frame for name, frame in frames_of_no_site(fortress).items() if "same" not in name}
    del hostile["srcdoc"], hostile["blob"]
    if site == "http":
        hostile |= frames_of_sites(fortress.sites.url("localhost", "/probe"), sandbox="allow-scripts")
    with fortress.siege() as seen:
        found = reports(fortress.page(trusted), hostile)
        for report in found.values():
            assert_nothing(report)
    top = f"http://localhost:{fortress.sites.port}" if site == "http" else "hyper://drive"
    assert {str(request.asker.top) for request in seen if request.scheme == "llm"} == {top}


def test_a_frame_of_a_trusted_page_that_shares_its_origin_shares_its_rights(fortress: Fortress) -> None:
    """The control: the same frames and the same attempts, and the harness sees them succeed."""
    page = fortress.page(fortress.sites.url("localhost"))
    own = frames_of_no_site(fortress)
    shared = {name: own[name] for name in ("srcdoc", "blob", "sandboxed same-origin")}
    shared |= frames_of_sites(fortress.sites.url("localhost", "/probe"), "hyper://drive/probe")
    found = reports(page, shared)
    assert {report["llm"] for report in found.values()} == {"object"}
    # Frames without an address get the scripts late; their requests are the parent's all the same.
    for name, report in (found | empty_frames(fortress, page)).items():
        assert report["learnt"]["chat 0"]["status"] == 200, name
        # The model and no more: the internal APIs are for internal pages.
        apis = {n: one for n, one in report["learnt"].items() if n.startswith(("settings", "change", "enable", "read"))}
        assert len(apis) > 10
        assert successes(apis) == {}, name


SMUGGLE = {
    "frame": "<iframe src='INNER'></iframe>",
    "redirected": "<iframe src='REDIRECT'></iframe>",
    "object": "<object data='INNER' type='text/html'></object>",
    "embed": "<embed src='INNER' type='text/html'>",
    "form": "<iframe name=inner></iframe><form method=post target=inner action='INNER'></form>"
    "<script>document.forms[0].submit()</script>",
    "srcdoc": "<iframe srcdoc='<iframe src=\"INNER\"></iframe>'></iframe>",
    "sandboxed": "<iframe sandbox='allow-scripts allow-same-origin' src='INNER'></iframe>",
    "script": "<iframe></iframe><script>frames[0].location = 'INNER'</script>",
}


def smuggled(fortress: Fortress, middle: str, reports: int) -> set[str]:
    """Which ways lead to a page of localhost within a frame of another site within a page of localhost.

    Args:
        fortress: the product and the sites.
        middle: host of the frame between.
        reports: how many messages to wait for; the frame between sends one for each way, when it has loaded.
    """
    frames = []
    for way, markup in SMUGGLE.items():
        inner = fortress.sites.serving("localhost", f"<script>top.postMessage('inside {way}', '*')</script>")
        redirect = fortress.sites.redirect("evil.example", inner)
        body = f"{markup}<script>onload = () => top.postMessage('{way}', '*')</script>"
        body = body.replace("INNER", inner).replace("REDIRECT", redirect)
        frames.append({"src": fortress.sites.serving(middle, body)})
    page = fortress.page(fortress.sites.url("localhost"))
    script = f"const frames = {json.dumps(frames)}; return await reportsOf({reports}, () => frames.forEach(addFrame))"
    found = set(page.evaluate(script))
    assert found >= SMUGGLE.keys()
    return {way for way in SMUGGLE if f"inside {way}" in found}


def test_a_hostile_frame_brings_no_trusted_page_into_a_trusted_one(fortress: Fortress) -> None:
    """The top page is trusted and so would the innermost be; what is between them shows in no request."""
    count = len(SMUGGLE)
    assert smuggled(fortress, "evil.example", count) == set()
    # The control: the frame between is trusted, too.
    assert smuggled(fortress, "localhost", 2 * count) == SMUGGLE.keys()


def test_a_trusted_page_that_its_own_top_page_sends_behind_a_hostile_frame_has_no_scripts(fortress: Fortress) -> None:
    inner = fortress.sites.serving("localhost", "<script>top.postMessage(typeof llm, '*')</script>")
    told = "<iframe name=catch></iframe><script>onload = () => top.postMessage('ready', '*')</script>"
    page = fortress.page(fortress.sites.url("localhost"))
    script = f"""
        await reportsOf(1, () => addFrame({{src: {json.dumps(fortress.sites.serving("evil.example", told))}}}));
        return await reportsOf(1, () => open({json.dumps(inner)}, 'catch'));
    """
    assert page.evaluate(script) == ["undefined"]
    assert fortress.windows == []
