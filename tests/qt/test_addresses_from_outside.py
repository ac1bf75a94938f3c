"""Addresses that another program hands over (``peersky run URL``, a link in a mail): as if typed, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.qt.window_host import until

if TYPE_CHECKING:
    from peersky.qt.window import BrowserWindow

pytestmark = pytest.mark.attack("The command line")

RUNS_SOMETHING = (
    "javascript:alert(document.domain)",
    "java\tscript:alert(1)",
    " \x01JavaScript:alert(1)",
    "view-source:javascript:alert(1)",
    "llm://bridge/v1/chat/completions",
    "blob:peersky://settings/x",
    "chrome://gpu",
    "hyper://" + "g" * 64,
)


@pytest.mark.parametrize("url", RUNS_SOMETHING)
def test_an_address_of_another_program_runs_nothing(window: BrowserWindow, url: str) -> None:
    """It gets a tab of its own, so that no script of it runs in a page that is open; and a sentence says why not."""
    before = window.tab
    window.browser.open(url)
    until(lambda: window.tab is not before and bool(window.tab and window.tab.bars), "the sentence")
    assert window.tab is not None
    assert window.tab.page.url().isEmpty()
    assert before is None or before in window.tabs
