"""The address bar's rules: what is opened, what is searched, what is refused."""

from __future__ import annotations

import pytest

from peersky.core.address import Connection, Destination, connection_of, display_address, is_loopback, resolve
from peersky.core.errors import InvalidRequest
from peersky.core.keys import ipns_host

SEARCH = "https://search.example/?q={query}&t=1"
V0 = "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR"
V1 = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"


def opened(text: str) -> str:
    destination = resolve(text, SEARCH)
    assert destination is not None
    assert not destination.is_search, destination
    return destination.url


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("https://example.org/a b", "https://example.org/a b"),
        ("HTTP://Example.org", "http://Example.org"),
        ("http:example.org", "http://example.org"),
        ("https:\\\\example.org", "https://example.org"),
        ("  https://example.org/\n", "https://example.org/"),
        ("https://exam\nple.org/pa\r\nth", "https://example.org/path"),
        ("https://user:pw@example.org/", "https://user:pw@example.org/"),
        ("peersky://settings/llm", "peersky://settings/llm"),
        ("peersky:home", "peersky://home"),
        ("peersky://", "peersky://home/"),
        ("PEERSKY://p2p/ai-chat/", "peersky://p2p/ai-chat/"),
        ("about:blank", "about:blank"),
        ("data:text/html,<p>hello", "data:text/html,<p>hello"),
        ("file:///etc/hosts", "file:///etc/hosts"),
        ("view-source:https://example.org/", "view-source:https://example.org/"),
        ("view-source:ipfs://" + V0, f"view-source:ipfs://{V1}/"),
        ("/srv/page one#.html", "file:///srv/page%20one%23.html"),
        ("C:\\pages\\a b.html", "file:///C:/pages/a%20b.html"),
    ],
)
def test_a_typed_scheme_or_path_is_opened(typed: str, url: str) -> None:
    assert opened(typed) == url


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("localhost", "http://localhost/"),
        ("localhost:3000", "http://localhost:3000/"),
        ("LOCALHOST:3000/App?x=1#y", "http://LOCALHOST:3000/App?x=1#y"),
        ("app.localhost/x", "http://app.localhost/x"),
        ("127.0.0.1:8000/x", "http://127.0.0.1:8000/x"),
        ("127.8.9.1", "http://127.8.9.1/"),
        ("[::1]:80", "http://[::1]:80/"),
        ("[::1]", "http://[::1]/"),
        ("localhost:3000/a b", "http://localhost:3000/a b"),
        ("example.org", "https://example.org/"),
        ("example.org?q=1", "https://example.org?q=1"),
        ("example.org/path/x.html", "https://example.org/path/x.html"),
        ("sub.example.co.uk:8443/", "https://sub.example.co.uk:8443/"),
        ("192.168.1.1", "https://192.168.1.1/"),
        ("[2001:db8::1]:8080/x", "https://[2001:db8::1]:8080/x"),
        ("bücher.example", "https://bücher.example/"),
        ("xn--bcher-kva.xn--p1ai", "https://xn--bcher-kva.xn--p1ai/"),
        ("example.org.", "https://example.org./"),
        ("intranet/", "https://intranet/"),
        ("intranet:8080", "https://intranet:8080/"),
        ("localhost.evil.example", "https://localhost.evil.example/"),
    ],
)
def test_a_host_needs_no_scheme(typed: str, url: str) -> None:
    assert opened(typed) == url


def test_a_guessed_https_is_marked_so_that_the_error_page_can_name_http() -> None:
    assert resolve("example.org", SEARCH) == Destination("https://example.org/", guessed_https=True)
    assert resolve("localhost:1", SEARCH) == Destination("http://localhost:1/")
    assert resolve("https://example.org/", SEARCH) == Destination("https://example.org/")


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        ("weather", "weather"),
        ("two words", "two%20words"),
        ("a\tb\nc", "a%20b%20c"),
        ("foo\nbar.com", "foo%20bar.com"),
        ("?example.org", "example.org"),
        ("? localhost:3000", "localhost%3A3000"),
        ("?javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("c++ & c#", "c%2B%2B%20%26%20c%23"),
        ("50% off?", "50%25%20off%3F"),
        ("größe", "gr%C3%B6%C3%9Fe"),
        ("half \ud83d", "half%20%3F"),
        ("what is example.org", "what%20is%20example.org"),
        ("and/or", "and%2For"),
        ("node.js", "node.js"),
        ("3.14", "3.14"),
        ("1/2", "1%2F2"),
        ("v1.2/notes", "v1.2%2Fnotes"),
        ("256.1.1.1", "256.1.1.1"),
        ("localhost:99999", "localhost%3A99999"),
        ("[::g]", "%5B%3A%3Ag%5D"),
        ("-dash.example", "-dash.example"),
        ("a..b", "a..b"),
        ("python: how to", "python%3A%20how%20to"),
        ("data: what it means", "data%3A%20what%20it%20means"),
        ("file: cabinet", "file%3A%20cabinet"),
        ("somebody@example.org", "somebody%40example.org"),
        ("somebody@example.org phone", "somebody%40example.org%20phone"),
        ("@types/node", "%40types%2Fnode"),
        ("Qmnotacid", "Qmnotacid"),
        ("{query}", "%7Bquery%7D"),
    ],
)
def test_everything_else_is_searched(typed: str, query: str) -> None:
    assert resolve(typed, SEARCH) == Destination(f"https://search.example/?q={query}&t=1", is_search=True)


