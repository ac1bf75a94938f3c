"""Upload in the real browser with a real P2P node: dropped, described by a scripted model, published, opened."""

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

UPLOAD = "peersky://p2p/upload/"
EVIL = "<img src=x onerror=alert(1)>"

# A drop as a page sees one, with a picture, an empty file, a hidden one, and one larger than a slice.
DROP = """
    const canvas = Object.assign(document.createElement('canvas'), {width: 8, height: 8});
    const picture = await new Promise((resolve) => canvas.toBlob(resolve));
    const drop = new DataTransfer();
    const add = (content, name) => drop.items.add(new File([content], name));
    add('About the sky', 'readme.txt');
    add(picture, 'cloud #1.png');
    add('', 'empty.txt');
    add('secret', '.env');
    add(new Uint8Array(9e6), 'large.bin');
    document.getElementById('drop').dispatchEvent(
      new DragEvent('drop', {dataTransfer: drop, bubbles: true, cancelable: true}));
"""
UNTIL = """
    const holds = () => CONDITION;
    if (!holds()) await new Promise((resolve) => {
      const watch = new MutationObserver(() => holds() && (watch.disconnect(), resolve()));
      watch.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
    });
"""
TEXT = "document.getElementById('ID').textContent"


def answer(body: dict[str, Any]) -> list[Step]:
    """As a small model that sees, and has its own ideas of a format."""
    if "image_url" in json.dumps(body["messages"]):
        return ['Alt text: "A small dark square."']
    described = {"title": f"The sky {EVIL}", "description": "About the sky.", "tags": ["sky"]}
    return ["Sure!\n```json\n", json.dumps(described), "\n```"]


@pytest.fixture
def product(qt_application: QApplication, tmp_path: Path) -> Iterator[Product]:
    with OpenAIServer([{"id": "gpt-x", "architecture": {"input_modalities": ["text", "image"]}}]) as server:
        server.script = answer
        llm = {"enabled": True, "provider": "openai", "baseURL": f"{server.url}/v1", "model": "gpt-x"}
        one = Product(tmp_path / "profile", {"llm": llm})
        yield one
        one.close()


def until(page: PageDriver, condition: str) -> None:
    page.evaluate(UNTIL.replace("CONDITION", condition))


def text(page: PageDriver, name: str) -> str:
    return str(page.evaluate(f"return {TEXT.replace('ID', name)}"))


def publish(page: PageDriver, to: str) -> str:
    page.evaluate(
        f"document.querySelector('[name=to][value={to}]').click(); document.getElementById('published').hidden = true;"
        "document.getElementById('upload').click();"
    )
    until(page, "!document.getElementById('published').hidden || !document.getElementById('problem').hidden")
    assert text(page, "problem") == ""
    return text(page, "link")


def test_dropped_described_and_published(product: Product) -> None:
    page = product.page(UPLOAD)
    page.evaluate(DROP)
    until(page, "document.querySelectorAll('#files li').length === 4")
    assert "1 file that systems hide (.env)" in text(page, "left-out")

    page.evaluate("document.getElementById('describe').open = true")
    until(page, "!document.getElementById('ask').disabled")
    page.evaluate("document.getElementById('ask').click()")
    until(page, "document.getElementById('ask-state').textContent.startsWith('Written')")
    fields = page.evaluate(
        "return ['title', 'description', 'tags', 'alt-0'].map((id) => document.getElementById(id).value)"
    )
    assert fields == [f"The sky {EVIL}", "About the sky.", "sky", "A small dark square."]
    page.evaluate("document.getElementById('description').value = 'Mine.'")

    drive = publish(page, "hyper")
    assert drive.startswith("hyper://")
    assert drive.endswith("/")
    assert (
        page.evaluate("return [...document.querySelectorAll('#files .state')].map((one) => one.textContent)")
        == ["Done"] * 6
    )
    seen = product.page(drive).evaluate(
        "const image = document.querySelector('img');"
        "image.loading = 'eager';"
        "if (!image.complete) await new Promise((resolve) => { image.onload = resolve; });"
        "return {title: document.title, text: document.querySelector('header p').textContent, alt: image.alt,"
        " width: image.naturalWidth, images: document.images.length}"
    )
    files = page.evaluate(
        f"const get = async (path) => (await fetch('{drive}' + path)).text();"
        f"return {{empty: await get('empty.txt'), large: (await get('large.bin')).length,"
        f" meta: JSON.parse(await get('metadata.json')), hidden: (await fetch('{drive}.env')).status}}"
    )
    meta = files.pop("meta")
    assert seen == {
        "title": f"The sky {EVIL}",
        "text": "Mine.",
        "alt": "A small dark square.",
        "width": 8,
        "images": 1,
    }
    assert files == {"empty": "", "large": 9_000_000, "hidden": 404}
    assert (meta["description"], meta["tags"], meta["model"]) == ("Mine.", ["sky"], "gpt-x")
    assert [file["path"] for file in meta["files"]] == ["readme.txt", "cloud #1.png", "empty.txt", "large.bin"]

    folder = publish(page, "ipfs")
    assert folder.startswith("ipfs://")
    assert product.page(folder).evaluate("return document.title") == f"The sky {EVIL}"
    assert page.evaluate("return [...document.querySelectorAll('#past-list a')].map((link) => link.href)") == [
        folder,
        drive,
    ]
    assert page.console == []

    shared = product.runtime.call(product.runtime.services.p2p.ledger.search()).result(10)
    assert {(one.url, one.app, one.model) for one in shared.publications if one.pinned} >= {(folder, "Upload", "gpt-x")}


def test_a_publish_that_breaks_off_goes_on(product: Product) -> None:
    """One request fails, as with a node that dies: what arrived stays, and only the rest is sent again."""
    page = product.page(UPLOAD)
    page.evaluate(
        """
        const send = XMLHttpRequest.prototype.send;
        window.sent = [];
        XMLHttpRequest.prototype.send = function (body) {
          sent.push(body?.size ?? 0);
          if (body?.size === 9e6) this.addEventListener('load', () => setTimeout(window.fail));
          if (body?.size !== 1e7 || window.isUp) return send.call(this, body);
          window.fail = () => this.dispatchEvent(new ProgressEvent('error'));
        };
        const drop = new DataTransfer();
        drop.items.add(new File([new Uint8Array(9e6)], 'first.bin'));
        drop.items.add(new File([new Uint8Array(1e7)], 'second.bin'));
        document.getElementById('drop').dispatchEvent(new DragEvent('drop', {dataTransfer: drop, bubbles: true}));
        """
    )
    until(page, "document.querySelectorAll('#files li').length === 2")
    page.evaluate("document.getElementById('upload').click()")
    until(page, "!document.getElementById('problem').hidden")
    assert "did not answer" in text(page, "problem")
    assert text(page, "upload") == "Go on"
    assert text(page, "state") == "1 of 2 files uploaded."
    page.evaluate("sent.length = 0; window.isUp = true; document.getElementById('upload').click()")
    until(page, "!document.getElementById('published').hidden")
    assert page.evaluate("return sent") == [10_000_000]
    url = text(page, "link")
    listed = page.evaluate(f"return (await fetch('{url}', {{headers: {{Accept: 'application/json'}}}})).json()")
    assert listed == ["first.bin", "second.bin"]
