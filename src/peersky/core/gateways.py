"""Links to HTTP gateways of IPFS → the address that they stand for, so that a pasted link needs no gateway.

Path form ``https://HOST/ipfs/CID/path``, subdomain form ``https://CID.ipfs.HOST/path``, both with ``ipns`` for names.
Rules: IPFS HTTP gateway specifications (specs.ipfs.tech/http-gateways), "Path Gateway" and "Subdomain Gateway".
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from peersky.core.keys import ipfs_host, ipns_host

GATEWAYS: Final = frozenset(
    """4everland.io cf-ipfs.com cloudflare-ipfs.com dweb.link flk-ipfs.xyz gateway.ipfs.io gateway.pinata.cloud
    inbrowser.link ipfs.io localhost nftstorage.link storry.tv trustless-gateway.link w3s.link""".split()  # noqa: SIM905
)
"""Hosts whose ``/ipns/NAME`` is a name even where NAME is no key. A CID or key proves itself, at whatever host."""

_PATH = re.compile(r"/(ipfs|ipns)/([^/]+)(/.*)?\Z", re.DOTALL)
_SUBDOMAIN = re.compile(r"([a-z0-9-]+)\.(ipfs|ipns)\.(.+)\Z")
_DNS_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,62}\Z")
# A gateway's own orders (how to answer, which name to save under); a page behind it never sees them.
_ORDERS: Final = frozenset({"format", "filename", "download"})


def gateway_target(url: str) -> str | None:
    """The ``ipfs:`` or ``ipns:`` address that a gateway link stands for; None where the URL is no such link.

    Args:
        url: an ``http:`` or ``https:`` URL, as typed.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").removesuffix(".")
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https"):
        return None
    tail = _tail(parts.query, parts.fragment)
    if match := _SUBDOMAIN.match(host):
        label, scheme, gateway = match.groups()
        known = gateway in GATEWAYS
        found = _host(scheme, label) or (_inlined_name(label) if scheme == "ipns" and known else None)
        return f"{scheme}://{found}{parts.path or '/'}{tail}" if found else None
    if match := _PATH.match(parts.path):
        scheme, name, rest = match.groups()
        found = _host(scheme, name) or (name.lower() if scheme == "ipns" and _is_named(host, name) else None)
        return f"{scheme}://{found}{rest or '/'}{tail}" if found else None
    return None


def _host(scheme: str, key: str) -> str | None:
    return ipfs_host(key) if scheme == "ipfs" else ipns_host(key)


def _is_named(gateway: str, name: str) -> bool:
    return gateway in GATEWAYS and _DNS_NAME.match(name.lower()) is not None


def _inlined_name(label: str) -> str | None:
    """``en-wikipedia--on--ipfs-org`` → ``en.wikipedia-on-ipfs.org`` (Subdomain Gateway, "Inlining DNS names")."""
    name = label.replace("--", "\0").replace("-", ".").replace("\0", "-")
    return name if _DNS_NAME.match(name) else None


def _tail(query: str, fragment: str) -> str:
    kept = "&".join(part for part in query.split("&") if part.partition("=")[0] not in _ORDERS)
    return (f"?{kept}" if kept else "") + (f"#{fragment}" if fragment else "")
