"""What the address bar says about a page and the user's model."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from peersky.core.address import is_loopback
from peersky.core.origins import Origin, parse_origin
from peersky.core.settings_schema import STARTER_MODEL
from peersky.core.trust import Answer, UseModel, is_trusted, may
from peersky.qt.address_bar import Sign

if TYPE_CHECKING:
    from peersky.core.trust import Policy
    from peersky.system.settings_store import SettingsStore


def sign_for(origin: Origin, policy: Policy, *, enabled: bool, busy: int) -> Sign:
    """The sign of a page.

    Args:
        origin: of the page in the tab.
        enabled: local AI is on.
        busy: how many questions of this origin run or wait.
    """
    if may(origin, UseModel(), origin, policy) is Answer.NO:
        return Sign.BLOCKED if is_trusted(origin, policy) else Sign.NONE
    if busy > 0:
        return Sign.BUSY
    return Sign.READY if enabled else Sign.OFF


def sign_sentences(sign: Sign, origin: Origin, settings: SettingsStore) -> list[str]:
    """What is said below the sign of a page."""
    if sign is Sign.OFF:
        return ["Local AI is off.", f"{origin} could use your model if you turn it on."]
    if sign is Sign.BLOCKED:
        return [f"You blocked {origin} from your model."]
    service = service_host(settings)
    sentences = [f"{origin} may ask your model.", f"Model: {model_text(settings)}"]
    if service:
        sentences.append(f"What it asks leaves this computer: it goes to {service}.")
    return [*sentences, "It does not see your files or what other sites asked."]


def page_origin(address: str) -> Origin:
    """Origin of an address that a tab shows; that of ``view-source:`` is opaque."""
    return parse_origin(address)


def model_text(settings: SettingsStore) -> str:
    """The model that answers and where it runs: "qwen3:4b on this computer"."""
    name = settings.text("llm.model")
    if settings.text("llm.provider") == "builtin":
        is_starter = name == STARTER_MODEL or not settings.is_stored("llm.model")
        name = "PeerSky starter (demonstration)" if is_starter else name
    service = service_host(settings)
    return f"{name} at {service}" if service else f"{name} on this computer"


def service_host(settings: SettingsStore) -> str:
    """The host that questions go to; empty while they stay on this computer."""
    if settings.text("llm.provider") == "builtin":
        return ""
    host = urlsplit(settings.text("llm.baseURL")).hostname or ""
    host = f"[{host}]" if ":" in host else host
    if is_loopback(host):
        # These endings are no mere names: they tell an Ollama to pass the question on to its cloud.
        return "ollama.com" if settings.text("llm.model").endswith((":cloud", "-cloud")) else ""
    return host
