"""The frame of the browser's own pages: head, skip link, navigation. What a page says itself is a fragment of HTML.

A new page is one fragment and one entry in :data:`PAGES`; a new host gets its routes from there, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Final

SETTINGS: Final = "settings"
"""The host whose pages are listed beside each of them, in the order of :data:`PAGES`."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page at ``peersky://HOST/PATH``.

    Its fragment is ``assets/pages/HOST/PATH.html`` (``index.html`` for ``/``), with ``<main id="main">`` and whatever
    stands beside it. Its other files lie there as well, and are served at ``peersky://HOST/``.

    Attributes:
        host: the host, whose API the page may call (:data:`peersky.core.trust.INTERNAL_APIS`).
        path: path of the address, from its slash on, without one at its end.
        title: what tab and navigation call it; empty for the one page that is called like the browser.
        styles: addresses of stylesheets beside the shared ones.
        script: address of its module, or empty.
        bar: whether the bar stands above the fragment; a page without has one of its own.
    """

    host: str
    path: str
    title: str
    styles: tuple[str, ...] = ()
    script: str = ""
    bar: bool = True

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths that lead to it: with a slash at the end, too."""
        return (self.path,) if self.path == "/" else (self.path, f"{self.path}/")

    @property
    def fragment(self) -> str:
        """Its fragment, relative to the folder of the assets."""
        return f"pages/{self.host}/{self.path.removeprefix('/') or 'index'}.html"


PAGES: Final = (
    Page("home", "/", "", ("/home.css",), "/home.js", bar=False),
    Page("settings", "/", "General", ("/settings.css",), "/general.js"),
    Page("settings", "/llm", "Local AI", ("/settings.css",), "/llm.js"),
    Page("settings", "/sites", "Sites", ("/settings.css", "/sites.css"), "/sites.js"),
    Page("settings", "/memory", "Memory", ("/settings.css",), "/memory.js"),
    Page("settings", "/p2p", "Peer-to-peer", ("/settings.css", "/p2p.css"), "/p2p.js"),
    Page("archive", "/", "Archive", ("/archive.css",), "/archive.js"),
    Page("apps", "/", "Apps", ("/apps.css",), "/apps.js"),
    Page("about", "/", "About", ("/about.css",), "/about.js"),
    Page("about", "/docs", "Documentation", ("/docs.css",), "/docs.js"),
    Page("activity", "/", "Activity", ("peersky://assets/table.css",), "/activity.js"),
    Page("logs", "/", "Logs", ("peersky://assets/table.css",), "/logs.js"),
    Page("p2p", "/", "Built-in apps"),
)

_BAR: Final = (
    ("Home", "peersky://home/"),
    ("AI chat", "peersky://p2p/ai-chat/"),
    ("Apps", "peersky://apps/"),
    ("Settings", "peersky://settings/"),
)
_STYLES: Final = ("peersky://assets/tokens.css", "peersky://assets/peersky.css")
_SHARED_SCRIPT: Final = '<script src="peersky://assets/page.js"></script>'


def render_page(assets: Path, page: Page) -> str:
    """The whole page: its fragment in the frame of ``assets/pages/template/``. Fragments are used as they are.

    Args:
        assets: the folder of the assets.
        page: which page.

    Raises:
        OSError: a file of it cannot be read.
    """
    name = f"PeerSky {SETTINGS}" if page.host == SETTINGS else "PeerSky"
    body = (assets / page.fragment).read_text("utf-8").rstrip()
    if page.host == SETTINGS:
        sections = [other for other in PAGES if other.host == SETTINGS]
        links = [_link(other.title, other.path, "page" if other == page else "") for other in sections]
        body = _fill(assets, "sections", links="\n".join(links), content=body)
    if page.bar:
        links = [_link(label, url, "true" if url == f"peersky://{page.host}/" else "") for label, url in _BAR]
        body = "\n".join([_fill(assets, "bar", links="\n".join(links)), body])
    head = [f"<title>{escape(f'{page.title} – {name}' if page.title else name)}</title>"]
    head += [f'<link rel="stylesheet" href="{escape(url)}">' for url in (*_STYLES, *page.styles)]
    if page.script:
        head += [_SHARED_SCRIPT, f'<script type="module" src="{escape(page.script)}"></script>']
    return _fill(assets, "document", head="\n".join(head), body=body)


def _link(label: str, url: str, current: str) -> str:
    here = f' aria-current="{current}"' if current else ""
    return f'<li><a href="{escape(url)}"{here}>{escape(label)}</a></li>'


def _fill(assets: Path, template: str, **parts: str) -> str:
    text = (assets / "pages" / "template" / f"{template}.html").read_text("utf-8")
    return Template(text.rstrip()).substitute(parts)
