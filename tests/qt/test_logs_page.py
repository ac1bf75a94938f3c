"""``peersky://logs/`` and what the home page says of who answers, in the real QtWebEngine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QGuiApplication

from peersky.core.chat import ChatRequest
from peersky.core.origins import Origin, parse_origin
from tests.qt.pages_lab import PagesLab, Tab

ON = {"llm.enabled": True, "llm.provider": "builtin", "llm.model": "other"}
PAGE = parse_origin("hyper://abc")


@pytest.fixture
def lab(tmp_path: Path, world: Callable[..., Any]) -> Iterator[PagesLab]:
    lab = PagesLab(tmp_path, world)
    lab.settings.change(ON)
    yield lab
    lab.close()


def ask(lab: PagesLab, origin: Origin = PAGE, text: str = "What is a zebra?") -> None:
    async def asked() -> None:
        request = ChatRequest(messages=({"role": "user", "content": text},))
        async with lab.ai.bridge.chat(origin, request) as chunks:
            async for _ in chunks:
                pass

    lab.call(asked())


def opened(lab: PagesLab) -> Tab:
    tab = lab.open("peersky://logs/")
    tab.until("!document.getElementById('content').disabled")
    return tab


def test_answers_and_downloads_appear_as_they_happen(lab: PagesLab) -> None:
    ask(lab)
    tab = opened(lab)
    tab.until_text("#rows", "hyper://abc")
    assert tab.run("return document.querySelectorAll('#rows tr').length") == 1
    cells = tab.run("return [...document.querySelectorAll('#rows td')].map((e) => e.textContent)")
    assert cells[1:6] == ["Answer", "hyper://abc", "builtin", "other", "7 in, 3 out"]
    assert cells[8] == "complete"
    ask(lab, parse_origin("https://agregore.mauve.moe"))
    tab.until_text("#rows", "https://agregore.mauve.moe")
    lab.world.services.call(_start(lab)).result(5)
    tab.until_text("#rows", "running…")
    lab.release()
    tab.until("!document.getElementById('rows').innerText.includes('running…')")
    tab.until_text("#count", "3 of 3 entries")
    assert tab.page.console == []


async def _start(lab: PagesLab) -> None:
    lab.ai.downloads.start("builtin", "new:1b")


def test_the_log_is_filtered_copied_and_cleared(lab: PagesLab) -> None:
    ask(lab)
    ask(lab, parse_origin("https://agregore.mauve.moe"))
    lab.logbook.record("settings.notice", text="Something else.")
    tab = opened(lab)
    tab.until_text("#count", "2 of 3 entries")
    tab.fill("#filter", "agregore")
    tab.until_text("#count", "1 of 3 entries")
    tab.focus_view()
    tab.run("document.getElementById('copy').focus()")
    tab.key(Qt.Key.Key_Space)
    tab.until_text("#count", "Copied 1 entry.")
    clipboard = QGuiApplication.clipboard()
    assert clipboard is not None
    lines = clipboard.text().splitlines()
    assert len(lines) == 2
    assert "https://agregore.mauve.moe\tbuiltin\tother\t7 in, 3 out" in lines[1]
    tab.fill("#filter", "")
    tab.run(
        "document.getElementById('kind').value = ''; document.getElementById('kind').dispatchEvent(new Event('input'))"
    )
    tab.until_text("#rows", "text: Something else.")
    tab.click("#clear")
    tab.until_text("#empty", "Nothing yet.")
    assert lab.logbook.recent() == []


def test_what_was_said_is_there_only_on_request(lab: PagesLab) -> None:
    ask(lab)
    tab = opened(lab)
    tab.until_text("#rows", "hyper://abc")
    assert "zebra" not in tab.text("#rows")
    tab.click("#content")
    tab.until("document.getElementById('content').checked")
    ask(lab)
    tab.until_text("#rows", "user: What is a zebra?")
    tab.until_text("#rows", "Hello")
    assert lab.settings.flag("logs.content")


def test_what_a_model_writes_is_text_in_the_log(lab: PagesLab) -> None:
    lab.settings.change({"logs.content": True})
    ask(lab, text="<img src=x onerror='window.hacked = 1'>")
    tab = opened(lab)
    tab.until_text("#rows", "<img src=x")
    assert tab.run("return document.querySelectorAll('#rows img').length") == 0


def test_home_says_where_questions_go(lab: PagesLab) -> None:
    home = lab.open("peersky://home/")
    home.until_text("#ai-text", "other answers on this computer.")
    cloud = {"llm.provider": "openai", "llm.baseURL": "https://openrouter.ai/api/v1", "llm.model": "big"}
    lab.settings.change(cloud)
    home = lab.open("peersky://home/")
    home.until_text("#ai-text", "big answers, and your questions go to openrouter.ai.")
    lab.settings.change({"llm.provider": "ollama", "llm.baseURL": "http://127.0.0.1:11434/"})
    home = lab.open("peersky://home/")
    home.until_text("#ai-text", "big answers on this computer.")
