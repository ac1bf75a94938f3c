"""A request to ``hyper:``, ``ipfs:`` or ``ipns:`` as the P2P app understands it. Pure: a scope in, a value out.

What it does follows from scheme, host and method, as hypercore-fetch and js-ipfs-fetch document them.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, unquote, unquote_to_bytes

from peersky.core.errors import InvalidRequest
from peersky.core.keys import hyper_host, ipfs_host, ipns_host
from peersky.core.origins import BROWSER, USER, Origin, parse_origin
from peersky.p2p.publisher import USER as USER_NAME
from peersky.web.asker import Asker, asker_of

HERE: Final = "localhost"
"""The host that stands for the asker's own drives and names."""

OWN_HEADERS: Final = "x-peersky-"
APP_HEADER: Final = "publication-app"
MODEL_HEADER: Final = "publication-model"
TITLE_HEADER: Final = "publication-title"
"""What a page may say of what it publishes; it stands in the ledger."""

METHODS: Final = ("GET", "HEAD", "PUT", "POST", "DELETE")
_HERE_METHODS: Final = {"hyper": ("GET", "HEAD", "POST"), "ipns": ("GET", "HEAD", "POST", "DELETE")}
_EXTENSIONS: Final = "/$/extensions/"
_MAX_WORDS: Final = 128
# RFC 9110, section 5.5: visible characters, spaces and tabs.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

# Those of the connection (RFC 9110, section 7.6.1), and those that say who asks, which is not the page's to say.
_NOT_FORWARDED: Final = frozenset(
    {"connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "expect", "accept-encoding", "content-length"}
    | {"host", "authorization", "cookie", "origin", "referer", "user-agent"}
    | {APP_HEADER, MODEL_HEADER, TITLE_HEADER}
)


class Act(enum.Enum):
    """What a request does."""

    READ = "read"
    CREATE = "create"
    """Make a drive or a name of the asker's own, or find it."""
    FORGET = "forget"
    """Remove a name of the asker's own."""
    WRITE = "write"
    """Change a drive, or what a name stands for."""
    SIGNAL = "signal"
    """Send a message to the peers of a drive."""
    ADD = "add"
    """Make a new CID."""
    UNPIN = "unpin"
    """No longer keep a CID."""


class WrongMethod(InvalidRequest):
    """The address does not take this method; ``allowed`` are those that it takes."""

    http_status = 405

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(
            f"{method} is not possible at this address; use {' or '.join(allowed)}.", reason="method_not_allowed"
        )
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class P2PRequest:
    """One request.

    Attributes:
        asker: who sent it.
        method: in capitals.
        scheme, host: of the address; ``host`` in the spelling that the node and the ledger use.
        path: raw and percent-encoded, with its leading slash.
        query: raw, without the question mark.
        act: what it does.
        headers: those that the node gets; names in lower case.
        sent: all that were sent; names in lower case.
    """

    asker: Asker
    method: str
    scheme: str
    host: str
    path: str
    query: str
    act: Act
    headers: tuple[tuple[str, str], ...]
    sent: dict[str, str]

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}{self.path}" + (f"?{self.query}" if self.query else "")

    @property
    def root(self) -> str:
        """The drive, CID or name: how the ledger calls it."""
        return f"{self.scheme}://{self.host}/"

    @property
    def node_path(self) -> str:
        """The address at the node."""
        return f"/{self.scheme}/{self.host}{self.path}" + (f"?{self.query}" if self.query else "")

    @property
    def publisher(self) -> str:
        """Who asks, as names and ledger tell publishers apart."""
        return publisher(self.asker.origin)

    @property
    def name(self) -> str:
        """The name of a drive or key in ``?key=``."""
        return (parse_qs(self.query, keep_blank_values=True).get("key") or ["default"])[0]

    @property
    def file(self) -> str:
        """The last part of the path, decoded; empty for a folder."""
        return unquote(self.path.rpartition("/")[2], errors="replace")

    @property
    def is_page(self) -> bool:
        """Whether the reply stands in a tab or in a frame."""
        return self.asker.resource in ("main-frame", "sub-frame")

    @property
    def wants_html(self) -> bool:
        """Whether a folder is to be shown to a person."""
        accept = self.sent.get("accept", "")
        return (self.is_page or "text/html" in accept) and "application/json" not in accept

    @property
    def reads_own(self) -> bool:
        return self.act is Act.READ and self.host == HERE

    def said(self, header: str) -> str:
        """What a page says of its publication, percent-decoded, short enough for a list."""
        words = unquote(self.sent.get(header, ""), errors="replace")
        return "".join(char for char in words if char.isprintable())[:_MAX_WORDS].strip()


