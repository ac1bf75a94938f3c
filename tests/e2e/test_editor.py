"""From a description to a page that another browser opens: two real browsers, two real nodes, a scripted model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import peersky
from peersky.qt.driver import PageDriver
from tests.e2e.conftest import Product
from tests.e2e.test_p2p_pages import bootstrap, browsers, ipfs_address
from tests.fakes.openai_server import OpenAIServer

__all__ = ["bootstrap", "browsers"]

EDITOR = "peersky://p2p/editor/"
ANSWERS = Path(__file__).parents[1] / "js" / "answers"

# Does what a person does, and waits for what a person sees.
HANDS = """
    const at = (id) => document.getElementById(id);
    const until = async (what) => { while (!what()) await new Promise((done) => setTimeout(done, 20)); };
    const fill = (id, text) => { at(id).value = text; at(id).dispatchEvent(new Event('input', {bubbles: true})); };
    await until(() => document.body.dataset.ready);
"""
GENERATE = """
    fill('wish', 'Bread');
    at('generate').click();
    await until(() => !at('generate').hidden && !at('accept').disabled);
    at('accept').click();
"""
PUBLISH = """
    at('publish').click();
    document.querySelector('#publish-form [value=TO]').click();
    at('publish-go').click();
    await until(() => at('publish-state').textContent.startsWith('Published') || !at('publish-problem').hidden);
    at('publish-close').click();
    return [at('published-link').href, at('publish-problem').textContent];
"""


@pytest.fixture
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer(models=["small"]) as server:
        yield server


def use(browser: Product, server: OpenAIServer) -> None:
    values = {"provider": "openai", "baseURL": f"{server.url}/v1", "model": "small"}
    browser.runtime.settings.change({f"llm.{key}": value for key, value in values.items()})


def publish(page: PageDriver, to: str) -> str:
    url, problem = page.evaluate(HANDS + PUBLISH.replace("TO", to), 60)
    assert problem == ""
    return str(url)


def test_described_written_published_and_opened_elsewhere(
    browsers: Callable[..., Product], model: OpenAIServer
) -> None:
    ours = browsers()
    use(ours, model)
    answers = [[(ANSWERS / f"{name}.txt").read_text("utf-8")] for name in ("chatter", "css-chatter", "js-none")]
    model.script = lambda _body: answers.pop(0)
    editor = ours.page(EDITOR)
    editor.evaluate(HANDS + GENERATE)
    hyper, ipfs = publish(editor, "hyper"), publish(editor, "ipfs")

    theirs = browsers(**{"ipfs.peers": [ipfs_address(ours)]})
    look = "return [document.title, getComputedStyle(document.querySelector('h1')).color]"
    for url in (hyper, ipfs):
        assert theirs.page(url).evaluate(look) == ["Bread", "rgb(160, 82, 45)"]

    # The next version is at the same address, and can be copied over there.
    answers[:] = [['{"files": ["style.css"]}'], ["```css\nh1 { color: navy; }\n```"]]
    editor.evaluate(HANDS + GENERATE)
    assert publish(editor, "hyper") == hyper
    assert theirs.page(hyper).evaluate(look) == ["Bread", "rgb(0, 0, 128)"]
    copy = f"""
        at('open').click();
        await until(() => at('open-dialog').open);
        fill('address', {hyper!r});
        at('copy').click();
        await until(() => !at('open-dialog').open || at('copy-state').textContent.endsWith('.'));
        return [at('name').value, at('open-dialog').open];
    """
    assert theirs.page(EDITOR).evaluate(HANDS + copy) == ["Bread", False]
    found = ours.runtime.call(ours.runtime.services.p2p.ledger.search("", 10, 0)).result(10)
    assert {(one.app, one.model) for one in found.publications} == {("Editor", "small")}
    assert editor.console == []


def test_the_editor_itself_works_where_it_is_published(browsers: Callable[..., Product], model: OpenAIServer) -> None:
    ours = browsers()
    use(ours, model)
    folder = Path(peersky.__file__).parent / "assets" / "apps" / "editor"

    async def put() -> str:
        lines: list[dict[str, Any]] = [line async for line in ours.runtime.services.p2p.publish(folder, "hyper", "ed")]
        return str(lines[-1]["url"])

    model.script = lambda _body: [(ANSWERS / "all-in-one.txt").read_text("utf-8")]
    page = ours.page(ours.runtime.call(put()).result(60))
    page.evaluate(
        "window.heard = []; addEventListener('message', (event) => heard.push([event.origin, event.data.type]))"
    )
    page.evaluate(HANDS + GENERATE)
    shown = "await until(() => heard.some(([origin, type]) => origin === 'null' && type === 'shown')); return 'shown'"
    assert page.evaluate(HANDS + shown) == "shown"
    # A site is not the browser: the user is asked, and nobody is there to say yes.
    _, problem = page.evaluate(HANDS + PUBLISH.replace("TO", "ipfs"), 60)
    assert problem.startswith("You did not allow this site to publish")
