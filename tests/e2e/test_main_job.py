"""The main job as a user does it: a fresh profile, one click on the home page, a question in the AI chat, an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peersky.core.settings_schema import STARTER_MODEL
from peersky.qt.driver import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from peersky.qt.driver import PageDriver
    from tests.e2e.conftest import Product

# Notes each length that the answer had on its way, so that the test sees it stream.
ASK = """
    window.growth = new Set();
    const log = document.getElementById('log');
    new MutationObserver(() => {
      const [, answer] = log.querySelectorAll('.message');
      if (answer?.textContent) window.growth.add(answer.textContent.length);
    }).observe(log, {childList: true, subtree: true, characterData: true});
    const prompt = document.getElementById('prompt');
    prompt.value = 'What is PeerSky?';
    prompt.dispatchEvent(new Event('input', {bubbles: true}));
    document.getElementById('composer').requestSubmit();
"""


def test_from_a_fresh_profile_to_an_answer(product: Callable[..., Product]) -> None:
    one = product()
    page = one.page("peersky://home/")
    assert page.evaluate("return typeof window.llm.chat") == "function"
    assert page.evaluate("return await window.llm.isSupported()") is False
    _until(page, "document.getElementById('ai-state').textContent === 'Off'")

    page.evaluate("document.getElementById('ai-enable').click()")
    _until(page, "document.getElementById('ai-state').textContent === 'On'")
    assert page.evaluate("return await window.llm.isSupported()") is True
    model = page.evaluate("return await window.llm.model()")
    assert (model["model"], model["provider"]) == (STARTER_MODEL, "builtin")

    page.evaluate("document.getElementById('ai-chat').click()")
    assert wait_until(lambda: page.page.url().toString() == "peersky://p2p/ai-chat/", 10, None)
    _until(page, "document.readyState === 'complete' && document.getElementById('model')?.textContent")
    page.evaluate(ASK)
    _until(page, "document.getElementById('stop').hidden && document.querySelectorAll('.message').length === 2")
    answer = str(page.evaluate("return document.querySelector('.message:last-child').textContent")).lower()
    assert "browser" in answer
    assert "peer-to-peer" in answer
    assert "model" in answer
    assert page.evaluate("return window.growth.size") >= 2, "the answer must be seen to grow"

    ended = one.log("generation-end")
    assert [entry["outcome"] for entry in ended] == ["stop"]
    assert "PeerSky?" not in str(ended), "prompts are not logged"


def _until(page: PageDriver, condition: str) -> None:
    wait_until(
        lambda: bool(page.evaluate(f"return Boolean({condition})")), 30, f"This did not become true: {condition}"
    )
