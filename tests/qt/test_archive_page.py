"""``peersky://archive/`` in the real QtWebEngine: what it shows, each action, and the keyboard alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QGuiApplication

from peersky.p2p.errors import NodeRefused
from peersky.p2p.ledger import Publication
from tests.qt.pages_lab import PagesLab, Tab

PAGE = "peersky://archive/"
DRIVE = "hyper://drive/"


@pytest.fixture
def lab(tmp_path: Path, world: Callable[..., Any]) -> Iterator[PagesLab]:
    lab = PagesLab(tmp_path, world)
    yield lab
    lab.close()


def publish(lab: PagesLab, root: str, **more: Any) -> None:
    lab.call(lab.ledger.record(Publication(**{"url": root, "root": root, "name": "", "origin": "user", **more})))


def opened(lab: PagesLab, **options: int) -> Tab:
    tab = lab.open(PAGE, **options)
    tab.until("document.getElementById('main').getAttribute('aria-busy') === 'false'")
    return tab


def titles(tab: Tab) -> list[str]:
    return [
        str(text)
        for text in tab.run("return [...document.querySelectorAll('.entry h2 > :first-child')].map((e) => e.innerText)")
    ]


def button(entry: int, name: str) -> str:
    return f'[data-key="{entry} {name}"]'


def test_the_archive_with_the_mouse(lab: PagesLab) -> None:
    tab = opened(lab, width=320)
    tab.until_text("#empty", "peersky publish PATH")
    assert not tab.run("return document.getElementById('tools').checkVisibility()")
    publish(lab, DRIVE, name="<b>Field notes</b>", url=f"{DRIVE}a.html", bytes=1_400_000, files=12, time=20)
    publish(lab, "ipfs://cid/", origin="peersky://p2p", app="editor", model="qwen2.5-coder:3b", time=10)
    for number in range(60):
        publish(lab, f"ipns://k{number}/", name=f"page {number}", time=number / 100)
    tab = opened(lab, width=320)
    assert titles(tab)[:2] == ["<b>Field notes</b>", "Without a name"]
    tab.until_text(".entry", "1.4 MB, 12 files")
    tab.until_text(".entry:nth-child(2)", "the app editor")
    tab.until_text(".entry:nth-child(2)", "qwen2.5-coder:3b")
    assert tab.run("return document.querySelector('.entry a').href") == f"{DRIVE}a.html"
    assert tab.run("return document.documentElement.scrollWidth <= innerWidth")
    tab.until_text("#count", "The newest 50 of 62 publications")
    tab.click("#more")
    tab.until_text("#count", "62 publications")
    tab.fill("#search", "PAGE 59")
    tab.until_text("#count", "1 publication")
    assert titles(tab) == ["page 59"]
    tab.fill("#search", "nothing like it")
    tab.until_text("#count", "Nothing fits your search.")
    tab.fill("#search", "drive")
    tab.until_text("#count", "1 publication")

    tab.until_text("#node-text", "not started")
    assert lab.node.starts == 0
    tab.click("#start")
    tab.until("!document.getElementById('node').checkVisibility()")
    tab.click(button(1, "announce"))
    tab.until_text("#count", "Other peers are told again")
    lab.node.failure = NodeRefused("The disk is full.", status=507, reason="disk_full")
    tab.click(button(1, "announce"))
    tab.until_text("#problem", "The disk is full.")
    lab.node.failure = None
    assert [path for path, _ in lab.node.asked] == ["POST /node/start", "POST /node/announce"]

    tab.run("URL.createObjectURL = (blob) => { blob.text().then((text) => { window.exported = text; }); return '#'; };")
    tab.click("#export")
    tab.until("window.exported")
    assert len(json.loads(tab.run("return window.exported"))["publications"]) == 62
    assert tab.page.console == []


def test_a_list_that_cannot_be_read_is_said_and_repaired(lab: PagesLab) -> None:
    lab.profile.ledger_file.mkdir()
    tab = opened(lab)
    tab.until_text("#problem", "ledger.sqlite3")
    lab.profile.ledger_file.rmdir()
    lab.profile.ledger_file.write_bytes(b"no database " * 1000)
    tab = opened(lab)
    tab.until_text("#notices", "was damaged")
    tab.until_text("#empty", "Nothing was published yet")


def test_the_archive_with_the_keyboard(lab: PagesLab) -> None:
    publish(lab, DRIVE, name="Field notes")
    tab = opened(lab)
    tab.focus_view()
    tab.tab_to("e.dataset.key === '1 copy'")
    tab.key(Qt.Key.Key_Space)
    tab.until_text("#count", f"Copied {DRIVE}")
    clipboard = QGuiApplication.clipboard()
    assert clipboard is not None
    assert clipboard.text() == DRIVE
    tab.key(Qt.Key.Key_Tab)
    tab.until("document.activeElement.dataset.key === '1 qr'")
    tab.key(Qt.Key.Key_Return)
    tab.until("document.getElementById('qr-image').naturalWidth > 0")
    assert tab.run("return document.getElementById('qr-image').alt") == f"QR code of {DRIVE}"
    tab.key(Qt.Key.Key_Escape)
    tab.until("document.activeElement.dataset.key === '1 qr'")
    tab.tab_to("e.dataset.key === '1 unpin'")
    tab.key(Qt.Key.Key_Return)
    tab.until("document.activeElement.innerText === 'Cancel'")
    tab.key(Qt.Key.Key_Return)
    tab.until("document.activeElement.dataset.key === '1 unpin'")
    assert lab.node.asked == []
    tab.key(Qt.Key.Key_Return)
    tab.until("document.activeElement.innerText === 'Cancel'")
    tab.tab_to("e.innerText === 'Stop, delete the drive'")
    tab.key(Qt.Key.Key_Return)
    tab.until_text(".badge.off", "no longer shared")
    tab.until("document.activeElement.dataset.key === '1 open'")
    assert lab.node.asked == [("POST /node/unpin", {"url": DRIVE, "purge": True})]
    tab.tab_to("e.dataset.key === '1 forget'")
    tab.key(Qt.Key.Key_Return)
    tab.tab_to("e.innerText === 'Remove'")
    tab.key(Qt.Key.Key_Return)
    tab.until_text("#empty", "Nothing was published yet")
