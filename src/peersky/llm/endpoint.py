"""Where a back end is and the key that goes there. One value, so that a key cannot travel without its address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from peersky.system.settings_store import SettingsStore


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Address of a server, as the user wrote it, and the key for exactly that origin.

    Attributes:
        base_url: with or without ``/v1`` and trailing slash.
        api_key: the key; the word ``ollama`` or an empty text means that there is none.
    """

    base_url: str
    api_key: str = field(repr=False)


def stored_endpoint(settings: SettingsStore) -> Callable[[], Endpoint]:
    """A function that reads the endpoint from the settings, at each question: a change counts at once."""

    def read() -> Endpoint:
        base_url = settings.text("llm.baseURL")
        # For this address by name: the stored one may change between the two calls, and the key with it.
        return Endpoint(base_url, settings.secret("llm.apiKey", base_url))

    return read
