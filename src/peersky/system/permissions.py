"""What the user decided about each site: what it may do, for now or for good, and its own limits.

The one store of such decisions. It feeds :class:`peersky.core.trust.Policy`, and it asks the user where the policy says
so. Any thread may use it; it asks on the service loop.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from peersky.core.errors import InvalidRequest, NotAllowed, ProfileUnusable
from peersky.core.origins import Origin, parse_origin
from peersky.core.trust import (
    CLOUD,
    DEFAULT_ALLOWLIST,
    MEMORY,
    MODEL,
    PUBLISH,
    SITE_CAPABILITIES,
    Answer,
    Capability,
    Decision,
    Policy,
    Publish,
    SendToService,
    UseMemory,
    UseModel,
    may,
)
from peersky.system.files import write_atomically
from peersky.system.prompt_port import Consent, NobodyToAsk, PromptPort, Question

Key = tuple[str, str, str]
"""Serialised origin, capability, and the service that ``cloud`` is about (or an empty text)."""

APPS: Final = Origin("peersky", "p2p")


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision about one capability of one site.

    Attributes:
        target: the service that ``cloud`` is about; empty: all of them.
        for_good: kept in the profile; otherwise until PeerSky is closed.
        declined: the user said no when asked, which is another thing than blocking the site.
    """

    origin: str
    capability: str
    target: str
    decision: Decision
    for_good: bool
    declined: bool = False


@dataclass(slots=True)
class _Kept:
    """What stands in the file."""

    decisions: dict[Key, Decision] = field(default_factory=dict)
    limits: dict[str, dict[str, int]] = field(default_factory=dict)


class SitePermissions:
    """Remembers, tells and asks.

    A change counts at once, in this process, even where it cannot be stored.

    Args:
        file: need not exist. Beside it stands a copy (``NAME.backup``), which takes its place if it cannot be read.
        prompts: how to ask.
        allowlist: the web origins that have the bridge, read at each use.
        on_notice: takes a sentence for the user: that the file could not be read, and what became of it.
        on_answer: told what the user was asked, and whether the answer was yes.
    """

    def __init__(
        self,
        file: Path,
        prompts: PromptPort | None = None,
        allowlist: Callable[[], frozenset[str]] = lambda: DEFAULT_ALLOWLIST,
        on_notice: Callable[[str], None] = lambda _sentence: None,
        on_answer: Callable[[Key, bool], None] = lambda _key, _allowed: None,
    ) -> None:
        self._file, self._prompts, self._allowlist = file, prompts or NobodyToAsk(), allowlist
        self._on_answer = on_answer
        self._lock = threading.Lock()
        self._kept = _open(file, on_notice)
        self._now: dict[Key, Decision] = {}
        self._declined: set[Key] = set()
        self._subscribers: list[Callable[[str], None]] = []
        self._policy = Policy(allowlist())
        self._refresh()

    def policy(self) -> Policy:
        """What the user decided about origins, as it stands now."""
        allowlist = self._allowlist()
        if self._policy.allowlist != allowlist:
            self._refresh()
        return self._policy

    def all(self) -> list[Decided]:
        """Every decision, sorted. What holds for now goes before what holds for good."""
        with self._lock:
            found = {key: Decided(*key, decision, True) for key, decision in self._kept.decisions.items()}
            found |= {key: Decided(*key, decision, False) for key, decision in self._now.items()}
            found |= {key: Decided(*key, Decision.BLOCK, False, True) for key in self._declined}
        return [found[key] for key in sorted(found)]

    def decide(
        self, origin: str, capability: str, decision: Decision | None, *, target: str = "", for_good: bool = True
    ) -> None:
        """Decide about one capability of a site. Without a target, what was decided for single targets is forgotten.

        Args:
            decision: None: what the table says.
            for_good: otherwise until PeerSky is closed; then what was decided for good counts again.

        Raises:
            InvalidRequest: nothing can be decided about this origin or capability.
            ProfileUnusable: it counts, but cannot be stored.
        """
        check_site(origin)
        if capability not in SITE_CAPABILITIES:
            known = ", ".join(SITE_CAPABILITIES)
            raise InvalidRequest(f"The option capability must be one of {known}.", param="capability")
        with self._changing(origin):
            decided = (origin, capability, target)
            lasting = self._kept.decisions.get(decided) if decision is not None and not for_good else None
            self._drop(lambda key: key[:2] == (origin, capability) and target in ("", key[2]))
            if lasting is not None:
                self._kept.decisions[decided] = lasting
            if decision is not None:
                (self._kept.decisions if for_good else self._now)[decided] = decision

    def block(self, origin: str, *, for_good: bool = True) -> None:
        """Take everything from a site.

        Raises:
            InvalidRequest, ProfileUnusable: as :meth:`decide`.
        """
        check_site(origin)
        with self._changing(origin):
            self._drop(lambda key: key[0] == origin)
            decisions = self._kept.decisions if for_good else self._now
            decisions.update({(origin, capability, ""): Decision.BLOCK for capability in SITE_CAPABILITIES})

    def forget(self, origin: str) -> None:
        """Back to the table: no decision, no limit of its own.

        Raises:
            ProfileUnusable: as :meth:`decide`.
        """
        with self._changing(origin):
            self._drop(lambda key: key[0] == origin)
            self._kept.limits.pop(origin, None)

    def limits(self, origin: str) -> Mapping[str, int]:
        """The limits that were set for this site alone, by name."""
        return self._kept.limits.get(origin, {})

    def limited(self) -> list[str]:
        """The sites that have limits of their own, sorted."""
        return sorted(self._kept.limits)

    def set_limits(self, origin: str, limits: Mapping[str, int]) -> None:
        """Set the limits of one site; an empty mapping takes them back. The values are checked by the caller.

        Raises:
            InvalidRequest, ProfileUnusable: as :meth:`decide`.
        """
        check_site(origin)
        with self._changing(origin):
            self._kept.limits = {site: own for site, own in self._kept.limits.items() if site != origin}
            if limits:
                self._kept.limits[origin] = dict(limits)

    async def check(self, origin: Origin, capability: str, ask: str, refused: str, target: str = "") -> None:
        """Return if a site may do something, after asking the user if the policy says so.

        A yes is kept for good, or until PeerSky is closed where the user said so; a no until PeerSky is closed.

        Args:
            ask: the question; names what the site wants.
            refused: what a site is told whose user said no.

        Raises:
            NotAllowed: ``declined``, or ``blocked_by_user``.
            ProfileUnusable: a yes cannot be stored.
        """
        key = (str(origin), capability, target)
        match may(origin, _capability(capability, target), origin, self.policy()):
            case Answer.YES:
                return
            case Answer.NO:
                raise NotAllowed("You blocked this site; peersky://settings/sites shows it.", reason="blocked_by_user")
        if key not in self._declined:
            reply = await self._prompts.ask(Question(origin, capability, ask, target))
            self._on_answer(key, reply is not Consent.REFUSED)
            if reply is not Consent.REFUSED:
                self.decide(*key[:2], Decision.ALLOW, target=target, for_good=reply is Consent.FOR_GOOD)
                return
            with self._lock:
                self._declined.add(key)
            self._tell(str(origin))
        raise NotAllowed(refused, reason="declined")

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call ``callback(serialised origin)`` after each change, on the thread that made it. Returns the way out."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback) if callback in self._subscribers else None

    @contextlib.contextmanager
    def _changing(self, origin: str) -> Any:
        failure: ProfileUnusable | None = None
        with self._lock:
            before = _text(self._kept)
            yield
            self._refresh()
            text = _text(self._kept)
            if text != before:
                try:
                    write_atomically(self._file, text)
                    write_atomically(_backup(self._file), text)
                except ProfileUnusable as error:
                    failure = error
        self._tell(origin)
        if failure is not None:
            raise failure

    def _drop(self, which: Callable[[Key], bool]) -> None:
        for decisions in (self._kept.decisions, self._now):
            for key in [key for key in decisions if which(key)]:
                del decisions[key]
        self._declined = {key for key in self._declined if not which(key)}

    def _refresh(self) -> None:
        # A new object each time: who reads the old one on another thread is not disturbed.
        decisions = {**self._kept.decisions, **self._now}
        sites = {origin for origin, _capability, _target in decisions}
        whole = Decision.BLOCK
        blocked = {o for o in sites if all(decisions.get((o, c, "")) is whole for c in SITE_CAPABILITIES)}
        self._policy = Policy(self._allowlist(), frozenset(blocked), decisions)

    def _tell(self, origin: str) -> None:
        for callback in list(self._subscribers):
            callback(origin)


