"""Listings and error pages of P2P sites: what strangers named, shown and never obeyed."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin

import pytest

import peersky
from peersky.web.p2p_pages import listing_page, p2p_error_page

ASSETS = Path(peersky.__file__).parent / "assets"
ROOT = f"hyper://{'y' * 52}/"
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a' onmouseover='x",
    "$title ${style} $$",
    "javascript:alert(1)",
    "//evil.example/",
    "..\\..\\x",
    "photo\u202egpj.exe",
    "new\nline\ttab",
    "\u2066isolate\u2069",
    "lone \ud800 surrogate",
    "a%2Fb",
    "?query#fragment",
    "صورة.png",
    "👩‍👩‍👧 family.txt",
    "  spaces  ",
    "x" * 255,
]


class Page(HTMLParser):
    """What a browser would make of the page: tags, links and texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href" and tag == "a"]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


def file(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "file", "size": 1, "modified": None, **more}


def listed(entries: list[dict[str, Any]], url: str = ROOT) -> Page:
    return Page(listing_page(ASSETS, url, entries))


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_name_is_text_and_leads_to_the_file_of_that_name(name: str) -> None:
    page = listed([file(name)], f"{ROOT}sub/")
    assert not {"script", "img"} & set(page.tags[page.tags.index("main") :])
    assert page.handlers == []
    inside = [link for link in page.links if link.startswith("/sub/") and link != "/sub/"]
    if "/" in name or "\\" in name:
        assert inside == []
    else:
        assert [unquote(link) for link in inside] == [f"/sub/{name.encode('utf-8', 'replace').decode()}"]
        assert urljoin(f"http://{'y' * 52}/sub/", inside[0]).startswith(f"http://{'y' * 52}/sub/")


@pytest.mark.parametrize("name", ["", ".", "..", "../", "/", "a/b", "/etc/passwd"])
def test_a_name_that_would_lead_elsewhere_has_no_link(name: str) -> None:
    assert [link for link in listed([file(name)]).links if not link.startswith("#")] == []


def test_marks_that_reorder_letters_are_shown_by_their_code() -> None:
    html = listing_page(ASSETS, ROOT, [file("photo\u202egpj.exe"), file("a\u200bb")])
    assert "\u202e" not in html
    assert "photo" + '<span class="code">U+202E</span>' + "gpj.exe" in html
    assert '<bdi>a<span class="code">U+200B</span>b</bdi>' in html


def test_folders_first_then_by_name_with_numbers_as_numbers() -> None:
    entries = [file("b10"), file("B2"), file("a"), {"name": "z/", "type": "folder"}, {"name": "c", "type": "folder"}]
    assert listed(entries).links[1:] == ["/c/", "/z/", "/a", "/B2", "/b10"]


def test_sizes_dates_and_a_sum() -> None:
    page = listed([file("a", size=1, modified=86_400_000), file("b", size=2_499_999), {"name": "f", "type": "folder"}])
    assert {"1 bytes", "2.5 MB", "1970-01-02 00:00", "1 folder, 2 files, 2.5 MB"} <= set(page.texts)


@pytest.mark.parametrize("wrong", [None, -1, "9", [], float("nan"), float("inf"), 10**30])
def test_a_size_or_date_that_cannot_be_is_left_out(wrong: object) -> None:
    page = listed([file("a", size=wrong, modified=wrong)])
    assert "1 file" in page.text


def test_the_way_back_up() -> None:
    page = listed([], f"{ROOT}a%20b/c?noResolve")
    assert page.links == ["#files", "/?noResolve", "/a%20b/?noResolve", "/a%20b/?noResolve"]
    assert {"a b", "c", "Parent folder", "This folder is empty."} <= set(page.texts)
    assert "Parent folder" not in listed([]).texts


def test_an_old_version_of_a_drive_is_a_root_of_its_own() -> None:
    page = listed([file("x")], f"{ROOT}$/version/3/sub/")
    assert page.links[1:] == ["/$/version/3/", "/$/version/3/", "/$/version/3/sub/x"]
    assert "hyper: yyyyyyyy…yyyyyy, version 3" in page.texts


def test_nothing_is_loaded_and_nothing_runs() -> None:
    for html in (listing_page(ASSETS, ROOT, [file("a")]), p2p_error_page(ASSETS, ROOT, 504, "no_peers", "x")):
        assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:;" in html
        assert not re.search(r"(src|href)=\"(peersky|https?):", html)
        assert "<script" not in html


@pytest.mark.parametrize(
    ("reason", "status", "missing"),
    [
        ("offline", 504, "Network missing"),
        ("no_peers", 504, "Somebody who has it missing"),
        ("no_such_path", 404, "The page itself missing"),
    ],
)
def test_the_error_page_says_what_is_missing(reason: str, status: int, missing: str) -> None:
    html = p2p_error_page(ASSETS, f"{ROOT}a/b", status, reason, "It is not there.")
    found = re.findall(r'<li class="(\w+)"><b>([^<]+)</b> <span>([^<]+)</span>', html)
    assert [f"{name} {words}" for state, name, words in found if state == "missing"] == [missing]
    assert ("Start of this site" in html) == (reason == "no_such_path")
    assert ("Try again" in html) == (reason != "no_such_path")


def test_every_reason_has_its_words_and_none_is_obeyed() -> None:
    reasons = """offline no_peers no_such_path no_such_key malformed wrong_block disk_full backend_unreachable
        not_installed crash_loop not_writable method_not_allowed too_large internal range <b>"""
    for reason in reasons.split():
        page = Page(p2p_error_page(ASSETS, f'{ROOT}"><b>', 500, reason, "<script>alert(1)</script>"))
        assert "<script>alert(1)</script>" in page.texts
        assert "script" not in page.tags
        assert page.tags.count("h1") == 1


def test_a_link_that_lost_its_capitals_is_explained() -> None:
    url = "ipfs://qmbwqxbekc3p8tqskc98xmwnzrzdtrlmimpl8wbutgsmnr/"
    assert "lost its capital letters" in p2p_error_page(ASSETS, url, 400, "malformed", "No CID.")
    assert "lost its capital letters" not in p2p_error_page(ASSETS, "ipfs://x/", 400, "malformed", "No CID.")
