"""While a peer-to-peer page has no answer, its tab says so; stop ends the search."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from PyQt6.QtCore import QCoreApplication, QEvent, Qt

from peersky.qt.window import Browser, BrowserWindow
from peersky.web.asker import asker_of
from peersky.web.p2p_lookups import Lookups
from tests.qt.window_host import KEYBOARD, WindowHost, page_app, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.qt.conftest import World

DRIVE = f"hyper://{'y' * 52}"


class Slow:
    """A P2P app whose peers answer when the test says so."""

    def __init__(self) -> None:
        self.lookups = Lookups()
        self.answer = asyncio.Event()
        self.given_up: list[str] = []

    async def let_peers_answer(self) -> None:
        self.answer.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        url = f"{scope['scheme']}://{scope['server'][0]}{scope['raw_path'].decode()}"
        with self.lookups.looking(url, asker_of(scope)) as answered:
            if scope["path"] != "/fast":
                await self._wait(url, receive)
            answered()
            await page_app(scope, receive, send)

    async def _wait(self, url: str, receive: Any) -> None:
        await receive()
        async with asyncio.TaskGroup() as group:
            gone, there = group.create_task(receive()), group.create_task(self.answer.wait())
            await asyncio.wait({gone, there}, return_when=asyncio.FIRST_COMPLETED)
            if not there.done():
                self.given_up.append(url)
            gone.cancel()
            there.cancel()


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def host(world: Callable[..., World], tmp_path: Path, slow: Slow) -> WindowHost:
    return WindowHost(world(peersky=page_app, hyper=slow), tmp_path)


@pytest.fixture
def window(host: WindowHost, slow: Slow) -> Iterator[BrowserWindow]:
    slow.lookups.subscribe(host.activity.lookup_changed.emit)
    browser = Browser(host)
    yield browser.new_window("peersky://home/")
    browser.dispose()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def test_the_tab_says_that_it_looks_for_peers_until_they_answer(
    window: BrowserWindow, host: WindowHost, slow: Slow
) -> None:
    tab = window.tab
    assert tab is not None
    other = window.open_tab("peersky://home/", background=True)
    window.go_to(f"{DRIVE}/a b#there")
    until(lambda: tab.peer_wait.isVisible() and "1 s" in tab.peer_wait.text(), "the words")
    assert tab.peer_wait.text() == "Looking for peers… 1 s (Esc stops)"
    assert other.peer_wait.isHidden()
    host.activity.node_prepares.emit("The P2P node is starting.")
    assert tab.peer_wait.text().startswith("The P2P node is starting. ")
    host.activity.node_prepares.emit("")
    host.call(slow.let_peers_answer())
    until(tab.peer_wait.isHidden, "it is over")
    until(lambda: tab.page.title().endswith("/a b"), "the page")


def test_stop_ends_the_search(window: BrowserWindow, slow: Slow) -> None:
    tab = window.tab
    assert tab is not None
    window.go_to(f"{DRIVE}/x")
    until(tab.peer_wait.isVisible, "the words")
    KEYBOARD.keyClick(window, Qt.Key.Key_Escape)
    until(lambda: slow.given_up == [f"{DRIVE}/x"], "the app gave up")
    until(tab.peer_wait.isHidden, "the words are gone")
    assert not tab.loading


def test_a_page_that_answers_at_once_says_nothing(window: BrowserWindow, slow: Slow) -> None:
    tab = window.tab
    assert tab is not None
    seen: list[bool] = []
    slow.lookups.subscribe(lambda _lookup, runs: seen.append(runs))
    window.go_to(f"{DRIVE}/fast")
    until(lambda: tab.page.title().endswith("/fast"), "the page")
    assert seen[:2] == [True, False]
    assert tab.peer_wait.isHidden()
    assert not tab.peer_wait.text()
