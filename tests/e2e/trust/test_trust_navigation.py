"""Navigation into the browser's own pages, by whatever leads there, and trust that does not survive a redirect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import QUrl

from peersky.qt.driver import wait_until
from tests.e2e.trust.conftest import successes
from tests.e2e.trust.test_trust_origins import ALL_WAYS

if TYPE_CHECKING:
    from peersky.qt.driver import PageDriver
    from tests.e2e.trust.conftest import Fortress

pytestmark = pytest.mark.attack("Navigation, pop-ups and redirects")

INSIDE = ["peersky://settings/", "peersky://home/api/llm-enable", "llm://bridge/v1/status"]


def shows_nothing(page: PageDriver) -> bool:
    """The tab shows a refusal or its old page, and nothing of the browser's own."""
    found: list[str] = []

    def read() -> bool:
        # A page on its way out answers with nothing, or not at all.
        if not page.page.isLoading():
            page.page.toHtml(lambda html: found.append(html or ""))
        return any(found)

    wait_until(read, 10, "The tab did not come to rest.")
    return not any(sign in found[-1] for sign in ("general.js", "llm.js", "home.js", '"supported"', '"settings"'))


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("host", ["evil.example", "localhost"])
def test_a_typed_address_is_not_redirected_inside(fortress: Fortress, code: int, host: str) -> None:
    """Such a redirect comes without initiator, as an address does that the user typed."""
    page = fortress.page(fortress.sites.url(host))
    with fortress.siege() as seen:
        for target in INSIDE:
            once = fortress.sites.redirect(host, target, code)
            for address in (once, fortress.sites.redirect("evil.example", once, code)):
                page.load(address)
                assert shows_nothing(page)
    assert {str(request.asker.origin) for request in seen if request.asker.is_navigation} <= {"null"}


def test_an_address_typed_before_lends_nothing_to_a_redirect(fortress: Fortress) -> None:
    first, second = fortress.page("peersky://settings/"), fortress.page("peersky://settings/")
    evil = fortress.sites.redirect("evil.example", "peersky://settings/")
    with fortress.siege("peersky://settings") as seen:
        for page in (first, second):
            page.load(evil)
            assert shows_nothing(page)
        # Typed, given up for another address, and never asked for.
        first.page.load(QUrl("peersky://settings/"))
        first.load(evil)
        assert shows_nothing(first)
        second.load(evil)
        assert shows_nothing(second)
    assert {request.status for request in seen if request.asker.is_navigation} == {403}


# Ways in which a page sends its own tab elsewhere. TARGET is the address; REDIRECT one that redirects there.
WAYS = {
    "location": "location.href = TARGET",
    "location.replace": "location.replace(TARGET)",
    "open in the same tab": "open(TARGET, '_self')",
    "link": "const a = document.createElement('a'); a.href = TARGET; document.body.append(a); a.click()",
    "link without referrer": """
        const a = Object.assign(document.createElement('a'), {href: TARGET, rel: 'noreferrer noopener'});
        document.body.append(a);
        a.click()
    """,
    "meta refresh": """
        const refresh = `<meta http-equiv=refresh content="0;url=${TARGET}">`;
        document.head.insertAdjacentHTML('beforeend', refresh)
    """,
    "get form": "document.body.innerHTML = `<form action='${TARGET}'>`; document.forms[0].submit()",
    "post form": """
        const fields = `<input name='{"changes":{"llm.temperature":0.123}}' value=''>`;
        document.body.innerHTML = `<form method=post enctype=text/plain action='${TARGET}'>${fields}</form>`;
        document.forms[0].submit()
    """,
    "redirected link": "location.href = REDIRECT",
    "frame": "addFrame({src: TARGET})",
    "redirected frame": "addFrame({src: REDIRECT})",
    "frame that leaves": "addFrame({srcdoc: `<script>top.location = '${TARGET}'</` + 'script>'})",
    "form into a frame": """
        addFrame({name: 'inner'});
        document.body.insertAdjacentHTML('beforeend', `<form method=post target=inner action='${TARGET}'></form>`);
        document.forms[0].submit()
    """,
}


REFUSED_BEFORE = {"post form", "form into a frame"}
"""A body of a stranger is refused before any app; nothing tells the test when."""


@pytest.mark.parametrize("way", WAYS)
def test_a_hostile_page_does_not_get_its_tab_inside(fortress: Fortress, way: str) -> None:
    home = fortress.sites.url("evil.example")
    page = fortress.page(home)
    for target in (*INSIDE, "peersky://settings/llm"):
        page.load(home)
        redirect = fortress.sites.redirect("evil.example", target)
        script = WAYS[way].replace("TARGET", "target")
        script = script.replace("REDIRECT", "redirect")
        with fortress.siege():
            began = len(fortress.requests)
            page.page.runJavaScript(
                f"{{const target = {json.dumps(target)}, redirect = {json.dumps(redirect)}; {script}}}"
            )
            wait_until(
                lambda began=began: fortress.answered(began) > 0,  # type: ignore[misc]
                0.2 if way in REFUSED_BEFORE else 10,
                None if way in REFUSED_BEFORE else "The attempt reached nobody.",
            )
            fortress.settle()
            assert shows_nothing(page)


WINDOWS = {
    "open": "open(TARGET)",
    "open without opener": "open(TARGET, '_blank', 'noopener,noreferrer')",
    "blank, then there": "const w = open('about:blank'); w.location = TARGET",
    "link in a new tab": """
        const link = {href: TARGET, target: '_blank', rel: 'noreferrer noopener'};
        const a = Object.assign(document.createElement('a'), link);
        document.body.append(a);
        a.click()
    """,
    "redirected": "open(REDIRECT)",
    "redirected without opener": "open(REDIRECT, '_blank', 'noreferrer')",
    "post form": """
        document.body.innerHTML = `<form method=post target=_blank rel=noopener action='${TARGET}'></form>`;
        document.forms[0].submit()
    """,
}


