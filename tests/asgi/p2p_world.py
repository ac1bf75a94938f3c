"""The P2P app over a real ledger and real permissions, and a node whose program is the double."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from peersky.core.origins import parse_origin
from peersky.core.trust import DEFAULT_POLICY, Policy
from peersky.p2p.ledger import Ledger
from peersky.p2p.node import P2PNode
from peersky.p2p.permissions import Publishers
from peersky.p2p.program import Program
from peersky.system.paths import open_profile
from peersky.system.permissions import SitePermissions
from peersky.system.prompt_port import Consent, Question
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.system.tasks import TaskOwner
from peersky.web.asker import Asker
from peersky.web.p2p_access import Access
from peersky.web.p2p_app import P2PApp
from peersky.web.p2p_lookups import Lookup, Lookups
from tests.asgi.client import AsgiClient, Reply

DOUBLE: Final = Path(__file__).parents[1] / "fakes" / "p2p_sidecar.py"
APP: Final = "peersky://p2p"
IMPORTED: Final = "peersky://app-notes"
ALLOWED: Final = "https://agregore.mauve.moe"
EVIL: Final = "https://evil.example"
DRIVE: Final = "hyper://" + "y" * 52
OTHER_DRIVE: Final = "hyper://" + "b" * 52
CID: Final = "ipfs://bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"


def page(origin: str, resource: str = "xhr", top: str | None = "") -> Asker:
    """A page of an origin; ``top`` is the tab's, None for a worker, which has no stamp."""
    if top is None:
        return Asker(parse_origin(origin))
    return Asker(parse_origin(origin), parse_origin(top or origin), resource)


class Person:
    """Answers as told; keeps the questions."""

    def __init__(self) -> None:
        self.answer = True
        self.questions: list[Question] = []

    async def ask(self, question: Question) -> Consent:
        self.questions.append(question)
        return Consent.FOR_GOOD if self.answer else Consent.REFUSED


class World:
    def __init__(self, folder: Path) -> None:
        self.profile = open_profile(folder)
        settings = SettingsStore(self.profile.settings_file, SecretStore(self.profile.secrets_file))
        self.person, self.policy = Person(), DEFAULT_POLICY
        self.ledger = Ledger(self.profile.ledger_file)
        self.publishers = Publishers(SitePermissions(self.profile.permissions_file, self.person))
        self.lookups = Lookups()
        self.looked: list[tuple[str, bool]] = []
        self.lookups.subscribe(self._looked)
        self.node = P2PNode(settings, self.profile, self._install, lambda kind, **fields: None)
        self.tasks = TaskOwner("test")
        access = Access(self._policy, self.publishers, self.ledger)
        self.app = P2PApp(self.node, access, self.ledger, self.lookups, _listing, _error_page, self.tasks)
        self.client = AsgiClient(self.app)

    def _policy(self) -> Policy:
        return self.policy

    def _looked(self, lookup: Lookup, runs: bool) -> None:
        self.looked.append((lookup.url, runs))

    async def _install(self, say: Callable[[str], None]) -> Program:
        return Program((sys.executable, str(DOUBLE)))

    async def ask(self, asker: Asker, method: str, url: str, **options: Any) -> Reply:
        return await self.client.request(method, url, asker=asker, **options)

    async def make(self, asker: Asker, scheme: str = "hyper", name: str = "blog") -> str:
        """A drive or name of the asker's own; its address without the slash at the end."""
        reply = await self.ask(asker, "POST", f"{scheme}://localhost/?key={name}")
        assert reply.status == 200, reply.text
        return reply.text.removesuffix("/")

    async def seen(self, gone: int = 0) -> list[dict[str, Any]]:
        """What came to the node, but for our own questions."""
        found: list[dict[str, Any]] = await self.node.json("GET", f"/test/seen?gone={gone}")
        return [one for one in found if not one["path"].startswith("/test/")]

    async def close(self) -> None:
        await self.tasks.close()
        await self.node.close()
        await self.ledger.close()


def _listing(url: str, entries: Sequence[Any]) -> str:
    return f"listing of {url}: {json.dumps(entries)}"


def _error_page(url: str, status: int, reason: str, sentence: str) -> str:
    return f"page for {url}: {status} {reason} {sentence}"
