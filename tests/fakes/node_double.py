"""A P2P node without a process: it does what the browser's pages ask of it, remembers that, and fails when told to."""

from __future__ import annotations

from typing import Any, Final

from peersky.core.errors import PeerSkyError
from peersky.p2p.errors import NodeUnavailable

STATUS: Final[dict[str, Any]] = {
    "hyper": {
        "running": True,
        "peers": 3,
        "address": "k17zx7jek1fc5dndesb9978amks5dimsnb5ochhcuf77tbyf7wko",
        "drives": 2,
        "error": "",
    },
    "ipfs": {
        "backend": "helia",
        "running": True,
        "peers": 5,
        "peerId": "12D3KooWTestPeer",
        "addresses": ["/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/udp/4001/quic-v1"],
        "error": "",
    },
    "storage": {"bytes": 42_000_000, "pinnedBytes": 30_000_000, "cacheBytes": 12_000_000},
    "traffic": {"inBytes": 5_000_000, "outBytes": 1_000_000},
}


class NodeDouble:
    """Has the methods of :class:`peersky.p2p.node_port.NodePort`.

    Attributes:
        state: as the real one has it.
        asked: admin routes that were asked, with what was sent.
        starts: how often it was started.
        resets: the ``identities`` of each reset.
        failure: raised by the next requests and starts.
        ipfs_error: why IPFS does not start, while the node does.
    """

    def __init__(self) -> None:
        self.state = "stopped"
        self.asked: list[tuple[str, Any]] = []
        self.starts = 0
        self.resets: list[bool] = []
        self.failure: PeerSkyError | None = None
        self.ipfs_error = ""

    async def status(self) -> dict[str, Any]:
        sentences = {"stopped": "The P2P node is not running; it starts with the first peer-to-peer page."}
        sentence = sentences.get(self.state, f"The P2P node is {self.state}.")
        return {"state": self.state, "sentence": sentence, "node": STATUS if self.state == "ready" else None}

    async def start(self) -> None:
        if self.failure:
            raise self.failure
        if self.state == "crash_loop":
            raise NodeUnavailable("The P2P node crashed again and again.", reason="crash_loop")
        self.starts += 1
        self.state = "ready"

    def retry(self) -> None:
        if self.state == "crash_loop":
            self.state = "stopped"

    async def json(self, method: str, path: str, value: Any = None) -> Any:
        if self.failure:
            raise self.failure
        self.state = "ready"
        self.asked.append((f"{method} {path}", value))
        if path == "/node/start":
            return {**STATUS, "ipfs": {**STATUS["ipfs"], "error": self.ipfs_error}}
        return {"freedBytes": 12_000_000} if path == "/node/gc" else {}

    async def reset(self, *, identities: bool) -> None:
        if self.failure:
            raise self.failure
        self.state = "stopped"
        self.resets.append(identities)
