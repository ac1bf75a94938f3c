"""What the user typed in the address bar → the address to open, or a search. And back: an address as people read it.

Pure: nothing is looked up, so nothing leaves the machine before Enter, and words go nowhere but to the search engine
that the user chose.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from peersky.core.errors import InvalidRequest
from peersky.core.gateways import gateway_target
from peersky.core.keys import hyper_host, ipfs_host, ipns_host
from peersky.core.origins import P2P_SCHEMES

_OPENED: Final = frozenset(
    {"http", "https", "file", "peersky", "hyper", "ipfs", "ipns", "data", "about", "view-source"}
)
# A script in the address bar would run with the rights of the page below it: people were talked into pasting such.
_SCRIPTS: Final = frozenset({"javascript", "vbscript"})
_REFUSED: Final = frozenset({"llm", "blob", "filesystem", "chrome", "devtools", "qrc"})
_VIEWABLE: Final = frozenset({"http", "https", "file", "peersky", "hyper", "ipfs", "ipns"})

# Endings of file names that are no top-level domains: "node.js" is a word, not a host.
_FILE_ENDINGS: Final = frozenset(
    """bmp bz2 c cfg conf cpp css csv dll doc docx exe gif go gz h htm html ini java jpeg jpg js json jsx log lua m4a
    mkv mp3 mp4 odt ogg pdf php png ppt pptx svg sys tar tgz toml ts tsx txt wasm wav webm webp xls xlsx xml yaml
    yml""".split()  # noqa: SIM905 - a list of sixty quoted words is harder to read
)

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):(.*)\Z", re.DOTALL)
_HOSTED = re.compile(
    r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\s/?#:@\[\]\\]+)(?::(?P<port>\d{1,5}))?(?P<rest>[/?#].*)?\Z", re.DOTALL
)
_LABEL = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?\Z")
_TOP_LABEL = re.compile(r"(?:xn--[a-z0-9-]+|[^\W\d_]{2,63})\Z", re.IGNORECASE)
_C0 = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_P2P_PATH = re.compile(r"/?(ipfs|ipns)/([^/?#\s]+)(.*)\Z", re.DOTALL)
_WINDOWS_PATH = re.compile(r"[a-zA-Z]:[\\/]")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a typed text leads.

    Attributes:
        url: the address to open.
        is_search: the words go to the search engine.
        guessed_https: no scheme was typed and https was taken; the site may speak http alone.
    """

    url: str
    is_search: bool = False
    guessed_https: bool = False


def resolve(text: str, search_url: str) -> Destination | None:
    """What Enter does with a text.

    Args:
        text: as typed or pasted; control and invisible characters are dropped.
        search_url: address of the search engine; ``{query}`` in it stands for the words.

    Returns:
        The destination, or None for an empty text.

    Raises:
        InvalidRequest: the text is an address that must not or cannot be opened; the sentence says why.
    """
    # What was pasted, or stood in a command, may hold halves of characters, of which no address can be made.
    text = text.encode("utf-8", "replace").decode()
    words = " ".join(_C0.sub(" ", text).split())
    if not words:
        return None
    if words.startswith("?"):
        return _search(words[1:].strip(), search_url)
    # Line ends of a wrapped address are dropped, as the URL parser would ("\t" in "java\tscript:" too).
    joined = _CONTROL.sub("", text).strip()
    return _typed_scheme(joined) or _p2p(words) or _path(words) or _hosted(words) or _search(words, search_url)


def _search(words: str, search_url: str) -> Destination | None:
    if not words:
        return None
    query = quote(words, safe="")
    url = search_url.replace("{query}", query) if "{query}" in search_url else search_url + query
    return Destination(url, is_search=True)


