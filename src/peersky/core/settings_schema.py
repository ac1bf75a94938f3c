"""Every setting, declared once: type, default, bounds, unit, description.

Page, validation and documentation derive from it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from peersky.core.errors import SettingInvalid
from peersky.core.origins import Origin, parse_origin

Value = bool | int | float | str | list[str]

_HOST_PORT: Final = re.compile(r"(?:[0-9A-Za-z.-]{1,253}|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}\Z")
_MULTIADDR: Final = re.compile(r"(?:/[0-9A-Za-z._:%-]+){2,}\Z")

STARTER_MODEL: Final = "peersky-starter"
"""Name of the demonstration model that is shipped."""

STARTER_TEMPERATURE: Final = 0.0
"""Where neither page nor user names one: so small a model answers 73 % of its evaluation at 0, and 57 % at 0.7."""

DEFAULT_OLLAMA_MODEL: Final = "qwen2.5-coder:3b"
OLLAMA_URL: Final = "http://127.0.0.1:11434/"
PROVIDERS: Final = ("ollama", "builtin", "openai")
THINKING: Final = ("off", "on", "low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        key: dotted name; the part before the first dot is the block in ``settings.json``.
        default: the value where none is stored; its type is the setting's type.
        description: one sentence for people, shown on the page and in the documentation.
        minimum, maximum: bounds of a number, inclusive, in ``unit``.
        unit: ``s``, ``tokens``, ``bytes``… or empty.
        choices: the allowed texts, where only some are.
        secret: kept in the keyring, never in the file, never shown.
        form: what a text, or each text of a list, must be beyond being text: ``url``, ``url-or-empty``,
            ``web-origins``, ``host-ports`` (``127.0.0.1:49737``) or ``multiaddrs`` (``/ip4/127.0.0.1/tcp/4001``).
        origin_of: for a secret: the setting with the address that it is for. There is one secret per origin of that
            address, so that none ever goes to another.
    """

    key: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    secret: bool = False
    form: str = ""
    origin_of: str = ""

    def check(self, value: Any) -> Value:
        """Return ``value`` as this setting's type.

        Raises:
            SettingInvalid: it is of another type or out of bounds; the sentence names the setting.
        """
        checked = self._checked_type(value)
        if isinstance(checked, (int, float)) and not isinstance(checked, bool):
            low, high = self.minimum, self.maximum
            if (low is not None and checked < low) or (high is not None and checked > high):
                raise self._refusal(f"must be between {low:g} and {high:g} {self.unit}".rstrip())
        if self.choices and checked not in self.choices:
            raise self._refusal(f"must be one of {', '.join(c or '(empty)' for c in self.choices)}")
        if self.form == "url" or (self.form == "url-or-empty" and checked):
            _check_url(self, str(checked))
        if isinstance(checked, list):
            checked = self._checked_entries(checked)
        return checked

    def parse(self, text: str) -> Value:
        """The value that a person typed at the command line or in a form.

        Raises:
            SettingInvalid: the text is no value of this setting.
        """
        match self.default:
            case bool():
                words = {"true": True, "on": True, "yes": True, "1": True}
                words |= {"false": False, "off": False, "no": False, "0": False}
                if text.strip().lower() not in words:
                    raise self._refusal("must be true or false")
                return self.check(words[text.strip().lower()])
            case int() | float():
                try:
                    number = float(text)
                except ValueError:
                    raise self._refusal("must be a number") from None
                whole = isinstance(self.default, int) and number.is_integer()
                return self.check(int(number) if whole else number)
            case list():
                return self.check([part for part in text.replace(",", " ").split() if part])
            case _:
                return self.check(text)

    def _checked_type(self, value: Any) -> Value:
        match self.default:
            case bool():
                if isinstance(value, bool):
                    return value
                raise self._refusal("must be true or false")
            case int():
                if isinstance(value, int) and not isinstance(value, bool):
                    return value
                raise self._refusal("must be a whole number")
            case float():
                if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value:
                    # JSON can hold whole numbers that no float can.
                    return float(max(-sys.float_info.max, min(value, sys.float_info.max)))
                raise self._refusal("must be a number")
            case list():
                if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
                    return value
                raise self._refusal("must be a list of texts")
            case _:
                if isinstance(value, str):
                    if "\x00" in value or len(value) > 4096:
                        raise self._refusal("must be a text of at most 4096 characters")
                    return value
                raise self._refusal("must be a text")

    def _checked_entries(self, entries: list[str]) -> list[str]:
        if self.form == "web-origins":
            return [str(_web_origin(self, entry)) for entry in entries]
        if self.form == "host-ports" and not all(_HOST_PORT.match(entry) for entry in entries):
            raise self._refusal("must be a list of addresses such as 127.0.0.1:49737")
        if self.form == "multiaddrs" and not all(_MULTIADDR.match(entry) for entry in entries):
            raise self._refusal("must be a list of addresses such as /ip4/127.0.0.1/tcp/4001/p2p/12D3KooW…")
        return entries

    def _refusal(self, rule: str) -> SettingInvalid:
        return SettingInvalid(f"The setting {self.key} {rule}.", param=self.key)


