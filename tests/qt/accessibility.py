"""Looks at every page of the browser with axe-core and says what it found, as JSON on standard output.

    python -m tests.qt.accessibility light|dark

One browser, one view: pages are loaded one after the other, at several widths. A process has one colour scheme, so
each scheme is a process (tests/qt/test_accessibility.py starts them). A page of :data:`PAGES` and an app of
:data:`BUILTIN` is looked at by being there; :data:`THEN` shows more of some.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from peersky.core.chat import ChatChunk
from peersky.p2p.ledger import Publication
from peersky.qt.application import create_application
from peersky.web.apps_api import BUILTIN
from peersky.web.p2p_pages import listing_page, p2p_error_page
from peersky.web.page_template import PAGES
from tests.asgi.app_world import zipped
from tests.fakes.scripted_provider import END
from tests.qt.conftest import World
from tests.qt.pages_lab import ASSETS, PagesLab, Tab

AXE: Final = Path(__file__).parents[1] / "vendor" / "axe.min.js"
WIDTHS: Final = (360, 1400)
EXTREMES: Final = (320, 2560)
HEIGHT: Final = 900
LISTING: Final = f"hyper://{'y' * 52}/"
UNFOUND: Final = f"hyper://{'b' * 52}/"
CONTROL: Final = "hyper://control/"
ADDRESSES: Final = (
    *(f"peersky://{page.host}{page.path}" for page in PAGES),
    *(f"peersky://p2p/{folder}/" for folder, *_ in BUILTIN),
    "peersky://about/docs?page=llm",
    "peersky://home/nothing",
    LISTING,
    UNFOUND,
    CONTROL,
)
"""What is looked at: all pages, all apps, the browser's own error page, a document with tables, code and
pictures, what P2P addresses show in their place, and a page where there is much to be found."""

ANSWER: Final = """Two *loaves*, `one` oven, and a [link](hyper://bread/).

| Loaf | Keeps |
|---|---|
| Rye | a week |

```python
def bake(loaf: str) -> int:  # minutes
    return 40 if loaf == "rye" else 35
```

> A quotation, and $a^2 + b^2 = c^2$.
"""
# Address -> what is done there before it is looked at (the body of an async function, with `until` and `at`).
THEN: Final = {
    "peersky://p2p/ai-chat/": """
        await until(() => at('model').checkVisibility());
        at('prompt').value = 'Bread?';
        at('prompt').dispatchEvent(new Event('input', {bubbles: true}));
        at('composer').requestSubmit();
        await until(() => document.querySelectorAll('.message').length === 2 && !document.querySelector('.streaming'));
    """,
    "peersky://p2p/editor/": """
        await until(() => document.body.dataset.ready);
    """,
    "peersky://archive/": "await until(() => document.querySelector('.entry'));",
    "peersky://apps/": "await until(() => document.querySelector('.app h3'));",
    "peersky://about/docs": "await until(() => document.querySelector('article h2'));",
    "peersky://about/": """
        await until(() => at('version').textContent.includes('Chromium'));
        document.querySelectorAll('details').forEach((details) => { details.open = true; });
    """,
}
TOOLS: Final = """
    const at = (id) => document.getElementById(id);
    const until = async (what) => { while (!what()) await new Promise((done) => setTimeout(done, 20)); };
"""
# Nothing is being loaded, nothing moves.
SETTLED: Final = """
    await until(() => !document.querySelector('main[aria-busy=true], [aria-busy=true] > *'));
    await document.fonts.ready;
    for (let i = 0; i < 3; i++) await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    for (const animation of document.getAnimations()) {
        if (animation.effect.getComputedTiming().endTime !== Infinity) animation.finish();
    }
"""
LOOK: Final = """
    const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    const options = {resultTypes: ['violations'], iframes: false, runOnly: {type: 'tag', values: rules}};
    const why = ({any, all, none}) => [...any, ...all, ...none].map((check) => check.message).join(' ');
    const look = async (where, what, rules = {}) => {
        const {violations} = await axe.run(what, {...options, rules});
        const lines = ({id, nodes}) => nodes.map((node) => `${where}${id}: ${node.target.join(' ')}: ${why(node)}`);
        return violations.flatMap(lines);
    };
"""
# Each dialog of the page too. Its words come when it is really opened.
DIALOGS: Final = """
    for (const dialog of document.querySelectorAll('dialog:not([open])')) {
        const name = `dialog ${dialog.id || dialog.className}: `;
        dialog.showModal();
        found.push(...await look(name, dialog, {'empty-heading': {enabled: false}}));
        if (dialog.scrollWidth > dialog.clientWidth) found.push(`${name}it scrolls sideways`);
        dialog.close();
    }
"""
WIDE: Final = """
    const wide = document.documentElement.scrollWidth - innerWidth;
    if (wide <= 0) return [];
    const beyond = (e) => e.getBoundingClientRect().right > innerWidth;
    const culprits = [...document.querySelectorAll('body *')].filter(beyond).slice(0, 3);
    return [`${wide} pixels wider than the window: ${culprits.map((e) => e.id || e.className || e.tagName)}`];
"""


async def hyper(scope: Any, receive: Any, send: Any) -> None:
    """A folder without a page, a drive that nobody has, and a page that nobody can read."""
    if scope["server"][0] == "control":
        page, status = BAD, 200
    elif scope["server"][0].startswith("y"):
        page, status = listing_page(ASSETS, LISTING, ENTRIES), 200
    else:
        page, status = p2p_error_page(ASSETS, UNFOUND, 504, "no_peers", "No peer had it in time."), 504
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": page.encode()})


BAD: Final = """<!doctype html><html lang="en"><title>Bad</title><body style="background: white">
<h1>Bad</h1><main><img src="data:,"><p style="color: #ccc; width: 700px">pale</p></main>"""
ENTRIES: Final = [
    {"name": "pictures", "type": "folder", "size": 0, "modified": 0},
    {"name": "notes \u202e.txt", "type": "file", "size": 1_400, "modified": 1_700_000_000_000},
]


def furnished(lab: PagesLab) -> None:
    """Put something into every list that a page shows."""
    lab.settings.change({"llm.enabled": True, "llm.provider": "builtin", "llm.memoryEnabled": True})
    lab.builtin.script = [ChatChunk(reasoning="Hm."), ChatChunk(content=ANSWER), END]
    about: dict[str, Any] = {"name": "Field notes", "bytes": 1_400_000, "files": 12, "time": 20.0}
    lab.call(lab.ledger.record(Publication(url="hyper://drive/", root="hyper://drive/", origin="user", **about)))
    incoming = lab.app_store.begin()
    incoming.zip_file.write_bytes(zipped({"notes/index.html": b"<title>Notes</title>"}))
    incoming.unpack()
    lab.app_store.install(incoming, "notes.zip")
    lab.app_store.put_link(LISTING, "A blog")


def look_at(tab: Tab, address: str) -> Iterator[str]:
    """What is wrong with a page, one line each."""
    tab.page.console.clear()
    tab.view.resize(WIDTHS[0], HEIGHT)
    tab.page.load(address)
    tab.run(TOOLS + THEN.get(address, "") + SETTLED)
    tab.page.page.runJavaScript(AXE.read_text("utf-8"))
    for width in WIDTHS:
        narrow = width == WIDTHS[0]
        shown = f"await until(() => innerWidth === {width});" + SETTLED
        tab.view.resize(width, HEIGHT)
        script = f"const found = await look('', document);{DIALOGS if narrow else ''} return found;"
        yield from (f"{width} px: {line}" for line in tab.run(TOOLS + shown + LOOK + script))
    for width in EXTREMES:
        tab.view.resize(width, HEIGHT)
        shown = f"await until(() => innerWidth === {width});" + SETTLED
        yield from (f"{width} px: {line}" for line in tab.run(TOOLS + shown + WIDE))
    yield from (f"console: {line}" for line in tab.page.console)


def main(scheme: str) -> int:
    """Print ``{address: [line]}``."""
    problems: list[str] = []
    application = create_application(headless=True, on_error=problems.append, dark=scheme == "dark")
    worlds: list[World] = []

    def world(**apps: Any) -> World:
        worlds.append(World(Path(folder) / "spool", apps))
        return worlds[-1]

    with tempfile.TemporaryDirectory() as folder:
        lab = PagesLab(Path(folder), world, hyper=hyper)
        furnished(lab)
        tab = lab.open("about:blank")
        assert tab.run(f"return matchMedia('(prefers-color-scheme: {scheme})').matches")
        found = {address: list(look_at(tab, address)) for address in ADDRESSES}
        lab.close()
        worlds[0].close()
    print(json.dumps({**found, "": problems + worlds[0].errors}))
    del application
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