@pytest.mark.parametrize("way", WINDOWS)
def test_a_hostile_page_opens_no_window_inside(fortress: Fortress, way: str) -> None:
    page = fortress.page(fortress.sites.url("evil.example"))
    for target in INSIDE:
        redirect = fortress.sites.redirect("evil.example", target)
        script = WINDOWS[way].replace("TARGET", "target").replace("REDIRECT", "redirect")
        with fortress.siege():
            windows = len(fortress.windows)
            page.page.runJavaScript(
                f"{{const target = {json.dumps(target)}, redirect = {json.dumps(redirect)}; {script}}}"
            )
            wait_until(lambda windows=windows: len(fortress.windows) > windows, 5, "No window opened.")  # type: ignore[misc]
            fortress.settle()
            assert shows_nothing(fortress.windows[-1])


def test_an_opened_page_is_closed_to_its_opener(fortress: Fortress) -> None:
    """A trusted page may open the model's settings, and no page can look into the window that shows them."""
    page = fortress.page("hyper://drive/")
    page.evaluate("self.opened = open('peersky://settings/llm')")
    window = fortress.windows[0]
    wait_until(lambda: bool(window.page.title()), 10, "The settings did not load.")
    assert window.evaluate("return location.href") == "peersky://settings/llm"
    peek = "try { return opened.document.title; } catch (error) { return error.name; }"
    assert page.evaluate(peek) == "SecurityError"
    with fortress.siege(*fortress.friends, "peersky://settings"):
        for target in ("peersky://settings/", "peersky://home/", "peersky://settings/api/settings"):
            count = len(fortress.windows)
            page.evaluate(f"open('{target}')")
            wait_until(lambda count=count: len(fortress.windows) > count, 5, "No window opened.")  # type: ignore[misc]
            fortress.settle()
            assert shows_nothing(fortress.windows[-1])


def test_the_user_may_type_any_of_them(fortress: Fortress) -> None:
    """The control: what the attempts above are after is there."""
    page = fortress.page("peersky://settings/")
    assert not shows_nothing(page)
    assert page.page.url().host() == "settings"


@pytest.mark.parametrize("code", [301, 302, 307])
def test_trust_ends_where_a_redirect_leads_away(fortress: Fortress, code: int) -> None:
    away = fortress.sites.url("evil.example")
    for start in (fortress.sites.redirect("localhost", away, code), f"hyper://drive/to?code={code}&url={away}"):
        with fortress.siege():
            found = fortress.page(start).evaluate(ALL_WAYS)
        assert found["origin"] == away.rstrip("/")
        assert (found["llm"], found["bridge"]) == ("undefined", "undefined")
        assert successes(found["learnt"]) == {}


def test_no_site_ever_sees_the_stamp(fortress: Fortress) -> None:
    """Who has the stamp's secret can forge stamps in a worker. Redirects carry other headers along."""
    away = fortress.sites.url("evil.example", "/serve?body=x&header=access-control-allow-origin:*")
    began = len(fortress.sites.seen)
    page = fortress.page("hyper://drive/")
    page.evaluate(
        f"""
        const away = encodeURIComponent({json.dumps(away)});
        for (const code of [301, 302, 303, 307, 308]) {{
          for (const mode of ['cors', 'no-cors']) await request(`/to?code=${{code}}&url=${{away}}`, {{mode}});
          await post(`/to?code=${{code}}&url=${{away}}`, 'x', {{}}, {{mode: 'no-cors'}});
          await tryElements(`/to?code=${{code}}&url=${{away}}`);
        }}
        """
    )
    page.load(f"hyper://drive/to?url={fortress.sites.url('evil.example', '/serve?body=x')}")
    requests = fortress.sites.seen[began:]
    assert len([path for _, path, _ in requests if path.startswith("/serve")]) > 20
    for _, _, headers in requests:
        assert not [name for name in headers if "peersky" in name]


def test_a_trusted_page_is_not_tricked_by_a_redirect_into_changing_anything(fortress: Fortress) -> None:
    """A hostile site answers a trusted page's request with a redirect to the browser's own addresses."""
    page = fortress.page(fortress.sites.url("localhost"))
    with fortress.siege() as seen:
        learnt = page.evaluate(
            f"""
            const learnt = {{}};
            const targets = ['peersky://settings/api/settings', 'peersky://home/api/llm-enable', 'peersky://home/'];
            for (const target of targets) {{
              for (const code of [302, 303, 307, 308]) {{
                const url = `{fortress.sites.url("evil.example", "/to")}?code=${{code}}&url=${{target}}`;
                for (const mode of ['cors', 'no-cors']) {{
                  learnt[`POST ${{code}} ${{mode}} ${{target}}`] = await post(url, CHANGES, {{}}, {{mode}});
                  learnt[`GET ${{code}} ${{mode}} ${{target}}`] = await request(url, {{mode}});
                }}
              }}
            }}
            return learnt;
            """
        )
    assert len(learnt) == 48
    assert successes(learnt) == {}
    assert {request.status for request in seen} <= {403}


def test_reports_of_a_hostile_pages_policy_reach_nobody(fortress: Fortress) -> None:
    """The browser itself sends these, as POST requests."""
    policies = [
        f"content-security-policy:img-src 'none'; report-uri {target}"
        for target in ("peersky://home/api/llm-enable", "hyper://drive/report")
    ]
    with fortress.siege() as seen:
        for policy in policies:
            fortress.page(fortress.sites.serving("evil.example", "<img src=/x.png>", policy))
            fortress.settle()
    assert [request for request in seen if request.method == "POST"] == []
