"""Who may do what: one function, :func:`may`, decides; nothing else in the program compares origins for rights.

The rows and columns are those of the table in ``docs/architecture.md``; ``tests/unit/core/test_trust.py`` has a test
per cell. The function is pure: what the user decided comes in as a :class:`Policy`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from peersky.core.origins import BROWSER, USER, Origin, parse_origin

DEFAULT_ALLOWLIST: Final = frozenset({"https://agregore.mauve.moe"})
"""Web origins that have the bridge unless the user says otherwise, beside ``http://localhost`` at any port."""

SHARED_FOLDER: Final = "/components/"
SHARED_TYPES: Final = "/peersky.d.ts"
"""What of ``peersky://p2p`` every origin that has the bridge may read."""

SHARED_ASSETS_HOST: Final = "assets"
"""``peersky://assets/…``: stylesheet and scripts of the internal pages."""

LLM_SETTINGS: Final = ("settings", "/llm")
"""The one internal page that trusted pages may open in the top window: an app without a model needs that link."""

INTERNAL_APIS: Final[dict[str, frozenset[str]]] = {
    "settings": frozenset(
        {"settings", "models", "models-remove", "p2p", "llm-status", "llm-save", "llm-test", "llm-key", "downloads"}
        | {"sites", "memory", "memory-export"}
    ),
    "home": frozenset({"llm-status", "llm-enable", "downloads", "pinned", "app-icon"}),
    "apps": frozenset({"apps", "app-icon", "app-files", "app-zip", "app-export", "app-publish"}),
    "about": frozenset({"about", "doctor", "licence", "docs", "doc", "doc-image"}),
    "archive": frozenset({"ledger", "ledger-export", "ledger-qr"}),
    "logs": frozenset({"logs"}),
    "activity": frozenset({"activity", "activity-export"}),
}
"""Internal APIs by the host of the page that may call them. ``p2p`` has none: what models write lives there."""


class Answer(enum.Enum):
    """What :func:`may` says. ``ASK`` means: put the question to the user, once."""

    YES = "yes"
    ASK = "ask"
    NO = "no"


@dataclass(frozen=True, slots=True)
class UseModel:
    """``window.llm`` and ``llm://bridge``."""


@dataclass(frozen=True, slots=True)
class UseMemory:
    """``window.llmMemory``, the asker's own entries."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Write to a drive, CID or name. ``own`` tells that the target is the asking origin itself."""

    own: bool = False


@dataclass(frozen=True, slots=True)
class SendToService:
    """Let questions leave this computer for the service at an origin, serialised."""

    service: str = ""


@dataclass(frozen=True, slots=True)
class ReadInternal:
    """Load something of ``peersky://HOST/PATH`` (a page, or a part of one)."""

    host: str
    path: str


@dataclass(frozen=True, slots=True)
class CallInternal:
    """Call the internal API NAME of ``peersky://HOST``."""

    host: str
    name: str


@dataclass(frozen=True, slots=True)
class ReadP2P:
    """Load something of ``hyper:``, ``ipfs:`` or ``ipns:``; ``navigation`` for a page in the top window."""

    navigation: bool = False


@dataclass(frozen=True, slots=True)
class OpenInternal:
    """Navigate the top window to ``peersky://HOST/PATH``."""

    host: str
    path: str


Capability = UseModel | UseMemory | Publish | SendToService | ReadInternal | CallInternal | ReadP2P | OpenInternal


class Decision(enum.Enum):
    """What the user decided about one capability of one site, in place of what the table says."""

    ALLOW = "allow"
    ASK = "ask"
    BLOCK = "block"


MODEL, MEMORY, PUBLISH, CLOUD = "llm", "memory", "publish", "cloud"
SITE_CAPABILITIES: Final = (MODEL, MEMORY, PUBLISH, CLOUD)
"""What the user decides about each site: ask a model, keep conversations, publish, send questions to a service."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the user decided.

    Attributes:
        allowlist: serialised web origins that have the bridge, beside ``http://localhost`` at any port.
        blocked: serialised origins that the user blocked from everything.
        decisions: by serialised origin, capability (of :data:`SITE_CAPABILITIES`) and, for one service of ``cloud``,
            the service's serialised origin; else an empty text. A service's own decision goes before that for all.
    """

    allowlist: frozenset[str] = DEFAULT_ALLOWLIST
    blocked: frozenset[str] = field(default_factory=frozenset)
    decisions: Mapping[tuple[str, str, str], Decision] = field(default_factory=dict)

    def decided(self, origin: Origin, capability: str, target: str = "") -> Decision | None:
        """The user's decision; None where the table holds."""
        site = str(origin)
        if site in self.blocked:
            return Decision.BLOCK
        return self.decisions.get((site, capability, target)) or self.decisions.get((site, capability, ""))

    def lists(self, origin: Origin) -> bool:
        """Whether a web origin is on the allowlist, exactly: scheme, host and port."""
        if origin.scheme == "http" and origin.host == "localhost":
            return True
        return origin.is_web and any(parse_origin(entry) == origin for entry in self.allowlist)