def test_a_search_address_without_a_place_for_the_words_gets_them_at_its_end() -> None:
    assert resolve("a b", "https://search.example/?q=") == Destination(
        "https://search.example/?q=a%20b", is_search=True
    )


@pytest.mark.parametrize("typed", ["", "   ", "\n\t", "?", " ? "])
def test_nothing_typed_leads_nowhere(typed: str) -> None:
    assert resolve(typed, SEARCH) is None


@pytest.mark.parametrize(
    "typed",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java\tscript:alert(1)",
        "\x01javascript:alert(1)",
        "java\u200bscript:alert(1)",
        "javascript: //x",
        "vbscript:x",
        "view-source:javascript:alert(1)",
        "view-source:view-source:https://example.org/",
        "view-source:nothing",
        "llm://bridge/v1/models",
        "blob:https://example.org/x",
        "chrome://gpu",
        "qrc:/x",
        "gopher://example.org/",
        "about:config",
        "http://",
        "https:///",
        "http://:80/",
        "http://user@/",
        "http://two words/",
        "localhost:3000@evil.example/",
        "localhost@evil.example/x",
        "admin:secret@evil.example",
        "admin:secret@localhost:80",
        "hyper://",
        "ipfs://?x",
        "hyper://" + "g" * 64,
        "ipfs://" + "b" + "a" * 99,
    ],
)
def test_refused_with_a_sentence(typed: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve(typed, SEARCH)
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        (V0, f"ipfs://{V1}/"),
        (V1, f"ipfs://{V1}/"),
        (V1 + "/a.html", f"ipfs://{V1}/a.html"),
        (f"ipfs://{V0}/a?b#c", f"ipfs://{V1}/a?b#c"),
        (f"ipfs:{V0}", f"ipfs://{V1}/"),
        (f"/ipfs/{V0}/dir/x", f"ipfs://{V1}/dir/x"),
        (f"ipfs/{V1}", f"ipfs://{V1}/"),
        ("/ipns/docs.ipfs.tech/a", "ipns://docs.ipfs.tech/a"),
        ("ipns://docs.ipfs.tech", "ipns://docs.ipfs.tech/"),
        ("hyper://blog.example/x", "hyper://blog.example/x"),
        ("00" * 32, f"hyper://{'y' * 52}/"),
        ("hyper://" + "00" * 32 + "/index.html?x#y", f"hyper://{'y' * 52}/index.html?x#y"),
        ("y" * 52, f"hyper://{'y' * 52}/"),
        (f"ipfs:/ipfs/{V0}/a", f"ipfs://{V1}/a"),
        ("ipfs://ipns/docs.ipfs.tech", "ipns://docs.ipfs.tech/"),
        (f"https://ipfs.io/ipfs/{V0}/a?b#c", f"ipfs://{V1}/a?b#c"),
        (f"ipfs.io/ipfs/{V0}", f"ipfs://{V1}/"),
        (f"{V1}.ipfs.dweb.link", f"ipfs://{V1}/"),
        (f"localhost:8080/ipfs/{V1}/", f"ipfs://{V1}/"),
        (f"view-source:https://{V1}.ipfs.dweb.link/a", f"view-source:ipfs://{V1}/a"),
    ],
)
def test_p2p_addresses_get_a_host_that_the_url_parser_leaves_alone(typed: str, url: str) -> None:
    assert opened(typed) == url


def test_an_ipns_path_with_a_peer_id() -> None:
    assert opened(f"/ipns/{V0}/x") == f"ipns://{ipns_host(V0)}/x"


@pytest.mark.parametrize(
    ("url", "connection"),
    [
        ("peersky://home/", Connection.INTERNAL),
        ("hyper://x/", Connection.P2P),
        ("ipns://docs.ipfs.tech/", Connection.P2P),
        ("https://example.org/", Connection.SECURE),
        ("http://example.org/", Connection.INSECURE),
        ("http://localhost:1/", Connection.LOCAL),
        ("http://[::1]:1/", Connection.LOCAL),
        ("http://localhost.evil.example/", Connection.INSECURE),
        ("http://127.0.0.1@evil.example/", Connection.INSECURE),
        ("view-source:http://example.org/", Connection.INSECURE),
        ("file:///x", Connection.FILE),
        ("data:text/html,x", Connection.NONE),
        ("about:blank", Connection.NONE),
        ("http://[bad/", Connection.NONE),
    ],
)
def test_connection(url: str, connection: Connection) -> None:
    assert connection_of(url) is connection


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "a.b.localhost", "127.0.0.1", "127.255.0.9", "[::1]"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "localhost.", "xlocalhost", "localhost.org", "128.0.0.1", "[::2]", "0.0.0.0", "127.1"]
)
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("about:blank", ""),
        ("https://example.org/a%20b?c=%26", "https://example.org/a%20b?c=%26"),
        ("https://example.org/gr%C3%B6%C3%9Fe", "https://example.org/größe"),
        ("https://user:secret@example.org/", "https://example.org/"),
        ("https://xn--e1awd7f.com/", "https://xn--e1awd7f.com/"),
        ("https://example.org/%FF%C3", "https://example.org/%FF%C3"),
        ("https://example.org/%E2%80%AEmoc", "https://example.org/%E2%80%AEmoc"),
        ("https://example.org/%E3%80%80x", "https://example.org/%E3%80%80x"),
        ("https://example.org?a@b", "https://example.org?a@b"),
        ("data:text/html,x", "data:text/html,x"),
        ("peersky://home/", "peersky://home/"),
    ],
)
def test_display(url: str, shown: str) -> None:
    assert display_address(url) == shown
