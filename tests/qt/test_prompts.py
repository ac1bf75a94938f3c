"""Questions of services in the window: asked from another thread, answered by the user."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

import pytest
from PyQt6.QtCore import QCoreApplication, QEvent

from peersky.core.origins import Origin
from peersky.qt.prompts import WindowPrompts
from peersky.qt.window import Browser
from peersky.system.prompt_port import Consent, Question
from peersky.system.tasks import TaskOwner
from tests.qt.window_host import WindowHost, page_app, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from peersky.qt.notice_bar import NoticeBar
    from peersky.qt.service_thread import ServiceThread
    from tests.qt.conftest import World

HOME = Origin("peersky", "home")
PUBLISH = Question(HOME, "publish", "May this site publish to your drive?")
ANSWERS = {"Allow": Consent.FOR_GOOD, "Allow for now": Consent.FOR_NOW, "Don’t allow": Consent.REFUSED}


@pytest.fixture
def one(world: Callable[..., World]) -> World:
    return world(peersky=page_app)


@pytest.fixture
def prompts() -> WindowPrompts:
    return WindowPrompts()


@pytest.fixture
def browser(one: World, prompts: WindowPrompts, tmp_path: Path) -> Iterator[Browser]:
    browser = Browser(WindowHost(one, tmp_path), prompts)
    yield browser
    browser.dispose()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def services(one: World) -> ServiceThread:
    return one.services


def bars(browser: Browser) -> list[NoticeBar]:
    return [bar for window in browser.windows for tab in window.tabs for bar in tab.bars]


def answer(bar: NoticeBar, label: str) -> None:
    button = next(button for button in bar.buttons if button.text() == label)
    until(button.isEnabled, "the guard is over")
    button.click()


def test_for_good_for_now_and_no(browser: Browser, prompts: WindowPrompts, services: ServiceThread) -> None:
    browser.new_window("peersky://home/")
    for label, said in ANSWERS.items():
        asked = services.call(prompts.ask(PUBLISH))
        until(lambda: bars(browser), "the bar")
        assert bars(browser)[0].label.text() == "peersky://home: May this site publish to your drive?"
        answer(bars(browser)[0], label)
        assert asked.result(timeout=10) is said
        assert bars(browser) == []


def test_the_key_of_a_drive_does_not_widen_the_window(
    browser: Browser, prompts: WindowPrompts, services: ServiceThread
) -> None:
    window = browser.new_window("peersky://home/")
    before = window.minimumSizeHint().width()
    drive = f"hyper://{'y' * 52}"
    asked = services.call(prompts.ask(Question(Origin("hyper", "y" * 52), "publish", "May this site publish?")))
    until(lambda: bars(browser), "the bar")
    until(bars(browser)[0].isVisible, "the bar is seen")
    assert window.minimumSizeHint().width() == before
    assert bars(browser)[0].accessibleName() == f"{drive}: May this site publish?"
    answer(bars(browser)[0], "Don’t allow")
    assert asked.result(timeout=10) is Consent.REFUSED


@pytest.mark.attack("Questions of the browser")
def test_the_question_stands_in_the_tab_of_its_site(
    browser: Browser, prompts: WindowPrompts, services: ServiceThread
) -> None:
    window = browser.new_window("peersky://home/")
    theirs = window.tabs[0]
    until(lambda: theirs.title == "home/", "home")
    other = window.open_tab("peersky://settings/")
    assert window.tab is other
    asked = services.call(prompts.ask(PUBLISH))
    until(lambda: theirs.bars, "the bar in its tab")
    assert other.bars == []
    window.select_tab(0)
    theirs.bars[0].close_button.click()
    assert asked.result(timeout=10) is Consent.REFUSED


def test_clicks_in_the_first_half_second_are_ignored(
    browser: Browser, prompts: WindowPrompts, services: ServiceThread
) -> None:
    browser.new_window("peersky://home/")
    asked = services.call(prompts.ask(PUBLISH))
    until(lambda: bars(browser), "the bar")
    bar = bars(browser)[0]
    for button in bar.buttons:
        button.click()
    assert bars(browser) == [bar]
    assert not asked.done()
    answer(bar, "Allow")
    assert asked.result(timeout=10) is Consent.FOR_GOOD


@pytest.mark.attack("Questions of the browser")
def test_the_same_question_twice_is_one_bar(browser: Browser, prompts: WindowPrompts, services: ServiceThread) -> None:
    browser.new_window("peersky://home/")
    asked = [services.call(prompts.ask(PUBLISH)) for _ in range(2)]
    other = services.call(prompts.ask(Question(HOME, "cloud", "May it ask the cloud?")))
    until(lambda: len(bars(browser)) == 2, "two bars")
    answer(bars(browser)[0], "Allow")
    assert [future.result(timeout=10) for future in asked] == [Consent.FOR_GOOD] * 2
    answer(bars(browser)[0], "Don’t allow")
    assert other.result(timeout=10) is Consent.REFUSED


@pytest.mark.attack("Questions of the browser")
def test_a_yes_to_one_service_is_none_to_another(
    browser: Browser, prompts: WindowPrompts, services: ServiceThread
) -> None:
    browser.new_window("peersky://home/")
    one, two = (
        services.call(prompts.ask(Question(HOME, "cloud", f"May it ask {name}?", f"https://{name}.example")))
        for name in ("one", "two")
    )
    until(lambda: len(bars(browser)) == 2, "two bars")
    answer(next(bar for bar in bars(browser) if "one" in bar.label.text()), "Allow")
    assert one.result(timeout=10) is Consent.FOR_GOOD
    assert not two.done()
    answer(bars(browser)[0], "Don’t allow")
    assert two.result(timeout=10) is Consent.REFUSED


def test_cancelling_withdraws_the_question(browser: Browser, prompts: WindowPrompts, services: ServiceThread) -> None:
    browser.new_window("peersky://home/")
    asked = [services.call(prompts.ask(PUBLISH)) for _ in range(2)]
    until(lambda: bars(browser), "the bar")
    asked[0].cancel()
    services.call(asyncio.sleep(0)).result(timeout=10)
    QCoreApplication.processEvents()
    assert len(bars(browser)) == 1
    asked[1].cancel()
    until(lambda: bars(browser) == [], "the bar is gone")
    with pytest.raises(CancelledError):
        asked[1].result(timeout=10)


@pytest.mark.attack("Questions of the browser")
def test_a_page_that_goes_away_takes_its_question_along(
    one: World, browser: Browser, prompts: WindowPrompts, services: ServiceThread
) -> None:
    """Asked for a request of the page: the request ends with it, and nobody can say yes any more."""
    told: list[str] = []

    async def asks(scope: Any, receive: Any, send: Any) -> None:
        async def left() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        owner = TaskOwner("test")
        question = owner.start(prompts.ask(PUBLISH), "ask")
        await owner.start(left(), "left")
        await owner.close()
        told.append("withdrawn" if question.cancelled() else "answered")

    one.profile.serve("hyper", asks)
    window = browser.new_window("peersky://home/")
    until(lambda: window.tabs[0].title == "home/", "home")
    window.tabs[0].page.runJavaScript("new Image().src = 'hyper://drive/'")
    until(lambda: bars(browser), "the bar")
    window.go_to("peersky://settings/")
    until(lambda: told == ["withdrawn"], "the question ends")
    until(lambda: bars(browser) == [], "the bar is gone")


@pytest.mark.attack("Questions of the browser")
def test_closing_the_tab_says_no(browser: Browser, prompts: WindowPrompts, services: ServiceThread) -> None:
    window = browser.new_window("peersky://home/")
    window.open_tab("peersky://settings/")
    window.select_tab(0)
    until(lambda: window.tabs[0].title == "home/", "home")
    asked = services.call(prompts.ask(PUBLISH))
    until(lambda: bars(browser), "the bar")
    window.commands.close_tab()
    until(asked.done, "the answer")
    assert asked.result() is Consent.REFUSED


def test_without_a_window_the_answer_is_no(browser: Browser, prompts: WindowPrompts, services: ServiceThread) -> None:
    asked = services.call(prompts.ask(PUBLISH))
    until(asked.done, "the answer")
    assert asked.result() is Consent.REFUSED