def _typed_scheme(text: str) -> Destination | None:
    """An address whose scheme was typed; None where the word before the colon is none (``localhost:3000``)."""
    match = _SCHEME.match(text)
    if not match or _WINDOWS_PATH.match(text):
        return None
    scheme, rest = match[1].lower(), match[2]
    if scheme in _SCRIPTS:
        raise InvalidRequest(
            f"Scripts are not run from the address bar; to search for the words, put a ? before {scheme}:.",
            param="address",
        )
    if rest[:1].isspace() or (scheme == "data" and "," not in rest) or (scheme == "file" and rest[:1] != "/"):
        return None
    if scheme in _REFUSED:
        raise InvalidRequest(
            f"Addresses that start with {scheme}: are for pages, not for the address bar.", param="address"
        )
    if scheme not in _OPENED:
        if rest.startswith("//"):
            raise InvalidRequest(f"PeerSky cannot open {scheme}: addresses.", param="address")
        return None
    if scheme == "view-source":
        inner = _SCHEME.match(rest)
        if not inner or inner[1].lower() not in _VIEWABLE:
            raise InvalidRequest("After view-source: a full address must follow, such as https://example.org/.")
        target = _typed_scheme(rest)
        return Destination(f"view-source:{target.url}") if target else None
    if scheme == "about":
        if rest.lower() != "blank":
            raise InvalidRequest("Of the about: pages there is only about:blank.", param="address")
        return Destination("about:blank")
    if scheme in P2P_SCHEMES:
        return Destination(_p2p_url(scheme, rest.lstrip("/")))
    if scheme in ("http", "https"):
        url = _web_url(scheme, rest.lstrip("/\\"))
        return Destination(gateway_target(url) or url)
    if scheme == "peersky":
        return Destination(f"peersky://{rest.lstrip('/') or 'home/'}")
    return Destination(f"{scheme}:{rest}")


def _web_url(scheme: str, rest: str) -> str:
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    host = authority.rpartition("@")[2]
    no_ipv6 = host.startswith("[") and not _is_ipv6(host.partition("]")[0])
    if not host or host.startswith(":") or no_ipv6 or " " in authority:
        raise InvalidRequest(f"After {scheme}:// the name of a site must follow, such as example.org.", param="address")
    return f"{scheme}://{rest}"


def _p2p_url(scheme: str, rest: str) -> str:
    """A P2P address with its key in a spelling that survives the URL parser."""
    host, path = _split_host(rest)
    if scheme != "hyper" and host in ("ipfs", "ipns") and (match := _P2P_PATH.match(rest)):
        # ipfs:/ipfs/CID and ipfs://ipns/NAME, as some programs write them.
        return _p2p_url(match[1], match[2] + match[3])
    if not host:
        raise InvalidRequest(f"After {scheme}:// a key or name must follow.", param="address")
    converted = {"hyper": hyper_host, "ipfs": ipfs_host, "ipns": ipns_host}[scheme](host)
    host = converted or host
    if any(len(label) > 63 for label in host.split(".")):
        raise InvalidRequest(
            f"{host[:16]}… is too long for an address and no key that {scheme}: knows; check that it was copied whole.",
            param="address",
        )
    return f"{scheme}://{host}{path or '/'}"


def _split_host(rest: str) -> tuple[str, str]:
    end = next((index for index, character in enumerate(rest) if character in "/?#"), len(rest))
    return rest[:end], rest[end:]


def _p2p(text: str) -> Destination | None:
    """``/ipfs/CID/path``, ``/ipns/NAME`` and bare CIDs, peer ids and hyper keys."""
    if match := _P2P_PATH.match(text):
        scheme, host, rest = match.groups()
        known = ipfs_host(host) if scheme == "ipfs" else (ipns_host(host) or "." in host)
        if known or text.startswith("/"):
            return Destination(_p2p_url(scheme, host + rest))
    host, rest = _split_host(text)
    if key := hyper_host(host):
        return Destination(f"hyper://{key}{rest or '/'}")
    if host.startswith(("k51", "k2k4", "12D3Koo")) and (name := ipns_host(host)):
        return Destination(f"ipns://{name}{rest or '/'}")
    if host.startswith(("Qm", "baf", "BAF", "zdj", "zb2", "f01")) and (cid := ipfs_host(host)):
        return Destination(f"ipfs://{cid}{rest or '/'}")
    return None


def _path(text: str) -> Destination | None:
    """An absolute path on this computer."""
    if text.startswith("/") and not text.startswith("//"):
        return Destination(f"file://{quote(text, safe='/%~')}")
    if _WINDOWS_PATH.match(text):
        return Destination(f"file:///{quote(text.replace(chr(92), '/'), safe='/:%~')}")
    return None


