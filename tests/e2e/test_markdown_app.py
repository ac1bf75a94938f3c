"""Markdown in the real browser: written, changed by a scripted model, shown, hostile text, published to a real node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import Product
from tests.fakes.openai_server import OpenAIServer, Step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PyQt6.QtWidgets import QApplication

    from peersky.qt.driver import PageDriver

MD = "peersky://p2p/md/"
TEXT = "# The sky\n\n$x^2$ and `code`\n\n---\n\nIt are blue."
HOSTILE = """# Trap
<script>window.hit = 1</script> <img src=x onerror="window.hit = 1"> <img src="https://e.example/a.png" alt="web">
[go](javascript:window.hit=1) ![web](https://e.example/b.png) ![peer](ipfs://bafyaabakaieac/c.png)
<iframe src="peersky://settings/"></iframe><form action="https://e.example"><input name=q></form>
<a href="data:text/html,<script>window.hit=1</script>">d</a> <style>body { display: none }</style>
<math><mtext><table><mglyph><style><img src=x onerror="window.hit = 1"></style></mglyph></table></mtext></math>
"""
UNTIL = """
    const holds = () => CONDITION;
    if (!holds()) await new Promise((resolve) => {
      const watch = new MutationObserver(() => holds() && (watch.disconnect(), resolve()));
      watch.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
    });
"""
READY = "!document.querySelector('[data-task=improve]').disabled && !document.getElementById('main').inert"
CONTENT = "document.getElementById('writer').shadowRoot.querySelector('.cm-content')"

KEPT = """
    const ended = (request) => new Promise((resolve) => { request.onsuccess = () => resolve(request.result); });
    const database = await ended(indexedDB.open('md'));
    const draft = database.transaction('drafts').objectStore('drafts').get(sessionStorage.getItem('md.draft'));
    return (await ended(draft)).text;
"""


def answer(body: dict[str, Any]) -> list[Step]:
    """As a small model, with talk around what was asked for."""
    task = body["messages"][0]["content"]
    if task.startswith("Go on"):
        return ["And it goes on."]
    if task.startswith("Translate the text to Deutsch"):
        return ["Er ist blau."]
    return ["Sure! Here is the improved text:\n\n", "It ", "is blue.", "\n\nLet me know if you need more!"]


@pytest.fixture
def product(qt_application: QApplication, tmp_path: Path) -> Iterator[Product]:
    with OpenAIServer() as server:
        server.script = answer
        llm = {"enabled": True, "provider": "openai", "baseURL": f"{server.url}/v1", "model": "gpt-x"}
        one = Product(tmp_path / "profile", {"llm": llm})
        yield one
        one.close()


def until(page: PageDriver, condition: str) -> None:
    page.evaluate(UNTIL.replace("CONDITION", condition))


def click(page: PageDriver, selector: str) -> None:
    page.evaluate(f"document.querySelector({json.dumps(selector)}).click()")


def write(page: PageDriver, text: str) -> None:
    """Put a text in the place of the one there, by a paste."""
    page.evaluate(
        f"const content = {CONTENT}; content.focus();"
        "const selectAll = {key: 'a', ctrlKey: true, bubbles: true, cancelable: true};"
        "content.dispatchEvent(new KeyboardEvent('keydown', selectAll));"
        "const data = new DataTransfer();"
        f"data.setData('text/plain', {json.dumps(text)});"
        "content.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));"
    )


def kept(page: PageDriver) -> str:
    """The text of the draft that this tab edits."""
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    return str(page.evaluate(KEPT))


def test_written_changed_by_the_model_and_published(product: Product) -> None:
    page = product.page(MD)
    until(page, READY)
    write(page, TEXT)
    until(page, "document.querySelector('#preview h1')?.textContent === 'The sky'")
    assert page.evaluate("return [...document.querySelectorAll('#preview :is(math, msup, code)')].length") == 3

    click(page, "[data-task=improve]")
    until(page, "!document.getElementById('accept').disabled")
    proposal = page.evaluate(
        "return [...document.getElementById('proposal-text').childNodes].map((n) => [n.nodeName, n.textContent])"
    )
    assert ["DEL", "are"] in proposal
    assert ["INS", "is"] in proposal
    click(page, "#reject")
    assert kept(page) == TEXT

    click(page, "[data-task=improve]")
    until(page, "!document.getElementById('accept').disabled")
    click(page, "#accept")
    improved = TEXT.replace("are", "is")
    assert kept(page) == improved
    click(page, "#ask-undo")
    assert kept(page) == TEXT
    click(page, "[data-task=continue]")
    until(page, "!document.getElementById('accept').disabled")
    click(page, "#accept")
    whole = f"{TEXT}\n\nAnd it goes on."
    assert kept(page) == whole

    click(page, "#slides")
    slides = "document.getElementById('slide').innerText"
    assert page.evaluate(f"return [{slides}.includes('code'), document.getElementById('slide-count').innerText]") == [
        True,
        "1 of 2",
    ]
    page.evaluate(
        "document.getElementById('slide').dispatchEvent(new KeyboardEvent('keydown', {key: 'End', bubbles: true}))"
    )
    assert page.evaluate(f"return {slides}.includes('goes on')")
    click(page, "#slides-close")

    click(page, "#publish")
    click(page, "#publish-go")
    until(page, "!document.getElementById('published').hidden")
    drive = page.evaluate("return document.getElementById('link').href")
    seen = (
        "return [document.title, document.querySelectorAll('math').length, document.body.innerText.includes('goes on')]"
    )
    assert product.page(drive).evaluate(seen) == ["The sky", 1, True]
    assert page.evaluate(f"return (await fetch('{drive}text.md')).text()") == whole
    click(page, "#publish-close")
    write(page, "# Second")
    click(page, "#publish")
    page.evaluate("document.getElementById('publish-state').textContent = ''")
    click(page, "#publish-go")
    until(page, "document.getElementById('publish-state').textContent.startsWith('Published.')")
    assert page.evaluate("return document.getElementById('link').href") == drive
    assert product.page(drive).evaluate("return document.title") == "Second"
    page.evaluate("document.querySelector('[name=to][value=ipfs]').click()")
    click(page, "#publish-go")
    until(page, "document.getElementById('link').href.startsWith('ipfs:')")
    found = product.runtime.call(product.runtime.services.p2p.ledger.search()).result(10)
    assert {(one.app, one.model) for one in found.publications} == {("Markdown", "gpt-x")}
    assert page.console == []

    # A reload finds the draft; a second tab does not take it away.
    page.load(MD)
    until(page, f"{CONTENT}.textContent === '# Second'")
    other = product.page(MD)
    until(other, f"{CONTENT}.textContent.startsWith('# A title')")


def test_hostile_text_runs_nothing_and_loads_nothing(product: Product) -> None:
    page = product.page(MD)
    until(page, READY)
    write(page, HOSTILE)
    until(page, "document.querySelector('#preview h1')?.textContent === 'Trap'")
    there = (
        "document.querySelectorAll('#preview :is(script, img, iframe, form, input, style, [onerror], [style])').length"
    )
    links = "[...document.querySelectorAll('#preview a')].map((link) => link.getAttribute('href'))"
    assert page.evaluate(f"return [window.hit ?? null, {there}]") == [None, 0]
    assert {str(link).split(":")[0] for link in page.evaluate(f"return {links}") if link} == {"https", "x"}
    assert "peer" in page.evaluate("return document.querySelector('#preview .no-picture').textContent")

    click(page, "#publish")
    click(page, "#publish-go")
    until(page, "!document.getElementById('published').hidden")
    opened = product.page(page.evaluate("return document.getElementById('link').href"))
    assert opened.evaluate(
        "return [window.hit ?? null, document.querySelectorAll('script, iframe, form, [onerror]').length,"
        " [...document.images].map((image) => image.src)]"
    ) == [None, 0, ["ipfs://bafyaabakaieac/c.png"]]

    click(page, "#publish-close")
    write(page, "x" * 100_000)
    until(page, "document.querySelector('#preview pre.plain')?.textContent.length === 100000")