def _check_url(setting: Setting, text: str) -> None:
    if not parse_origin(text).is_web:
        raise SettingInvalid(
            f"The setting {setting.key} must be an address that starts with http:// or https://.",
            param=setting.key,
        )


def _web_origin(setting: Setting, text: str) -> Origin:
    """An entry of the allowlist: an exact origin, https unless it is loopback."""
    origin = parse_origin(text.strip().rstrip("/"))
    loopback = origin.host in ("localhost", "127.0.0.1", "[::1]")
    if not origin.is_web or str(origin) != text.strip().rstrip("/").lower():
        raise SettingInvalid(f"{text!r} is no web origin such as https://example.org.", param=setting.key)
    if origin.scheme != "https" and not loopback:
        raise SettingInvalid(
            f"{text!r} must use https: a page on plain http can be changed on its way to you.",
            param=setting.key,
        )
    return origin


_SETTINGS: Final = (
    Setting("llm.enabled", False, "Enable the local LLM API: trusted pages get window.llm."),
    Setting(
        "llm.provider",
        "",
        "Which back end answers; empty: follows from the base URL and the key.",
        choices=("", *PROVIDERS),
    ),
    Setting(
        "llm.baseURL",
        OLLAMA_URL,
        "Address of the Ollama server or of the OpenAI-compatible service.",
        form="url",
    ),
    Setting(
        "llm.apiKey",
        "ollama",
        "API key of the service at the base URL; the word 'ollama' for a local Ollama.",
        secret=True,
        origin_of="llm.baseURL",
    ),
    Setting("llm.model", DEFAULT_OLLAMA_MODEL, "Name of the model that answers."),
    Setting("llm.memoryEnabled", False, "Let trusted pages keep conversations on this machine (window.llmMemory)."),
    Setting(
        "llm.contextLength",
        4096,
        "Context length of one conversation with a model on this computer; a longer one takes more memory.",
        512,
        1_048_576,
        "tokens",
    ),
    Setting(
        "llm.idleTimeout",
        600,
        "How long the built-in engine or Ollama keeps a model in memory after the last question.",
        5,
        86_400,
        "s",
    ),
    Setting(
        "llm.hangTimeout",
        60,
        "How long the built-in engine may show neither a word nor progress until the window says that it may hang.",
        1,
        86_400,
        "s",
    ),
    Setting("llm.parallel", 2, "How many answers a model on this computer writes at once.", 1, 16),
    Setting(
        "llm.temperature",
        0.7,
        "Temperature where a page names none; until it is changed here, the starter model takes 0.",
        0,
        2,
    ),
    Setting("llm.maxTokens", 2048, "Length of an answer where a page names none.", 1, 1_048_576, "tokens"),
    Setting(
        "llm.think",
        "",
        "Whether a model that can think first does so where a page names nothing; empty: as the model is used to.",
        choices=("", *THINKING),
    ),
    Setting(
        "logs.content",
        False,
        "Write what pages ask and what the model answers into the log, too. API keys never get there.",
    ),
    Setting(
        "trust.allowlist",
        ["https://agregore.mauve.moe"],
        "Web sites that may use the model, beside http://localhost; exact origins, https only.",
        form="web-origins",
    ),
    Setting("limits.parallel", 4, "How many answers one site gets at once.", 1, 64),
    Setting("limits.waiting", 64, "How many questions of one site may wait for their turn.", 1, 1000),
    Setting(
        "limits.tokensPerMinute",
        60_000,
        "What one site may use of models on this computer in a minute, read and written; 0: no limit.",
        0,
        1_000_000_000,
        "tokens",
    ),
    Setting(
        "limits.tokensPerDay",
        2_000_000,
        "What one site may use of models on this computer in a day; 0: no limit.",
        0,
        1_000_000_000,
        "tokens",
    ),
    Setting(
        "limits.cloudTokensPerMinute",
        20_000,
        "What one site may use of services on the network in a minute; 0: no limit.",
        0,
        1_000_000_000,
        "tokens",
    ),
    Setting(
        "limits.cloudTokensPerDay",
        200_000,
        "What one site may use of services on the network in a day; 0: no limit.",
        0,
        1_000_000_000,
        "tokens",
    ),
    Setting(
        "p2p.listen",
        "everywhere",
        "From where other peers can reach this computer; lan: none outside the local network is asked, either; "
        "nowhere: it fetches and publishes, but takes no connections.",
        choices=("everywhere", "lan", "loopback", "nowhere"),
    ),
    Setting(
        "p2p.keepSharing",
        True,
        "Whenever the browser runs, what you published is shared; otherwise from your first P2P page on.",
    ),
    Setting(
        "p2p.hyper.bootstrap",
        [],
        "Addresses through which Hyper peers are found; empty: the public network.",
        form="host-ports",
    ),
    Setting("p2p.hyper.port", 0, "Port for Hyper peers; 0: any that is free.", 0, 65_535),
    Setting(
        "p2p.ipfs.peers",
        [],
        "IPFS peers that are always connected to, beside those that are found.",
        form="multiaddrs",
    ),
    Setting("p2p.ipfs.port", 0, "Port for IPFS peers; 0: any that is free.", 0, 65_535),
    Setting(
        "p2p.ipfs.backend",
        "helia",
        "What serves IPFS: helia, which comes with the browser, or a Kubo daemon that already runs.",
        choices=("helia", "kubo"),
    ),
    Setting("p2p.ipfs.kuboRpc", "http://127.0.0.1:5001", "Address of the Kubo daemon's RPC.", form="url"),
    Setting(
        "p2p.dnsResolver",
        "",
        "Resolver for names such as ipns://docs.ipfs.tech (DNS over HTTPS); empty: the usual one.",
        form="url-or-empty",
    ),
    Setting(
        "p2p.cacheBytes",
        2_000_000_000,
        "Disk space for what was loaded from peers; what you published does not count.",
        10_000_000,
        1_000_000_000_000_000,
        "bytes",
    ),
    Setting("p2p.uploadLimit", 0, "How much is sent to peers; 0: as much as they take.", 0, 10**12, "bytes/s"),
    Setting("p2p.downloadLimit", 0, "How much is loaded from peers; 0: as much as they send.", 0, 10**12, "bytes/s"),
    Setting("p2p.lookupSeconds", 20, "How long to look for peers that have what a page asks for.", 1, 3600, "s"),
    Setting("browser.home", "peersky://home/", "Page of a new window and a new tab."),
    Setting(
        "browser.searchURL",
        "https://duckduckgo.com/?q={query}",
        "Where words typed in the address bar go; {query} stands for the words.",
        form="url",
    ),
    Setting("browser.colorScheme", "system", "Light or dark pages.", choices=("system", "light", "dark")),
)

SETTINGS: Final[Mapping[str, Setting]] = {setting.key: setting for setting in _SETTINGS}
"""All settings by key."""


def setting(key: str) -> Setting:
    """The declaration of ``key``.

    Raises:
        SettingInvalid: there is no such setting.
    """
    found = SETTINGS.get(key)
    if found is None:
        near = ", ".join(name for name in SETTINGS if name.split(".")[-1].lower() == key.split(".")[-1].lower())
        hint = f" Did you mean {near}?" if near else " `peersky settings get` lists them all."
        raise SettingInvalid(f"There is no setting {key!r}.{hint}", param=key)
    return found


def provider_for(provider: str, base_url: str, api_key: str) -> str:
    """The provider that the settings mean.

    ``provider`` where it is set; else Ollama for the exact key ``ollama`` or for Ollama's own address, else ``openai``.
    """
    if provider in PROVIDERS:
        return provider
    if api_key == "ollama" or parse_origin(base_url) in (
        parse_origin(OLLAMA_URL),
        parse_origin("http://localhost:11434"),
    ):
        return "ollama"
    return "openai"
