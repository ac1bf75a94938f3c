"""Which addresses a page may send requests to."""

from __future__ import annotations

import pytest

from peersky.core.origins import parse_origin
from peersky.core.reach import Closed, is_loopback, is_private, may_send

CLOSED = Closed(frozenset({11434, 40001}), frozenset({("192.168.1.5", 11500)}))
STRANGERS = ("https://evil.example", "http://evil.example", "hyper://drive", "ipfs://bafy", "peersky://p2p", "null")
THIS_MACHINE = (
    *("127.0.0.1", "127.1.2.3", "localhost", "localhost.", "app.localhost", "[::1]", "0.0.0.0", "[::]"),
    "[::ffff:127.0.0.1]",
)
NETWORK = (
    *("192.168.1.1", "10.0.0.1", "172.16.9.9", "169.254.169.254", "100.64.0.1", "[fe80::1]", "[fd00::1]", "router"),
    *("printer.local", "nas.lan", "db.internal", "tv.home.arpa", "nas.lan.", "[64:ff9b::c0a8:101]", "dev.test"),
)
PUBLIC = ("93.184.216.34", "example.com", "[2606:4700::1111]", "localhost.evil.example", "127.0.0.1.evil.example")


def may(asker: str, url: str, closed: Closed = CLOSED, *, navigation: bool = False) -> bool:
    return may_send(parse_origin(asker), url, closed, navigation=navigation)


@pytest.mark.parametrize("host", THIS_MACHINE + NETWORK)
@pytest.mark.parametrize("scheme", ["http", "https", "ws", "wss"])
def test_a_stranger_reaches_neither_this_machine_nor_its_network(host: str, scheme: str) -> None:
    for asker in STRANGERS:
        assert not may(asker, f"{scheme}://{host}/")
        assert not may(asker, f"{scheme}://{host}:8000/path?query")


@pytest.mark.parametrize("host", PUBLIC)
def test_a_stranger_reaches_the_public_network(host: str) -> None:
    for asker in STRANGERS:
        for scheme in ("http", "https", "wss"):
            assert may(asker, f"{scheme}://{host}/")


@pytest.mark.parametrize("host", THIS_MACHINE)
def test_a_page_of_this_machine_reaches_the_rest_of_it_and_the_network(host: str) -> None:
    asker = f"http://{host}:5173"
    for url in ("http://localhost:8000/api", "ws://127.0.0.1:5174/", "http://192.168.1.1/", "ws://example.com/"):
        assert may(asker, url)


def test_a_page_of_the_network_reaches_its_own_host_and_no_other() -> None:
    for url in ("http://192.168.1.7/style.css", "http://192.168.1.7:8123/api", "ws://192.168.1.7/live"):
        assert may("http://192.168.1.7", url)
    assert may("http://nas.lan", "ws://nas.lan/live")
    for url in ("http://192.168.1.8/", "http://localhost:8000/", "http://nas.lan/"):
        assert not may("http://192.168.1.7", url)


def test_an_unencrypted_websocket_to_a_name_is_refused_since_the_name_may_turn_out_to_be_this_machine() -> None:
    assert not may("http://evil.example", "ws://evil.example:8000/")
    assert not may("hyper://drive", "ws://other.example/")
    # An address is what it is, and with TLS the certificate tells.
    assert may("http://evil.example", "ws://93.184.216.34/")
    assert may("https://evil.example", "wss://evil.example:8000/")


@pytest.mark.parametrize("asker", [*STRANGERS, "http://localhost:5173", "http://127.0.0.1", "peersky://settings"])
def test_the_browsers_own_servers_are_closed_to_every_page(asker: str) -> None:
    for navigation in (False, True):
        for host in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "evil.example", "2130706433.example"):
            assert not may(asker, f"http://{host}:11434/api/generate", navigation=navigation)
            assert not may(asker, f"ws://{host}:40001/", navigation=navigation)
        assert not may(asker, "http://192.168.1.5:11500/api/tags", navigation=navigation)


def test_a_link_may_lead_to_a_page_of_the_network() -> None:
    assert may("https://example.com", "http://192.168.1.1/", navigation=True)
    assert may("https://example.com", "http://localhost:8080/callback?code=1", navigation=True)


def test_default_ports_are_ports_too() -> None:
    closed = Closed(frozenset({80}), frozenset({("ollama.lan", 443)}))
    assert not may("http://localhost:5173", "http://127.0.0.1/", closed)
    assert not may("http://localhost:5173", "ws://127.0.0.1/", closed)
    assert may("http://localhost:5173", "https://127.0.0.1/", closed)
    assert not may("http://localhost:5173", "https://ollama.lan/", closed)


def test_other_schemes_are_not_its_business_and_what_does_not_parse_is_refused() -> None:
    for url in ("blob:https://evil.example/1", "data:text/plain,x", "hyper://drive/"):
        assert may("https://evil.example", url)
    assert not may("https://evil.example", "http://[::1/")
    assert not may("https://evil.example", "http://evil.example:99999/")


def test_kinds_of_hosts() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("x.localhost")
    assert not is_loopback("localhost.evil.example")
    assert not is_loopback("192.168.1.1")
    assert is_private("router")
    assert not is_private("2130706433")
    assert not is_private("8.8.8.8")
    assert not is_private("224.0.0.1")
