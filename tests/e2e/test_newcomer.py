"""A newcomer opens the browser, describes a page, sees it written, publishes it; a second browser opens the link."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PyQt6.QtGui import QGuiApplication

from peersky.qt.driver import wait_until
from tests.e2e.conftest import Product
from tests.e2e.person import PATIENCE_S, Person
from tests.e2e.test_p2p_pages import bootstrap, browsers
from tests.fakes.openai_server import OpenAIServer

__all__ = ["bootstrap", "browsers"]

ANSWERS = Path(__file__).parents[1] / "js" / "answers"
MOST_STEPS = 8


@pytest.fixture
def people() -> Iterator[Callable[[Product], Person]]:
    there: list[Person] = []

    def sit_down(product: Product) -> Person:
        there.append(Person(product))
        return there[-1]

    yield sit_down
    for person in there:
        person.close()


@pytest.fixture
def small_model() -> Iterator[OpenAIServer]:
    """Answers as a small model really did."""
    answers = [[(ANSWERS / f"{name}.txt").read_text("utf-8")] for name in ("chatter", "css-chatter", "js-none")]
    with OpenAIServer(models=["small"]) as server:
        server.script = lambda _body: answers.pop(0)
        yield server


def test_from_the_home_page_to_a_page_that_another_browser_opens(
    browsers: Callable[..., Product], people: Callable[[Product], Person], small_model: OpenAIServer
) -> None:
    ours = browsers()
    ours.runtime.settings.change({"llm.enabled": False})
    newcomer = people(ours)
    newcomer.sees("#ai-state", "Off")
    newcomer.click("#ai-enable")
    newcomer.sees("#ai-state", "On")
    # The model that comes with PeerSky is too small to write pages.
    model = {"provider": "openai", "baseURL": f"{small_model.url}/v1", "model": "small"}
    ours.runtime.settings.change({f"llm.{key}": value for key, value in model.items()})

    newcomer.click("a[href='peersky://p2p/editor/'].tile")
    newcomer.sees("#welcome", "What should your page be?")
    newcomer.write("A page about bread")
    newcomer.click("#generate")
    newcomer.sees("#proposal-state", "The model changes 2 files.")
    newcomer.click("#accept")
    newcomer.click("#publish")
    newcomer.click("#publish-go")
    newcomer.sees("#published", "It is published")
    newcomer.click("#copy-link")
    newcomer.sees("#copy-link", "Copied")
    assert len(newcomer.steps) <= MOST_STEPS, newcomer.steps
    clipboard = QGuiApplication.clipboard()
    assert clipboard is not None
    link = clipboard.text()
    assert newcomer.page.console == []

    friend = people(browsers())
    friend.sees("#ai-state")
    friend.go_to(link)
    friend.sees("h1", "Bread")
    assert friend.page.evaluate("return [document.title, location.href]") == ["Bread", link]
    wait_until(lambda: friend.window.windowTitle().startswith("Bread"), PATIENCE_S, "The window has another title.")
