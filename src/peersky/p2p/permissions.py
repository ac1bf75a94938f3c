"""Which sites may publish: the user is asked once for each."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, Final

from peersky.core.errors import NotAllowed
from peersky.core.origins import Origin
from peersky.system.files import write_atomically
from peersky.system.prompt_port import PromptPort, Question

CAPABILITY: Final = "publish"


class Publishers:
    """Asks, and remembers a yes in a file of the profile. A no counts until PeerSky is closed.

    Args:
        file: need not exist; one that cannot be read counts as empty, so the user is asked again.
        prompts: how to ask.
    """

    def __init__(self, file: Path, prompts: PromptPort) -> None:
        self._file = file
        self._prompts = prompts
        self._allowed = _read(file)
        self._declined: set[str] = set()

    def given(self) -> list[dict[str, Any]]:
        """What was decided: ``origin`` and ``allowed`` each, sorted."""
        decided = [(origin, True) for origin in self._allowed] + [(origin, False) for origin in self._declined]
        return [{"origin": origin, "allowed": yes} for origin, yes in sorted(decided)]

    def revoke(self, origin: str) -> None:
        """Forget a decision; the next publication asks again.

        Raises:
            ProfileUnusable: it cannot be written.
        """
        self._declined.discard(origin)
        if origin in self._allowed:
            self._store(self._allowed - {origin})

    async def check(self, origin: Origin, wish: str) -> None:
        """Return if ``origin`` may publish, after asking the user if need be.

        Args:
            wish: what it wants to do, for the question: ``publish the file a.html (2 KB)``.

        Raises:
            NotAllowed: ``declined``.
            ProfileUnusable: the answer cannot be stored.
        """
        site = str(origin)
        if site in self._allowed:
            return
        if site not in self._declined:
            question = Question(
                origin,
                CAPABILITY,
                f"May this site {wish}? Everybody who has the link can see what it publishes, and it is not asked "
                "about again.",
            )
            if await self._prompts.ask(question):
                self._store(self._allowed | {site})
                return
            self._declined.add(site)
        raise NotAllowed(
            "You did not allow this site to publish; you can change that in peersky://settings/p2p.",
            reason="declined",
        )

    def _store(self, allowed: frozenset[str]) -> None:
        write_atomically(self._file, json.dumps({"publish": sorted(allowed)}, indent=2).encode() + b"\n")
        self._allowed = allowed


def _read(file: Path) -> frozenset[str]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return frozenset(str(origin) for origin in json.loads(file.read_bytes())["publish"])
    return frozenset()
