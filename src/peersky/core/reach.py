"""Which network addresses a page may send requests to: the user's own machine and network are not open to strangers.

Pure, and by name alone: it is asked on the window's thread, where nobody may wait for a name server. What a name
resolves to is checked by Chromium itself (Local Network Access, https://wicg.github.io/local-network-access/, switched
on in ``qt/application.py``), which covers everything but WebSockets; hence the rule for ``ws:`` below.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from peersky.core.origins import DEFAULT_PORTS, Origin

NETWORK_SCHEMES: Final = frozenset({"http", "https", "ws", "wss"})
_PRIVATE_SUFFIXES: Final = (".local", ".lan", ".internal", ".home.arpa", ".test")
"""Names that no public name server answers for (RFC 6762, RFC 8375, ICANN's ``internal``, RFC 6761's ``test``)."""

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NUMBER: Final = re.compile(r"(?:\d+|0x[0-9a-f]*)\Z")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Closed:
    """Servers of this browser, which no page may reach, since each page has the bridge instead.

    Attributes:
        ports: of servers on this machine. Closed under every host name, since any name may resolve to this machine.
        places: host and port of servers elsewhere.
    """

    ports: frozenset[int] = field(default_factory=frozenset)
    places: frozenset[tuple[str, int]] = field(default_factory=frozenset)


def may_send(asker: Origin, url: str, closed: Closed, *, navigation: bool = False) -> bool:
    """Whether a page may send a request.

    Args:
        asker: origin of the page, frame or worker.
        url: what it asks for, as the browser has parsed it (hosts in lower case, addresses in their usual form).
        closed: the browser's own servers.
        navigation: the request loads a page into the tab, in which the user sees where it leads.

    Returns:
        False for the browser's own servers; for addresses of this machine and its network, unless the page is of this
        machine, or of the very same host; and for an unencrypted WebSocket to a public name, which may resolve to this
        machine at that moment (DNS rebinding). An encrypted one cannot be led astray: the certificate would not fit.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return False
    if parts.scheme not in NETWORK_SCHEMES:
        return True
    host = (parts.hostname or "").removesuffix(".")
    if port in closed.ports or (host, port) in closed.places:
        return False
    asker_host = asker.host.strip("[]").removesuffix(".") if asker.is_web else ""
    if navigation or is_loopback(asker_host):
        return True
    if is_private(host):
        return host == asker_host
    return parts.scheme != "ws" or _address(host) is not None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or address (IPv6 without brackets)."""
    address = _address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    # What a server listens on, used as an address to connect to, is this machine as well.
    return address.is_loopback or address.is_unspecified


def is_private(host: str) -> bool:
    """Whether a host is this machine or one of a private network, by address or by a name that no public one has."""
    address = _address(host)
    if address is not None:
        return not address.is_global and not address.is_multicast
    if is_loopback(host) or host.endswith(_PRIVATE_SUFFIXES):
        return True
    # A name of one word; but resolvers read a number as an IPv4 address, which may be anybody's.
    return "." not in host and not _NUMBER.match(host)


def _address(host: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