def _hosted(text: str) -> Destination | None:
    """``host``, ``host:port`` or ``host/path`` without a scheme: http for this computer, https for the rest."""
    authority = re.split(r"[/?#\s]", text, maxsplit=1)[0]
    user, at, host = authority.rpartition("@")
    is_url = ":" in user or text[len(authority) :].startswith(("/", "?", "#"))
    if user and at and is_url and ("." in host or is_loopback(host.partition(":")[0])):
        # "localhost:3000@evil.example/x" would open evil.example: nobody types that by intention.
        raise InvalidRequest(
            "This address carries a user name; type http:// or https:// in front if you mean it.", param="address"
        )
    match = _HOSTED.match(text)
    if not match:
        return None
    host, port, rest = match["host"], match["port"], match["rest"] or ""
    if port and not 0 < int(port) <= 65535:
        return None
    if not _is_host(host, named=bool(port) or rest == "/"):
        return None
    local = is_loopback(host)
    tail = f":{int(port)}" if port else ""
    url = f"{'http' if local else 'https'}://{host}{tail}{rest or '/'}"
    if target := gateway_target(url):
        return Destination(target)
    return Destination(url, guessed_https=not local)


def _is_host(host: str, *, named: bool) -> bool:
    """Whether a word is a host. ``named``: a port or a final slash says that a single word is meant as one."""
    if host.startswith("["):
        return _is_ipv6(host)
    if _is_ipv4(host) or is_loopback(host):
        return True
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.match(label) for label in labels):
        return False
    if len(labels) == 1:
        return named and not host.isdigit()
    top = labels[-1].lower()
    return bool(_TOP_LABEL.match(top)) and (named or top not in _FILE_ENDINGS)


def _is_ipv4(host: str) -> bool:
    try:
        IPv4Address(host)
    except AddressValueError:
        return False
    return True


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host.strip("[]"))
    except AddressValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host is this computer: ``localhost`` and below (RFC 6761, section 6.3), 127.0.0.0/8, ``[::1]``."""
    host = host.lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    if host.startswith("["):
        return _is_ipv6(host) and IPv6Address(host.strip("[]")).is_loopback
    return _is_ipv4(host) and IPv4Address(host).is_loopback


class Connection(enum.Enum):
    """How a page came to this computer, for the sign in the address bar; the value is the text shown."""

    INTERNAL = "PeerSky page"
    P2P = "Peer-to-peer"
    LOCAL = "This computer"
    SECURE = "Secure connection"
    INSECURE = "Not secure"
    FILE = "Local file"
    NONE = ""


def connection_of(url: str) -> Connection:
    """How the page of an address came here. ``view-source:`` counts as what it shows; never raises."""
    try:
        parts = urlsplit(url.removeprefix("view-source:"))
        host = parts.hostname or ""
    except ValueError:
        return Connection.NONE
    match parts.scheme:
        case "peersky":
            return Connection.INTERNAL
        case "hyper" | "ipfs" | "ipns":
            return Connection.P2P
        case "https":
            return Connection.SECURE
        case "http":
            return Connection.LOCAL if is_loopback(f"[{host}]" if ":" in host else host) else Connection.INSECURE
        case "file":
            return Connection.FILE
        case _:
            return Connection.NONE


_ESCAPED_RUN = re.compile(r"(?:%[89a-fA-F][0-9a-fA-F])+")
_INVISIBLE = re.compile(
    r"[\s\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f]"
    r"|[\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\ue000-\uf8ff]|[\U000e0000-\U0010ffff]"
)


def display_address(url: str) -> str:
    """An encoded URL as people read it: no user name, host in ASCII, path in its own script.

    The host stays punycode, so look-alike letters show as what they are; invisible characters and marks that turn the
    direction of writing stay escaped, so that a path cannot pose as a host.
    """
    if url == "about:blank":
        return ""
    prefix, sep, rest = url.partition("://")
    if not sep:
        return url
    end = next((index for index, character in enumerate(rest) if character in "/?#"), len(rest))
    authority, path = rest[:end].rpartition("@")[2], rest[end:]
    return f"{prefix}://{authority}{_ESCAPED_RUN.sub(_readable, path)}"


def _readable(match: re.Match[str]) -> str:
    try:
        text = unquote(match[0], errors="strict")
    except UnicodeDecodeError:
        return match[0]
    return _INVISIBLE.sub(lambda found: quote(found[0]), text)
