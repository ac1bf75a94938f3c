"""The one-time notice that Ollama cannot be reached: decides whether to show it, and remembers that it was shown."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from peersky.core.errors import BackendFailed, PeerSkyError
from peersky.core.origins import USER, Origin
from peersky.system.files import write_atomically
from peersky.system.settings_store import SettingsStore

ARMED_BY: Final = frozenset({"llm.baseURL", "llm.apiKey"})
"""Settings whose change makes the notice worth showing again."""


class UnreachableNotice:
    """Calls :attr:`show` with a sentence when a page's question found no Ollama, once.

    "Once" survives a restart. A change of base URL or key arms it again; a cloud never shows it.

    Args:
        settings: watched for the change that arms it again.
        file: in the profile; there while the notice was shown and is not armed again.
    """

    def __init__(self, settings: SettingsStore, file: Path) -> None:
        self._file = file
        self.show: Callable[[str], None] | None = None
        """Set by the window; called on the service loop. Until then nothing counts as shown."""
        self._unsubscribe = settings.subscribe(self._on_change)

    def failed(self, origin: Origin, kind: str, error: PeerSkyError) -> None:
        """A question of ``origin`` to the back end ``kind`` ended with ``error``."""
        is_it = kind == "ollama" and isinstance(error, BackendFailed) and error.reason == "unreachable"
        # At the command line the error itself is read.
        if not is_it or origin == USER or self.show is None or self._file.exists():
            return
        with contextlib.suppress(PeerSkyError):
            write_atomically(self._file, json.dumps({"shown": error.message}).encode() + b"\n")
        self.show(error.message)

    def close(self) -> None:
        """Watch the settings no longer."""
        self._unsubscribe()

    def _on_change(self, keys: frozenset[str]) -> None:
        if keys & ARMED_BY:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
