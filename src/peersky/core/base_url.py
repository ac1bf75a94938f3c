"""Base URLs of model servers, as people paste them, in one spelling; and whose they are, by exact host. Pure.

A base URL is where an API begins: ``https://openrouter.ai/api/v1``, ``http://127.0.0.1:11434``. People also paste it
with a slash at the end, with the path of one call (``…/v1/chat/completions``), or without the version.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from peersky.core.errors import SettingInvalid
from peersky.core.origins import Origin, parse_origin

OPENROUTER_HOST: Final = "openrouter.ai"
OPENAI_HOST: Final = "api.openai.com"
_KNOWN_PATHS: Final = {OPENROUTER_HOST: "/api/v1", OPENAI_HOST: "/v1"}
"""Where the API of a well-known service begins; recognised by exact host and https."""

_CALLS: Final = ("/chat/completions", "/completions", "/embeddings", "/models", "/responses")
_OLLAMA_CALLS: Final = (
    *("/api/chat", "/api/generate", "/api/tags", "/api/show", "/api/pull", "/api/embed", "/api/version"),
    *("/v1/chat/completions", "/v1/models", "/v1/embeddings", "/api", "/v1"),
)
_VERSION: Final = re.compile(r"/(?:v\d+\w*|v\d+\w*/openai)\Z")
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*\Z")
_PRIVATE_SUFFIXES: Final = (".local", ".lan", ".internal", ".home.arpa")
"""Names that only a network's own devices have (RFC 6762, RFC 8375, ICANN's reservation of ``internal``)."""

_NUMBER: Final = re.compile(r"(?:\d+|0x[0-9a-f]*)\Z")


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """Where a server's API begins.

    Attributes:
        origin: scheme, host and port: whom a key may be sent to.
        path: below it; empty, or with a slash in front and none at the end.
    """

    origin: Origin
    path: str = ""

    def __str__(self) -> str:
        return f"{self.origin}{self.path}"

    def url(self, call: str) -> str:
        """The address of one call, such as ``/models``."""
        return f"{self.origin}{self.path}{call}"

    @property
    def is_loopback(self) -> bool:
        """What is sent there stays on this machine."""
        address = _address(self.origin.host)
        return self.origin.host == "localhost" if address is None else address.is_loopback

    @property
    def is_private(self) -> bool:
        """It is this machine, or one of the user's own network, by its address or by a name that no public one has."""
        host, address = self.origin.host, _address(self.origin.host)
        if address is not None:
            return not address.is_global and not address.is_multicast
        if host == "localhost" or host.endswith(_PRIVATE_SUFFIXES):
            return True
        # A name of one word; but resolvers read a number as an IPv4 address, which may be anybody's.
        return "." not in host and not _NUMBER.match(host)

    @property
    def is_safe(self) -> bool:
        """Questions sent there cannot be read on the way: encrypted, or within the user's own network."""
        return self.origin.scheme == "https" or self.is_private

    @property
    def is_openrouter(self) -> bool:
        return self.origin == parse_origin(f"https://{OPENROUTER_HOST}")

    @property
    def is_openai(self) -> bool:
        return self.origin == parse_origin(f"https://{OPENAI_HOST}")


def parse_base_url(text: str) -> BaseUrl:
    """Read the base URL of an OpenAI-compatible service.

    Raises:
        SettingInvalid: it is no http or https address, or carries a user name, a query or a fragment.
    """
    base = _parse(text)
    return replace(base, path=_without(base.path, _CALLS))


def parse_ollama_url(text: str) -> BaseUrl:
    """Read the address of an Ollama server, whose native API lies beside ``/v1``, not below it. Raises as above."""
    base = _parse(text)
    return replace(base, path=_without(base.path, _OLLAMA_CALLS))


def candidates(base: BaseUrl) -> tuple[BaseUrl, ...]:
    """Where the API may begin if a person wrote ``base``; the likeliest first."""
    if base.origin.scheme == "https" and base.origin.host in _KNOWN_PATHS and base.origin.port == 443:
        return (replace(base, path=_KNOWN_PATHS[base.origin.host]),)
    if _VERSION.search(base.path):
        return (base,)
    return (replace(base, path=base.path + "/v1"), base, replace(base, path=base.path + "/api/v1"))


def _parse(text: str) -> BaseUrl:
    text = text.strip()
    origin = parse_origin(text)
    if not origin.is_web:
        raise SettingInvalid(
            "The base URL must be an address such as https://openrouter.ai/api/v1 or http://127.0.0.1:11434.",
            param="llm.baseURL",
        )
    parts = urlsplit(text)
    path = re.sub(r"/{2,}", "/", parts.path).rstrip("/")
    if parts.query or parts.fragment or not _PATH.match(path) or {".", ".."} & set(path.split("/")):
        raise SettingInvalid(
            "The base URL must end with its path, without ? or # or spaces; a key goes into the field API Key.",
            param="llm.baseURL",
        )
    # What a server listens on is no address to connect to; Ollama's own client reads it this way, too.
    own = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(origin.host, origin.host)  # noqa: S104
    return BaseUrl(replace(origin, host=own), path)


def _without(path: str, calls: tuple[str, ...]) -> str:
    for call in calls:
        if path.endswith(call):
            return path.removesuffix(call)
    return path


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