DEFAULT_POLICY: Final = Policy()


def is_trusted(origin: Origin, policy: Policy = DEFAULT_POLICY) -> bool:
    """Whether an origin belongs to one of the table's four trusted rows (the user's blocks aside)."""
    return origin.scheme == "peersky" or origin.is_p2p or policy.lists(origin)


def may(origin: Origin, capability: Capability, top: Origin | None, policy: Policy = DEFAULT_POLICY) -> Answer:
    """Decide whether ``origin`` may do ``capability`` while ``top`` is the page in the tab.

    Args:
        origin: who asks, as the browser process told it; :data:`~peersky.core.origins.BROWSER` for a typed address,
            :data:`~peersky.core.origins.USER` for the command line.
        capability: what is asked for.
        top: origin of the tab's top page, from the request's stamp; None where there was no valid stamp (workers).
        policy: what the user decided.

    Returns:
        ``YES``, ``ASK`` (the user must be asked once) or ``NO``.
    """
    if origin == USER:
        return Answer.YES
    match capability:
        case OpenInternal():
            return _yes(_may_open_internal(origin, capability, policy))
        case ReadInternal(host, path):
            return _yes(_may_read_internal(origin, host, path, top, policy))
        case ReadP2P(navigation):
            return _yes(navigation or (is_trusted(origin, policy) and _top_is_trusted(top, policy)))
        case CallInternal(host, name):
            own = origin == Origin("peersky", host) == top
            return _yes(own and name in INTERNAL_APIS.get(host, frozenset()))
        case UseModel():
            return _of_site(origin, MODEL, top, policy, Answer.YES)
        case UseMemory():
            return _of_site(origin, MEMORY, top, policy, Answer.YES)
        case Publish(own):
            default = Answer.YES if origin.is_internal or (own and origin.is_p2p) else Answer.ASK
            return _of_site(origin, PUBLISH, top, policy, default)
        case SendToService(service):
            default = Answer.YES if origin.is_internal else Answer.ASK
            return _of_site(origin, CLOUD, top, policy, default, service)


def _yes(value: bool) -> Answer:
    return Answer.YES if value else Answer.NO


def _top_is_trusted(top: Origin | None, policy: Policy) -> bool:
    """No stamp (None) is no objection to *reading*: workers of trusted pages have none."""
    return top is None or top == BROWSER or is_trusted(top, policy)


_ANSWERS: Final = {Decision.ALLOW: Answer.YES, Decision.ASK: Answer.ASK, Decision.BLOCK: Answer.NO}


def _of_site(
    origin: Origin, capability: str, top: Origin | None, policy: Policy, default: Answer, target: str = ""
) -> Answer:
    """A trusted origin in a trusted page gets what the user decided, else the default. A block of the top page holds
    for its frames, too: it could let them do what it may not do itself."""
    if top is None or not is_trusted(origin, policy) or not is_trusted(top, policy):
        return Answer.NO
    if policy.decided(top, capability, target) is Decision.BLOCK:
        return Answer.NO
    decided = policy.decided(origin, capability, target)
    return default if decided is None else _ANSWERS[decided]


def _may_read_internal(origin: Origin, host: str, path: str, top: Origin | None, policy: Policy) -> bool:
    if origin == BROWSER:
        return True
    if not is_trusted(origin, policy) or not _top_is_trusted(top, policy):
        return False
    if origin == Origin("peersky", host):
        return True
    if origin.is_internal and host == SHARED_ASSETS_HOST:
        return True
    return host == "p2p" and (path.startswith(SHARED_FOLDER) or path == SHARED_TYPES)


def _may_open_internal(origin: Origin, target: OpenInternal, policy: Policy) -> bool:
    if origin == BROWSER or origin.is_internal or origin == Origin("peersky", target.host):
        # The last of them is an imported app, which leads from page to page of its own.
        return True
    return is_trusted(origin, policy) and (target.host, target.path.rstrip("/")) == LLM_SETTINGS