def publisher(origin: Origin) -> str:
    """An origin as names and ledger know it."""
    return USER_NAME if origin in (USER, BROWSER) else str(origin)


def parse_p2p_request(scope: Any) -> P2PRequest:
    """The request of an ASGI scope.

    Raises:
        InvalidRequest: ``malformed``: a path that climbs or is no UTF-8, a host that is none, a header with control
            characters.
        WrongMethod: the address does not take the method.
    """
    scheme, method = scope["scheme"], scope["method"]
    sent = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    if any(_CONTROL.search(value) for value in sent.values()):
        raise InvalidRequest("A header holds characters that no header can have.", reason="malformed")
    host = _host(scheme, (scope.get("server") or ("", None))[0] or "")
    path = _checked_path(scope["raw_path"])
    query = scope["query_string"].decode("latin-1")
    return P2PRequest(
        asker_of(scope),
        method,
        scheme,
        host,
        path,
        query,
        _act(scheme, host, method, path),
        tuple(
            (name, value)
            for name, value in sent.items()
            if name not in _NOT_FORWARDED and not name.startswith((OWN_HEADERS, "sec-"))
        ),
        sent,
    )


def is_key(scheme: str, host: str) -> bool:
    """Whether a host is a key, and not a name that somebody's DNS makes stand for one."""
    return (hyper_host(host) if scheme == "hyper" else ipns_host(host)) is not None


def _act(scheme: str, host: str, method: str, path: str) -> Act:
    allowed = _HERE_METHODS.get(scheme, ()) if host == HERE else METHODS
    if host == HERE and not allowed:
        raise InvalidRequest("An IPFS address begins with a CID.", reason="malformed")
    if method not in allowed:
        raise WrongMethod(method, allowed)
    if method in ("GET", "HEAD"):
        return Act.READ
    if host == HERE:
        return Act.CREATE if method == "POST" else Act.FORGET
    if scheme == "ipfs":
        return Act.UNPIN if method == "DELETE" else Act.ADD
    if scheme == "hyper" and method == "POST" and path.startswith(_EXTENSIONS):
        return Act.SIGNAL
    return Act.WRITE


def _host(scheme: str, host: str) -> str:
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            host = ""
    # What the parser takes for something else, such as the beginning of a query, is no part of a host.
    if parse_origin(f"{scheme}://{host}").host != host.lower():
        raise InvalidRequest("The address has no key, CID or name where its host should be.", reason="malformed")
    known = {"hyper": hyper_host, "ipfs": ipfs_host, "ipns": ipns_host}[scheme](host)
    return known or host.lower()


def _checked_path(raw: bytes) -> str:
    path = raw.decode("latin-1") or "/"
    try:
        parts = [unquote_to_bytes(part).decode() for part in path.split("/")]
    except UnicodeDecodeError:
        raise InvalidRequest("The address is not encoded as UTF-8.", reason="malformed") from None
    if not path.isascii() or any(char <= " " or char == "\x7f" for char in path) or any("\0" in part for part in parts):
        raise InvalidRequest("The address holds characters that no address can have.", reason="malformed")
    if any(piece in (".", "..") for part in parts for piece in part.replace("\\", "/").split("/")):
        raise InvalidRequest("The path leads out of its folder, which is not allowed.", reason="malformed")
    return path
