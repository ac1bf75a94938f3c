"""What the P2P node is told when it starts, and which settings it must be started anew for. No I/O."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from peersky.system.settings_store import SettingsStore

LIMITS: Final = {
    "p2p.cacheBytes": "cacheBytes",
    "p2p.uploadLimit": "uploadBytesPerSecond",
    "p2p.downloadLimit": "downloadBytesPerSecond",
}
"""Settings that a running node is told of, by the names that it has for them."""

_FIXED: Final = {
    "p2p.listen": "listen",
    "p2p.hyper.bootstrap": "hyperBootstrap",
    "p2p.hyper.port": "hyperPort",
    "p2p.ipfs.peers": "ipfsPeers",
    "p2p.ipfs.port": "ipfsPort",
    "p2p.ipfs.backend": "ipfsBackend",
    "p2p.ipfs.kuboRpc": "kuboRpc",
    "p2p.dnsResolver": "dnsResolver",
    "p2p.lookupSeconds": "lookupSeconds",
}

RESTARTING: Final = frozenset(_FIXED)
"""Settings that a node takes only when it starts."""


def first_line(settings: SettingsStore, token: str, storage: Path, identity: Path) -> str:
    """The configuration as one line of JSON.

    Args:
        token: what the node asks of every request.
        storage: its directory for blocks and drives.
        identity: its directory for keys.
    """
    config: dict[str, Any] = {"token": token, "storage": str(storage), "identity": str(identity)}
    config |= {name: settings.get(key) for key, name in (_FIXED | LIMITS).items()}
    return json.dumps(config)


def limits(settings: SettingsStore) -> dict[str, Any]:
    """The body of the request that tells a running node its limits."""
    return {name: settings.get(key) for key, name in LIMITS.items()}
