"""The pages that the browser shows in the place of a P2P folder without an index, and of a P2P page that is not there.

They belong to the site's own origin, which cannot load ``peersky://assets``: so each carries its style with it, has no
script, and a policy that would run none. Names come from strangers: they are escaped, isolated from the direction of
the text around them, and marks that would reorder or hide letters are shown by their code.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from peersky.core.address import display_address
from peersky.core.sizes import size_text
from peersky.web.p2p_problems import problem_of

_LONG_KEY: Final = 24
# Controls, marks of direction, and letters without a shape: in a name they can only deceive.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\uffff\U000e0000-\U000e0fff]"
)
_DIGITS = re.compile(r"(\d+)")
_KINDS: Final = {
    "page": "html htm xhtml",
    "text": "txt md rst csv json xml yaml yml toml css js mjs ts py pdf log",
    "image": "png jpg jpeg gif webp svg avif bmp ico",
    "media": "webm mp4 mkv mov mp3 ogg oga ogv opus wav flac m4a",
    "archive": "zip tar gz tgz bz2 xz zst 7z car",
}
_KIND_OF: Final = {ending: kind for kind, endings in _KINDS.items() for ending in endings.split()}


def listing_page(assets: Path, url: str, entries: Sequence[Mapping[str, Any]]) -> str:
    """The page of a folder.

    Args:
        assets: the folder of the assets.
        url: the folder's own address, encoded.
        entries: ``name``, ``type`` (``file`` or ``folder``), ``size`` in bytes and ``modified`` in ms since 1970 (or
            None) each, from a peer: nothing of them is taken on trust.
    """
    parts = urlsplit(url)
    base = parts.path if parts.path.endswith("/") else f"{parts.path}/"
    listed = sorted((_Entry(entry) for entry in entries), key=lambda entry: entry.order)
    query = "?noResolve" if "noResolve" in parts.query else ""
    rows = [entry.row(base, query) for entry in listed]
    crumbs = _crumbs(parts.scheme, parts.netloc, base, query)
    if len(crumbs) > 1:
        up = f'<a href="{escape(crumbs[-2][0])}">{_icon("up")}<bdi>Parent folder</bdi></a>'
        rows.insert(0, f'<tr class="folder"><td>{up}</td><td></td><td class="time"></td></tr>')
    *above, (_, here) = crumbs
    links = [f'<li><a href="{escape(href)}"><bdi>{shown_name(text)}</bdi></a></li>' for href, text in above]
    links.append(f'<li><span aria-current="page"><bdi>{shown_name(here)}</bdi></span></li>')
    table = _TABLE.format(rows="\n".join(rows)) if rows else ""
    empty = '<p class="note">This folder is empty.</p>' if not listed else ""
    return _document(
        assets,
        "listing.html",
        title=f"{_plain(here)} — {_key(parts.netloc)}" if above else _plain(here),
        crumbs="\n".join(links),
        heading=f"<bdi>{shown_name(here)}</bdi>",
        summary=_summary(listed),
        files=f'<div id="files">{empty}{table}</div>',
    )


def p2p_error_page(assets: Path, url: str, status: int, reason: str, sentence: str) -> str:
    """The page that says why there is none.

    Args:
        assets: the folder of the assets.
        url: the address that failed, encoded.
        status: HTTP status of the reply that this page is sent with.
        reason: the node's reason: ``no_such_path``, ``no_peers``, ``offline``…
        sentence: what happened, plain text.
    """
    problem = problem_of(reason, status, url)
    actions = [f'<a class="button primary" href="{escape(url)}">Try again</a>'] if problem.again else []
    if problem.start and urlsplit(url).path not in ("", "/"):
        actions.append('<a class="button" href="/">Start of this site</a>')
    chain = "".join(
        f'<li class="{state}"><b>{escape(name)}</b> <span>{escape(words)}</span></li>'
        for name, state, words in problem.chain
    )
    return _document(
        assets,
        "error.html",
        title=problem.title,
        heading=escape(problem.title),
        sentence=shown_name(sentence),
        chain=f'<ol class="chain" aria-label="What is there and what is not">{chain}</ol>' if chain else "",
        address=shown_name(display_address(url)),
        advice=escape(problem.advice),
        actions=" ".join(actions),
        code=escape(f"{status} {reason}".strip()),
    )


def shown_name(name: str) -> str:
    """A stranger's text as HTML: escaped, with what hides or reorders letters shown by its code."""
    text = name.encode("utf-8", "replace").decode()
    return _HIDDEN.sub(lambda found: f'<span class="code">U+{ord(found[0]):04X}</span>', escape(text))


