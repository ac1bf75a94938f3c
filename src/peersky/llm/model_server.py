"""A server that answers questions: where it is, how sentences name it, and the key that nobody else is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from peersky.core.base_url import BaseUrl
from peersky.core.errors import BackendFailed, NotAllowed

NO_KEY: Final = "ollama"
"""What stands in the field of the key where there is none."""

SETTINGS_PAGE: Final = "peersky://settings/llm"
_SHORTEST_SECRET: Final = 4


@dataclass(frozen=True, slots=True)
class ModelServer:
    """One server.

    Attributes:
        name: how sentences for people name it ("Ollama", "openrouter.ai").
        base: where its API begins.
        key: empty where it needs none; never shown, logged or put into an address.
        advice: what to do if it cannot be reached, without a full stop.
    """

    name: str
    base: BaseUrl
    key: str = field(default="", repr=False)
    advice: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """What every request to it carries. Never an Origin: a page's would be refused, and is nobody's business."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def masked(self, value: Any) -> Any:
        """``value`` (decoded JSON) without the key, which some servers repeat when they refuse it."""
        if len(self.key) < _SHORTEST_SECRET:
            return value
        match value:
            case str():
                return value.replace(self.key, "(your key)")
            case Mapping():
                return {self.masked(name): self.masked(entry) for name, entry in value.items()}
            case list():
                return [self.masked(entry) for entry in value]
            case _:
                return value

    def unreachable(self) -> BackendFailed:
        """The error for people when nobody answers."""
        return BackendFailed(f"{self.name} cannot be reached at {self.base}; {self.advice}.", reason="unreachable")


def check_safe(base: BaseUrl) -> None:
    """Raises :class:`NotAllowed` (``insecure_url``) if questions could be read on their way to ``base``."""
    if not base.is_safe:
        raise NotAllowed(
            f"{base} is not encrypted, so others could read your questions; "
            f"use an https address in {SETTINGS_PAGE}. Plain http is for your own computer and network.",
            reason="insecure_url",
        )


def checked_key(api_key: str) -> str:
    """The key as it goes into a header; empty where there is none.

    Raises:
        BackendFailed: ``key_refused``: no service has such a key.
    """
    key = api_key.strip()
    if key == NO_KEY:
        return ""
    if not key.isascii() or not key.isprintable() or " " in key:
        # As a header this would fail with an error that repeats it.
        raise BackendFailed(
            f"The saved API key has characters that no key has; enter it again in {SETTINGS_PAGE}.",
            reason="key_refused",
        )
    return key
