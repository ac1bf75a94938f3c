"""What the browser's own pages need of the P2P node; :class:`peersky.p2p.node.P2PNode` has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

PROTOCOLS: Final = ("hyper", "ipfs")
PROTOCOL_OF: Final = {"hyper": "hyper", "ipfs": "ipfs", "ipns": "ipfs"}
"""Which of the node's protocols serves a URL scheme."""


class NodePort(Protocol):
    """The node as its pages see it. Only :meth:`start` and :meth:`json` start it."""

    async def status(self) -> dict[str, Any]:
        """``state``, ``sentence``, and in ``node`` what a node that is ready tells of itself."""

    async def start(self) -> None:
        """Start it, if it does not run."""

    def retry(self) -> None:
        """After a crash loop: it may be started again."""

    async def json(self, method: str, path: str, value: Any = None) -> Any:
        """Ask one of its admin routes."""

    async def reset(self, *, identities: bool) -> None:
        """Delete what it stores; with ``identities``, the keys of drives and names, too."""


async def start_all(node: NodePort, protocols: Sequence[str] = PROTOCOLS) -> list[str]:
    """Start the node with its protocols, which otherwise wait for the first page that needs them.

    Returns:
        A sentence for each protocol that did not start.

    Raises:
        PeerSkyError: the node does not start; the sentence says why.
    """
    await node.start()
    status = await node.json("POST", "/node/start", {"protocols": list(protocols)})
    return [status[name]["error"] for name in protocols if status[name]["error"]]