def _plain(name: str) -> str:
    """The same as plain text, for the title."""
    return _HIDDEN.sub("\ufffd", name.encode("utf-8", "replace").decode())


_TABLE: Final = """<table class="files">
<caption class="visually-hidden">Files of this folder</caption>
<thead><tr><th scope="col">Name</th><th scope="col" class="size">Size</th>
<th scope="col" class="time">Changed (UTC)</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>"""


class _Entry:
    """One row, with all that a peer may have got wrong put right."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        name, size, modified = str(entry.get("name", "")), entry.get("size"), entry.get("modified")
        self.is_folder = entry.get("type") == "folder" or name.endswith("/")
        self.name = name.removesuffix("/").encode("utf-8", "replace").decode()
        self.size = int(size) if isinstance(size, (int, float)) and 0 <= size < 1 << 62 else None
        self.time = _time(modified) if isinstance(modified, (int, float)) else None
        folded = unicodedata.normalize("NFKC", self.name).casefold()
        numbered = [(int(part[:300]), "") if part.isdecimal() else (0, part) for part in _DIGITS.split(folded)]
        self.order = (not self.is_folder, numbered, self.name)

    def row(self, base: str, query: str) -> str:
        """The HTML of the row. A name that would lead elsewhere has no link."""
        kind = "folder" if self.is_folder else _KIND_OF.get(self.name.rpartition(".")[2].lower(), "file")
        label = f"{_icon(kind)}<bdi>{shown_name(self.name)}</bdi>"
        if self.name in ("", ".", "..") or "/" in self.name or "\\" in self.name:
            cell = f'<span class="nowhere">{label}</span>'
        else:
            href = base + quote(self.name, safe="") + (f"/{query}" if self.is_folder else "")
            cell = f'<a href="{escape(href)}">{label}</a>'
        size = "" if self.size is None or self.is_folder else size_text(self.size)
        time = f'<time datetime="{self.time:%Y-%m-%dT%H:%M:%SZ}">{self.time:%Y-%m-%d %H:%M}</time>' if self.time else ""
        return (
            f'<tr class="{"folder" if self.is_folder else "file"}"><td>{cell}</td><td class="size">{size}</td>'
            f'<td class="time">{time}</td></tr>'
        )


def _time(ms: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC) if ms > 0 else None
    except (OverflowError, ValueError, OSError):
        return None


def _summary(entries: Sequence[_Entry]) -> str:
    folders = sum(entry.is_folder for entry in entries)
    files, total = len(entries) - folders, sum(entry.size or 0 for entry in entries if not entry.is_folder)
    parts = [
        f"{count} {name}{'' if count == 1 else 's'}" for count, name in ((folders, "folder"), (files, "file")) if count
    ]
    if files and total:
        parts.append(size_text(total))
    return ", ".join(parts)


def _key(host: str) -> str:
    """A host as people can tell it from others: the ends of a long key."""
    return f"{host[:8]}…{host[-6:]}" if len(host) > _LONG_KEY and "." not in host else host


def _crumbs(scheme: str, host: str, base: str, query: str) -> list[tuple[str, str]]:
    """Link and text of each folder on the way, the root first. An old version of a drive is a root of its own."""
    segments = [segment for segment in base.split("/") if segment]
    href, text = "/", f"{scheme}: {_key(host)}"
    if scheme == "hyper" and segments[:2] == ["$", "version"] and len(segments) > 2:
        href, text = f"/$/version/{segments[2]}/", f"{text}, version {unquote(segments[2])}"
        del segments[:3]
    crumbs = [(href + query, text)]
    for segment in segments:
        href += f"{segment}/"
        crumbs.append((href + query, unquote(segment)))
    return crumbs


def _icon(name: str) -> str:
    return f'<svg aria-hidden="true"><use href="#{name}"/></svg>'


def _document(assets: Path, name: str, *, title: str, **parts: str) -> str:
    mark = _mark(assets)
    body = Template(_text(assets, name)).substitute(parts, mark=mark)
    return Template(_text(assets, "document.html")).substitute(
        title=escape(title), mark=mark, style=_style(assets), body=body
    )


@lru_cache(maxsize=8)
def _text(assets: Path, name: str) -> str:
    return (assets / "peer" / name).read_text("utf-8")


@lru_cache(maxsize=2)
def _mark(assets: Path) -> str:
    data = (assets / "shared" / "mark.svg").read_bytes()
    return f"data:image/svg+xml;base64,{base64.b64encode(data).decode()}"


@lru_cache(maxsize=2)
def _style(assets: Path) -> str:
    shared = [(assets / "shared" / name).read_text("utf-8") for name in ("tokens.css", "peersky.css")]
    return "\n".join([*shared, _text(assets, "peer.css")])
