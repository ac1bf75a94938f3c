"""What a window needs before anything else: settings, log, and what the user decided about sites."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from peersky.core.origins import parse_origin
from peersky.core.reach import Closed, is_loopback, is_private
from peersky.core.settings_schema import OLLAMA_URL
from peersky.core.trust import Policy
from peersky.system.logbook import Logbook
from peersky.system.paths import Profile
from peersky.system.permissions import Key, SitePermissions
from peersky.system.prompt_port import PromptPort
from peersky.system.secrets import SecretStore, system_keyring
from peersky.system.settings_store import SettingsStore

OLLAMA_PORT: Final = parse_origin(OLLAMA_URL).port or 11434


class Foundation:
    """The stores of a profile that are read at once, and need no event loop. Any thread may use it.

    Args:
        profile: the caller holds its lock.
        prompts: how to ask the user.

    Attributes:
        settings: what the user chose.
        logbook: the log.
        permissions: what the user decided about sites; it asks on the service loop.
        on_answer: told what the user was asked, and whether the answer was yes; may be assigned later.

    Raises:
        ProfileUnusable: the settings cannot be read.
    """

    def __init__(self, profile: Profile, prompts: PromptPort) -> None:
        self.profile, self.prompts = profile, prompts
        secrets = SecretStore(profile.secrets_file, system_keyring)
        self.logbook = Logbook(profile.log_file, secrets.known_values)
        self.settings = SettingsStore(profile.settings_file, secrets)
        for notice in self.settings.notices:
            self.logbook.record("settings.notice", text=notice)
        self.on_answer: Callable[[Key, bool], None] = lambda _key, _allowed: None
        self.permissions = SitePermissions(
            profile.permissions_file,
            prompts,
            self._allowlist,
            lambda sentence: self.logbook.record("sites.notice", text=sentence),
            self._answered,
        )

    def policy(self) -> Policy:
        """What the user decided about origins, as it stands now."""
        return self.permissions.policy()

    def closed(self, ports: Iterable[int] = ()) -> Closed:
        """The browser's own servers, which no page may reach.

        Args:
            ports: of those that run now, on loopback.
        """
        closed = {OLLAMA_PORT, *ports}
        places: set[tuple[str, int]] = set()
        for key in ("llm.baseURL", "p2p.ipfs.kuboRpc"):
            server = parse_origin(self.settings.text(key))
            if server.port is None:
                continue
            host = server.host.strip("[]")
            if is_loopback(host):
                closed.add(server.port)
            elif is_private(host):
                places.add((host, server.port))
        return Closed(frozenset(closed), frozenset(places))

    def _answered(self, key: Key, allowed: bool) -> None:
        self.on_answer(key, allowed)

    def _allowlist(self) -> frozenset[str]:
        allowlist = self.settings.get("trust.allowlist")
        assert isinstance(allowlist, list)
        return frozenset(allowlist)