def check_site(origin: str) -> None:
    """Whether something can be decided about this origin: a site, or the apps that come with the browser.

    Raises:
        InvalidRequest: it is none; the sentence says so.
    """
    parsed = parse_origin(origin)
    if parsed.is_opaque or str(parsed) != origin or (parsed.is_internal and parsed != APPS):
        raise InvalidRequest(f"Nothing can be decided about {origin!r}: it is no site.", param="origin")


def _capability(name: str, target: str) -> Capability:
    plain: dict[str, Capability] = {MODEL: UseModel(), MEMORY: UseMemory(), PUBLISH: Publish()}
    return SendToService(target) if name == CLOUD else plain[name]


def _backup(file: Path) -> Path:
    return file.with_name(f"{file.name}.backup")


def _text(kept: _Kept) -> bytes:
    decisions = [
        {"origin": origin, "capability": capability, "decision": decision.value, **({"target": to} if to else {})}
        for (origin, capability, to), decision in sorted(kept.decisions.items())
    ]
    return json.dumps({"decisions": decisions, "limits": kept.limits}, indent=2, sort_keys=True).encode() + b"\n"


def _open(file: Path, on_notice: Callable[[str], None]) -> _Kept:
    with contextlib.suppress(FileNotFoundError):
        try:
            return _read(file)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return _restored(file, on_notice)
    return _Kept()


def _restored(file: Path, on_notice: Callable[[str], None]) -> _Kept:
    """What the copy holds: a site that was blocked must not be let in because a disk failed."""
    aside = file.with_name(f"{file.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    with contextlib.suppress(OSError):
        file.replace(aside)
    try:
        kept = _read(_backup(file))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        on_notice(f"{file.name} could not be read and is kept as {aside.name}: look at what sites may do again.")
        return _Kept()
    on_notice(f"{file.name} could not be read and is kept as {aside.name}; its copy took its place.")
    return kept


def _read(file: Path) -> _Kept:
    held = json.loads(file.read_bytes())
    decisions = {
        (str(entry["origin"]), str(entry["capability"]), str(entry.get("target", ""))): Decision(entry["decision"])
        for entry in held["decisions"]
    }
    limits = {str(site): {str(name): int(value) for name, value in own.items()} for site, own in held["limits"].items()}
    return _Kept(decisions, limits)
