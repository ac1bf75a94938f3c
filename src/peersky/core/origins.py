"""Web origins as values: parsed in one place, compared in one place.

An origin is scheme, host and port (RFC 6454; HTML, section "Origin"). What has none of its own (``null``, ``data:``,
``file:``, sandboxed frames, text that does not parse) is :data:`OPAQUE`, which equals nothing that is trusted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
P2P_SCHEMES: Final = frozenset({"hyper", "ipfs", "ipns"})
OWN_SCHEMES: Final = frozenset({"peersky", "llm"}) | P2P_SCHEMES
WEB_SCHEMES: Final = frozenset({"http", "https"})

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*\Z")
# What a host may hold after Chromium has canonicalised it: IDN is punycode by then, so anything else is refused.
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_-])?|\[[0-9a-f:.]+\])\Z")
_APP_HOST = re.compile(r"app-[a-z0-9-]+\Z")


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and explicit port of who asks. ``port`` is None for schemes that have none."""

    scheme: str
    host: str
    port: int | None = None

    def __str__(self) -> str:
        if self.scheme == "":
            return self.host
        if self.port is None or DEFAULT_PORTS.get(self.scheme) == self.port:
            return f"{self.scheme}://{self.host}"
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def is_opaque(self) -> bool:
        return self == OPAQUE

    @property
    def is_internal(self) -> bool:
        """A page of the browser's own: ``peersky://HOST``, imported apps excepted."""
        return self.scheme == "peersky" and not self.is_imported_app

    @property
    def is_imported_app(self) -> bool:
        """An app that the user added: ``peersky://app-<id>``. It has the scheme, not the rights."""
        return self.scheme == "peersky" and _APP_HOST.match(self.host) is not None

    @property
    def is_p2p(self) -> bool:
        return self.scheme in P2P_SCHEMES

    @property
    def is_web(self) -> bool:
        return self.scheme in WEB_SCHEMES


OPAQUE: Final = Origin("", "null")
"""An origin without identity: sandboxed and ``data:`` frames, ``file:``, whatever does not parse."""

BROWSER: Final = Origin("", "browser")
"""The browser itself: a typed address, a bookmark, a menu entry."""

USER: Final = Origin("", "command-line")
"""The user in person, at the command line."""


def parse_origin(text: str) -> Origin:
    """The origin of a URL or of a serialised origin; :data:`OPAQUE` where it has none or does not parse.

    Never raises. A host with a trailing dot is another host than without (as in browsers), userinfo is refused, a
    port that is no port number makes the origin opaque.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return OPAQUE
    scheme, host = parts.scheme.lower(), (parts.hostname or "")
    if not _SCHEME.match(scheme) or parts.username is not None or parts.password is not None:
        return OPAQUE
    if scheme not in OWN_SCHEMES and scheme not in WEB_SCHEMES:
        return OPAQUE
    if ":" in host:
        host = f"[{host}]"
    # A single trailing dot is kept, so that "localhost." is no "localhost".
    if not _HOST.match(host.removesuffix(".")):
        return OPAQUE
    if scheme in OWN_SCHEMES:
        return Origin(scheme, host) if port is None else OPAQUE
    return Origin(scheme, host, DEFAULT_PORTS[scheme] if port is None else port)
