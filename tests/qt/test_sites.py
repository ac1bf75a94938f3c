"""What the user decides about sites: ``peersky://settings/sites``, ``peersky://activity/`` and the panel in the address
bar, in the real QtWebEngine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtCore import Qt

from peersky.core.chat import ChatRequest
from peersky.core.errors import NotAllowed
from peersky.core.origins import parse_origin
from peersky.core.trust import Decision
from peersky.qt.address_bar import Sign
from peersky.qt.browser_window import BrowserWindow
from peersky.qt.site_panel import CHOICES, RIGHTS, SitePanel
from tests.qt.pages_lab import PagesLab, Tab
from tests.qt.window_host import KEYBOARD, Site, WindowHost, open_page, until

ON = {"llm.enabled": True, "llm.provider": "builtin", "llm.model": "other"}
SITE = "hyper://abc"


@pytest.fixture
def lab(tmp_path: Path, world: Callable[..., Any]) -> Iterator[PagesLab]:
    lab = PagesLab(tmp_path, world)
    lab.settings.change(ON)
    yield lab
    lab.close()


def ask(lab: PagesLab, text: str = "What is a zebra?") -> None:
    async def asked() -> None:
        request = ChatRequest(messages=({"role": "user", "content": text},))
        async with lab.ai.bridge.chat(parse_origin(SITE), request) as chunks:
            async for _ in chunks:
                pass

    lab.call(asked())


def sites(lab: PagesLab) -> Tab:
    tab = lab.open("peersky://settings/sites")
    tab.until("document.getElementById('main').ariaBusy === 'false' && document.getElementById('limits-parallel')")
    return tab


def decision(lab: PagesLab, capability: str) -> tuple[str, bool] | None:
    found = [one for one in lab.permissions.all() if (one.origin, one.capability) == (SITE, capability)]
    return (found[0].decision.value, found[0].for_good) if found else None


def test_a_site_is_decided_about_limited_and_forgotten(lab: PagesLab) -> None:
    ask(lab)
    tab = sites(lab)
    tab.until_text("#sites", "1 question, 10 tokens")
    tab.click(f"[id='site {SITE}']")
    select = f"[id='memory {SITE}']"
    assert "As usual (allowed)" in tab.text(select)
    tab.fill(select, "block-now")
    tab.until_text("#sites", "Partly blocked")
    assert decision(lab, "memory") == ("block", False)
    assert tab.focused == f"memory {SITE}"
    tab.fill(select, "ask")
    tab.until(f"document.querySelector(\"{select}\")?.value === 'ask'")
    assert decision(lab, "memory") == ("ask", True)
    tab.click(".site details summary")
    tab.fill(f"[id='limit parallel {SITE}']", "0")
    tab.click(f"[id='save {SITE}']")
    tab.until_text(".site .problem", "between 1 and 64")
    tab.fill(f"[id='limit parallel {SITE}']", "1")
    tab.click(f"[id='save {SITE}']")
    tab.until_text(".site details summary", "Limits of its own")
    assert lab.permissions.limits(SITE) == {"parallel": 1}
    tab.click(f"[id='block {SITE}']")
    tab.until_text("#sites .badge", "Blocked")
    with pytest.raises(NotAllowed, match="blocked"):
        ask(lab)
    tab.click(f"[id='forget {SITE}']")
    tab.until("!document.querySelector('.badge')")
    assert lab.permissions.all() == []
    assert tab.page.console == []


def test_sites_are_searched(lab: PagesLab) -> None:
    for number in range(3):
        lab.permissions.decide(f"hyper://site{number}", "llm", Decision.ASK)
    tab = sites(lab)
    tab.fill("#search", "SITE1")
    tab.until_text("#count", "1 of 4 sites")
    assert "hyper://site1" in tab.text("#sites")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("http://example.org", "must use https"),
        ("https://example.org/page", "no web origin"),
        ("example.org", "no web origin"),
    ],
)
def test_what_is_no_site_to_be_listed_is_refused_in_words(lab: PagesLab, typed: str, sentence: str) -> None:
    tab = sites(lab)
    tab.fill("#address", typed)
    tab.click("#add button")
    tab.until_text("#address-problem", sentence)
    assert (tab.focused, tab.value("#address")) == ("address", typed)
    assert lab.settings.get("trust.allowlist") == ["https://agregore.mauve.moe"]


def test_a_web_site_is_listed_and_taken_off(lab: PagesLab) -> None:
    tab = sites(lab)
    for typed in ("https://example.org", "http://127.0.0.1:8000"):
        tab.fill("#address", typed)
        tab.click("#add button")
        tab.until_text("#listed", typed)
    assert tab.value("#address") == ""
    tab.click("[aria-label='Remove: https://agregore.mauve.moe']")
    tab.until("!document.getElementById('listed').innerText.includes('agregore')")
    assert lab.settings.get("trust.allowlist") == ["http://127.0.0.1:8000", "https://example.org"]
    assert tab.focused == "listed-title"


def test_the_limits_of_every_site(lab: PagesLab) -> None:
    tab = sites(lab)
    tab.fill("#limits-cloudTokensPerDay", "-1")
    tab.click("#form [type=submit]")
    tab.until_text("#limits-cloudTokensPerDay-problem", "between 0 and")
    tab.fill("#limits-cloudTokensPerDay", "5000")
    tab.click("#form [type=submit]")
    tab.until_text("#limits-result", "Saved.")
    assert lab.settings.whole("limits.cloudTokensPerDay") == 5000


def test_activity_appears_as_it_happens_and_is_cleared(lab: PagesLab) -> None:
    tab = lab.open("peersky://activity/")
    tab.until_text("#empty", "Nothing yet")
    ask(lab)
    tab.until_text("#rows", SITE)
    cells = tab.run("return [...document.querySelectorAll('#rows td')].map((e) => e.textContent)")
    assert cells[1:4] == [SITE, "Asked the model", "complete"]
    assert "zebra" not in tab.text("#rows")
    tab.click("#content")
    tab.until("document.getElementById('content').checked")
    ask(lab)
    tab.until_text("#rows", "What is a zebra?")
    tab.fill("#outcome", "refused")
    tab.until_text("#empty", "Nothing yet")
    tab.fill("#outcome", "")
    tab.until_text("#rows", SITE)
    tab.click("#clear")
    tab.click("#confirm-clear")
    tab.until_text("#empty", "Nothing yet")
    assert tab.page.console == []


# The panel


def panel_of(window: BrowserWindow) -> SitePanel:
    window.address.sign_button.click()
    panel = window.site_panel
    assert panel is not None
    until(panel.isVisible, "the panel")
    return panel


def choose(panel: SitePanel, capability: str, choice: str) -> None:
    """Choose as a person does with the keyboard."""
    box = panel.choices[capability]
    box.setFocus()
    KEYBOARD.keyClick(box, Qt.Key.Key_Home)
    for _ in range(list(CHOICES).index(choice)):
        KEYBOARD.keyClick(box, Qt.Key.Key_Down)


def test_the_sign_opens_what_the_site_may_do_and_used(window: BrowserWindow, host: WindowHost, site: Site) -> None:
    host.settings.change({"llm.enabled": True, "llm.provider": "builtin"})
    open_page(window, site.url("/", "localhost"), "First")
    origin = f"http://localhost:{site.port}"
    panel = panel_of(window)
    assert panel.accessibleName() == f"What {origin} may do"
    assert [box.accessibleName() for box in panel.choices.values()] == list(RIGHTS.values())
    assert [box.currentText() for box in panel.choices.values()] == [
        *("As usual (allowed)", "As usual (allowed)", "As usual (asks first)", "As usual (asks first)")
    ]
    assert panel.used.text() == "Today: 3 questions, 1,234 tokens, 5 seconds."
    assert not panel.services.isVisible()
    assert panel.limits.text() == "Its limits: 4 answers at once, 60,000 tokens a minute."
    host.permissions.decide(origin, "cloud", Decision.ALLOW, target="https://cloud.example")
    until(lambda: panel.services.text() == "It may ask https://cloud.example.", "the service")
    choose(panel, "memory", "Block until PeerSky closes")
    until(lambda: panel.choices["memory"].currentText() == "Block until PeerSky closes", "the choice")
    assert [(one.capability, one.decision, one.for_good) for one in host.permissions.all()][-1] == (
        *("memory", Decision.BLOCK),
        False,
    )
    KEYBOARD.keyClick(panel, Qt.Key.Key_Escape)
    until(lambda: not window.findChildren(SitePanel), "the panel is gone")


def test_a_site_is_blocked_and_unblocked_from_the_panel(window: BrowserWindow, host: WindowHost, site: Site) -> None:
    host.settings.change({"llm.enabled": True, "llm.provider": "builtin"})
    open_page(window, site.url("/", "localhost"), "First")
    panel = panel_of(window)
    panel.block_button.click()
    until(lambda: window.address.sign is Sign.BLOCKED, "the sign")
    assert window.address.sign_button.text() == "AI blocked"
    assert {box.currentText() for box in panel.choices.values()} == {"Block"}
    panel.block_button.click()
    until(lambda: window.address.sign is Sign.READY, "the sign")
    assert panel.block_button.text() == "&Block this site"
    panel.sites_button.click()
    until(lambda: any(tab.address == "peersky://settings/sites" for tab in window.tabs), "the page of all sites")


def test_the_services_know_which_pages_are_seen(window: BrowserWindow, host: WindowHost, site: Site) -> None:
    open_page(window, site.url("/", "localhost"), "First")
    until(lambda: [str(one) for one in host.shown[-1]] == [f"http://localhost:{site.port}"], "the page")
    window.open_tab("peersky://home/")
    until(lambda: [str(one) for one in host.shown[-1]] == ["peersky://home"], "the tab in front")
    window.select_tab(0)
    until(lambda: [str(one) for one in host.shown[-1]] == [f"http://localhost:{site.port}"], "the first tab")
    window.showMinimized()
    until(lambda: host.shown[-1] == frozenset(), "nothing is seen")
