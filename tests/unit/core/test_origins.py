"""Origins: what is a trusted-looking text and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peersky.core.origins import BROWSER, DEFAULT_PORTS, OPAQUE, USER, Origin, parse_origin

PARSED = [
    ("http://localhost", "http://localhost"),
    ("http://localhost/", "http://localhost"),
    ("HTTP://LocalHost:3000/Path?q#f", "http://localhost:3000"),
    ("http://localhost:80", "http://localhost"),
    ("https://agregore.mauve.moe:443/", "https://agregore.mauve.moe"),
    ("https://agregore.mauve.moe:8443/", "https://agregore.mauve.moe:8443"),
    ("https://localhost", "https://localhost"),
    ("http://localhost.", "http://localhost."),
    ("http://localhost.evil.example", "http://localhost.evil.example"),
    ("http://127.0.0.1:11434/api", "http://127.0.0.1:11434"),
    ("http://[::1]:8080/", "http://[::1]:8080"),
    ("peersky://home/", "peersky://home"),
    ("peersky://app-x1/index.html", "peersky://app-x1"),
    ("hyper://blog.mauve.moe/post", "hyper://blog.mauve.moe"),
    ("ipns://k51qzi5uqu5d/", "ipns://k51qzi5uqu5d"),
    ("llm://bridge/v1", "llm://bridge"),
    ("https://xn--lcalhost-9fh.example", "https://xn--lcalhost-9fh.example"),
]

WITHOUT_ORIGIN = [
    "",
    "null",
    "NULL",
    "localhost",
    "localhost:3000",
    "//localhost",
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    "data:text/html,<p>",
    "blob:http://localhost/0c5e5d4e",
    "blob:null/0c5e5d4e",
    "filesystem:http://localhost/temporary/",
    "javascript:alert(1)",
    "about:blank",
    "about:srcdoc",
    "view-source:http://localhost/",
    "chrome://settings",
    "devtools://devtools",
    "ftp://localhost/",
    "ws://localhost/",
    "http:",
    "http://",
    "http:///",
    "http:///localhost",
    "http:localhost",
    "http://:80",
    "http://localhost@evil.example",
    "http://user:password@localhost/",
    "http://@localhost/",
    "http://localhost\\@evil.example",
    "http://localhost:port",
    "http://localhost:99999",
    "http://localhost:-1",
    "http://localhost:８０",
    "http://localhost..",
    "http://.localhost",
    "http://local host",
    "http://localhost%2eevil.example",
    "http://localhost%00",
    "http://[::1",
    "http://[localhost]",
    "https://аgregore.mauve.moe",  # the first letter is Cyrillic
    "http://ｌocalhost",
    "http://localhost\u200b",
    "http://localhost。",
    "peersky://settings:80/",
    "peersky:home",
    "peersky://",
    "peersky://settings@p2p/",
]


@pytest.mark.parametrize(("text", "serialised"), PARSED)
def test_scheme_host_and_port_make_an_origin(text: str, serialised: str) -> None:
    assert str(parse_origin(text)) == serialised


@pytest.mark.parametrize("text", WITHOUT_ORIGIN)
def test_what_has_no_origin_of_its_own_is_opaque(text: str) -> None:
    origin = parse_origin(text)
    assert origin is OPAQUE
    assert origin.is_opaque


def test_userinfo_query_and_path_are_no_host() -> None:
    assert parse_origin("https://evil.example/?agregore.mauve.moe").host == "evil.example"
    assert parse_origin("https://evil.example#@agregore.mauve.moe").host == "evil.example"
    assert parse_origin("https://evil.example/https://agregore.mauve.moe").host == "evil.example"


def test_port_0_is_a_port_of_its_own_and_not_the_default_one() -> None:
    assert parse_origin("https://agregore.mauve.moe:0") != parse_origin("https://agregore.mauve.moe")


@pytest.mark.parametrize("text", ["null", "browser", "command-line", "://browser", " browser"])
def test_no_text_names_the_browser_or_the_user(text: str) -> None:
    assert parse_origin(text) not in (BROWSER, USER)


def test_kinds_of_origins() -> None:
    home, app, drive, site = map(
        parse_origin, ("peersky://home/", "peersky://app-x1/", "hyper://key/", "https://evil.example/")
    )
    assert home.is_internal
    assert not home.is_imported_app
    assert app.is_imported_app
    assert not app.is_internal
    assert drive.is_p2p
    assert not drive.is_internal
    assert site.is_web
    assert not site.is_p2p
    assert not any((OPAQUE.is_internal, OPAQUE.is_p2p, OPAQUE.is_web, BROWSER.is_internal, USER.is_web))


@pytest.mark.parametrize("host", ["app", "app-", "apps", "xapp-1"])
def test_only_app_with_an_identifier_is_an_imported_app(host: str) -> None:
    assert not Origin("peersky", host).is_imported_app


URL_PIECES = st.sampled_from(
    [
        "http",
        "https",
        "peersky",
        "hyper",
        "blob",
        ":",
        "//",
        "/",
        "@",
        "localhost",
        ".",
        "evil.example",
        "[",
        "]",
        "::1",
        "?",
        "#",
        "%2e",
        "\\",
        ":80",
        ":0",
        ":443",
        ":99999",
        "null",
        "\t",
        "\x00",
        "а",
        "ß",
        "K",
        "İ",
        "。",
        "_",
        "-",
    ]
)
TEXTS = st.text() | st.lists(URL_PIECES, max_size=9).map("".join)


@given(TEXTS)
def test_no_text_makes_it_raise(text: str) -> None:
    assert isinstance(parse_origin(text), Origin)


@given(TEXTS)
def test_a_serialised_origin_parses_to_itself(text: str) -> None:
    origin = parse_origin(text)
    assert parse_origin(str(origin)) == origin


@given(st.sampled_from(["http", "https"]), st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True))
def test_the_default_port_and_no_port_are_one_origin(scheme: str, host: str) -> None:
    assert parse_origin(f"{scheme}://{host}:{DEFAULT_PORTS[scheme]}/x") == parse_origin(f"{scheme}://{host}")
