"""``peersky://settings/p2p`` in the real QtWebEngine: what runs, the settings, and the reset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtCore import Qt

from peersky.llm.memory import Partition
from peersky.p2p.errors import NodeUnavailable
from peersky.qt.driver import wait_until
from tests.qt.pages_lab import PATIENCE_S, PagesLab, Tab

SITE = "https://agregore.mauve.moe"


@pytest.fixture
def lab(tmp_path: Path, world: Callable[..., Any]) -> Iterator[PagesLab]:
    lab = PagesLab(tmp_path, world)
    yield lab
    lab.close()


def opened(lab: PagesLab, **options: int) -> Tab:
    tab = lab.open("peersky://settings/p2p", **options)
    tab.until("document.getElementById('main').getAttribute('aria-busy') === 'false'")
    tab.until("document.getElementById('form').getAttribute('aria-busy') === 'false'")
    return tab


def test_state_and_settings(lab: PagesLab) -> None:
    tab = opened(lab, width=320)
    tab.until_text("#state", "Not started: it starts with the first P2P page.")
    assert lab.node.starts == 0
    assert tab.run("return document.documentElement.scrollWidth <= innerWidth")

    lab.node.failure = NodeUnavailable("The P2P node could not be installed.", reason="not_installed")
    tab.click("#start")
    tab.until_text("#state-problem", "The P2P node could not be installed.")
    lab.node.failure = None
    tab.click("#start")
    tab.until_text("#state", "Hyper and IPFS run.")
    tab.until_text("#figures", "12D3KooWTestPeer")
    tab.until_text("#figures", "k17zx7jek1fc5dndesb9978amks5dimsnb5ochhcuf77tbyf7wko")
    tab.until_text("#cache", "12.0 MB in the cache of the 2.0 GB")
    tab.click("#gc")
    tab.until_text("#cache-result", "12.0 MB are free again.")
    # What other tabs and pages do is seen without a reload.
    lab.node.state = "crash_loop"
    tab.until_text("#state", "crash_loop")
    assert tab.run("return document.getElementById('start').checkVisibility()")

    assert tab.value("#p2p-cacheBytes") == "2000"
    tab.fill("#p2p-cacheBytes", "500.5")
    tab.fill("#p2p-uploadLimit", "250")
    tab.run(
        "const one = document.getElementById('p2p-listen'); one.value = 'lan';"
        "const other = document.getElementById('p2p-ipfs-backend'); other.value = 'kubo';"
        "other.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    tab.fill("#p2p-ipfs-kuboRpc", "http://127.0.0.1:9")
    tab.click("#test")
    tab.until_text("#test-result", "No Kubo answers at http://127.0.0.1:9;")
    tab.click("#form button[type=submit]")
    tab.until_text("#result", "Saved.")
    keys = ("cacheBytes", "uploadLimit", "listen", "ipfs.backend", "ipfs.kuboRpc")
    stored = [lab.settings.get(f"p2p.{key}") for key in keys]
    assert stored == [500_500_000, 250_000, "lan", "kubo", "http://127.0.0.1:9"]
    tab.run("document.querySelector('details').open = true")
    tab.fill("#p2p-ipfs-port", "70000")
    tab.click("#form button[type=submit]")
    tab.until_text("#p2p-ipfs-port-problem", "must be between 0 and 65535")

    assert tab.page.console == []


def test_the_reset_with_the_keyboard(lab: PagesLab) -> None:
    lab.settings.change({"llm.memoryEnabled": True})
    lab.call(lab.memory.add(Partition(SITE), {"appId": "a", "sessionId": "s", "content": "Hi"}))
    tab = opened(lab)
    tab.focus_view()
    tab.tab_to("e.id === 'reset'")
    tab.key(Qt.Key.Key_Return)
    tab.until("document.activeElement.innerText === 'Cancel'")
    tab.key(Qt.Key.Key_Escape)
    tab.until("document.activeElement.id === 'reset'")
    assert lab.node.resets == []
    tab.key(Qt.Key.Key_Return)
    tab.until("document.activeElement.innerText === 'Cancel'")
    tab.tab_to("e.id === 'identities'")
    tab.key(Qt.Key.Key_Space)
    tab.tab_to("e.id === 'confirm-reset'")
    tab.key(Qt.Key.Key_Return)
    tab.until_text("#reset-result", "All P2P data was deleted.")
    assert lab.node.resets == [True]
    wait_until(lambda: lab.call(lab.memory.use()).entries == 0, PATIENCE_S, "The conversations are still there.")
