"""Gateway links: which are one, and which only look like it."""

from __future__ import annotations

import pytest

from peersky.core.gateways import gateway_target

V0 = "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR"
V1 = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
PEER = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (f"https://ipfs.io/ipfs/{V0}", f"ipfs://{V1}/"),
        (f"https://ipfs.io/ipfs/{V0}/a%20b/c.html?x=1#y", f"ipfs://{V1}/a%20b/c.html?x=1#y"),
        (f"HTTPS://gateway.example/ipfs/{V1}/", f"ipfs://{V1}/"),
        (f"http://localhost:8080/ipfs/{V1}/a", f"ipfs://{V1}/a"),
        (f"https://{V1}.ipfs.dweb.link/a?b", f"ipfs://{V1}/a?b"),
        (f"https://{V1}.ipfs.gateway.example./", f"ipfs://{V1}/"),
        (f"http://{V1}.ipfs.localhost:8080", f"ipfs://{V1}/"),
        (f"https://ipfs.io/ipfs/{V1}/a.bin?download=true&filename=x&v=2", f"ipfs://{V1}/a.bin?v=2"),
        (f"https://ipfs.io/ipfs/{V1}?format=car", f"ipfs://{V1}/"),
        ("https://ipfs.io/ipns/Docs.ipfs.tech/a", "ipns://docs.ipfs.tech/a"),
        ("https://en-wikipedia--on--ipfs-org.ipns.dweb.link/wiki/", "ipns://en.wikipedia-on-ipfs.org/wiki/"),
    ],
)
def test_a_gateway_link_is_the_address_behind_it(url: str, target: str) -> None:
    assert gateway_target(url) == target


def test_names_of_keys_prove_themselves_at_any_host() -> None:
    found = gateway_target(f"https://gateway.example/ipns/{PEER}/x")
    assert found is not None
    assert found.startswith("ipns://k51")
    host = found.removeprefix("ipns://").partition("/")[0]
    assert gateway_target(f"https://{host}.ipns.gateway.example/x") == found


@pytest.mark.parametrize(
    "url",
    [
        "https://ipfs.io/",
        "https://ipfs.io/ipfs/",
        "https://ipfs.io/ipfs/nothing/here",
        "https://github.example/ipfs/kubo",
        f"https://site.example/about/ipfs/{V1}",
        f"https://site.example/?/ipfs/{V1}",
        f"https://{V1[:-1]}.ipfs.dweb.link/",
        f"https://{V1}.ipfs/",
        f"https://x.{V1}.ipfs.dweb.link/",
        "https://site.example/ipns/docs.ipfs.tech/",
        "https://docs-ipfs-tech.ipns.site.example/",
        "https://ipfs.io/ipns/one-word",
        "https://ipfs.io/ipns/%2e%2e/x",
        "https://ipfs.io.evil.example/ipns/docs.ipfs.tech",
        f"ftp://ipfs.io/ipfs/{V1}",
        "https://[bad/ipfs/x",
    ],
)
def test_everything_else_stays_a_web_address(url: str) -> None:
    assert gateway_target(url) is None
