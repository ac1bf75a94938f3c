"""All that belongs to peer-to-peer pages in one profile: node, ledger, permissions, and the apps that stand on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route

from peersky.core.errors import PeerSkyError
from peersky.core.trust import Policy
from peersky.p2p.ledger import Ledger
from peersky.p2p.node import P2PNode
from peersky.p2p.node_port import PROTOCOL_OF, start_all
from peersky.p2p.permissions import Publishers
from peersky.p2p.program import Install
from peersky.p2p.publisher import Network, publish
from peersky.system.children import Log
from peersky.system.site_records import Note
from peersky.system.tasks import TaskOwner
from peersky.web.p2p_access import Access
from peersky.web.p2p_api import p2p_apis
from peersky.web.p2p_app import P2PApp
from peersky.web.p2p_lookups import Lookups
from peersky.web.p2p_pages import listing_page, p2p_error_page

if TYPE_CHECKING:
    from peersky.llm.memory import MemoryStore
    from peersky.system.paths import Profile
    from peersky.system.permissions import SitePermissions
    from peersky.system.settings_store import SettingsStore

KEEP_SHARING_AFTER_S: Final = 10.0


class P2PService:
    """Made on the service loop; nothing starts before it is needed.

    Args:
        install: see :data:`peersky.p2p.program.Install`.
        permissions: what the user decided about sites; asks the user.
        policy: what the user decided about origins.
        assets: the folder of the assets.
        note: told who asked to publish.

    Attributes:
        node: the child process.
        ledger: what was published, and whose the drives and names are.
        publishers: which sites may publish.
        lookups: which pages wait for peers.
        app: the ASGI app of ``hyper:``, ``ipfs:`` and ``ipns:``.
    """

    def __init__(
        self,
        profile: Profile,
        settings: SettingsStore,
        permissions: SitePermissions,
        policy: Callable[[], Policy],
        assets: Path,
        install: Install,
        log: Log,
        note: Note = lambda _event: None,
    ) -> None:
        self._tasks = TaskOwner("peer-to-peer pages")
        self._settings, self._log = settings, log
        self.node = P2PNode(settings, profile, install, log)
        self.ledger = Ledger(profile.ledger_file, lambda sentence: log("ledger.notice", text=sentence))
        self.publishers = Publishers(permissions)
        self.lookups = Lookups()
        self.app = P2PApp(
            self.node,
            Access(policy, self.publishers, self.ledger, note),
            self.ledger,
            self.lookups,
            partial(listing_page, assets),
            partial(p2p_error_page, assets),
            self._tasks,
        )

    def apis(self, memory: MemoryStore) -> dict[str, list[Route]]:
        """The APIs of the browser's own pages, by host.

        Args:
            memory: what "Reset P2P data" deletes besides.
        """
        return p2p_apis(self.node, self.ledger, memory)

    def publish(self, path: Path, to: Network, name: str = "") -> AsyncGenerator[dict[str, Any], None]:
        """Publish from the disk for the user in person: see :func:`peersky.p2p.publisher.publish`."""
        return publish(self.node, self.ledger, path, to, name)

    def keep_sharing(self, delay_s: float = KEEP_SHARING_AFTER_S) -> None:
        """Start the node by itself where something is shared from here, unless the user said no.

        Args:
            delay_s: first the window and its first page have the computer to themselves.
        """

        async def share() -> None:
            await asyncio.sleep(delay_s)
            if not self._settings.flag("p2p.keepSharing"):
                return
            try:
                if schemes := await self.ledger.shared_schemes():
                    await start_all(self.node, sorted({PROTOCOL_OF[scheme] for scheme in schemes}))
            except PeerSkyError as error:
                # The archive and the settings show the same when the user looks there.
                self._log("p2p.sharing", error=error.message)

        self._tasks.start(share(), "keep sharing")

    async def close(self) -> None:
        """End the node and close the ledger. Safe to call twice."""
        try:
            await self._tasks.close()
            await self.node.close()
        finally:
            await self.ledger.close()
