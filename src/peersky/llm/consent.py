"""Whether a page may send its questions to a service on another machine: the user is asked once for each."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, Final

from peersky.core.errors import NotAllowed
from peersky.core.origins import USER, Origin
from peersky.system.files import write_atomically
from peersky.system.prompt_port import PromptPort, Question

CAPABILITY: Final = "cloud"


class CloudConsent:
    """Asks, and remembers a yes in a file of the profile. A no counts until PeerSky is closed.

    Args:
        file: need not exist; one that cannot be read counts as empty, so the user is asked again.
        prompts: how to ask.
    """

    def __init__(self, file: Path, prompts: PromptPort) -> None:
        self._file = file
        self._prompts = prompts
        self._allowed = _read(file)
        self._declined: set[tuple[str, str]] = set()

    def given(self) -> list[dict[str, Any]]:
        """What was decided: ``origin``, ``service`` and ``allowed`` each, sorted."""
        decided = [(*pair, True) for pair in self._allowed] + [(*pair, False) for pair in self._declined]
        return [{"origin": origin, "service": service, "allowed": yes} for origin, service, yes in sorted(decided)]

    def revoke(self, origin: str, service: str) -> None:
        """Forget a decision; the next question asks again.

        Raises:
            ProfileUnusable: it cannot be written.
        """
        self._declined.discard((origin, service))
        if (origin, service) in self._allowed:
            self._store(self._allowed - {(origin, service)})

    def is_allowed(self, origin: Origin, service: Origin) -> bool:
        """Whether ``origin`` may send questions to ``service`` as things stand.

        The browser's own pages and the user in person may: the user chose the service.
        """
        return origin == USER or origin.is_internal or (str(origin), str(service)) in self._allowed

    async def check(self, origin: Origin, service: Origin) -> None:
        """Return if ``origin`` may send questions to ``service``, after asking the user if need be.

        Raises:
            NotAllowed: ``declined``.
            ProfileUnusable: the answer cannot be stored.
        """
        if self.is_allowed(origin, service):
            return
        pair = (str(origin), str(service))
        if pair not in self._declined:
            question = Question(
                origin,
                CAPABILITY,
                f"May this page send its questions to {service.host}? They leave this computer, "
                "and the service may charge you for them.",
            )
            if await self._prompts.ask(question):
                self._store(self._allowed | {pair})
                return
            self._declined.add(pair)
        raise NotAllowed(
            f"You did not allow this page to send questions to {service.host}; "
            "you can change that in peersky://settings/llm.",
            reason="declined",
        )

    def _store(self, allowed: frozenset[tuple[str, str]]) -> None:
        entries = [{"origin": origin, "service": service} for origin, service in sorted(allowed)]
        write_atomically(self._file, json.dumps({"cloud": entries}, indent=2).encode() + b"\n")
        self._allowed = allowed


def _read(file: Path) -> frozenset[tuple[str, str]]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        entries = json.loads(file.read_bytes())["cloud"]
        return frozenset((str(entry["origin"]), str(entry["service"])) for entry in entries)
    return frozenset()
