"""Who answers, as the settings say, or would say after some changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from peersky.core.settings_schema import STARTER_MODEL, provider_for, setting
from peersky.system.settings_store import SettingsStore

KEY: Final = "llm.apiKey"


def typed_key(changes: Mapping[str, Any]) -> str | None:
    """The API key among some changes; an empty text where it is to be forgotten, None where it stays."""
    return (changes[KEY] or "") if KEY in changes else None


def chosen(settings: SettingsStore, changes: Mapping[str, Any]) -> tuple[str, str, str]:
    """Provider, base URL and model as they would be after ``changes``. May ask the keyring: call it in a thread."""

    def value(key: str) -> str:
        if key in changes:
            return str(setting(key).default if changes[key] is None else changes[key])
        return settings.text(key)

    base_url = value("llm.baseURL")
    kind = provider_for(value("llm.provider"), base_url, typed_key(changes) or settings.secret(KEY, base_url))
    named = changes["llm.model"] is not None if "llm.model" in changes else settings.is_stored("llm.model")
    model = value("llm.model").strip() if named or kind != "builtin" else STARTER_MODEL
    return kind, base_url, model


def builtin_changes(settings: SettingsStore) -> dict[str, Any]:
    """Changes after which the built-in engine answers: with the built-in model the user chose before, if any."""
    is_chosen = settings.text("llm.provider") == "builtin" and settings.is_stored("llm.model")
    return {} if is_chosen else {"llm.provider": "builtin", "llm.model": STARTER_MODEL}
